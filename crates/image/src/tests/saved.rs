//! What programs save: which image is taken of it, and that every part is the one that is meant.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::ops::ControlFlow;
use std::time::Duration;

use serde_json::{Value, json};

use super::saved_image::{SavedImage, gzip, pack, write};
use super::{Fixture, Tarball, name, names_in, require_root};
use crate::{
    Digest, ImportError, ImportOptions, ImportReport, ImportSource, LimitError, OpenSourceError,
    ReadImageError, UnpackError, UnpackLimits,
};

pub(super) fn image(text: &str) -> SavedImage {
    SavedImage::new([Tarball::new().file("base", "1"), Tarball::new().file("f", text)])
}

fn import(
    fixture: &Fixture,
    source: ImportSource<'_>,
    reference: Option<&str>,
) -> Result<ImportReport, ImportError> {
    let options = ImportOptions { reference: reference.map(str::to_owned), ..ImportOptions::default() };
    fixture.store.import(&name("image"), source, &options, &mut |_| ControlFlow::Continue(()))
}

pub(super) fn import_stream(
    bytes: &[u8],
    reference: Option<&str>,
) -> (Fixture, Result<ImportReport, ImportError>) {
    let fixture = Fixture::new();
    let result = import(&fixture, ImportSource::Stream(Box::new(bytes)), reference);
    (fixture, result)
}

