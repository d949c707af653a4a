//! What a validation says of images that lack something.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tar::{EntryType, Header};

use super::{Fixture, Tarball, names_in, require_root};
use crate::{CheckStatus, ImageName, ValidationReport};

fn status(report: &ValidationReport, name: &str) -> CheckStatus {
    report.checks.iter().find(|check| check.name == name).expect("a check of that name").status
}

fn program(tarball: Tarball, name: &str, contents: &[u8]) -> Tarball {
    tarball.raw(EntryType::Regular, name, "", |header: &mut Header| header.set_mode(0o755), contents)
}

#[test]
fn an_image_of_no_programs_is_warned_about() {
    require_root!();
    let fixture = Fixture::new();
    fixture.layer(Tarball::new().file("f", "x"));
    let report = fixture.validate("image");
    assert_eq!(status(&report, "shell"), CheckStatus::Warning);
    assert_eq!(status(&report, "loader"), CheckStatus::Warning);
    assert_eq!(status(&report, "python3"), CheckStatus::Warning);
    assert_eq!(status(&report, "account"), CheckStatus::Fine);
    assert_eq!(status(&report, "layers"), CheckStatus::Fine);
    assert!(report.checks.iter().all(|check| check.status == CheckStatus::Fine || check.advice.is_some()));
}

#[test]
fn a_shell_without_its_loader_is_a_failure() {
    require_root!();
    let fixture = Fixture::new();
    let shell = fs::read("/bin/sh").unwrap();
    let tarball = program(Tarball::new().symlink("bin", "usr/bin"), "usr/bin/bash", &shell);
    fixture.layer(tarball.symlink("usr/bin/sh", "bash"));
    let report = fixture.validate("image");
    assert_eq!(status(&report, "shell"), CheckStatus::Fine);
    assert_eq!(status(&report, "loader"), CheckStatus::Failure);
}

#[test]
fn links_to_the_host_are_no_shell() {
    require_root!();
    let fixture = Fixture::new();
    let up = "../".repeat(30);
    fixture.layer(
        Tarball::new()
            .symlink("bin", &format!("{up}usr/bin"))
            .symlink("usr", "/proc/self/root/usr")
            .symlink("lib64", "/usr/lib64"),
    );
    let report = fixture.validate("image");
    assert_eq!(status(&report, "shell"), CheckStatus::Warning);
    assert_eq!(status(&report, "python3"), CheckStatus::Warning);
}

#[test]
fn a_lost_layer_and_one_that_others_may_write_to_are_failures() {
    require_root!();
    let fixture = Fixture::new();
    let layer = fixture.layer(Tarball::new().file("f", "x"));
    assert_eq!(status(&fixture.validate("image"), "permissions"), CheckStatus::Fine);
    fs::set_permissions(&layer, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(status(&fixture.validate("image"), "permissions"), CheckStatus::Failure);
    fs::remove_dir_all(&layer).unwrap();
    assert_eq!(status(&fixture.validate("image"), "layers"), CheckStatus::Failure);
}

#[test]
fn a_file_that_was_changed_by_hand_is_found_by_the_digest_of_its_layer() {
    require_root!();
    let fixture = Fixture::new();
    let layer = fixture.layer(Tarball::new().file("f", "as it was"));
    assert_eq!(status(&fixture.validate("image"), "digests"), CheckStatus::Fine);
    fs::write(layer.join("f"), "as it isn").unwrap();
    assert_eq!(status(&fixture.validate("image"), "digests"), CheckStatus::Failure);
    fs::write(layer.join("f"), "as it was, and more").unwrap();
    assert_eq!(status(&fixture.validate("image"), "digests"), CheckStatus::Failure);
    fs::write(layer.join("f"), "as it").unwrap();
    assert_eq!(status(&fixture.validate("image"), "digests"), CheckStatus::Failure);
    fs::remove_file(layer.join("f")).unwrap();
    assert_eq!(status(&fixture.validate("image"), "digests"), CheckStatus::Failure);
    fixture.import_as("twice", &Tarball::new().file("f", "1").file("f", "2").bytes()).unwrap();
    assert_eq!(status(&fixture.validate("twice"), "digests"), CheckStatus::Warning);
}

#[test]
fn an_image_whose_layers_are_compared_with_nothing_is_warned_about() {
    require_root!();
    let fixture = Fixture::new();
    fixture.layer(Tarball::new().file("f", "x"));
    let images = fixture.data_dir().join("images");
    let manifest = names_in(&images).into_iter().find(|name| !name.starts_with('.')).unwrap();
    let path = images.join(manifest);
    let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    // As versions before there were records have written it.
    manifest.as_object_mut().unwrap().remove("imported").unwrap();
    fs::write(&path, manifest.to_string()).unwrap();
    assert_eq!(status(&fixture.validate("image"), "digests"), CheckStatus::Warning);
}

#[test]
fn the_built_in_image_has_a_shell_and_an_account() {
    require_root!();
    let fixture = Fixture::new();
    let report = fixture.store.validate(&ImageName::host()).unwrap();
    for name in ["layers", "permissions", "digests", "loader", "account"] {
        assert_eq!(status(&report, name), CheckStatus::Fine, "{report:?}");
    }
    assert_ne!(status(&report, "shell"), CheckStatus::Failure);
}
