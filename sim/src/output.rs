//! Files that are complete or not there: written beside their place under another name, then renamed.
//!
//! [`AtomicFile::create`] opens the file at once, so that a path that cannot be written is known before a long run
//! and not after it. Without [`AtomicFile::commit`] nothing stays behind. A device or a pipe (`/dev/stdout`) cannot be
//! replaced by a file, so it is written directly.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file to come.
#[derive(Debug)]
pub struct AtomicFile {
    target: PathBuf,
    /// None once renamed.
    temporary: Option<PathBuf>,
    file: File,
}

impl AtomicFile {
    /// Prepares to write `path`.
    ///
    /// # Errors
    /// The path cannot be written; the message names it.
    pub fn create(path: &Path) -> io::Result<Self> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        if path.is_dir() {
            return Err(named(io::Error::other("is a directory, not a file")));
        }
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(Self {
                target: path.to_owned(),
                temporary: None,
                file: File::options().write(true).open(path).map_err(named)?,
            });
        }
        // Behind a symbolic link the file is replaced, not the link.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let Some(name) = target.file_name() else {
            return Err(named(io::Error::other("is not a file name")));
        };
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.tmp", std::process::id()));
        let temporary = target.with_file_name(hidden);
        let file = File::create(&temporary).map_err(named)?;
        Ok(Self {
            target,
            temporary: Some(temporary),
            file,
        })
    }

    /// Writes the content and puts the file in its place.
    ///
    /// # Errors
    /// The file cannot be written; the message names it.
    pub fn commit(mut self, content: &[u8]) -> io::Result<()> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", self.target.display()))
        };
        self.file.write_all(content).map_err(named)?;
        if let Some(temporary) = &self.temporary {
            fs::rename(temporary, &self.target).map_err(named)?;
        }
        self.temporary = None;
        Ok(())
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Nothing better can be done about a temporary file that does not go away.
            let _ = fs::remove_file(temporary);
        }
    }
}
