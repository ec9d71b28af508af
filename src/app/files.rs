//! The files of the configuration: what they contain, and whether they have changed.
//!
//! Looks at the files instead of asking the system for events: a look costs one system call per file and sees a folder that is replaced, a
//! link that Kubernetes swaps, and a network file system. Knows nothing of what the files mean.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest::{Context, SHA256};

use crate::regular_file;
use crate::tls::Stamp;

/// The most that is read of a file, in bytes; no file that the configuration may name is larger.
const MAX_READ: u64 = 64 << 20;
/// The most entries of a folder that are looked at; more languages or pages than that are refused.
const MAX_ENTRIES: usize = 1024;
/// The number of looks after which files that keep changing are read nevertheless.
const MAX_UNSTABLE: u32 = 10;
/// The number of hexadecimal digits of a version.
const VERSION_DIGITS: usize = 12;

/// How files look from outside.
pub(super) type Look = Vec<Stamp>;

/// Returns the files, and for a folder also what is in it.
fn with_entries(files: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let mut all = files.clone();
    for folder in files.iter().filter(|path| path.is_dir()) {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        all.extend(entries.take(MAX_ENTRIES).map(|entry| entry.path()));
    }
    all
}

/// Looks at files.
pub(super) fn look(files: &BTreeSet<PathBuf>) -> Look {
    with_entries(files).iter().map(|path| Stamp::of(path)).collect()
}

/// Digests of what files contain.
pub(super) type Digests = BTreeMap<PathBuf, [u8; 32]>;

/// Returns the digest of what each file contains. A file that cannot be read has a digest, too.
pub(super) fn digests(files: &BTreeSet<PathBuf>) -> Digests {
    let of = |path: PathBuf| {
        let mut context = Context::new(&SHA256);
        let content = content(&path);
        context.update(&[u8::from(content.is_some())]);
        context.update(content.as_deref().unwrap_or_default());
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        (path, digest)
    };
    with_entries(files).into_iter().map(of).collect()
}

/// Returns the names of files that differ, also of those that are new or gone.
pub(super) fn changed(before: &Digests, now: &Digests) -> Vec<String> {
    let all: BTreeSet<&PathBuf> = before.keys().chain(now.keys()).collect();
    all.into_iter().filter(|path| before.get(*path) != now.get(*path)).map(|path| path.display().to_string()).collect()
}

fn content(path: &Path) -> Option<Vec<u8>> {
    regular_file::read(path, MAX_READ).ok()
}

/// Returns the version of a configuration: equal contents have equal versions, wherever the files are.
pub(super) fn version(text: &str, files: &BTreeSet<PathBuf>) -> Arc<str> {
    let mut context = Context::new(&SHA256);
    context.update(text.as_bytes());
    for path in with_entries(files) {
        if let Some(content) = content(&path).filter(|content| content != text.as_bytes()) {
            context.update(&(content.len() as u64).to_le_bytes());
            context.update(&content);
        }
    }
    let hex = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    hex[..VERSION_DIGITS].into()
}

/// Decides from looks when changed files are to be read.
#[derive(Debug)]
pub(super) struct Follower {
    /// How the files looked when they were read.
    read: Look,
    /// How they looked last.
    last: Look,
    /// The number of looks since the first change.
    unstable: u32,
}

impl Follower {
    /// Begins with how the files looked before they were read.
    pub(super) fn new(read: Look) -> Self {
        Self { last: read.clone(), read, unstable: 0 }
    }

    /// Returns true if the files are to be read: they have changed and were the same at two looks. So a file is rarely read while it is being
    /// written. One that never rests is read all the same.
    pub(super) fn is_due(&mut self, now: Look) -> bool {
        if now == self.read {
            self.last = now;
            self.unstable = 0;
            return false;
        }
        self.unstable += 1;
        let rests = self.last == now;
        self.last = now;
        rests || self.unstable >= MAX_UNSTABLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn a_change_is_due_when_it_rests() {
        let folder = std::env::temp_dir().join(format!("lockgate-files-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("a.toml");
        write(&file, "1");
        let files: BTreeSet<PathBuf> = [file.clone(), folder.clone()].into();
        let mut follower = Follower::new(look(&files));
        assert!(!follower.is_due(look(&files)));
        write(&file, "22");
        assert!(!follower.is_due(look(&files)), "it may still be written");
        write(&file, "333");
        assert!(!follower.is_due(look(&files)));
        assert!(follower.is_due(look(&files)));
        let mut follower = Follower::new(look(&files));
        write(&folder.join("b.toml"), "new");
        assert!(!follower.is_due(look(&files)));
        assert!(follower.is_due(look(&files)), "a file that is new in a folder");
        let due = (0..MAX_UNSTABLE + 2).position(|round| {
            write(&file, &"x".repeat(10 + round as usize));
            follower.is_due(look(&files))
        });
        assert!(due.is_some(), "a file that never rests");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn content_decides_the_digest() {
        let folder = std::env::temp_dir().join(format!("lockgate-digest-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("a");
        let files: BTreeSet<PathBuf> = [file.clone()].into();
        let missing = digests(&files);
        write(&file, "");
        let empty = digests(&files);
        write(&file, "1");
        let one = digests(&files);
        assert_eq!(changed(&empty, &one), [file.display().to_string()]);
        assert!(missing != empty && empty != one);
        assert_ne!(version("a", &files), version("b", &files));
        assert_eq!(version("a", &files).len(), VERSION_DIGITS);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
