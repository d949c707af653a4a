//! Copying files between this host and a session or a workspace: the rules of cp(1), and no trust in what comes from inside.

mod download;
mod operand;
mod remote;
mod transfer;
mod upload;

use std::io;
use std::process::ExitCode;

use crate::cli_error::{CliError, Exit};
use crate::output;

pub(crate) use operand::{LocalPath, Operand, RemotePath};
pub(crate) use remote::Remote;

/// One end of a copy that is on this side.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Here<'a> {
    /// A path.
    Path(&'a LocalPath),
    /// Standard input or output.
    Standard,
}

/// Which way, with both ends.
#[derive(Debug)]
pub(crate) enum Direction<'a, R> {
    In(Here<'a>, &'a R, &'a RemotePath),
    Out(&'a R, &'a RemotePath, Here<'a>),
}

/// Tells which way two operands mean.
///
/// # Errors
/// Wrong usage where none of them, or both, are inside; `hint` is for the first.
pub(crate) fn direction<'a, R>(
    from: &'a Operand<R>,
    to: &'a Operand<R>,
    hint: &str,
) -> Result<Direction<'a, R>, CliError> {
    match (from, to) {
        (Operand::Inside(owner, path), Operand::Local(to)) => Ok(Direction::Out(owner, path, Here::Path(to))),
        (Operand::Inside(owner, path), Operand::Standard) => Ok(Direction::Out(owner, path, Here::Standard)),
        (Operand::Local(from), Operand::Inside(owner, path)) => {
            Ok(Direction::In(Here::Path(from), owner, path))
        }
        (Operand::Standard, Operand::Inside(owner, path)) => Ok(Direction::In(Here::Standard, owner, path)),
        (Operand::Inside(..), Operand::Inside(..)) => {
            Err(misnamed("cannot copy".to_owned(), "both places are inside", "copy to this host first"))
        }
        _ => Err(misnamed("cannot copy".to_owned(), "both places are on this host", hint)),
    }
}

/// Copies a file or a directory in.
pub(crate) async fn copy_in(from: Here<'_>, to: &Remote) -> Result<ExitCode, CliError> {
    match from {
        Here::Path(path) => upload::path(path, to).await?,
        Here::Standard => upload::standard_input(to).await?,
    }
    Ok(output::done())
}

/// Copies a file or a directory out.
pub(crate) async fn copy_out(from: &Remote, to: Here<'_>) -> Result<ExitCode, CliError> {
    match to {
        Here::Path(path) => {
            download::path(from, path).await?;
            Ok(output::done())
        }
        Here::Standard => download::standard_output(from).await,
    }
}

/// A path of this host that is not what it has to be.
fn misnamed(what: String, why: impl Into<String>, hint: &str) -> CliError {
    CliError { what, why: why.into(), hint: hint.to_owned(), exit: Exit::Usage }
}

/// A path of this host that cannot be used: for most reasons it was not the right one.
fn unusable(what: String, error: &io::Error) -> CliError {
    let exit = match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::InvalidFilename
        | io::ErrorKind::ReadOnlyFilesystem => Exit::Usage,
        _ => Exit::Ours,
    };
    CliError { what, why: error.to_string(), hint: String::new(), exit }
}
