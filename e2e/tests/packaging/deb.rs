//! The Debian package: what is in it, and that it comes and goes whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sandkasten_e2e::binary;

use crate::repository;

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {out}{error}");
    out.into_owned()
}

/// Makes the package, quickly: it is not for anybody to download.
fn build(directory: &Path) -> PathBuf {
    let mut command = Command::new(repository().join("packaging/deb/build"));
    command.arg(binary()).arg(directory);
    command.envs([
        ("DPKG_DEB_COMPRESSOR_TYPE", "gzip"),
        ("DPKG_DEB_COMPRESSOR_LEVEL", "1"),
        ("SOURCE_DATE_EPOCH", "1700000000"),
    ]);
    said(&mut command);
    let entry = fs::read_dir(directory).expect("a directory").next().expect("a package").expect("an entry");
    entry.path()
}

/// Whether there is what makes packages. CI has it, being a Debian.
fn has_dpkg() -> bool {
    let found = Command::new("dpkg-deb").arg("--version").output().is_ok();
    if !found {
        println!("SKIP: this host has no dpkg-deb, and needs no package");
    }
    found
}

#[test]
fn the_package_is_the_same_each_time_and_holds_what_it_should() {
    if !has_dpkg() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let [first, second] = ["first", "second"].map(|name| build(&directory.path().join(name)));
    assert!(fs::read(&first).expect("read") == fs::read(second).expect("read"), "two builds differ");
    let control = said(Command::new("dpkg-deb").arg("--field").arg(&first));
    for field in ["Package: sandkasten\n", "Depends: libc6 (>= 2."] {
        assert!(control.contains(field), "{control}");
    }
    let contents = said(Command::new("dpkg-deb").arg("--contents").arg(&first));
    for name in [
        "./usr/bin/sandkasten",
        "./usr/lib/systemd/system/sandkasten.service",
        "./usr/lib/systemd/system/sandkasten.socket",
        "./usr/share/man/man1/sandkasten-run.1.gz",
        "./usr/share/bash-completion/completions/sandkasten",
        "./usr/share/doc/sandkasten/copyright",
    ] {
        assert!(contents.lines().any(|line| line.ends_with(&format!(" {name}"))), "{name} in {contents}");
    }
    for line in contents.lines() {
        let mode = line.split(' ').next().unwrap_or_default();
        assert!(line.contains(" root/root "), "{line}");
        assert!(["drwxr-xr-x", "-rwxr-xr-x", "-rw-r--r--"].contains(&mode), "{line}");
        assert!(!line.contains(".yaml"), "a configuration has a key, and is made on the host: {line}");
    }

    let root = directory.path().join("root");
    said(Command::new("dpkg-deb").arg("-x").arg(&first).arg(&root));
    units_are_sound(&root);
}

fn units_are_sound(root: &Path) {
    let units = root.join("usr/lib/systemd/system");
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]);
    // The program is looked for where the unit says; on this host it is elsewhere.
    let moved = root.join("units");
    fs::create_dir(&moved).expect("made");
    for name in ["sandkasten.service", "sandkasten.socket"] {
        let text = fs::read_to_string(units.join(name)).expect("read");
        let program = root.join("usr/bin/sandkasten").display().to_string();
        fs::write(
            moved.join(name),
            text.replace("ExecStart=/usr/bin/sandkasten", &format!("ExecStart={program}")),
        )
        .expect("written");
        verify.arg(moved.join(name));
    }
    let Ok(output) = verify.output() else {
        println!("SKIP: this host has no systemd-analyze, which looks at units");
        return;
    };
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !complaints.contains("sandkasten."), "{complaints}");
}

#[test]
fn it_is_installed_with_a_key_of_its_own_kept_on_upgrades_and_purged_whole() {
    if !has_dpkg() {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("SKIP: installing a package needs root");
        return;
    }
    let directory = tempfile::Builder::new().prefix("sk-").tempdir().expect("a directory");
    let package = build(&directory.path().join("package"));
    let [scratch, data] = ["scratch", "data"].map(|name| directory.path().join(name));
    for path in [&scratch, &data] {
        fs::create_dir(path).expect("made");
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("a mode");
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packaging/install_deb"));
    let report = said(command.args([&package, &scratch, &data]));
    let version = said(Command::new(binary()).arg("version"));
    assert_eq!(
        report,
        format!(
            "sandkasten: wrote /etc/sandkasten/sandkasten.yaml, with a new api_key\n\
             mode 600 0:0\n\
             enabled /etc/systemd/system/sockets.target.wants/sandkasten.socket\n\
             /etc/sandkasten/sandkasten.yaml: valid\n\
             {version}\
             key 1\n\
             after an upgrade: # mine\n\
             after removal: # mine, no binary\n\
             end\n"
        )
    );
}
