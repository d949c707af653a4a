//! The file for a page: whole under its name or not there.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sandkasten_bench::{Report, html};
use tempfile::NamedTempFile;

use crate::cli_error::CliError;

const HINT: &str = "name a file in a directory that there is and that you may write to";

/// A page that is to be written.
#[derive(Debug)]
pub(super) struct Page {
    file: NamedTempFile,
    path: PathBuf,
}

impl Page {
    /// Makes sure that it can be written.
    pub(super) fn begin(path: &Path) -> Result<Self, CliError> {
        let failed = |error: std::io::Error| CliError::ours(cannot(path), &error, HINT);
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let file = tempfile::Builder::new()
            .prefix(".sandkasten-bench-")
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(directory.unwrap_or(Path::new(".")))
            .map_err(failed)?;
        if path.is_dir() {
            return Err(failed(std::io::ErrorKind::IsADirectory.into()));
        }
        Ok(Self { file, path: path.to_owned() })
    }

    /// Writes it, in place of what was there.
    pub(super) fn write(mut self, report: &Report) -> Result<(), CliError> {
        let failed = |error: std::io::Error| CliError::ours(cannot(&self.path), &error, HINT);
        let page = html(report).map_err(|error| CliError::ours(cannot(&self.path), &error, HINT))?;
        self.file.write_all(page.as_bytes()).map_err(failed)?;
        self.file.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

fn cannot(path: &Path) -> String {
    format!("cannot write the page {}", path.display())
}
