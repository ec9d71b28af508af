//! Embeds the commit and the build profile in the binary, for `lockgate --version`.
//!
//! A container build has no repository, so it passes the commit in `LOCKGATE_REVISION`. `LOCKGATE_PROFILE` names a build that is not a
//! Cargo profile, such as the profile-guided one (`scripts/build-pgo`).

use std::path::Path;
use std::process::Command;

fn main() {
    for path in ["build.rs", "src", "Cargo.toml", ".git/HEAD"] {
        // A path that does not exist would make Cargo run this script in every build.
        if Path::new(path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let revision = environment("LOCKGATE_REVISION").or_else(commit);
    println!("cargo:rustc-env=LOCKGATE_REVISION={}", revision.unwrap_or_else(|| "unknown".into()));
    println!("cargo:rustc-env=LOCKGATE_PROFILE={}", environment("LOCKGATE_PROFILE").or_else(profile).unwrap_or_default());
}

/// Returns an environment variable, shortened to 12 characters; `None` if it is not set, empty or `unknown`.
fn environment(name: &str) -> Option<String> {
    println!("cargo:rerun-if-env-changed={name}");
    let value = std::env::var(name).ok().filter(|value| !value.is_empty() && value != "unknown")?;
    Some(value.chars().take(12).collect())
}

/// Returns the name of the Cargo profile, from its folder in `target/<folder>/build/lockgate-<hash>/out`. `PROFILE` cannot be used: it names
/// the root profile, which is "release" for `dist`.
fn profile() -> Option<String> {
    let out = std::env::var("OUT_DIR").ok()?;
    Some(Path::new(&out).ancestors().nth(3)?.file_name()?.to_str()?.to_owned())
}

/// Returns the commit of a checkout, shortened to 12 digits.
fn commit() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
}
