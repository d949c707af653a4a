//! `sandkasten-server`, the wheel that carries the binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sandkasten_e2e::{binary, make_virtual_environment};

use crate::repository;

/// What makes the wheel, and what else runs it.
const PACKAGES: [&str; 2] = ["hatchling==1.33.0", "uv==0.13.8"];
const PROGRAM: [&str; 5] = ["run", "--", "/usr/bin/python3", "-c", "print(6 * 7)"];

/// Runs a command to its end with a data directory of the test's own.
fn run(program: &Path, arguments: &[&str], directory: &Path) -> Output {
    let data = directory.join("data");
    Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory)
        .env("SANDKASTEN_DATA_DIR", &data)
        .env("SANDKASTEN_LISTEN", format!("unix:{}", data.join("none.sock").display()))
        .env("SANDKASTEN_BINARY", fs::canonicalize(binary()).expect("the binary is there"))
        .current_dir(directory)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

fn checked(program: &Path, arguments: &[&str], directory: &Path) -> String {
    let output = run(program, arguments, directory);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {arguments:?}: {said}", program.display());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Makes the wheel with the packages of an environment, and nothing from a network.
fn make_wheel(environment: &Path, directory: &Path) -> PathBuf {
    let (wheels, source) = (directory.join("wheels"), directory.join("source"));
    // A copy, because a build writes beside the source; the version and the licences are those of the repository.
    for name in ["packaging/python", "Cargo.toml", "LICENSE-MIT", "LICENSE-APACHE"] {
        let target = source.join(name);
        fs::create_dir_all(target.parent().expect("a directory")).expect("made");
        let copied = Command::new("cp").arg("-R").arg(repository().join(name)).arg(&target).status();
        assert!(copied.is_ok_and(|status| status.success()), "{name}");
    }
    let [source, out] =
        [source.join("packaging/python"), wheels.clone()].map(|path| path.display().to_string());
    let pip = environment.join("bin/pip");
    let words =
        ["wheel", "--quiet", "--no-build-isolation", "--no-index", "--no-deps", "--wheel-dir", &out, &source];
    checked(&pip, &words, directory);
    let made: Vec<PathBuf> =
        fs::read_dir(&wheels).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(made.len(), 1, "{made:?}");
    made[0].clone()
}

#[test]
fn the_wheel_carries_the_binary_and_runs_a_command_in_a_sandbox() {
    let directory = tempfile::Builder::new().prefix("sk-").tempdir().expect("a directory");
    let directory = directory.path();
    let tools = directory.join("tools");
    if let Err(reason) = make_virtual_environment("python3", &tools, &PACKAGES) {
        println!("SKIP: {} could not be installed: {reason}", PACKAGES[0]);
        return;
    }
    fs::create_dir(directory.join("data")).expect("a directory");
    fs::set_permissions(directory.join("data"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("a mode");
    let wheel = make_wheel(&tools, directory);
    let name = wheel.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(name.contains("-py3-none-manylinux_2_") && name.ends_with("_x86_64.whl"), "{name}");

    let environment = directory.join("venv");
    let installed =
        make_virtual_environment("python3", &environment, &["--no-index", &wheel.display().to_string()]);
    installed.expect("it needs nothing else");
    let bin = environment.join("bin");
    let version = checked(&bin.join("sandkasten"), &["version"], directory);
    assert_eq!(checked(&bin.join("sandkasten-server"), &["version"], directory), version);
    assert_eq!(checked(&bin.join("python"), &["-m", "sandkasten_server", "version"], directory), version);
    assert_eq!(
        fs::metadata(bin.join("sandkasten")).expect("there").len(),
        fs::metadata(binary()).expect("there").len(),
        "the binary itself, not a script"
    );
    assert_eq!(run(&bin.join("sandkasten-server"), &["frobnicate"], directory).status.code(), Some(2));
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIP: sandboxes need root");
        return;
    }
    assert_eq!(checked(&bin.join("sandkasten-server"), &PROGRAM, directory), "42\n");
    let wheels = wheel.parent().expect("a directory").display().to_string();
    let words =
        [&["--no-index", "--find-links", wheels.as_str(), "sandkasten-server"][..], &PROGRAM].concat();
    assert_eq!(checked(&tools.join("bin/uvx"), &words, directory), "42\n");

    checked(&bin.join("pip"), &["uninstall", "--yes", "--quiet", "sandkasten-server"], directory);
    for script in ["sandkasten", "sandkasten-server"] {
        assert!(!bin.join(script).exists(), "{script} is left");
    }
}

#[test]
fn a_wheel_is_made_of_a_program_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    // The function as it is, without the package that calls it.
    let script = "import sys, types\n\
        for name in ['hatchling', 'hatchling.builders', 'hatchling.builders.hooks', 'hatchling.builders.hooks.plugin']:\n    \
            sys.modules[name] = types.ModuleType(name)\n\
        interface = types.ModuleType('interface')\n\
        interface.BuildHookInterface = object\n\
        sys.modules['hatchling.builders.hooks.plugin.interface'] = interface\n\
        sys.dont_write_bytecode = True\n\
        sys.path.insert(0, sys.argv[1])\n\
        from hatch_build import platform_tag\n\
        header = b'\\x7fELF\\x02\\x01' + bytes(12) + (62).to_bytes(2, 'little')\n\
        assert platform_tag(header + b'GLIBC_2.4 GLIBC_2.34 GLIBC_2.17') == 'manylinux_2_34_x86_64'\n\
        arm = b'\\x7fELF\\x02\\x01' + bytes(12) + (183).to_bytes(2, 'little')\n\
        for wrong in [b'', b'#!/bin/sh', header, arm + b'GLIBC_2.34']:\n    \
            try:\n        platform_tag(wrong)\n    \
            except ValueError:\n        continue\n    \
            sys.exit(f'{wrong!r} was taken')\n";
    let arguments = ["-c", script, &repository().join("packaging/python").display().to_string()];
    checked(Path::new("/usr/bin/python3"), &arguments, directory.path());
}
