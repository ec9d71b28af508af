//! Tells the binary what it was built from: the commit and the build profile, for `lockgate --version`.
//!
//! A container build has no repository: it passes `LOCKGATE_REVISION`. `LOCKGATE_PROFILE` names a build that cargo does not know, as the
//! one by profile (`scripts/build-pgo`).

use std::path::Path;
use std::process::Command;

fn main() {
    for path in ["build.rs", "src", "Cargo.toml", ".git/HEAD"] {
        // Cargo runs this in every build when it is told of a path that does not exist.
        if Path::new(path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    println!("cargo:rustc-env=LOCKGATE_REVISION={}", told("LOCKGATE_REVISION").or_else(commit).unwrap_or_else(|| "unknown".into()));
    println!("cargo:rustc-env=LOCKGATE_PROFILE={}", told("LOCKGATE_PROFILE").or_else(profile).unwrap_or_default());
}

fn told(name: &str) -> Option<String> {
    println!("cargo:rerun-if-env-changed={name}");
    let value = std::env::var(name).ok().filter(|value| !value.is_empty() && value != "unknown")?;
    Some(value.chars().take(12).collect())
}

/// The profile's folder, `target/<folder>/build/lockgate-<hash>/out`. Cargo's own `PROFILE` calls `dist` "release": it names the root
/// of a profile, not the profile.
fn profile() -> Option<String> {
    let out = std::env::var("OUT_DIR").ok()?;
    Some(Path::new(&out).ancestors().nth(3)?.file_name()?.to_str()?.to_owned())
}

/// The commit of a checkout.
fn commit() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
}
