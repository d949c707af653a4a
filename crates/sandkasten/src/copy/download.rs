//! Out of a session or a workspace onto this host. What comes is hostile: nothing is written but below the directory that the
//! user has named, nothing through a link that is there, and no device, setuid bit or foreign owner is taken over.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io::{self, IsTerminal};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;

use rustix::fs::{Mode, OFlags, fchmod, mkdirat, openat};
use rustix::io::Errno;
use sandkasten_archive::{ArchiveFormat, PieceReader, UnpackArchiveError, unpack};
use sandkasten_client::ContentStream;
use sandkasten_isolation::host::{FileError, RootDirectory};
use tokio::sync::mpsc::Receiver;

use super::operand::LocalPath;
use super::remote::{Found, Remote};
use super::transfer::{Piece, consume};
use super::{misnamed, unusable};
use crate::cli_error::{CliError, Exit, with_causes};
use crate::output;
use crate::stream_command::BROKEN_PIPE_STATUS;

/// A directory of this host that is to be filled.
struct Target {
    directory: OwnedFd,
    /// Whether it was made for this.
    is_new: bool,
}

/// Copies a file, or a directory with all that is in it.
pub(super) async fn path(from: &Remote, to: &LocalPath) -> Result<(), CliError> {
    match look(from).await? {
        Found::Directory(mode) => directory(from, mode, to).await,
        Found::File(mode) => file(from, mode, to).await,
        Found::Missing => Err(missing(from)),
    }
}

/// Writes a file to standard output, and a directory as an archive.
pub(super) async fn standard_output(from: &Remote) -> Result<ExitCode, CliError> {
    let what = format!("cannot print {}", from.shown());
    if io::stdout().is_terminal() {
        let why = "what a sandbox has written could act on the terminal";
        return Err(misnamed(what, why, "redirect standard output, or copy it into a file"));
    }
    let mut content = open(from, look(from).await?).await?;
    while let Some(piece) = content.next().await.map_err(|error| CliError::request(&what, &error))? {
        match output::write_bytes(&piece) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(BROKEN_PIPE_STATUS.into()),
            written => {
                written.map_err(|error| CliError::ours(&what, &error, "check where the output goes"))?;
            }
        }
    }
    Ok(output::done())
}

async fn look(from: &Remote) -> Result<Found, CliError> {
    let found = from.look(from.path.text()).await?;
    if matches!(found, Found::File(_)) && (from.path.has_slash() || from.path.is_contents()) {
        let why = format!("{} is no directory", from.shown());
        let what = format!("cannot copy {}", from.shown());
        return Err(CliError { what, why, hint: "leave the slash out".to_owned(), exit: Exit::Refused });
    }
    Ok(found)
}

async fn open(from: &Remote, found: Found) -> Result<ContentStream, CliError> {
    let content = match found {
        Found::Directory(_) => from.files.pack(from.path.text()).await,
        Found::File(_) => from.files.read(from.path.text()).await,
        Found::Missing => return Err(missing(from)),
    };
    content.map_err(|error| CliError::request(format!("cannot read {}", from.shown()), &error))
}

fn missing(from: &Remote) -> CliError {
    CliError {
        what: format!("cannot copy {}", from.shown()),
        why: "there is nothing of this name".to_owned(),
        hint: String::new(),
        exit: Exit::Refused,
    }
}

async fn file(from: &Remote, mode: u32, to: &LocalPath) -> Result<(), CliError> {
    let to = match there(from, to)? {
        Some(found) if found.is_dir() => to.join(OsStr::new(from.name())),
        _ if to.has_slash() => return Err(no_directory(from, to)),
        _ => to.clone(),
    };
    let what = format!("cannot copy {} to {to}", from.shown());
    let (parent, name) = split(&to, &what)?;
    let content = open(from, Found::File(mode)).await?;
    let write = move |pieces| write_file(parent, &name, mode, pieces);
    let written = consume(content, from.shown(), &what, write).await?;
    written.map_err(|error| not_written(what, &error))
}

/// What is there already. A link that an earlier copy may have brought along is followed only where the user says so.
fn there(from: &Remote, to: &LocalPath) -> Result<Option<Metadata>, CliError> {
    match fs::symlink_metadata(to.path()) {
        Ok(found) if found.is_symlink() => {
            let what = format!("cannot copy {} to {to}", from.shown());
            Err(misnamed(
                what,
                format!("{to} is a link"),
                "end it with a slash to follow it to a directory, or remove it",
            ))
        }
        found => Ok(found.ok()),
    }
}

