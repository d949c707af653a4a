//! Drawn images: layers of random entries over few names, so that they meet, and archives with random damage. What is
//! imported is seen by an overlay mount as a model in memory has it; what is refused leaves nothing; nothing is ever written
//! outside.
//!
//! `SANDKASTEN_IMAGE_SECONDS=600` draws for that long, of a new seed; `SANDKASTEN_IMAGE_SEED=N` repeats one: `make test-images`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tar::EntryType;

use super::saved_image::{SavedImage, gzip, merged, pack};
use super::{Fixture, Tarball, name, names_in, require_root};
use crate::{ExportError, ExportTarget};

const CASES: u64 = 60;
const DAMAGED: u64 = 150;
const NAMES: [&str; 3] = ["a", "b", "c"];

/// What an entry is about.
#[derive(Debug, Clone)]
enum Entry {
    File(String, String),
    Directory(String),
    Symlink(String, String),
    Hardlink(String, String),
    Deleted(String),
    Opaque(String),
}

/// A tree: directories, files with their contents, links with their targets.
type Tree = BTreeMap<String, Node>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Directory,
    File(String),
    Link(String),
}

fn draw_path(random: &mut Rng) -> String {
    let depth = random.usize(1..4);
    (0..depth).map(|_| NAMES[random.usize(..NAMES.len())]).collect::<Vec<_>>().join("/")
}

fn draw_entry(random: &mut Rng, number: usize) -> Entry {
    let path = draw_path(random);
    match random.u8(..20) {
        0..6 => Entry::File(path, format!("{number}")),
        6..11 => Entry::Directory(path),
        11 => {
            let target = draw_path(random);
            let target = match random.u8(..4) {
                0 => format!("/{target}"),
                1 => format!("../{target}"),
                2 => format!("../../../../../../{target}"),
                _ => target,
            };
            Entry::Symlink(path, target)
        }
        12..15 => Entry::Hardlink(path, draw_path(random)),
        15..18 => Entry::Deleted(path),
        _ => Entry::Opaque(path),
    }
}

fn archive(layer: &[Entry]) -> Tarball {
    layer.iter().fold(Tarball::new(), |tarball, entry| match entry {
        Entry::File(path, contents) => tarball.file(path, contents),
        Entry::Directory(path) => tarball.directory(path),
        Entry::Symlink(path, target) => tarball.symlink(path, target),
        Entry::Hardlink(path, target) => tarball.hardlink(path, target),
        Entry::Deleted(path) => {
            let (directory, last) =
                path.rsplit_once('/').map_or(("", path.as_str()), |(above, last)| (above, last));
            tarball.file(format!("{directory}/.wh.{last}").trim_start_matches('/'), "")
        }
        Entry::Opaque(path) => tarball.file(&format!("{path}/.wh..wh..opq"), ""),
    })
}

/// One layer on the tree of those below it. None of its steps fails: it is asked only about what was imported.
struct Model<'a> {
    below: &'a Tree,
    own: Tree,
    deleted: BTreeSet<String>,
    opaque: BTreeSet<String>,
}

