//! Sandboxes in which the steps of the building of an image run: one for each, without a daemon, a record or an API. Why they are
//! not sessions: docs/adr/0013-images-from-dockerfiles.md.

mod step;
mod step_error;

use std::path::{Path, PathBuf};

use sandkasten_isolation::host::cgroup::Layout;
use sandkasten_isolation::host::{LEASE_DIRECTORY, RunnerImage, UidLeases};
use sandkasten_isolation::seccomp::{Instruction, for_building};

use crate::config::Config;
use crate::places::{Places, private_directory};
use crate::private_daemon::own_name;
use crate::recovery::abandoned;
use crate::session::{RUNNER, filter};

pub use step::{BuildStep, StepEnd};
pub use step_error::{BuildStepError, OpenBuildError};

/// What the sandboxes of one build share: a run directory and cgroups of their own. If the process is killed, the next
/// daemon, `run` or build clears both away.
#[derive(Debug)]
pub struct BuildSandboxes {
    config: Config,
    places: Places,
    layout: Layout,
    leases: UidLeases,
    runner: RunnerImage,
    filter: Option<Vec<Instruction>>,
    run: PathBuf,
}

impl BuildSandboxes {
    /// Prepares them below the data directory of a configuration, whose limits and seccomp profile they have. Needs root.
    /// Blocking.
    ///
    /// # Errors
    /// [`OpenBuildError`].
    pub fn open(config: &Config) -> Result<Self, OpenBuildError> {
        let run = config.run_dir().join(own_name());
        private_directory(&config.data_dir)?;
        private_directory(&config.data_dir.join("run"))?;
        private_directory(&config.run_dir())?;
        let layout = Layout::detect().map_err(|source| OpenBuildError::Cgroups { source })?;
        abandoned::clean(&config.run_dir(), &layout)
            .map_err(|source| OpenBuildError::Abandoned { source })?;
        let places = Places::open_private(&run, run.join("none.db"))?;
        layout.prepare(&places.instance)?;
        let leases = UidLeases::open(Path::new(LEASE_DIRECTORY))
            .map_err(|source| OpenBuildError::UidLeases { source })?;
        let runner = RunnerImage::new(RUNNER).map_err(|source| OpenBuildError::Runner { source })?;
        Ok(Self {
            filter: filter(config).map(for_building),
            config: config.clone(),
            places,
            layout,
            leases,
            runner,
            run,
        })
    }
}

impl Drop for BuildSandboxes {
    fn drop(&mut self) {
        // Every step has cleared its own away. What cannot be removed is for the next daemon, as after a kill.
        drop(self.layout.release(&self.places.instance));
        drop(std::fs::remove_dir_all(&self.run));
    }
}
