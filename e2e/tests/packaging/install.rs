//! `make install`: what it calls, on a prefix of the test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sandkasten_e2e::binary;

use crate::repository;

fn install(arguments: &[&Path]) -> Output {
    let output =
        Command::new(repository().join("packaging/install")).args(arguments).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() { found.extend(files(&entry)) } else { found.push(entry) }
    }
    found
}

#[test]
fn an_installation_has_binary_manual_and_completions_and_goes_again_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let prefix = directory.path().join("a prefix");
    // Twice: the second is an upgrade, and takes a page away that no command has any more.
    install(&[&binary(), &prefix]);
    fs::write(prefix.join("share/man/man1/sandkasten-frobnicate.1"), "old").expect("written");
    install(&[&binary(), &prefix]);
    for name in [
        "bin/sandkasten",
        "share/man/man1/sandkasten.1",
        "share/man/man1/sandkasten-image-pull.1",
        "share/bash-completion/completions/sandkasten",
        "share/zsh/site-functions/_sandkasten",
        "share/fish/vendor_completions.d/sandkasten.fish",
    ] {
        assert!(prefix.join(name).metadata().is_ok_and(|file| file.len() > 0), "{name}");
    }
    assert!(!prefix.join("share/man/man1/sandkasten-frobnicate.1").exists());
    let version = Command::new(prefix.join("bin/sandkasten")).arg("version").output().expect("it starts");
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("sandkasten "), "{version:?}");
    install(&[Path::new("--remove"), &prefix]);
    assert_eq!(files(&prefix), Vec::<PathBuf>::new());
}

#[test]
fn bash_completes_a_subcommand() {
    let script = "source <(\"$1\" completions bash); COMP_WORDS=(sandkasten im); COMP_CWORD=1; \
                  _sandkasten sandkasten im sandkasten; echo \"${COMPREPLY[@]}\"";
    let output =
        Command::new("bash").args(["-c", script, "bash"]).arg(binary()).output().expect("bash starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "image\n", "{output:?}");
}
