//! `image rm`: removes images that no session uses.

use std::process::ExitCode;

use clap::Args;
use sandkasten_daemon::ImageUsage;
use sandkasten_image::{ImageName, ImageStore, RemoveImageError};

use super::unknown;
use crate::cli_error::{CliError, Exit};
use crate::output;

/// Arguments of `image rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArguments {
    /// The images
    #[arg(required = true, value_name = "NAME")]
    names: Vec<ImageName>,
}

/// Removes every image that was named, printing the names of those that are gone. Stops at the first that stays.
pub(super) fn run(
    store: &ImageStore,
    arguments: &RmArguments,
    usage: &ImageUsage,
) -> Result<ExitCode, CliError> {
    for name in &arguments.names {
        let report = store
            .remove(name, usage)
            .map_err(|error| usage.failure().map_or_else(|| failed(name, &error), |error| unknown(&error)))?;
        if !report.kept_layers.is_empty() {
            let count = report.kept_layers.len();
            output::note(&format!("kept {count} of its layers: other images or sessions use them"));
        }
        output::print(name.as_str())?;
    }
    Ok(output::done())
}

fn failed(name: &ImageName, error: &RemoveImageError) -> CliError {
    let (hint, exit) = match error {
        RemoveImageError::Reserved { .. } => {
            ("set allowed_images to keep sessions from using it", Exit::Refused)
        }
        RemoveImageError::NotPresent { .. } => {
            ("see `sandkasten image list` for the images there are", Exit::Refused)
        }
        RemoveImageError::InUse { .. } => {
            ("destroy its sessions first: `sandkasten ps`, `sandkasten rm`", Exit::Refused)
        }
        _ => ("check data_dir; `sandkasten image prune` removes layers that were left", Exit::Ours),
    };
    CliError { exit, ..CliError::ours(format!("cannot remove image {name}"), error, hint) }
}
