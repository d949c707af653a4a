//! Removing images and pruning layers.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{Fixture, Tarball, name, names_in, require_root};
use crate::{ImageName, NothingInUse, PruneError, RemoveImageError, ResolveImageError, Usage};

struct Using {
    image: Option<ImageName>,
    layers: Vec<PathBuf>,
}

impl Usage for Using {
    fn image_in_use(&self, name: &ImageName) -> bool {
        self.image.as_ref() == Some(name)
    }

    fn layer_in_use(&self, layer: &Path) -> bool {
        self.layers.iter().any(|used| used == layer)
    }
}

#[test]
fn removing_keeps_the_layers_of_other_images() {
    require_root!();
    let fixture = Fixture::new();
    let shared = Tarball::new().file("f", "shared").bytes();
    fixture.import_as("one", &shared).unwrap();
    fixture.import_as("two", &shared).unwrap();
    let layers = fixture.store.resolve(&name("two")).unwrap().layers;
    let report = fixture.store.remove(&name("one"), &NothingInUse).unwrap();
    assert_eq!((report.removed_layers.len(), report.kept_layers), (0, layers.clone()));
    assert!(layers.iter().all(|layer| layer.is_dir()));
    let report = fixture.store.remove(&name("two"), &NothingInUse).unwrap();
    assert_eq!(report.removed_layers, layers);
    fixture.assert_untouched();
}

#[test]
fn what_is_in_use_or_built_in_is_not_removed() {
    require_root!();
    let fixture = Fixture::new();
    fixture.import(&Tarball::new().file("f", "x").bytes()).unwrap();
    let using = Using { image: Some(name("image")), layers: Vec::new() };
    let error = fixture.store.remove(&name("image"), &using).unwrap_err();
    assert!(matches!(error, RemoveImageError::InUse { .. }));
    fixture.store.resolve(&name("image")).unwrap();
    let error = fixture.store.remove(&ImageName::host(), &NothingInUse).unwrap_err();
    assert!(matches!(error, RemoveImageError::Reserved { .. }));
    let error = fixture.store.remove(&name("other"), &NothingInUse).unwrap_err();
    assert!(matches!(error, RemoveImageError::NotPresent { .. }));
}

#[test]
fn layers_of_a_replaced_image_stay_until_they_are_pruned() {
    require_root!();
    let fixture = Fixture::new();
    let old = fixture.layer(Tarball::new().file("f", "old"));
    let report = fixture.import(&Tarball::new().file("f", "new").bytes()).unwrap();
    assert!(report.replaced.is_some_and(|digest| digest != report.digest));
    assert!(old.is_dir());
    let running = Using { image: None, layers: vec![old.clone()] };
    assert_eq!(fixture.store.prune(&running).unwrap().kept_layers, std::slice::from_ref(&old));
    assert!(old.is_dir());
    assert_eq!(fixture.store.prune(&NothingInUse).unwrap().removed_layers, std::slice::from_ref(&old));
    assert!(!old.exists());
    assert_eq!(fs::read_to_string(fixture.lowest_layer("image").join("f")).unwrap(), "new");
}

#[test]
fn a_held_image_keeps_its_layers_although_it_is_removed_or_replaced() {
    require_root!();
    let fixture = Fixture::new();
    let old = fixture.layer(Tarball::new().file("f", "old"));
    let (image, held) = fixture.store.hold(&name("image")).unwrap();
    assert!(image.layers.contains(&old) && image.layer_names().len() == image.layers.len());
    fixture.import(&Tarball::new().file("f", "new").bytes()).unwrap();
    assert_eq!(fixture.store.prune(&NothingInUse).unwrap().kept_layers, std::slice::from_ref(&old));
    let (_, held_too) = fixture.store.hold(&name("image")).unwrap();
    assert!(fixture.store.remove(&name("image"), &NothingInUse).unwrap().removed_layers.is_empty());
    assert!(matches!(fixture.store.hold(&name("image")), Err(ResolveImageError::NotPresent { .. })));
    drop(held);
    assert_eq!(fixture.store.prune(&NothingInUse).unwrap().removed_layers, std::slice::from_ref(&old));
    drop(held_too);
    assert!(!fixture.store.prune(&NothingInUse).unwrap().removed_layers.is_empty());
}

/// Says that nothing is in use, and looks whether anybody could begin to hold a layer meanwhile.
#[derive(Default)]
struct Latecomer(AtomicBool);

impl Usage for Latecomer {
    fn image_in_use(&self, _name: &ImageName) -> bool {
        false
    }

    fn layer_in_use(&self, layer: &Path) -> bool {
        let layer = File::open(layer).unwrap();
        let late = flock(&layer, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK);
        self.0.store(late, Ordering::Relaxed);
        false
    }
}

#[test]
fn nobody_begins_to_hold_a_layer_between_the_question_and_its_removal() {
    require_root!();
    let fixture = Fixture::new();
    let layer = fixture.layer(Tarball::new().file("f", "x"));
    let latecomer = Latecomer::default();
    fixture.store.remove(&name("image"), &latecomer).unwrap();
    assert!(latecomer.0.into_inner() && !layer.exists());
}

#[test]
fn a_damaged_manifest_hides_no_other_image_and_stops_pruning() {
    require_root!();
    let fixture = Fixture::new();
    let layer = fixture.layer(Tarball::new().file("f", "x"));
    let images = fixture.data_dir().join("images");
    fs::write(images.join("broken.json"), "{").unwrap();
    fs::write(images.join("Not A Name.json"), "{}").unwrap();
    let listing = fixture.store.list().unwrap();
    let names: Vec<&str> = listing.images.iter().map(|image| image.name.as_str()).collect();
    assert_eq!(names, ["host", "image"]);
    let broken: Vec<&str> = listing.broken.iter().map(|image| image.name.as_str()).collect();
    assert_eq!(broken, ["broken", "Not A Name.json"]);
    assert!(matches!(fixture.store.prune(&NothingInUse), Err(PruneError::Manifest { .. })));
    fixture.remove("image");
    assert!(layer.is_dir(), "its layers may be those of the damaged image");
    fixture.remove("broken");
    fixture.store.prune(&NothingInUse).unwrap();
    assert!(!layer.exists());
}

#[test]
fn a_manifest_cannot_name_a_directory_elsewhere() {
    require_root!();
    let fixture = Fixture::new();
    fixture.import(&Tarball::new().file("f", "x").bytes()).unwrap();
    let path = fixture.data_dir().join("images/image.json");
    let hash = fixture.lowest_layer("image").file_name().unwrap().to_string_lossy().into_owned();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(&format!("\"{hash}\""), "\"../..\"")).unwrap();
    let error = fixture.store.resolve(&name("image")).unwrap_err();
    assert!(matches!(error, ResolveImageError::Manifest { .. }), "{error:?}");
    fixture.remove("image");
    assert_eq!(names_in(fixture.directory.path()), ["canary", "data"]);
}
