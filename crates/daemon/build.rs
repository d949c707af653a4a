//! Builds the runner as a static program and hands its path to the daemon, which embeds it.
//!
//! The runner needs other flags than the rest (static, fixed addresses, small), so it is a cargo call of its own into a
//! target directory below `OUT_DIR`. `SANDKASTEN_RUNNER_BIN` names a runner that was built elsewhere.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=SANDKASTEN_RUNNER_BIN");
    if let Some(runner) = env::var_os("SANDKASTEN_RUNNER_BIN") {
        println!("cargo::rustc-env=SANDKASTEN_RUNNER_PATH={}", PathBuf::from(runner).display());
        return;
    }
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let workspace = manifest.join("../..");
    for input in ["crates/runner", "crates/isolation", "crates/protocol", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", workspace.join(input).display());
    }
    let target = variable("TARGET");
    let directory = PathBuf::from(variable("OUT_DIR")).join("runner");
    let mut cargo = Command::new(variable("CARGO"));
    // The outer build's own settings must not leak into the inner one.
    for (name, _) in env::vars() {
        let kept = matches!(name.as_str(), "CARGO_HOME" | "CARGO_MAKEFLAGS" | "CARGO_NET_OFFLINE");
        let ours = name.starts_with("CARGO") || name.starts_with("RUSTC") || name.starts_with("RUSTFLAGS");
        if (ours && !kept) || matches!(name.as_str(), "TARGET" | "HOST" | "PROFILE" | "OUT_DIR") {
            cargo.env_remove(name);
        }
    }
    // Static and at fixed addresses: relocating a position-independent program costs each sandbox time and memory.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static\u{1f}-Crelocation-model=static");
    cargo
        .current_dir(&workspace)
        .args(["build", "--locked", "--package", "sandkasten-runner", "--profile", "runner"])
        .args(["--target", &target])
        .arg("--target-dir")
        .arg(&directory);
    let status = cargo.status().expect("cargo runs, since it runs this script");
    assert!(status.success(), "building the runner failed: {status}");
    let runner = directory.join(target).join("runner").join("sandkasten-runner");
    println!("cargo::rustc-env=SANDKASTEN_RUNNER_PATH={}", runner.display());
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name} for build scripts"))
}
