//! `logs`: prints the log of the daemon in the background, and what is added to it.
//!
//! What is in the log is printable already: see `logging`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{Mode, OFlags};

use crate::arguments::GlobalArguments;
use crate::cli_error::{CliError, Exit};
use crate::{connection, output};

/// Arguments of `logs`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct LogsArguments {
    /// Go on printing what is added
    #[arg(short, long)]
    follow: bool,
}

/// Why the log was not printed to its end.
#[derive(Debug, thiserror::Error)]
enum PrintLogError {
    #[error("there is no log at {}", path.display())]
    Absent { path: PathBuf },
    #[error("failed to read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("failed to watch {}", path.display())]
    Watch { path: PathBuf, source: io::Error },
    #[error("failed to write to standard output")]
    Write { source: io::Error },
}

/// Prints the log.
pub(crate) fn run(global: &GlobalArguments, arguments: LogsArguments) -> Result<ExitCode, CliError> {
    let config = connection::load_config(global)?;
    let path = config.log_path();
    let printed = if arguments.follow {
        follow(&path, &config.run_dir())
    } else {
        Log::open(&path).and_then(|mut log| log.print_new())
    };
    match printed {
        Ok(()) => Ok(Exit::Success.into()),
        // `sandkasten logs | head` is no failure.
        Err(PrintLogError::Write { source }) if source.kind() == io::ErrorKind::BrokenPipe => {
            Ok(output::done())
        }
        Err(error) => {
            let hint = match &error {
                PrintLogError::Absent { .. } => {
                    "only a daemon in the background has one: `sandkasten daemon --detach`"
                }
                _ if !rustix::process::geteuid().is_root() => {
                    "run it as root: the data directory is closed to others"
                }
                _ => "",
            };
            Err(CliError::ours("cannot print the log", &error, hint))
        }
    }
}

/// The log, as far as it was printed.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: File,
    printed: u64,
}

impl Log {
    fn open(path: &Path) -> Result<Self, PrintLogError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(file) => Ok(Self { path: path.to_owned(), file: File::from(file), printed: 0 }),
            Err(rustix::io::Errno::NOENT) => Err(PrintLogError::Absent { path: path.to_owned() }),
            Err(error) => Err(PrintLogError::Read { path: path.to_owned(), source: error.into() }),
        }
    }

    /// Prints what was added since the last time.
    fn print_new(&mut self) -> Result<(), PrintLogError> {
        let failed = |source| PrintLogError::Read { path: self.path.clone(), source };
        // A log that was copied and truncated begins anew.
        if self.file.metadata().map_err(failed)?.len() < self.printed {
            self.printed = self.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        }
        let mut stdout = io::stdout().lock();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = match self.file.read(&mut buffer) {
                Ok(0) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result.map_err(failed)?,
            };
            let bytes = buffer.get(..count).unwrap_or_default();
            stdout.write_all(bytes).map_err(|source| PrintLogError::Write { source })?;
            self.printed = self.printed.saturating_add(u64::try_from(count).unwrap_or(0));
        }
        stdout.flush().map_err(|source| PrintLogError::Write { source })
    }

    /// Goes over to the file that has taken the path, where another one has.
    fn take_next(&mut self) -> Result<(), PrintLogError> {
        let next = match Self::open(&self.path) {
            // It was renamed, and the next one is not there yet.
            Err(PrintLogError::Absent { .. }) => return Ok(()),
            next => next?,
        };
        let id = |file: &File| file.metadata().map(|metadata| (metadata.dev(), metadata.ino()));
        let failed = |source| PrintLogError::Read { path: self.path.clone(), source };
        if id(&next.file).map_err(failed)? != id(&self.file).map_err(failed)? {
            *self = next;
            self.print_new()?;
        }
        Ok(())
    }
}

/// Prints the log, and what is added, until nobody reads it any more. The kernel says when there is something.
fn follow(path: &Path, directory: &Path) -> Result<(), PrintLogError> {
    let failed = |source: rustix::io::Errno| PrintLogError::Watch {
        path: directory.to_owned(),
        source: source.into(),
    };
    let mut log = Log::open(path)?;
    let events = inotify::init(CreateFlags::CLOEXEC).map_err(failed)?;
    // Of the directory, so that a log which takes the place of another is seen too. Before the first reading, so that
    // nothing is missed in between.
    let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
    inotify::add_watch(&events, directory, flags).map_err(failed)?;
    loop {
        log.print_new()?;
        log.take_next()?;
        if wait(&events, path).map_err(failed)? == Wait::ReaderGone {
            return Ok(());
        }
    }
}

/// Why waiting ended.
#[derive(Debug, PartialEq, Eq)]
enum Wait {
    /// Something was added, or the log is another file.
    Changed,
    /// Nobody reads our output any more.
    ReaderGone,
}

fn wait(events: &OwnedFd, path: &Path) -> Result<Wait, rustix::io::Errno> {
    let stdout = io::stdout();
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(events, &mut buffer);
    loop {
        // Of standard output nothing is asked, and what the kernel tells unasked is that its other end has gone.
        let mut both = [PollFd::new(events, PollFlags::IN), PollFd::new(&stdout, PollFlags::empty())];
        rustix::io::retry_on_intr(|| poll(&mut both, None))?;
        let [event, output] = both.map(|descriptor| descriptor.revents());
        if output.intersects(PollFlags::ERR | PollFlags::HUP) {
            return Ok(Wait::ReaderGone);
        }
        if !event.contains(PollFlags::IN) {
            continue;
        }
        let mut changed = false;
        loop {
            let event = reader.next()?;
            let named = event.file_name().map(|name| name.to_bytes());
            let lost = event.events().contains(ReadFlags::QUEUE_OVERFLOW);
            changed |= lost || named == path.file_name().map(std::os::unix::ffi::OsStrExt::as_bytes);
            if reader.is_buffer_empty() {
                break;
            }
        }
        if changed {
            return Ok(Wait::Changed);
        }
    }
}