impl Model<'_> {
    fn apply(below: &Tree, layer: &[Entry]) -> Tree {
        let mut model = Model { below, own: Tree::new(), deleted: BTreeSet::new(), opaque: BTreeSet::new() };
        for entry in layer {
            match entry {
                Entry::File(path, contents) => model.put(path, Node::File(contents.clone())),
                Entry::Symlink(path, target) => model.put(path, Node::Link(target.clone())),
                Entry::Directory(path) => {
                    let path = model.place(path);
                    if model.own.get(&path) != Some(&Node::Directory) {
                        model.put(&path, Node::Directory);
                    }
                }
                Entry::Hardlink(path, target) => {
                    let target = model.settle(target);
                    if !model.own.contains_key(&target) {
                        let node = model.below[&target].clone();
                        model.put(&target, node);
                    }
                    let node = model.own[&target].clone();
                    let path = model.place(path);
                    if path != target {
                        model.put(&path, node);
                    }
                }
                Entry::Deleted(path) => {
                    let path = model.settle(path);
                    model.deleted.insert(path);
                }
                Entry::Opaque(path) => {
                    let path = model.settle(path);
                    model.opaque.insert(path);
                }
            }
        }
        model.finish()
    }

    fn put(&mut self, path: &str, node: Node) {
        let path = self.place(path);
        self.own.retain(|known, _| !is_below(known, &path));
        self.own.insert(path, node);
    }

    /// Where an entry goes, its directories being made.
    fn place(&mut self, path: &str) -> String {
        let Some((directory, last)) = path.rsplit_once('/') else { return path.to_owned() };
        let directory = self.walk(directory, true).expect("the import went well");
        join(&directory, last)
    }

    /// Where a path leads as far as it is known.
    fn settle(&mut self, path: &str) -> String {
        let Some((directory, last)) = path.rsplit_once('/') else { return path.to_owned() };
        self.walk(directory, false).map_or_else(|| path.to_owned(), |directory| join(&directory, last))
    }

    fn walk(&mut self, directory: &str, make: bool) -> Option<String> {
        let mut pending: Vec<String> = directory.rsplit('/').map(str::to_owned).collect();
        let (mut walked, mut links) = (String::new(), 0);
        while let Some(component) = pending.pop() {
            if component == ".." {
                walked = walked.rsplit_once('/').map_or("", |(above, _)| above).to_owned();
                continue;
            }
            let next = join(&walked, &component);
            let hidden = self.is_hidden(&next);
            match (self.own.get(&next), self.below.get(&next).filter(|_| !hidden)) {
                (Some(Node::Directory), _) => {}
                (Some(_), _) => return None,
                (None, Some(Node::Link(target))) => {
                    links += 1;
                    if links > 40 {
                        return None;
                    }
                    if target.starts_with('/') {
                        walked.clear();
                    }
                    pending.extend(target.rsplit('/').filter(|part| !part.is_empty()).map(str::to_owned));
                    continue;
                }
                (None, Some(Node::Directory)) if !make => {}
                (None, _) if make => drop(self.own.insert(next.clone(), Node::Directory)),
                _ => return None,
            }
            walked = next;
        }
        Some(walked)
    }

    fn is_hidden(&self, path: &str) -> bool {
        self.deleted.contains(path) || self.is_hidden_from_above(path)
    }

    fn is_hidden_from_above(&self, path: &str) -> bool {
        above(path).any(|above| self.deleted.contains(above) || self.opaque.contains(above))
    }

    fn finish(self) -> Tree {
        let mut tree = self.own.clone();
        for (path, node) in self.below {
            let covered =
                above(path).any(|above| self.own.get(above).is_some_and(|node| *node != Node::Directory));
            if !self.is_hidden(path) && !covered {
                tree.entry(path.clone()).or_insert_with(|| node.clone());
            }
        }
        // What lost the directory it was in is gone with it.
        let whole = tree.clone();
        tree.retain(|path, _| above(path).all(|above| whole.get(above) == Some(&Node::Directory)));
        tree
    }
}

fn above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(slash, _)| &path[..slash])
}

fn is_below(path: &str, other: &str) -> bool {
    path == other || path.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'))
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// What an overlay mount shows, as a tree.
fn seen(fixture: &Fixture) -> Tree {
    let layers = fixture.store.resolve(&name("image")).unwrap().layers;
    let mut tree = Tree::new();
    for (path, what) in merged(&layers) {
        if path.split('/').next() == Some("etc") {
            continue;
        }
        let what = what.splitn(3, ' ').nth(2).unwrap_or_default();
        let node = match what.strip_prefix("link to ") {
            Some(target) => Node::Link(target.to_owned()),
            None if what == "directory" => Node::Directory,
            None => Node::File(what.to_owned()),
        };
        tree.insert(path, node);
    }
    tree
}

/// How long, and of which seed. Each test draws its share.
fn asked() -> (Option<Duration>, u64) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let seconds: Option<u64> = number("SANDKASTEN_IMAGE_SECONDS");
    let seed = number("SANDKASTEN_IMAGE_SEED");
    let seed = seed.unwrap_or_else(|| if seconds.is_some() { fastrand::u64(..) } else { 11 });
    println!("seed {seed}");
    (seconds.map(|seconds| Duration::from_secs(seconds / 2)), seed)
}

/// Draws cases until there are enough, or the time is over. The case is drawn from its own seed.
fn draw(enough: u64, mut case: impl FnMut(&mut Rng, u64)) {
    let (time, seed) = asked();
    let started = Instant::now();
    for number in 0.. {
        let over = time.map_or(number == enough, |time| started.elapsed() > time);
        if over {
            println!("{number} cases");
            return;
        }
        case(&mut Rng::with_seed(seed.wrapping_add(number)), seed.wrapping_add(number));
    }
}