/// Imports what must be refused while it is chosen or read.
pub(super) fn refusal(bytes: &[u8], reference: Option<&str>) -> ReadImageError {
    let (fixture, result) = import_stream(bytes, reference);
    fixture.assert_untouched();
    match result.unwrap_err() {
        ImportError::Read { source } => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_form_and_way_of_an_image_gives_the_same_layers() {
    require_root!();
    let image = image("x");
    let layout = image.layout();
    let docker = image.docker_archive(&["x:1"]);
    // A newer `docker save` has both forms in one archive.
    let both = docker.clone().into_iter().chain(layout.clone()).collect();
    for files in [&layout, &docker, &both] {
        let archive = pack(files);
        let zstd = zstd::encode_all(archive.as_slice(), 1).unwrap();
        for bytes in [&archive, &gzip(&archive), &zstd] {
            let (fixture, report) = import_stream(bytes, None);
            let report = report.unwrap();
            let diff_ids: Vec<Digest> = report.layers.iter().map(|layer| layer.diff_id).collect();
            assert_eq!(diff_ids, image.diff_ids());
            assert_eq!(fixture.store.resolve(&name("image")).unwrap().layers.len(), 3);
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            file.rewind().unwrap();
            let again = import(&fixture, ImportSource::File(file), None).unwrap();
            assert!(again.layers.iter().all(|layer| layer.was_present));
        }
        let directory = tempfile::tempdir().unwrap();
        write(files, directory.path());
        let report = import(&Fixture::new(), ImportSource::Directory(directory.path()), None).unwrap();
        assert_eq!(report.layers.len(), 2);
    }
}

#[test]
fn a_root_file_system_is_told_from_an_image_by_its_content() {
    require_root!();
    for tarball in [
        Tarball::new().directory("./").directory("./bin").file("./manifest.json", "[]"),
        Tarball::new().directory("./").file("./manifest.json", "[]x").directory("./bin"),
        Tarball::new().file("index.json", "{}").file("oci-layout.txt", "").directory("bin"),
        Tarball::new().file("repositories", "{}").directory("bin"),
        Tarball::new().directory("blobs").directory("bin"),
        Tarball::new().file(&"a".repeat(64), "").directory("bin"),
    ] {
        let (fixture, report) = import_stream(&tarball.bytes(), None);
        assert_eq!(report.unwrap().layers.len(), 1);
        assert!(fixture.lowest_layer("image").join("bin").is_dir());
    }
}

#[test]
fn layers_that_are_links_to_others_are_found() {
    require_root!();
    let mut image = image("x");
    image.layers.push(image.layers[1].clone());
    image.configuration["rootfs"]["diff_ids"] = json!(image.diff_ids());
    let files = image.docker_archive(&["x:1"]);
    let mut manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    manifest[0]["Layers"][2] = json!("dead/layer.tar");
    let mut archive = Tarball::new();
    for (name, contents) in &files {
        let contents = match name.as_str() {
            "manifest.json" => manifest.to_string().into_bytes(),
            _ => contents.clone(),
        };
        archive = archive.raw(tar::EntryType::Regular, name, "", |_| {}, &contents);
    }
    let target = format!("../{}/layer.tar", image.diff_ids()[1].hexadecimal());
    // Long names have a form of their own, which is not what this is about.
    assert!(target.len() < 100);
    let (_, report) = import_stream(&archive.symlink("dead/layer.tar", &target).bytes(), None);
    assert_eq!(report.unwrap().layers.len(), 3);
}

#[test]
fn a_part_that_is_not_what_it_is_named_by_is_refused() {
    require_root!();
    let image = image("x");
    let layout = image.layout();
    let change = |wanted: &dyn Fn(&str, &[u8]) -> bool, changed: &dyn Fn(&[u8]) -> Vec<u8>| {
        let mut files = layout.clone();
        let (_, contents) = files.iter_mut().find(|(name, contents)| wanted(name, contents)).unwrap();
        *contents = changed(contents);
        pack(&files)
    };
    let is_blob = |name: &str| name.starts_with("blobs/");
    let manifest = |name: &str, contents: &[u8]| {
        is_blob(name)
            && contents.windows(8).any(|part| part == b"\"layers\"")
            && contents.windows(12).any(|part| part == b"image.layer.")
    };
    let configuration =
        |name: &str, contents: &[u8]| is_blob(name) && contents.windows(8).any(|part| part == b"diff_ids");
    let flip = |contents: &[u8]| [&contents[..contents.len() - 1], b" "].concat();
    let longer = |contents: &[u8]| [contents, b" "].concat();
    for wanted in [&manifest as &dyn Fn(&str, &[u8]) -> bool, &configuration] {
        assert!(matches!(refusal(&change(wanted, &flip), None), ReadImageError::Digest { .. }));
        assert!(matches!(refusal(&change(wanted, &longer), None), ReadImageError::Size { .. }));
    }
    // Of the uppermost layer: the one below is in the store by then, and has to go again.
    let layer_name = format!("blobs/sha256/{}", Digest::of(&gzip(&image.layers[1])).hexadecimal());
    let layer = |name: &str, _: &[u8]| name == layer_name;
    let other = gzip(&Tarball::new().file("f", "y").bytes());
    let same_size = |contents: &[u8]| {
        let mut other = other.clone();
        other.resize(contents.len(), 0);
        other
    };
    for changed in [&same_size as &dyn Fn(&[u8]) -> Vec<u8>, &|contents| gzip(&vec![b'x'; contents.len()])] {
        let (fixture, result) = import_stream(&change(&layer, changed), None);
        result.unwrap_err();
        fixture.assert_untouched();
    }
    let (fixture, result) =
        import_stream(&change(&layer, &|contents| contents[..contents.len() / 2].to_vec()), None);
    assert!(matches!(result, Err(ImportError::Read { source: ReadImageError::Size { .. } })), "{result:?}");
    fixture.assert_untouched();
}

#[test]
fn layers_of_a_docker_archive_are_checked_by_the_configuration() {
    require_root!();
    let image = image("x");
    let mut files = image.docker_archive(&["x:1"]);
    let layer = format!("{}/layer.tar", image.diff_ids()[1].hexadecimal());
    files.insert(layer.clone(), Tarball::new().file("f", "other").bytes());
    let (fixture, result) = import_stream(&pack(&files), None);
    assert!(matches!(result, Err(ImportError::DiffId { .. })), "{result:?}");
    fixture.assert_untouched();
    files.insert(layer, image.layers[1][..700].to_vec());
    let (fixture, result) = import_stream(&pack(&files), None);
    assert!(
        matches!(result, Err(ImportError::Layer { source: UnpackError::Truncated { .. }, .. })),
        "{result:?}"
    );
    fixture.assert_untouched();
    let mut files = image.docker_archive(&["x:1"]);
    let (_, configuration) = files.iter_mut().find(|(name, _)| name.len() == 69).unwrap();
    configuration.push(b' ');
    assert!(matches!(refusal(&pack(&files), None), ReadImageError::Digest { .. }));
}

#[test]
fn an_archive_that_is_cut_off_anywhere_leaves_nothing_behind() {
    require_root!();
    let archive = pack(&image("x").layout());
    let end = archive.len() - 1024;
    for length in (512..end).step_by(512) {
        let (fixture, result) = import_stream(&archive[..length], None);
        if result.is_err() {
            fixture.assert_untouched();
        } else {
            // Nothing but other files was cut off, or so much that it is an archive of something else.
            assert!(names_in(&fixture.data_dir().join("images")).len() == 2);
        }
    }
}

#[test]
fn names_in_documents_lead_nowhere_but_into_what_was_saved() {
    require_root!();
    for bad in ["../canary", "/etc/passwd", "../../../../../../etc/passwd", "x/../../canary"] {
        let mut files = image("x").docker_archive(&["x:1"]);
        let mut manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        manifest[0]["Config"] = json!(bad);
        files.insert("manifest.json".to_owned(), manifest.to_string().into_bytes());
        assert!(matches!(refusal(&pack(&files), None), ReadImageError::Missing { .. }), "{bad}");
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("canary"), "{}").unwrap();
        let saved = directory.path().join("saved");
        write(&files, &saved);
        let error = import(&Fixture::new(), ImportSource::Directory(&saved), None).unwrap_err();
        assert!(
            matches!(error, ImportError::Read { source: ReadImageError::Missing { .. } }),
            "{bad}: {error:?}"
        );
    }
}

#[test]
fn links_in_a_directory_are_not_followed() {
    require_root!();
    let image = image("x");
    let directory = tempfile::tempdir().unwrap();
    write(&image.layout(), directory.path());
    let layer = format!("blobs/sha256/{}", Digest::of(&gzip(&image.layers[1])).hexadecimal());
    let outside = directory.path().join("outside");
    fs::rename(directory.path().join(&layer), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, directory.path().join(&layer)).unwrap();
    let fixture = Fixture::new();
    let error = import(&fixture, ImportSource::Directory(directory.path()), None).unwrap_err();
    assert!(matches!(error, ImportError::Read { source: ReadImageError::Missing { .. } }), "{error:?}");
    fixture.assert_untouched();
}

#[test]
fn a_directory_without_an_image_is_said_to_have_none() {
    let directory = tempfile::tempdir().unwrap();
    let error = import(&Fixture::new(), ImportSource::Directory(directory.path()), None).unwrap_err();
    assert!(matches!(error, ImportError::Open(OpenSourceError::NoImage { .. })), "{error:?}");
}

#[test]
fn documents_too_large_for_memory_are_refused() {
    require_root!();
    let mut files = image("x").layout();
    let index = String::from_utf8(files["index.json"].clone()).unwrap();
    files.insert("index.json".to_owned(), format!("{index}{}", " ".repeat(2 << 20)).into_bytes());
    assert!(matches!(refusal(&pack(&files), None), ReadImageError::TooLarge { .. }));
}

#[test]
fn an_environment_that_no_program_can_be_started_with_is_refused() {
    require_root!();
    let many: Vec<String> = (0..2000).map(|index| format!("V{index}={}", "x".repeat(100))).collect();
    for env in [json!(["A=b\0c"]), json!(many)] {
        let image = image("x").with_config(json!({"Env": env}));
        assert!(matches!(refusal(&pack(&image.layout()), None), ReadImageError::Environment { .. }));
    }
}

#[test]
fn the_configuration_says_how_programs_are_started() {
    require_root!();
    let image = image("x").with_config(json!({
        "Env": ["PATH=/opt/bin:/bin", "LANG=C"], "WorkingDir": "/srv/app", "User": "app:app",
        "Entrypoint": ["/init"], "Cmd": ["serve", "--all"], "Labels": {"maintainer": "nobody"},
    }));
    let (fixture, report) = import_stream(&pack(&image.layout()), None);
    report.unwrap();
    let config = fixture.store.resolve(&name("image")).unwrap().config;
    assert_eq!(config.env, ["PATH=/opt/bin:/bin", "LANG=C"]);
    assert_eq!((config.workdir.as_deref(), config.user.as_deref()), (Some("/srv/app"), Some("app:app")));
    assert_eq!(
        (config.entrypoint, config.cmd),
        (vec!["/init".to_owned()], vec!["serve".to_owned(), "--all".to_owned()])
    );
    assert_eq!(config.labels["maintainer"], "nobody");
}

#[test]
fn all_layers_of_an_image_together_have_the_longest_time_of_one() {
    require_root!();
    let fixture = Fixture::new();
    let limits = UnpackLimits { max_duration: Duration::from_millis(1500), ..UnpackLimits::default() };
    let options = ImportOptions { limits, ..ImportOptions::default() };
    let archive = pack(&image("x").layout());
    let source = ImportSource::Stream(Box::new(archive.as_slice()));
    // Each of the two layers takes most of the time.
    let result = fixture.store.import(&name("image"), source, &options, &mut |_| {
        std::thread::sleep(Duration::from_secs(1));
        ControlFlow::Continue(())
    });
    let Err(ImportError::Layer { source, .. }) = result else { panic!("{result:?}") };
    assert!(matches!(source, UnpackError::Limit(LimitError::Duration { .. })), "{source:?}");
    fixture.assert_untouched();
}

#[test]
fn more_layers_than_can_be_stacked_are_refused_before_any_is_unpacked() {
    require_root!();
    let layers = |count: usize| (0..count).map(|index| Tarball::new().file(&format!("f{index}"), "x"));
    let (fixture, result) = import_stream(&pack(&SavedImage::new(layers(64)).layout()), None);
    assert!(matches!(result, Err(ImportError::TooManyLayers { allowed: 63 })), "{result:?}");
    fixture.assert_untouched();
    let (fixture, result) = import_stream(&pack(&SavedImage::new(layers(63)).layout()), None);
    result.unwrap();
    assert_eq!(fixture.store.resolve(&name("image")).unwrap().layers.len(), 64);
}

#[test]
fn a_spooled_archive_goes_with_the_import() {
    require_root!();
    let (fixture, report) = import_stream(&gzip(&pack(&image("x").layout())), None);
    report.unwrap();
    let names = names_in(&fixture.data_dir().join("layers"));
    assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
}

#[test]
fn imports_of_one_layer_at_the_same_time_unpack_it_once() {
    require_root!();
    let fixture = Fixture::new();
    let archive = pack(&image("x").layout());
    let reports = std::thread::scope(|scope| {
        let import = |index: usize| {
            let (fixture, archive) = (&fixture, &archive);
            scope.spawn(move || fixture.import_as(&format!("image{index}"), archive).unwrap())
        };
        let running: Vec<_> = (0..6).map(import).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    for layer in 0..2 {
        let unpacked = reports.iter().filter(|report| report.layers[layer].compression.is_some()).count();
        assert_eq!(unpacked, 1);
    }
}

#[test]
fn pruning_while_an_image_is_made_takes_none_of_its_layers() {
    require_root!();
    let fixture = Fixture::new();
    let archive = pack(&image("x").layout());
    let options = ImportOptions::default();
    let mut calls = 0;
    let result = fixture.store.import(
        &name("image"),
        ImportSource::Stream(Box::new(archive.as_slice())),
        &options,
        &mut |_| {
            calls += 1;
            fixture.store.prune(&crate::NothingInUse).unwrap();
            ControlFlow::Continue(())
        },
    );
    result.unwrap();
    assert!(calls >= 2, "{calls}");
    assert_eq!(fixture.store.resolve(&name("image")).unwrap().layers.len(), 3);
}

#[test]
fn a_file_that_is_no_regular_one_is_read_as_a_stream() {
    require_root!();
    let fixture = Fixture::new();
    let archive = pack(&image("x").layout());
    let (reader, mut writer) = std::io::pipe().unwrap();
    let report = std::thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&archive));
        let file = File::from(std::os::fd::OwnedFd::from(reader));
        import(&fixture, ImportSource::File(file), None)
    });
    assert_eq!(report.unwrap().layers.len(), 2);
}
