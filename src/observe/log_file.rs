//! A file of log lines: opened before the start, opened again when something else has moved it away, and rotated by size.
//!
//! Only the thread of the log writes to it. Must not know what a line says.

use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The permissions of a new file: others than the owner and the group see nothing. The umask can only take more away.
const MODE: u32 = 0o640;
/// The shortest time from one look at the file system to the next.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The time from a rotation that failed to the next try.
const RETRY_ROTATION: Duration = Duration::from_secs(60);

/// When a file is rotated, and how many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The maximum size of the file, in bytes.
    pub max_size: u64,
    /// The number of older files, `NAME.1` to `NAME.N`.
    pub keep: u32,
}

/// The reason why a log file cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the log to {}: {source}", path.display())]
pub struct OpenError {
    path: PathBuf,
    source: io::Error,
}

impl OpenError {
    /// Returns a text that tells the operator how to remove the cause. The text is empty if no remedy is known.
    pub fn help(&self) -> String {
        let folder = folder_of(&self.path).display();
        match self.source.kind() {
            io::ErrorKind::NotFound => format!("create the folder: `mkdir -p {folder}`"),
            io::ErrorKind::NotADirectory => format!("{folder} is not a folder"),
            io::ErrorKind::PermissionDenied => {
                format!("the user of this process must be able to write to {folder} and to the file: `ls -ld {folder}` shows the owner")
            }
            io::ErrorKind::ReadOnlyFilesystem => format!("mount a writable volume at {folder}, or remove `file` of [log]"),
            io::ErrorKind::InvalidInput => "`file` of [log] names a regular file; without it, lines go to standard output".into(),
            _ => String::new(),
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file of log lines.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    rotation: Option<Rotation>,
    /// `None` while the file cannot be opened.
    file: Option<File>,
    /// The size of the file, as far as is known.
    size: u64,
    looked: Instant,
    /// Why it cannot be opened, while it cannot.
    error: Option<io::Error>,
    /// When the last rotation failed.
    failed: Option<Instant>,
}

impl LogFile {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// Fails if the file cannot be written: its folder does not exist, it may not be written, or it is not a file.
    pub fn open(path: impl Into<PathBuf>, rotation: Option<Rotation>) -> Result<Self, OpenError> {
        let path = path.into();
        match open(&path).and_then(|file| Ok((file.metadata()?, file))) {
            Ok((data, file)) => {
                // A device cannot be renamed.
                let rotation = rotation.filter(|_| data.is_file());
                Ok(Self { path, rotation, file: Some(file), size: data.len(), looked: Instant::now(), error: None, failed: None })
            }
            Err(source) => Err(OpenError { path, source }),
        }
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file by its name again, because something else has moved the old one away.
    ///
    /// # Errors
    /// Fails if it cannot be opened. An old file that still has a name is written to further.
    pub fn reopen(&mut self) -> io::Result<()> {
        match open(&self.path) {
            Ok(file) => {
                self.size = file.metadata().map_or(0, |data| data.len());
                (self.file, self.error) = (Some(file), None);
                Ok(())
            }
            Err(error) => {
                self.error = Some(copy(&error));
                if self.data().is_none_or(|data| data.nlink() == 0) {
                    self.file = None;
                }
                Err(error)
            }
        }
    }

    /// Prepares to write so many bytes: looks from time to time whether the file is still there, and rotates it when it would become too
    /// large.
    pub(super) fn prepare(&mut self, bytes: usize) {
        if self.looked.elapsed() >= LOOK_EVERY {
            self.looked = Instant::now();
            self.look();
        }
        let Some(rotation) = self.rotation else { return };
        let is_due = self.size > 0 && self.size + bytes as u64 > rotation.max_size;
        if is_due && self.failed.is_none_or(|failed| failed.elapsed() >= RETRY_ROTATION) {
            let result = self.rotate(rotation);
            if let Err(error) = &result {
                tracing::error!(file = %self.path.display(), %error, "the log file cannot be rotated and grows further");
            }
            self.failed = result.err().map(|_| Instant::now());
        }
    }

    fn data(&self) -> Option<Metadata> {
        self.file.as_ref()?.metadata().ok()
    }

    /// Opens the file again if it was removed or if another one has its name. A file that was renamed is written to further until a signal
    /// says that the new one may be created: its mover may want to create it.
    fn look(&mut self) {
        let (own, named) = (self.data(), std::fs::metadata(&self.path).ok());
        let is_gone = own.as_ref().is_none_or(|own| own.nlink() == 0);
        let is_replaced = own.as_ref().zip(named.as_ref()).is_some_and(|(own, named)| identity(own) != identity(named));
        if is_gone || is_replaced {
            // If this fails, the lines are lost and counted, or go on into the old file.
            let _ = self.reopen();
        } else if let Some(own) = own {
            // Something else may have truncated it.
            self.size = own.len();
        }
    }

    /// Moves the file and the older ones to the next number, and begins a new file. If that fails, lines go on into the old one.
    fn rotate(&mut self, rotation: Rotation) -> io::Result<()> {
        let named = std::fs::metadata(&self.path).ok();
        // A file that is not this one was moved here by something else, and is opened instead.
        if self.data().zip(named).is_some_and(|(own, named)| identity(&own) == identity(&named)) {
            for number in (1..rotation.keep).rev() {
                let _ = std::fs::rename(self.numbered(number), self.numbered(number + 1));
            }
            std::fs::rename(&self.path, self.numbered(1))?;
        }
        self.reopen()
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(file) = self.file.as_mut() else {
            return Err(self.error.as_ref().map_or_else(|| io::ErrorKind::NotFound.into(), copy));
        };
        let written = file.write(bytes)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn copy(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}

fn identity(data: &Metadata) -> (u64, u64) {
    (data.dev(), data.ino())
}

/// Opens or creates a file to append to it. To open a pipe could wait for a reader forever, so only files and devices are opened.
fn open(path: &Path) -> io::Result<File> {
    if let Ok(data) = std::fs::metadata(path)
        && !(data.is_file() || data.file_type().is_char_device())
    {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is not a file"));
    }
    OpenOptions::new().append(true).create(true).mode(MODE).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reason_is_told_while_the_file_cannot_be_opened() {
        let folder = std::env::temp_dir().join(format!("lockgate-log-file-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("access.log");
        let mut file = LogFile::open(&path, None).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        file.look();
        for _ in 0..2 {
            let error = file.write(b"line\n").unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::InvalidInput, "this is not a file"));
        }
        std::fs::remove_dir(&path).unwrap();
        file.look();
        assert_eq!(file.write(b"line\n").unwrap(), 5);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
