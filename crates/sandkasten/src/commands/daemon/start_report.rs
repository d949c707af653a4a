//! What a detached daemon tells whoever started it, once: over a pipe that is its standard input until then.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::cli_error::{CliError, Exit};

/// How a start ended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum StartReport {
    /// It listens, and what an earlier daemon left is adopted.
    Ready {
        /// Where it listens.
        address: String,
    },
    /// It does not start, and this is what a daemon in the foreground would have said.
    Failed(CliError),
}

/// The end of the pipe that is written.
#[derive(Debug)]
pub(super) struct Starter(File);

impl Starter {
    /// Takes the pipe from standard input and puts nothing in its place.
    pub(super) fn from_stdin() -> Result<Self, CliError> {
        let failed = |error: io::Error| {
            CliError::ours("cannot report the start", &error, "start it with `sandkasten daemon --detach`")
        };
        let stdin = io::stdin();
        let is_pipe = rustix::fs::fstat(&stdin)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
        if !is_pipe {
            return Err(CliError {
                what: "cannot report the start".to_owned(),
                why: "standard input is no pipe: `--detached` is what `--detach` runs in the background"
                    .to_owned(),
                hint: "start it with `sandkasten daemon --detach`".to_owned(),
                exit: Exit::Usage,
            });
        }
        let pipe = stdin.as_fd().try_clone_to_owned().map_err(failed)?;
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
        let null = null.map_err(|error| failed(error.into()))?;
        rustix::stdio::dup2_stdin(null).map_err(|error| failed(error.into()))?;
        Ok(Self(File::from(pipe)))
    }

    /// Reports how the start ended. Whoever waited for it may have gone.
    pub(super) fn tell(mut self, report: &StartReport) -> io::Result<()> {
        self.0.write_all(&serde_json::to_vec(report)?)
    }
}

/// Waits for the report, and returns none where the daemon ended without one. Blocking.
pub(super) fn read(pipe: OwnedFd) -> io::Result<Option<StartReport>> {
    let mut text = Vec::new();
    File::from(pipe).read_to_end(&mut text)?;
    if text.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_slice(&text)?)) }
}
