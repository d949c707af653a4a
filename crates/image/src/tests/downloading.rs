//! Places to fetch images to, and layers that need not be fetched.

use std::fs;

use super::saved::import_stream;
use super::saved_image::pack;
use super::{names_in, require_root, saved};
use crate::{Digest, ImageStore, NothingInUse};

#[test]
fn a_download_is_there_while_somebody_has_it_and_no_longer() {
    require_root!();
    let fixture = super::Fixture::new();
    let download = fixture.store.begin_download().unwrap();
    fs::write(download.path().join("f"), "x").unwrap();
    ImageStore::open(&fixture.data_dir()).unwrap();
    assert_eq!(fs::read(download.path().join("f")).unwrap(), b"x");
    drop(download);
    fixture.assert_untouched();
}

#[test]
fn a_download_that_nobody_has_any_more_goes_when_the_store_is_opened() {
    require_root!();
    let fixture = super::Fixture::new();
    let download = fixture.store.begin_download().unwrap();
    // As after a kill: the directory is there, and nobody has its lock.
    let left = download.path().to_owned();
    let aside = fixture.directory.path().join("aside");
    fs::rename(&left, &aside).unwrap();
    drop(download);
    fs::create_dir(&left).unwrap();
    fs::write(left.join("blob"), "half").unwrap();
    fs::remove_dir_all(aside).unwrap();
    ImageStore::open(&fixture.data_dir()).unwrap();
    fixture.assert_untouched();
}

#[test]
fn layers_that_are_kept_outlive_their_image_until_the_download_ends() {
    require_root!();
    let archive = pack(&saved::image("x").layout());
    let (fixture, report) = import_stream(&archive, None);
    let layers: Vec<Digest> = report.unwrap().layers.iter().map(|layer| layer.diff_id).collect();
    let download = fixture.store.begin_download().unwrap();
    let asked = [layers[0], Digest::of(b"another"), layers[1]];
    for (index, present) in [true, false, true].into_iter().enumerate() {
        assert_eq!(fixture.store.keep_layer(&asked, index, &download).unwrap(), present, "{index}");
    }
    fixture.store.remove(&super::name("image"), &NothingInUse).unwrap();
    fixture.store.prune(&NothingInUse).unwrap();
    let there = names_in(&fixture.data_dir().join("layers"));
    assert!(layers.iter().all(|layer| there.contains(&layer.hexadecimal())), "{there:?}");
    drop(download);
    fixture.store.prune(&NothingInUse).unwrap();
    fixture.assert_untouched();
}
