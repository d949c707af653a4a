//! How the binary comes onto a host, and how a host's service manager runs it.
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

mod container;
mod deb;
mod fake_manager;
mod install;
mod operations;
mod service;
mod systemd;
mod wheel;

use std::path::{Path, PathBuf};

/// The root of the repository.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
