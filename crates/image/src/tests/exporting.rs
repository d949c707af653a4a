//! Exported images: other programs read them, and they come back as they were.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::{Value, json};
use tar::{EntryType, Header};

use super::saved_image::{SavedImage, merged, pack};
use super::{Fixture, Tarball, name, names_in, require_root};
use crate::{Digest, ExportError, ExportTarget, ImageName};

fn export(fixture: &Fixture, image: &str) -> Result<Vec<u8>, ExportError> {
    let mut archive = Vec::new();
    let target = ExportTarget::Archive(Box::new(&mut archive));
    fixture.store.export(&name(image), target, &mut |_| ControlFlow::Continue(()))?;
    Ok(archive)
}

/// Layers with everything of which something is lost on the way to the disk.
fn odd_image() -> SavedImage {
    let sparse = |header: &mut Header| {
        let gnu = header.as_gnu_mut().unwrap();
        gnu.sparse[0].set_offset(0);
        gnu.sparse[0].set_length(512);
        gnu.sparse[1].set_offset(1 << 20);
        gnu.sparse[1].set_length(0);
        gnu.set_real_size(1 << 20);
    };
    let long = "n".repeat(200);
    let lower = Tarball::new()
        .directory("d")
        .file("d/f", &"contents ".repeat(100_000))
        .symlink("bin", "d")
        .raw(EntryType::GNUSparse, "sparse", "", sparse, &[b'x'; 512])
        .node(EntryType::Char, "null")
        .raw(EntryType::Regular, "owned", "", |header| header.set_uid(1 << 20), b"x")
        .pax(&[("SCHILY.xattr.trusted.overlay.opaque", b"y"), ("path", long.as_bytes()), ("mtime", b"1.5")])
        .file("short", "x");
    let upper = Tarball::new()
        .file("d/.wh.f", "")
        .file("bin/through", "the link")
        .hardlink("linked", "owned")
        .file("d/.wh..wh..opq", "")
        .file("empty", "");
    SavedImage::new([lower, upper]).with_config(json!({"Env": ["A=b"], "Volumes": {"/data": {}}}))
}

#[test]
fn an_image_comes_back_with_the_same_layers_and_configuration() {
    require_root!();
    let fixture = Fixture::new();
    let image = odd_image();
    fixture.import(&pack(&image.layout())).unwrap();
    let archive = export(&fixture, "image").unwrap();
    assert_eq!(export(&fixture, "image").unwrap(), archive, "the same again");
    let other = Fixture::new();
    let report = other.import(&archive).unwrap();
    let diff_ids: Vec<Digest> = report.layers.iter().map(|layer| layer.diff_id).collect();
    assert_eq!(diff_ids, image.diff_ids());
    let seen = |fixture: &Fixture| merged(&fixture.store.resolve(&name("image")).unwrap().layers);
    assert_eq!(seen(&other), seen(&fixture));
    // The configuration is the one that came, with what nobody here has a use for.
    let config = Digest::of(image.configuration.to_string().as_bytes()).hexadecimal();
    let directory = tempfile::tempdir().unwrap();
    tar::Archive::new(archive.as_slice()).unpack(directory.path()).unwrap();
    assert!(directory.path().join("blobs/sha256").join(config).is_file());
    assert_eq!(names_in(directory.path()), ["blobs", "index.json", "oci-layout"]);
}

