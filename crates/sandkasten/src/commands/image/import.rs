//! `image import`: an image out of a tar archive.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use sandkasten_image::{
    ImageName, ImageStore, ImportError, ImportReport, Progress, UnpackError, UnpackLimits,
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

    /// The archive, plain or compressed by gzip or zstd; - for standard input
    #[arg(long, value_name = "FILE")]
    tar: PathBuf,
}

/// Imports an archive and prints the name of the image.
pub(super) fn run(store: &ImageStore, arguments: &ImportArguments) -> Result<ExitCode, CliError> {
    let started = Instant::now();
    let mut progress = ProgressLine::new();
    let archive = open(&arguments.tar)?;
    let result =
        store.import_tar_with_progress(&arguments.name, archive, &UnpackLimits::default(), &mut |now| {
            progress.show(|| shown(now));
            ControlFlow::Continue(())
        });
    drop(progress);
    let report = result.map_err(|error| {
        let what = format!("cannot import {} as image {}", arguments.tar.display(), arguments.name);
        let (hint, exit) = advice(&error);
        CliError { exit, ..CliError::ours(what, &error, hint) }
    })?;
    for remark in remarks(&report) {
        output::note(&remark);
    }
    let files = human::grouped(report.summary.entries);
    let size = human::bytes(report.summary.bytes);
    let time = started.elapsed().as_secs_f64();
    output::print(&format!("{}  {files} entries, {size}, {time:.1} s", report.name))?;
    Ok(output::done())
}

fn open(path: &Path) -> Result<Box<dyn Read>, CliError> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).map_err(|error| CliError {
        what: format!("cannot read {}", path.display()),
        why: error.to_string(),
        hint: "correct --tar".to_owned(),
        exit: Exit::Usage,
    })?;
    Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
}

/// Tells apart what is wrong with the archive and what is wrong with this host.
const fn advice(error: &ImportError) -> (&'static str, Exit) {
    match error {
        ImportError::Reserved { .. } => ("choose another name", Exit::Refused),
        ImportError::Unpack {
            source:
                UnpackError::Create { .. }
                | UnpackError::Replace { .. }
                | UnpackError::Write { .. }
                | UnpackError::SetAttribute { .. }
                | UnpackError::Cancelled,
        } => ("check the space on the disk of data_dir; nothing was changed", Exit::Ours),
        ImportError::Unpack { .. } => {
            ("give it the tar archive of a root file system; nothing was changed", Exit::Refused)
        }
        _ => ("check data_dir and the space on its disk; nothing was changed", Exit::Ours),
    }
}

/// Says what differs from the archive, and what was there before.
fn remarks(report: &ImportReport) -> Vec<String> {
    let summary = report.summary;
    let mut remarks = Vec::new();
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

fn shown(now: Progress) -> String {
    format!("importing: {} entries, {}", human::grouped(now.entries), human::bytes(now.archive_bytes))
}
