//! `image import`: an image out of what somebody has saved.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use sandkasten_image::{
    ImageName, ImageStore, ImportError, ImportOptions, ImportReport, ImportSource, OpenSourceError,
    ReadImageError, UnpackError,
};

use crate::cli_error::{CliError, Exit};
use crate::progress_line::ProgressLine;
use crate::{human, output};

/// Arguments of `image import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// Name of the image, perhaps with a tag: python or python:3.12
    #[arg(long, value_name = "NAME")]
    name: ImageName,

    /// The archive of a root file system, of `docker save` or of an OCI layout, plain or compressed by gzip, zstd or xz; the
    /// directory of an OCI layout; - for standard input
    #[arg(value_name = "SOURCE", required_unless_present = "tar")]
    source: Option<PathBuf>,

    /// The same as SOURCE
    #[arg(long, value_name = "FILE", conflicts_with = "source")]
    tar: Option<PathBuf>,

    /// Which image to take where there are several: its name there, or its digest
    #[arg(long = "ref", value_name = "REF")]
    reference: Option<String>,
}

/// Imports an image and prints its name.
pub(super) fn run(store: &ImageStore, arguments: &ImportArguments) -> Result<ExitCode, CliError> {
    let started = Instant::now();
    let mut progress = ProgressLine::new();
    let path = arguments.source.as_ref().or(arguments.tar.as_ref()).map_or(Path::new("-"), PathBuf::as_path);
    let source = open(path)?;
    let options = ImportOptions { reference: arguments.reference.clone(), ..ImportOptions::default() };
    let result = store.import(&arguments.name, source, &options, &mut |now| {
        let entries = human::grouped(now.entries);
        progress.show(|| format!("importing: {entries} entries, {}", human::bytes(now.archive_bytes)));
        ControlFlow::Continue(())
    });
    drop(progress);
    let report = result.map_err(|error| {
        let what = format!("cannot import {} as image {}", path.display(), arguments.name);
        let (hint, exit) = advice(&error);
        CliError { exit, ..CliError::ours(what, &error, hint) }
    })?;
    for remark in remarks(&report) {
        output::note(&remark);
    }
    print(&report, started)?;
    Ok(output::done())
}

/// Prints what is there now.
pub(super) fn print(report: &ImportReport, started: Instant) -> Result<(), CliError> {
    let files = human::grouped(report.summary.entries);
    let size = human::bytes(report.summary.bytes);
    let time = started.elapsed().as_secs_f64();
    output::print(&format!("{}  {files} entries, {size}, {time:.1} s", report.name))
}

fn open(path: &Path) -> Result<ImportSource<'_>, CliError> {
    if path == Path::new("-") {
        return Ok(ImportSource::Stream(Box::new(io::stdin().lock())));
    }
    if path.is_dir() {
        return Ok(ImportSource::Directory(path));
    }
    File::open(path).map(ImportSource::File).map_err(|error| CliError {
        what: format!("cannot read {}", path.display()),
        why: error.to_string(),
        hint: "name a file, a directory, or - for standard input".to_owned(),
        exit: Exit::Usage,
    })
}

/// Tells apart what is wrong with what was saved and what is wrong with this host.
pub(super) const fn advice(error: &ImportError) -> (&'static str, Exit) {
    match error {
        ImportError::Reserved { .. } => ("choose another name", Exit::Refused),
        ImportError::NoReference { .. } => ("leave --ref out", Exit::Refused),
        ImportError::Unpack { source }
        | ImportError::Layer { source, .. }
        | ImportError::Open(OpenSourceError::Archive { source }) => unpack_advice(source),
        ImportError::Open(OpenSourceError::NoImage { .. }) => {
            ("name a directory with an OCI layout, or an archive; nothing was changed", Exit::Refused)
        }
        ImportError::Open(OpenSourceError::Index { .. }) => {
            ("save the image again; nothing was changed", Exit::Refused)
        }
        ImportError::Read {
            source: ReadImageError::Ambiguous { .. } | ReadImageError::NoSuchReference { .. },
        } => ("choose one of them with --ref; nothing was changed", Exit::Refused),
        ImportError::Read { source: ReadImageError::Platform { .. } } => {
            ("save the image for this machine; nothing was changed", Exit::Refused)
        }
        ImportError::TooManyLayers { .. } => {
            ("flatten the image: docker export of a container of it is one layer", Exit::Refused)
        }
        ImportError::Read { .. } | ImportError::Blob { .. } | ImportError::DiffId { .. } => {
            ("it is damaged, or not what it says: save it again; nothing was changed", Exit::Refused)
        }
        _ => ("check data_dir and the space on its disk; nothing was changed", Exit::Ours),
    }
}

const fn unpack_advice(error: &UnpackError) -> (&'static str, Exit) {
    match error {
        UnpackError::Create { .. }
        | UnpackError::Replace { .. }
        | UnpackError::Write { .. }
        | UnpackError::Record { .. }
        | UnpackError::SetAttribute { .. }
        | UnpackError::Cancelled => {
            ("check the space on the disk of data_dir; nothing was changed", Exit::Ours)
        }
        _ => (
            "give it the archive of a root file system, of docker save, or of an OCI layout; nothing was changed",
            Exit::Refused,
        ),
    }
}

/// Says what differs from the archive, and what was there before.
pub(super) fn remarks(report: &ImportReport) -> Vec<String> {
    let summary = report.summary;
    let mut remarks = Vec::new();
    if report.layers.len() > 1 {
        let present = report.layers.iter().filter(|layer| layer.was_present).count();
        remarks.push(format!("{} layers, {present} of them here already", report.layers.len()));
    }
    if summary.skipped_nodes > 0 {
        remarks.push(format!(
            "left out {} device nodes, pipes and sockets",
            human::grouped(summary.skipped_nodes)
        ));
    }
    if summary.clamped_owners > 0 {
        let count = human::grouped(summary.clamped_owners);
        remarks.push(format!("gave {count} entries to user 65534: their owner is above 65535"));
    }
    if summary.dropped_attributes > 0 {
        remarks.push(format!("left out {} extended attributes", human::grouped(summary.dropped_attributes)));
    }
    if let Some(digest) = report.replaced.as_ref().filter(|digest| **digest != report.digest) {
        remarks.push(format!("replaced {digest}; `sandkasten image prune` frees it once no session uses it"));
    }
    remarks
}
