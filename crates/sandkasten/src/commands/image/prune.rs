//! `image prune`: frees the disk of layers that nothing needs.

use std::process::ExitCode;

use sandkasten_daemon::ImageUsage;
use sandkasten_image::ImageStore;

use super::unknown;
use crate::cli_error::CliError;
use crate::output;

/// Removes unused layers and says how many.
pub(super) fn run(store: &ImageStore, usage: &ImageUsage) -> Result<ExitCode, CliError> {
    let report = store.prune(usage).map_err(|error| {
        CliError::ours("cannot prune the images", &error, "correct what it names, then try again")
    })?;
    if let Some(error) = usage.failure() {
        return Err(unknown(&error));
    }
    if !report.kept_layers.is_empty() {
        let count = report.kept_layers.len();
        output::note(&format!(
            "kept {count} layers that no image has: sessions run on them, or an import is about to use them"
        ));
    }
    output::print(&format!("removed {} layers", report.removed_layers.len()))?;
    Ok(output::done())
}
