//! Private daemons and builds that were killed before they could clean up: their sandboxes, cgroups and directories go.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sandkasten_isolation::host::PathError;
use sandkasten_isolation::host::cgroup::Layout;

use super::RecoveryError;
use super::orphans::end_sandboxes;
use crate::places::{instance_name, lock, private_turn};

/// The prefix of the run directories of private daemons and builds, which live for one command.
const PRIVATE: &str = "private-";

/// Clears away every private run directory below `run` that no process holds. Blocking.
///
/// # Errors
/// [`RecoveryError`], for the first thing that stays.
pub(crate) fn clean(run: &Path, layout: &Layout) -> Result<(), RecoveryError> {
    let _turn = private_turn(run)?;
    for entry in fs::read_dir(run).map_err(PathError::of("list", run))? {
        let entry = entry.map_err(PathError::of("list", run))?;
        let path = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(PRIVATE) || !path.is_dir() {
            continue;
        }
        // Held by a live daemon, our own included; or just gone.
        match lock(&path) {
            Ok(Some(held)) => {
                clean_one(layout, &path)?;
                drop(held);
            }
            Ok(None) => {}
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn clean_one(layout: &Layout, run: &Path) -> Result<(), RecoveryError> {
    let instance = instance_name(run)?;
    end_sandboxes(layout, &instance, &BTreeSet::new(), &BTreeSet::new())?;
    layout.release(&instance)?;
    fs::remove_dir_all(run).map_err(PathError::of("remove", run))?;
    tracing::info!(directory = %run.display(), "cleared away what an interrupted command left");
    Ok(())
}
