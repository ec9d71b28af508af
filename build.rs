//! Tells the binary what it was built from: the commit and the build profile, for `lockgate --version`.
//!
//! A container build has no repository: it passes `LOCKGATE_REVISION`. `LOCKGATE_PROFILE` names a build that cargo does not know, as the
//! one by profile (`scripts/build-pgo`).

use std::process::Command;

fn main() {
    for path in ["build.rs", "src", "Cargo.toml", ".git/HEAD"] {
        println!("cargo:rerun-if-changed={path}");
    }
    println!("cargo:rustc-env=LOCKGATE_REVISION={}", told("LOCKGATE_REVISION").or_else(commit).unwrap_or_else(|| "unknown".into()));
    let profile = told("LOCKGATE_PROFILE").or_else(|| std::env::var("PROFILE").ok());
    println!("cargo:rustc-env=LOCKGATE_PROFILE={}", profile.unwrap_or_default());
}

fn told(name: &str) -> Option<String> {
    println!("cargo:rerun-if-env-changed={name}");
    let value = std::env::var(name).ok().filter(|value| !value.is_empty() && value != "unknown")?;
    Some(value.chars().take(12).collect())
}

/// The commit of a checkout.
fn commit() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
}
