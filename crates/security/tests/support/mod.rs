//! A data directory of its own for each test, and what must not be left afterwards.

use std::fs;
use std::path::Path;

use sandkasten_daemon::config::Config;
use tempfile::TempDir;

/// Where a test's daemons live.
pub(crate) struct Host {
    directory: TempDir,
}

impl Host {
    /// Returns none, and says so, where sandboxes cannot be built.
    pub(crate) fn require_root() -> Option<Self> {
        if rustix::process::geteuid().is_root() {
            return Some(Self { directory: tempfile::tempdir().expect("a directory") });
        }
        #[expect(clippy::print_stderr, reason = "says what is skipped")]
        {
            eprintln!("SKIP: building sandboxes needs root");
        }
        None
    }

    /// The data directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Checks that no daemon's directory is left.
    ///
    /// # Panics
    /// Where one is.
    pub(crate) fn assert_nothing_left(&self) {
        let left: Vec<_> = fs::read_dir(self.path().join("data/run"))
            .expect("the directory of daemons")
            .flatten()
            .map(|entry| entry.file_name())
            .filter(|name| name.to_string_lossy().starts_with("private-"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// The defaults, with limits that are reached soon.
pub(crate) fn config(host: &Host) -> Config {
    let mut config = Config::default();
    config.data_dir = host.path().join("data");
    config.defaults.mem_limit_mb = 64;
    config.defaults.pids_limit = 32;
    config
}
