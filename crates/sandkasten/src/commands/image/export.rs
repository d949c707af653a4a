//! `image export`: an image for other programs, and for other hosts.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use sandkasten_image::{ExportError, ExportTarget, ImageName, ImageStore};

use crate::cli_error::{CliError, Exit};
use crate::progress_line::ProgressLine;
use crate::{human, output};

/// Arguments of `image export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// The image
    #[arg(value_name = "NAME")]
    name: ImageName,

    /// Write a tar archive of an OCI layout; - for standard output
    #[arg(long, value_name = "FILE", required_unless_present = "dir")]
    tar: Option<PathBuf>,

    /// Write an OCI layout into a directory that is not there or is empty
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "tar")]
    dir: Option<PathBuf>,
}

/// Exports an image, and says to standard error what it was.
pub(super) fn run(store: &ImageStore, arguments: &ExportArguments) -> Result<ExitCode, CliError> {
    let name = &arguments.name;
    let (target, file) = match (&arguments.tar, &arguments.dir) {
        (Some(path), _) if path == Path::new("-") => (standard_output()?, None),
        (Some(path), _) => {
            let output = File::create(path).map_err(|error| unwritable(path, &error))?;
            (ExportTarget::Archive(Box::new(BufWriter::new(output))), Some(path))
        }
        (None, Some(path)) => (ExportTarget::Directory(path), None),
        (None, None) => return Err(nowhere(&"there is neither --tar nor --dir")),
    };
    let mut progress = ProgressLine::new();
    let result = store.export(name, target, &mut |now| {
        progress.show(|| format!("exporting: {} layers, {}", now.entries, human::bytes(now.archive_bytes)));
        ControlFlow::Continue(())
    });
    drop(progress);
    let report = result.map_err(|error| {
        if let Some(path) = file {
            // Half an archive is of no use; the error at hand says more than one of removing it.
            fs::remove_file(path).ok();
        }
        let (hint, exit) = advice(&error);
        CliError { exit, ..CliError::ours(format!("cannot export image {name}"), &error, hint) }
    })?;
    output::note(&format!("{name}  {}, {}", report.digest, human::bytes(report.bytes)));
    Ok(output::done())
}

fn standard_output() -> Result<ExportTarget<'static>, CliError> {
    let output = io::stdout().lock();
    if output.is_terminal() {
        return Err(nowhere(&"standard output is a terminal"));
    }
    let output: Box<dyn Write> = Box::new(BufWriter::new(output));
    Ok(ExportTarget::Archive(output))
}

fn nowhere(why: &dyn std::fmt::Display) -> CliError {
    CliError {
        what: "cannot export an image to nowhere".to_owned(),
        why: why.to_string(),
        hint: "name a file with --tar, or a directory with --dir".to_owned(),
        exit: Exit::Usage,
    }
}

fn unwritable(path: &Path, error: &io::Error) -> CliError {
    CliError {
        what: format!("cannot write {}", path.display()),
        why: error.to_string(),
        hint: "name a file in a directory that can be written to".to_owned(),
        exit: Exit::Usage,
    }
}

const fn advice(error: &ExportError) -> (&'static str, Exit) {
    match error {
        ExportError::NotPresent { .. } => {
            ("see `sandkasten image list` for the images there are", Exit::Refused)
        }
        ExportError::BuiltIn { .. } => ("export an image that was imported", Exit::Refused),
        ExportError::NoRecord { .. } => {
            ("import the image again: it was imported by an older version", Exit::Refused)
        }
        ExportError::Changed { .. } => (
            "its archive had a file twice, or its files were changed by hand: import the image again to repair the latter",
            Exit::Refused,
        ),
        ExportError::NotEmpty { .. } => ("name a directory that is not there or is empty", Exit::Refused),
        _ => ("check data_dir, and the space where the image goes", Exit::Ours),
    }
}