fn write_file(
    parent: OwnedFd,
    name: &OsStr,
    mode: u32,
    mut pieces: Receiver<Piece>,
) -> Result<(), FileError> {
    let root = RootDirectory::of_caller(parent, umask());
    let writer = root.tree_writer(".")?;
    let mut pending = writer.begin_file(name.as_encoded_bytes(), mode)?;
    while let Some(piece) = pieces.blocking_recv() {
        // Who has sent the error tells it.
        let Ok(piece) = piece else { return Ok(()) };
        pending.append(&piece)?;
    }
    writer.finish_file(pending)
}

async fn directory(from: &Remote, mode: u32, to: &LocalPath) -> Result<(), CliError> {
    let what = format!("cannot copy {} to {to}", from.shown());
    let there = there(from, to)?;
    let content = open(from, Found::Directory(mode)).await?;
    let target = match there {
        Some(found) if found.is_dir() && from.path.is_contents() => {
            let directory = open_directory(to.path()).map_err(|error| unusable(what.clone(), &error))?;
            Target { directory, is_new: false }
        }
        Some(found) if found.is_dir() => make(&to.join(OsStr::new(from.name())), &what)?,
        Some(_) => return Err(misnamed(what, format!("{to} is no directory"), "name another place")),
        None => make(to, &what)?,
    };
    let filled = consume(content, from.shown(), &what, move |pieces| fill(target, mode, pieces)).await?;
    filled.map_err(|error| match error {
        UnpackArchiveError::File(error) => not_written(what, &error),
        error => CliError::ours(
            what,
            &error,
            "what came before it is there; its names and links are the sandbox's to choose",
        ),
    })
}

fn fill(target: Target, mode: u32, mut pieces: Receiver<Piece>) -> Result<(), UnpackArchiveError> {
    let umask = umask();
    let failed =
        |source: Errno| FileError::Other { action: "use", path: ".".to_owned(), source: source.into() };
    let directory = target.directory.try_clone().map_err(|source| FileError::Other {
        action: "use",
        path: ".".to_owned(),
        source,
    })?;
    let root = RootDirectory::of_caller(directory, umask);
    match unpack(&root, ".", ArchiveFormat::Tar, PieceReader::new(|| pieces.blocking_recv())) {
        // So is the archive of an empty directory.
        Err(UnpackArchiveError::Empty) => {}
        unpacked => drop(unpacked?),
    }
    if target.is_new {
        // Last of all: it may forbid what comes before it.
        fchmod(&target.directory, Mode::from_raw_mode(mode & 0o777 & !umask)).map_err(failed)?;
    }
    Ok(())
}

/// Makes a directory in one that is there, or opens the one that is there itself, and no link to one.
fn make(path: &LocalPath, what: &str) -> Result<Target, CliError> {
    let (parent, name) = split(path, what)?;
    let unusable = |error: Errno| unusable(what.to_owned(), &error.into());
    let is_new = match mkdirat(&parent, &name, Mode::RWXU) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(error) => return Err(unusable(error)),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&parent, &name, flags, Mode::empty()) {
        Ok(directory) => Ok(Target { directory, is_new }),
        Err(Errno::NOTDIR | Errno::LOOP) => {
            let why = format!(
                "{path} is a link or a file, and what comes from a sandbox is not written through links"
            );
            Err(misnamed(what.to_owned(), why, "remove it, or name another place"))
        }
        Err(error) => Err(unusable(error)),
    }
}

/// Opens the directory that a path is in, as the user has named it, and returns its last name.
fn split(path: &LocalPath, what: &str) -> Result<(OwnedFd, OsString), CliError> {
    let nameless = || misnamed(what.to_owned(), format!("{path} has no name of its own"), "name the file");
    let name = path.path().file_name().ok_or_else(nameless)?;
    let parent =
        path.path().parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let opened = open_directory(parent).map_err(|error| unusable(what.to_owned(), &error))?;
    Ok((opened, name.to_owned()))
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn not_written(what: String, error: &FileError) -> CliError {
    let (hint, exit) = match error {
        FileError::NotRegular { .. } | FileError::NotDirectory { .. } => (
            "what comes from a sandbox is not written through links; remove what is there, or name another place",
            Exit::Usage,
        ),
        FileError::IsDirectory { .. } | FileError::Exists { .. } => {
            ("remove what is there, or name another place", Exit::Usage)
        }
        FileError::Permission { .. } | FileError::ReadOnly { .. } => ("", Exit::Usage),
        _ => ("", Exit::Ours),
    };
    CliError { what, why: with_causes(error), hint: hint.to_owned(), exit }
}

fn no_directory(from: &Remote, to: &LocalPath) -> CliError {
    let what = format!("cannot copy {} to {to}", from.shown());
    misnamed(what, format!("{to} is no directory"), "leave the slash out, or make the directory first")
}

/// The permission bits that this process's files do not get. Nothing makes files while it is read.
fn umask() -> u32 {
    let mask = rustix::process::umask(Mode::from_raw_mode(0o077));
    rustix::process::umask(mask);
    mask.as_raw_mode()
}
