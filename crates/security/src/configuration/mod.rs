//! The configuration: whether it is one to run hostile code with.

mod api_key;
mod files;
mod images;
mod limits;
mod sandbox;

use std::path::Path;

use sandkasten_daemon::config::Config;

use crate::{Finding, Part, Verdict};

/// What the host has, to compare limits with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostSize {
    pub(crate) cores: u64,
    pub(crate) memory_bytes: u64,
}

/// Checks a configuration that was loaded, and the files that belong to it. Blocking: looks at a few files.
#[must_use]
pub fn check(config: &Config, file: Option<&Path>) -> Vec<Finding> {
    let mut findings = api_key::check(config);
    findings.extend(sandbox::check(config));
    findings.extend(limits::check(config, HostSize::read()));
    findings.extend(images::check(config));
    findings.extend(files::check(config, file));
    findings
}

impl HostSize {
    fn read() -> Self {
        let memory_bytes = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        });
        Self {
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
            // Unknown is no reason to warn.
            memory_bytes: memory_bytes.map_or(u64::MAX, |kib| kib * 1024),
        }
    }
}

fn finding(name: &str, verdict: Verdict, detail: impl Into<String>, advice: &str) -> Finding {
    Finding::new(Part::Configuration, "configuration", name, verdict, detail, advice)
}
