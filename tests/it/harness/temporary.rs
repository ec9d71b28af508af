//! Temporary files and folders of a test, which are removed when the test ends, even if it fails.

use std::ops::Deref;
use std::path::{Path, PathBuf};

pub struct Temporary(PathBuf);

impl Temporary {
    pub fn file(name: &str, content: &str) -> Self {
        let path = path(name);
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    pub fn folder(name: &str) -> Self {
        let path = path(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("lockgate-{}-{name}", std::process::id()))
}

impl Deref for Temporary {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = if self.0.is_dir() { std::fs::remove_dir_all(&self.0) } else { std::fs::remove_file(&self.0) };
    }
}
