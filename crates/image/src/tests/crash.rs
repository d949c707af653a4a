//! Imports that are cut short: nothing half-made stays, and nothing of others goes.

use std::fs;
use std::ops::ControlFlow;
use std::os::fd::AsFd;

use super::{Fixture, Tarball, name, names_in, require_root};
use crate::staging::StagedLayer;
use crate::{ImageStore, ImportError, ImportOptions, ImportSource, UnpackError, UnpackLimits};

#[test]
fn an_archive_cut_off_anywhere_leaves_nothing_behind() {
    require_root!();
    let fixture = Fixture::new();
    let whole = Tarball::new().file("a", &"x".repeat(700)).directory("d").file("d/b", "y").bytes();
    let limits = UnpackLimits::default();
    let zstd = zstd::encode_all(whole.as_slice(), 1).unwrap();
    // The last two blocks are the end marker, of which one is enough.
    for length in (0..whole.len() - 1024).step_by(256) {
        fixture.refusal_of(&whole[..length], &limits);
    }
    for length in (0..zstd.len()).step_by(7) {
        fixture.refusal_of(&zstd[..length], &limits);
    }
    // Cut between two entries, where nothing but the missing end marker tells.
    let error = fixture.refusal_of(&whole[..1536], &limits);
    assert!(matches!(error, UnpackError::Truncated { position: 1536 }), "{error:?}");
}

#[test]
fn a_failed_import_leaves_the_old_image_in_place() {
    require_root!();
    let fixture = Fixture::new();
    let old = fixture.layer(Tarball::new().file("f", "old"));
    fixture.import(&Tarball::new().file("../f", "new").bytes()).unwrap_err();
    assert_eq!(fixture.lowest_layer("image"), old);
    assert_eq!(fs::read_to_string(old.join("f")).unwrap(), "old");
}

#[test]
fn a_cancelled_import_leaves_nothing_behind() {
    require_root!();
    let fixture = Fixture::new();
    let archive = Tarball::new().file("f", "x").bytes();
    let error = fixture
        .store
        .import(
            &name("image"),
            ImportSource::Stream(Box::new(archive.as_slice())),
            &ImportOptions::default(),
            &mut |_| ControlFlow::Break(()),
        )
        .unwrap_err();
    assert!(matches!(error, ImportError::Unpack { source: UnpackError::Cancelled }));
    fixture.assert_untouched();
}

#[test]
fn leftovers_of_a_crash_are_cleared_and_running_imports_are_not() {
    require_root!();
    let fixture = Fixture::new();
    let layers = fixture.data_dir().join("layers");
    let images = fixture.data_dir().join("images");
    fs::create_dir_all(layers.join(".tmp-1-2-3/layer/etc")).unwrap();
    std::os::unix::fs::symlink(fixture.directory.path(), layers.join(".tmp-1-2-3/layer/out")).unwrap();
    // Files and links have names like these where a process was stopped between making one and taking its name away.
    fs::write(layers.join(".tmp-1-2-5"), "copied").unwrap();
    std::os::unix::fs::symlink(fixture.directory.path(), layers.join(".tmp-1-2-6")).unwrap();
    fs::write(images.join(".tmp-1-2-4"), "{").unwrap();
    let running = StagedLayer::create(&layers, fixture.store.lock_file()).unwrap();
    let in_it = running.path().join("f");
    fs::write(&in_it, "x").unwrap();

    ImageStore::open(&fixture.data_dir()).unwrap();
    assert_eq!(names_in(&layers).len(), 1);
    assert!(in_it.exists());
    assert_eq!(names_in(&images), [".lock"]);
    drop(running);
    fixture.assert_untouched();
}

#[test]
fn a_layer_that_was_published_stays_when_its_staging_goes() {
    require_root!();
    let fixture = Fixture::new();
    let layers = fixture.data_dir().join("layers");
    let staged = StagedLayer::create(&layers, fixture.store.lock_file()).unwrap();
    rustix::fs::mkdirat(staged.root().as_fd(), "d", rustix::fs::Mode::RWXU).unwrap();
    let hash = "0".repeat(64);
    assert!(staged.publish(&layers, &hash, &fixture.store.lock().unwrap()).unwrap());
    assert_eq!(names_in(&layers), [hash.as_str()]);
    let again = StagedLayer::create(&layers, fixture.store.lock_file()).unwrap();
    assert!(!again.publish(&layers, &hash, &fixture.store.lock().unwrap()).unwrap());
    assert_eq!(names_in(&layers.join(hash)), ["d"]);
}

#[test]
fn imports_at_the_same_time_share_one_layer_and_disturb_nobody() {
    require_root!();
    let fixture = Fixture::new();
    let archive = Tarball::new().file("a/b", &"x".repeat(100_000)).bytes();
    std::thread::scope(|scope| {
        for index in 0..4 {
            let (fixture, archive) = (&fixture, &archive);
            scope.spawn(move || {
                for round in 0..5 {
                    let image = format!("image{index}-{round}");
                    fixture.import_as(&image, archive).unwrap();
                    ImageStore::open(&fixture.data_dir()).unwrap();
                    fixture.store.resolve(&name(&image)).unwrap();
                    if round > 0 {
                        fixture.remove(&image);
                    }
                }
            });
        }
    });
    // The layer of the image, what is beside it, and the account layer.
    assert_eq!(names_in(&fixture.data_dir().join("layers")).len(), 4);
    assert_eq!(fixture.store.list().unwrap().images.len(), 5);
    for index in 0..4 {
        fixture.remove(&format!("image{index}-0"));
    }
}