#[test]
fn a_directory_gets_the_same_as_an_archive() {
    require_root!();
    let fixture = Fixture::new();
    let mut image = odd_image();
    // Docker has the same empty layer in many images, and more than once in some.
    let empty = Tarball::new().file("same", "").bytes();
    image.layers.extend([empty.clone(), empty]);
    image.configuration["rootfs"]["diff_ids"] = json!(image.diff_ids());
    fixture.import(&pack(&image.layout())).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("layout");
    let progress = &mut |_| ControlFlow::Continue(());
    let report = fixture.store.export(&name("image"), ExportTarget::Directory(&target), progress).unwrap();
    let unpacked = directory.path().join("unpacked");
    tar::Archive::new(export(&fixture, "image").unwrap().as_slice()).unpack(&unpacked).unwrap();
    for part in [".", "blobs/sha256"] {
        assert_eq!(names_in(&target.join(part)), names_in(&unpacked.join(part)));
    }
    let index: Value = serde_json::from_slice(&fs::read(target.join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"][0]["digest"], json!(report.digest));
    let again = fixture.store.export(&name("image"), ExportTarget::Directory(&target), progress);
    assert!(matches!(again, Err(ExportError::NotEmpty { .. })));
}

#[test]
fn a_root_file_system_becomes_an_image_of_one_layer() {
    require_root!();
    let fixture = Fixture::new();
    let archive = Tarball::new().directory("d").file("d/f", "x").bytes();
    fixture.import(&archive).unwrap();
    let report = Fixture::new().import(&export(&fixture, "image").unwrap()).unwrap();
    assert_eq!(report.layers[0].diff_id, Digest::of(&archive));
}

#[test]
fn a_file_is_written_over_only_by_what_is_there_and_removed_only_where_it_was_made() {
    require_root!();
    let fixture = Fixture::new();
    fixture.import(&Tarball::new().file("f", "x").bytes()).unwrap();
    fixture.import_as("changed", &Tarball::new().file("g", "as it was").bytes()).unwrap();
    fs::write(fixture.lowest_layer("changed").join("g"), "as it isn").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (there, new) = (directory.path().join("there"), directory.path().join("new"));
    let host = ImageName::host().to_string();
    let export_to = |image: &str, path: &Path| {
        fixture.store.export(&name(image), ExportTarget::File(path), &mut |_| ControlFlow::Continue(()))
    };
    for image in ["none", &host] {
        fs::write(&there, "kept").unwrap();
        export_to(image, &there).unwrap_err();
        assert_eq!(fs::read_to_string(&there).unwrap(), "kept");
        export_to(image, &new).unwrap_err();
        assert!(!new.exists());
    }
    for (path, stays) in [(&there, true), (&new, false)] {
        let error = export_to("changed", path).unwrap_err();
        assert!(matches!(error, ExportError::Changed { .. }), "{error:?}");
        assert_eq!(path.exists(), stays);
    }
    fs::write(&there, "longer than what comes".repeat(1000)).unwrap();
    for path in [&there, &new] {
        export_to("image", path).unwrap();
        assert_eq!(fs::read(path).unwrap(), export(&fixture, "image").unwrap());
    }
    let error = export_to("image", &new.join("below")).unwrap_err();
    assert!(matches!(error, ExportError::Create { .. }), "{error:?}");
}

#[test]
fn what_cannot_be_put_together_again_is_not_exported() {
    require_root!();
    let fixture = Fixture::new();
    fixture.import_as("twice", &Tarball::new().file("f", "1").file("f", "2").bytes()).unwrap();
    assert!(matches!(export(&fixture, "twice"), Err(ExportError::Changed { .. })));
    fixture.import_as("longer", &Tarball::new().file("f", "11").file("f", "2").bytes()).unwrap();
    assert!(matches!(export(&fixture, "longer"), Err(ExportError::ReadLayer { .. })));
    fixture.import_as("changed", &Tarball::new().file("g", "as it was").bytes()).unwrap();
    fs::write(fixture.lowest_layer("changed").join("g"), "as it isn").unwrap();
    assert!(matches!(export(&fixture, "changed"), Err(ExportError::Changed { .. })));
    fixture.import_as("old", &Tarball::new().file("h", "").bytes()).unwrap();
    let layer = fixture.lowest_layer("old").display().to_string();
    fs::remove_file(format!("{layer}.record")).unwrap();
    assert!(matches!(export(&fixture, "old"), Err(ExportError::NoRecord { .. })));
    assert!(matches!(export(&fixture, "none"), Err(ExportError::NotPresent { .. })));
    let host = ImageName::host().to_string();
    assert!(matches!(export(&fixture, &host), Err(ExportError::BuiltIn { .. })));
}

#[test]
fn an_import_of_the_same_again_brings_back_what_is_lost_beside_a_layer() {
    require_root!();
    let fixture = Fixture::new();
    let root = Tarball::new().file("f", "root").bytes();
    let saved = pack(&SavedImage::new([Tarball::new().file("f", "saved")]).layout());
    for archive in [root, saved] {
        for suffixes in [&[".record"][..], &[".json"], &[".record", ".json"]] {
            fixture.import(&archive).unwrap();
            let layer = fixture.lowest_layer("image").display().to_string();
            for suffix in suffixes {
                fs::remove_file(format!("{layer}{suffix}")).unwrap();
            }
            let report = fixture.import(&archive).unwrap();
            assert!(report.layers[0].was_present);
            export(&fixture, "image").unwrap();
            assert_eq!(fixture.lowest_layer("image").display().to_string(), layer);
            assert!(fs::exists(format!("{layer}.json")).unwrap(), "{suffixes:?}");
        }
    }
}

#[test]
fn a_damaged_record_is_an_error_and_takes_no_memory() {
    require_root!();
    let fixture = Fixture::new();
    let layer = fixture.layer(Tarball::new().file("f", "x"));
    let record = format!("{}.record", layer.display());
    let whole = fs::read(&record).unwrap();
    let number = |number: u64| number.to_le_bytes().to_vec();
    let pieces = [
        whole[..whole.len() / 2].to_vec(),
        b"no zstd".to_vec(),
        zstd::encode_all([vec![0], number(u64::MAX)].concat().as_slice(), 1).unwrap(),
        zstd::encode_all([vec![1], number(u64::MAX)].concat().as_slice(), 1).unwrap(),
        zstd::encode_all([vec![7]].concat().as_slice(), 1).unwrap(),
        zstd::encode_all([vec![1], number(12), b"../../canary".to_vec(), number(5)].concat().as_slice(), 1)
            .unwrap(),
    ];
    for bytes in pieces {
        fs::write(&record, bytes).unwrap();
        assert!(matches!(export(&fixture, "image"), Err(ExportError::ReadLayer { .. })));
    }
}
