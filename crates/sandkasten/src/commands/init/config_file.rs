//! The configuration file that `init` writes: never over another.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::refused;
use crate::cli_error::{CliError, Exit};
use crate::output;

/// As many configurations as are put aside.
const MOST_ASIDE: u32 = 1_000;

/// A place for a configuration.
#[derive(Debug)]
pub(super) struct ConfigFile<'a> {
    path: &'a Path,
    directory: &'a Path,
    /// One that is there is put aside.
    force: bool,
}

impl<'a> ConfigFile<'a> {
    /// Looks at the place before anything is done.
    ///
    /// # Errors
    /// Where there is a file that is not to be put aside, or the path names none.
    pub(super) fn at(path: &'a Path, force: bool) -> Result<Self, CliError> {
        let directory = match path.parent() {
            Some(parent) if parent == Path::new("") => Path::new("."),
            Some(parent) => parent,
            None => return Err(refused(format!("{} names no file", path.display()), "correct --config")),
        };
        if !force && path.symlink_metadata().is_ok() {
            return Err(CliError { exit: Exit::Refused, ..there(path) });
        }
        Ok(Self { path, directory, force })
    }

    /// Writes it, for its owner alone, whole or not at all.
    ///
    /// # Errors
    /// Where it cannot be written, or another has come meanwhile.
    pub(super) fn write(self, text: &str) -> Result<(), CliError> {
        let failed = |error: io::Error| {
            CliError::ours(
                format!("cannot write {}", self.path.display()),
                &error,
                "name another place with --config",
            )
        };
        DirBuilder::new().recursive(true).mode(0o755).create(self.directory).map_err(failed)?;
        // Mode 0600 from the beginning.
        let mut file = tempfile::NamedTempFile::new_in(self.directory).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        if self.force && self.path.symlink_metadata().is_ok() {
            let aside = self.put_aside().map_err(failed)?;
            output::note(&format!("the configuration that was there is {} now", aside.display()));
        }
        match file.persist_noclobber(self.path) {
            Ok(_) => {
                fs::File::open(self.directory).and_then(|directory| directory.sync_all()).map_err(failed)
            }
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(there(self.path)),
            Err(error) => Err(failed(error.error)),
        }
    }

    fn put_aside(&self) -> io::Result<PathBuf> {
        for number in 1..=MOST_ASIDE {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            match renameat_with(CWD, self.path, CWD, &name, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(PathBuf::from(name)),
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::other("too many have been put aside"))
    }
}

fn there(path: &Path) -> CliError {
    CliError {
        exit: Exit::Refused,
        ..refused(
            format!("{} is there already, and is not written over", path.display()),
            "put it aside with --force, or name another place with --config",
        )
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::ConfigFile;

    #[test]
    fn a_file_that_is_there_is_never_written_over() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("new/sandkasten.yaml");
        ConfigFile::at(&path, false).expect("a place").write("first").expect("written");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(ConfigFile::at(&path, false).is_err());
        for text in ["second", "third"] {
            ConfigFile::at(&path, true).expect("a place").write(text).expect("written");
        }
        let read = |name: &str| fs::read_to_string(directory.path().join("new").join(name)).expect("there");
        assert_eq!(read("sandkasten.yaml"), "third");
        assert_eq!(read("sandkasten.yaml.1"), "first");
        assert_eq!(read("sandkasten.yaml.2"), "second");
        assert_eq!(fs::read_dir(directory.path().join("new")).expect("listed").count(), 3);
    }

    #[test]
    fn a_file_that_comes_meanwhile_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("sandkasten.yaml");
        let file = ConfigFile::at(&path, false).expect("a place");
        std::os::unix::fs::symlink("elsewhere", &path).expect("a link");
        assert!(file.write("ours").is_err());
        assert!(path.is_symlink() && !directory.path().join("elsewhere").exists());
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 1);
    }
}
