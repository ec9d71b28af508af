//! Reads files that an operator names, whatever is in their place: only regular files, and only up to a bound.
//!
//! Opening a pipe would wait for a writer, and a device has no end. Knows nothing of what the files mean.

use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Returns the content of a file of at most `max` bytes.
///
/// # Errors
/// Returns the system's error, [`io::ErrorKind::InvalidInput`] for what is no regular file, or [`io::ErrorKind::FileTooLarge`].
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let without_waiting = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = std::fs::File::options().read(true).custom_flags(without_waiting).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut content = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {} KiB", max / 1024)));
    }
    Ok(content)
}

/// Returns the content of a file of at most `max` bytes as text.
///
/// # Errors
/// As [`read`], and [`io::ErrorKind::InvalidData`] for what is not UTF-8 or has a byte of zero, which no text has.
pub fn read_text(path: &Path, max: u64) -> io::Result<String> {
    let text = String::from_utf8(read(path, max)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))?;
    if text.contains('\0') { Err(io::Error::new(io::ErrorKind::InvalidData, "it is not text: it has a byte of zero")) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let path = std::env::temp_dir().join(format!("lockgate-regular-{}", std::process::id()));
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read(&path, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_text(&path, 9).unwrap(), "12345");
        std::fs::write(&path, "a\0b").unwrap();
        assert_eq!(read_text(&path, 9).unwrap_err().kind(), io::ErrorKind::InvalidData);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read(&path, 9).unwrap_err().kind(), io::ErrorKind::NotFound);
        for other in ["/dev/zero", "/dev/null", "/"] {
            assert_eq!(read(Path::new(other), 9).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{other}");
        }
        let pipe = path.with_extension("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(read(&pipe, 9).unwrap_err().kind(), io::ErrorKind::InvalidInput, "a pipe that nobody writes");
        std::fs::remove_file(&pipe).unwrap();
    }
}
