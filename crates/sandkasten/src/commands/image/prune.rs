//! `image prune`: frees the disk of layers that nothing needs.

use std::process::ExitCode;

use sandkasten_image::ImageStore;

use super::in_use::InUse;
use crate::cli_error::CliError;
use crate::output;

/// Removes unused layers and says how many.
pub(super) fn run(store: &ImageStore, in_use: &InUse) -> Result<ExitCode, CliError> {
    let report = store.prune(in_use).map_err(|error| {
        CliError::ours("cannot prune the images", &error, "correct what it names, then try again")
    })?;
    if let Some(error) = in_use.failure() {
        return Err(error);
    }
    if !report.kept_layers.is_empty() {
        let count = report.kept_layers.len();
        output::note(&format!(
            "kept {count} unused layers while sessions live: they may have started from one"
        ));
    }
    output::print(&format!("removed {} layers", report.removed_layers.len()))?;
    Ok(output::done())
}
