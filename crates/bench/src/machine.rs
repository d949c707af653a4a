//! The machine that a run was on, as far as figures hang on it.

use std::fs;

use serde::Serialize;

/// What to say beside every figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// The release of its kernel.
    pub kernel: String,
    /// What its processor calls itself; may be empty.
    pub processor: String,
    /// How many processors there are for this process.
    pub processors: usize,
    /// The load of the last minute, before anything was measured.
    pub load: f64,
}

impl Machine {
    /// Looks at this one. Blocking, for two files of `/proc`; what they do not tell stays empty.
    #[must_use]
    pub fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let information = read("/proc/cpuinfo");
        let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let load = read("/proc/loadavg");
        Self {
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            processor: model.map(|(_, name)| name.trim().to_owned()).unwrap_or_default(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            load: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default(),
        }
    }
}
