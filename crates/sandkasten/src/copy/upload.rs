//! From this host into a session or a workspace.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt;

use sandkasten_api::file_tree::{MakeDirectoryRequest, RawUploadQuery};
use sandkasten_archive::{ArchiveFormat, PieceWriter, pack};
use sandkasten_isolation::host::RootDirectory;

use super::operand::LocalPath;
use super::remote::{Found, Remote};
use super::transfer::{give, produce, read_all};
use super::{misnamed, unusable};
use crate::cli_error::{CliError, Exit};
use crate::output;

/// Copies a file, or a directory with all that is in it. Links in it are copied as links; the path itself may be one to either.
pub(super) async fn path(from: &LocalPath, to: &Remote) -> Result<(), CliError> {
    let what = || format!("cannot copy {from}");
    let found = fs::metadata(from.path()).map_err(|error| unusable(what(), &error))?;
    if found.is_dir() { directory(from, &found, to).await } else { file(from, &found, to).await }
}

/// Copies standard input: into a file, or an archive into a directory.
pub(super) async fn standard_input(to: &Remote) -> Result<(), CliError> {
    let what = format!("cannot write {}", to.shown());
    let is_directory = matches!(to.look(to.path.text()).await?, Found::Directory(_));
    if to.path.has_slash() && !is_directory {
        return Err(no_directory(what, to));
    }
    let (content, failure) = produce(to.shown().to_owned(), |pieces| read_all(io::stdin().lock(), pieces))?;
    let sent = if is_directory {
        to.files.unpack(to.path.text(), content).await.map(drop)
    } else {
        let query = RawUploadQuery { path: to.path.text().to_owned(), mode: None };
        to.files.write(&query, content).await.map(drop)
    };
    sent.map_err(|error| failure.explain("cannot read standard input", CliError::request(what, &error)))
}

async fn file(from: &LocalPath, found: &Metadata, to: &Remote) -> Result<(), CliError> {
    let what = format!("cannot copy {from} to {}", to.shown());
    let target = match to.look(to.path.text()).await? {
        Found::Directory(_) => join(from, to)?,
        _ if to.path.has_slash() => return Err(no_directory(what, to)),
        _ => to.path.text().to_owned(),
    };
    let file = File::open(from.path()).map_err(|error| unusable(format!("cannot read {from}"), &error))?;
    // Of a pipe, such as a shell gives for `<(…)`, nobody has chosen the permissions.
    let mode = found.is_file().then(|| octal(found));
    let (content, failure) = produce(from.to_string(), move |pieces| read_all(file, pieces))?;
    let sent = to.files.write(&RawUploadQuery { path: target, mode }, content).await;
    sent.map(drop)
        .map_err(|error| failure.explain(&format!("cannot read {from}"), CliError::request(what, &error)))
}

async fn directory(from: &LocalPath, found: &Metadata, to: &Remote) -> Result<(), CliError> {
    let what = format!("cannot copy {from} to {}", to.shown());
    let (target, there) = match to.look(to.path.text()).await? {
        Found::Directory(mode) if from.name().is_none() => {
            (to.path.text().to_owned(), Found::Directory(mode))
        }
        Found::Directory(_) => {
            let target = join(from, to)?;
            let there = to.look(&target).await?;
            (target, there)
        }
        there => (to.path.text().to_owned(), there),
    };
    if matches!(there, Found::File(_)) {
        let why = "there is a file in the place of the directory";
        return Err(CliError { what, why: why.to_owned(), hint: String::new(), exit: Exit::Refused });
    }
    let request = |error| CliError::request(&what, &error);
    let opened =
        File::open(from.path()).and_then(|file| Ok((file, fs::read_dir(from.path())?.next().is_none())));
    let (opened, is_empty) = opened.map_err(|error| unusable(format!("cannot read {from}"), &error))?;
    if is_empty {
        let made = MakeDirectoryRequest { path: target.clone(), mode: None, parents: true };
        to.files.make_directory(&made).await.map_err(request)?;
    } else {
        let (skipped, left_out) = std::sync::mpsc::channel();
        let (content, failure) = produce(from.to_string(), move |pieces| {
            let root = RootDirectory::of_caller(opened.into(), 0);
            let packed = pack(&root, ".", ArchiveFormat::Tar, PieceWriter::new(|piece| give(pieces, piece)))?;
            skipped.send(packed.skipped).ok();
            Ok(())
        })?;
        let sent = to.files.unpack(&target, content).await;
        sent.map_err(|error| failure.explain(&format!("cannot read {from}"), request(error)))?;
        let skipped = left_out.recv().unwrap_or(0);
        if skipped > 0 {
            output::warn(&format!("left out {skipped} pipes, sockets and devices of {from}"));
        }
    }
    if there == Found::Missing {
        // Last of all: it may forbid what comes before it.
        to.files.set_mode(&target, &octal(found)).await.map_err(request)?;
    }
    Ok(())
}

fn join(from: &LocalPath, to: &Remote) -> Result<String, CliError> {
    let what = || format!("cannot copy {from} to {}", to.shown());
    let name =
        from.name().ok_or_else(|| misnamed(what(), "it has no name to be copied by", "name the file"))?;
    to.path.join(name).map_err(|name| {
        let why = format!("the name {name:?} is no UTF-8, which the API does not take");
        misnamed(what(), why, "name the target, or copy the directory that it is in")
    })
}

fn octal(found: &Metadata) -> String {
    format!("{:04o}", found.permissions().mode() & 0o777)
}

fn no_directory(what: String, to: &Remote) -> CliError {
    let why = format!("{} is no directory", to.shown());
    CliError {
        what,
        why,
        hint: "leave the slash out, or make the directory first".to_owned(),
        exit: Exit::Refused,
    }
}