#[test]
fn a_drawn_image_is_seen_as_the_model_has_it_and_comes_back_the_same() {
    require_root!();
    let (mut imported, mut exported) = (0, 0);
    draw(CASES, |random, seed| {
        let fixture = Fixture::in_memory();
        let layers: Vec<Vec<Entry>> = (0..random.usize(1..5))
            .map(|layer| {
                (0..random.usize(1..9)).map(|entry| draw_entry(random, layer * 10 + entry)).collect()
            })
            .collect();
        let image = SavedImage::new(layers.iter().map(|layer| archive(layer)));
        let Ok(report) = fixture.import(&pack(&image.layout())) else {
            fixture.assert_untouched();
            return;
        };
        imported += 1;
        let model = layers.iter().fold(Tree::new(), |below, layer| Model::apply(&below, layer));
        assert_eq!(seen(&fixture), model, "seed {seed}: {layers:#?}");
        let mut archive = Vec::new();
        let target = ExportTarget::Archive(Box::new(&mut archive));
        match fixture.store.export(&name("image"), target, &mut |_| std::ops::ControlFlow::Continue(())) {
            Ok(_) => {
                exported += 1;
                let again = Fixture::in_memory().import(&archive).unwrap();
                let ids = |layers: &[crate::ImportedLayer]| {
                    layers.iter().map(|layer| layer.diff_id).collect::<Vec<_>>()
                };
                assert_eq!(ids(&again.layers), image.diff_ids(), "seed {seed}");
                assert_eq!(ids(&report.layers), image.diff_ids(), "seed {seed}");
            }
            Err(ExportError::Changed { .. } | ExportError::ReadLayer { .. }) => {
                assert!(report.summary.replaced_entries > 0, "seed {seed}: {layers:#?}");
            }
            Err(error) => panic!("seed {seed}: {error:?}"),
        }
        assert_eq!(fs::read_to_string(fixture.canary()).unwrap(), "alive", "seed {seed}");
    });
    assert!(imported > 0 && exported > 0, "{imported} imported, {exported} exported");
}

#[test]
fn a_damaged_archive_is_imported_or_refused_and_changes_nothing_else() {
    require_root!();
    let (mut imported, mut refused) = (0, 0);
    draw(DAMAGED, |random, seed| {
        let fixture = Fixture::in_memory();
        let layer: Vec<Entry> = (0..random.usize(1..7)).map(|entry| draw_entry(random, entry)).collect();
        let outside = fixture.canary().display().to_string();
        let tarball = archive(&layer)
            .pax(&[("SCHILY.xattr.user.x", b"y"), ("path", b"d/long"), ("mtime", b"1.5")])
            .file("short", "contents")
            .pax(&[("GNU.sparse.map", b"0,1,9,1"), ("GNU.sparse.size", b"12")])
            .file("sparse", "xy")
            .raw(EntryType::GNULongName, "././@LongLink", "", |_| {}, b"e/longer")
            .file("short", "contents")
            .symlink("s", &outside);
        let mut bytes = match random.u8(..3) {
            0 => tarball.bytes(),
            1 => pack(&SavedImage::new([tarball]).layout()),
            _ => pack(&SavedImage::new([tarball]).docker_archive(&["x:1"])),
        };
        match random.u8(..4) {
            0 => bytes.truncate(random.usize(..bytes.len())),
            1 => {
                // Blocks in another order, one of them twice.
                let blocks = bytes.len() / 512;
                let (from, to) = (random.usize(..blocks) * 512, random.usize(..blocks) * 512);
                let block = bytes[from..from + 512].to_vec();
                bytes[to..to + 512].copy_from_slice(&block);
            }
            _ => {
                for _ in 0..random.usize(1..4) {
                    damage(random, &mut bytes);
                }
            }
        }
        let bytes = if random.bool() { bytes } else { gzip(&bytes) };
        match fixture.import(&bytes) {
            Ok(_) => imported += 1,
            Err(_) => {
                refused += 1;
                fixture.assert_untouched();
            }
        }
        assert_eq!(fs::read_to_string(fixture.canary()).unwrap(), "alive", "seed {seed}");
        assert_eq!(names_in(fixture.directory.path()), ["canary", "data"], "seed {seed}");
        assert_inert(&fixture.data_dir().join("layers"), seed);
    });
    assert!(imported > 0 && refused > 0, "{imported} imported, {refused} refused");
}

/// Changes some bytes, and makes the checksum of the header that they are in right again: most damage would not be read any
/// further otherwise.
fn damage(random: &mut Rng, bytes: &mut [u8]) {
    let block = random.usize(..bytes.len() / 512) * 512;
    let block = &mut bytes[block..block + 512];
    let interesting =
        [0, b'/', b'.', b'0', b'7', b'9', b' ', 0xff, 0x80, b'x', b'L', b'K', b'g', b'S', b'1', b'2', b'5'];
    for _ in 0..random.usize(1..5) {
        let place = if random.bool() { random.usize(..512) } else { random.usize(100..160) };
        block[place] =
            if random.bool() { interesting[random.usize(..interesting.len())] } else { random.u8(..) };
    }
    if &block[257..262] == b"ustar" {
        let mut header = tar::Header::from_byte_slice(block).clone();
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
    }
}

/// Nothing but what a layer may have, and no device but the mark of a deletion.
fn assert_inert(directory: &Path, seed: u64) {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let found = fs::symlink_metadata(entry.path()).unwrap();
        let kind = found.file_type();
        if found.is_dir() {
            assert_inert(&entry.path(), seed);
        }
        let mark = kind.is_char_device() && found.rdev() == 0;
        let plain = found.is_dir() || found.is_file() || found.is_symlink();
        assert!(plain || mark, "seed {seed}: {:?}", entry.path());
    }
}
