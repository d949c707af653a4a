//! Builds a package of this workspace as a static program, for the build script of the crate that embeds it.
//!
//! What runs inside of sandboxes needs other flags than the rest (static, fixed addresses, small), so it is a cargo call
//! of its own, into a target directory that all such builds share.
#![forbid(unsafe_code)]

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program to build.
#[derive(Debug, Clone, Copy)]
pub struct StaticProgram<'a> {
    /// The package, whose binary has the same name.
    pub package: &'a str,
    /// Crates below `crates/` whose change makes it another program.
    pub inputs: &'a [&'a str],
    /// What variables begin with: `<variable>_BIN` names a program which was built elsewhere, for packagers, and
    /// `<variable>_PATH` tells the crate that is being built where the program is.
    pub variable: &'a str,
    /// Features of the package that are passed on where the crate that embeds it is built with them.
    pub features: &'a [&'a str],
}

impl StaticProgram<'_> {
    /// Builds the program, tells cargo what it depends on, and tells the crate that is being built where it
    /// is. Blocks for as long as cargo takes.
    ///
    /// # Panics
    /// Where cargo fails: a build script has no other way to say so.
    pub fn embed(&self) {
        let program = self.find_or_build();
        tell_cargo(&format!("rustc-env={}_PATH={}", self.variable, program.display()));
    }

    fn find_or_build(&self) -> PathBuf {
        let elsewhere = format!("{}_BIN", self.variable);
        tell_cargo(&format!("rerun-if-env-changed={elsewhere}"));
        if let Some(program) = env::var_os(elsewhere) {
            return PathBuf::from(program);
        }
        let workspace = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("../..");
        let crates = self.inputs.iter().map(|name| format!("crates/{name}"));
        for input in crates.chain(["Cargo.toml", "Cargo.lock"].map(str::to_owned)) {
            tell_cargo(&format!("rerun-if-changed={}", workspace.join(input).display()));
        }
        let own = PathBuf::from(variable("OUT_DIR"));
        // OUT_DIR is <profile>/build/<package>/out.
        let directory = own.ancestors().nth(3).unwrap_or(&own).join("static-programs");
        let built = self.build(&workspace, &directory);
        // Another build, with other features, may put its own in the place of this one.
        let copy = own.join(self.package);
        std::fs::copy(&built, &copy).unwrap_or_else(|error| panic!("copying {}: {error}", built.display()));
        copy
    }

    fn build(&self, workspace: &Path, directory: &Path) -> PathBuf {
        let target = target();
        let mut cargo = Command::new(variable("CARGO"));
        // The outer build's own settings must not leak into the inner one.
        for (name, _) in env::vars() {
            let kept = matches!(name.as_str(), "CARGO_HOME" | "CARGO_MAKEFLAGS" | "CARGO_NET_OFFLINE");
            let ours =
                name.starts_with("CARGO") || name.starts_with("RUSTC") || name.starts_with("RUSTFLAGS");
            if (ours && !kept) || matches!(name.as_str(), "TARGET" | "HOST" | "PROFILE" | "OUT_DIR") {
                cargo.env_remove(name);
            }
        }
        // Static and at fixed addresses: relocating a position-independent program costs each sandbox time and memory.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static\u{1f}-Crelocation-model=static");
        cargo
            .current_dir(workspace)
            .args(["build", "--locked", "--package", self.package, "--profile", "runner"])
            .args(["--target", &target])
            .arg("--target-dir")
            .arg(directory);
        for feature in self.features {
            let enabled = format!("CARGO_FEATURE_{}", feature.to_ascii_uppercase().replace('-', "_"));
            if env::var_os(enabled).is_some() {
                cargo.args(["--features", feature]);
            }
        }
        let status = cargo.status().expect("cargo runs, since it runs this script");
        assert!(status.success(), "building {} failed: {status}", self.package);
        directory.join(target).join("runner").join(self.package)
    }
}

/// The target to build for: with musl as its C library where that is installed. Before a program's first line, glibc asks the
/// processor about all of its caches, and in a virtual machine each such question goes to the host: half a millisecond of the
/// start of every sandbox.
fn target() -> String {
    let target = variable("TARGET");
    let Some(small) = target.strip_suffix("-gnu").map(|base| format!("{base}-musl")) else { return target };
    let printed = Command::new(variable("RUSTC"))
        .args(["--print", "target-libdir", "--target", &small])
        .output()
        .ok()
        .and_then(|printed| String::from_utf8(printed.stdout).ok());
    let libraries = PathBuf::from(printed.as_deref().unwrap_or_default().trim());
    let installed = libraries.is_dir();
    // What is not there cannot be watched: cargo would run this again every time.
    let watched = if installed { Some(&*libraries) } else { libraries.ancestors().nth(2) };
    if let Some(watched) = watched.filter(|watched| watched.is_dir()) {
        tell_cargo(&format!("rerun-if-changed={}", watched.display()));
    }
    if installed {
        return small;
    }
    tell_cargo(&format!(
        "warning=sandboxes will start more slowly, because the target {small} is not installed: rustup target add {small}"
    ));
    target
}

#[expect(clippy::print_stdout, reason = "the way in which a build script speaks to cargo")]
fn tell_cargo(instruction: &str) {
    println!("cargo::{instruction}");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name} for build scripts"))
}
