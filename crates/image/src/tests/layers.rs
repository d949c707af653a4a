//! Layers on each other: what a session sees is what the image has.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use tar::{EntryType, Header};

use super::saved_image::{SavedImage, merged, pack};
use super::{Fixture, Tarball, name, names_in, require_root};
use crate::{HardlinkProblem, ImportError, LimitError, NameProblem, UnpackError, UnpackLimits};

/// Imports an image of these layers, lowest first, and returns what is seen of it, but for what the account layer adds.
fn seen(fixture: &Fixture, layers: impl IntoIterator<Item = Tarball>) -> BTreeMap<String, String> {
    fixture.import(&pack(&SavedImage::new(layers).layout())).unwrap();
    let mut tree = merged(&fixture.store.resolve(&name("image")).unwrap().layers);
    for added in ["etc", "etc/passwd", "etc/group"] {
        tree.remove(added);
    }
    tree
}

fn names(tree: &BTreeMap<String, String>) -> Vec<&str> {
    tree.keys().map(String::as_str).collect()
}

fn owned(tarball: Tarball, kind: EntryType, name: &str, owner: u64, mode: u32) -> Tarball {
    tarball.raw(
        kind,
        name,
        "",
        |header: &mut Header| {
            header.set_uid(owner);
            header.set_gid(owner);
            header.set_mode(mode);
        },
        b"",
    )
}

/// Imports an image that must be refused, and returns why its layer was.
fn refusal(layers: impl IntoIterator<Item = Tarball>) -> UnpackError {
    let fixture = Fixture::new();
    let error = fixture.import(&pack(&SavedImage::new(layers).layout())).unwrap_err();
    fixture.assert_untouched();
    match error {
        ImportError::Layer { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_an_upper_layer_deletes_is_gone_and_all_else_stays() {
    require_root!();
    let tree = seen(
        &Fixture::new(),
        [
            Tarball::new().file("f", "1").file("kept", "1").directory("d").file("d/a", "1").file("d/b", "1"),
            Tarball::new().file("g", "2").directory("d").file("d/.wh.a", ""),
            Tarball::new().file(".wh.f", "").file("g", "3"),
        ],
    );
    assert_eq!(names(&tree), ["d", "d/b", "g", "kept"]);
    assert_eq!(tree["g"], "644 0:0 3");
}

#[test]
fn a_deletion_and_what_comes_in_its_place_are_in_any_order() {
    require_root!();
    let lower =
        || Tarball::new().directory("d").file("d/old", "1").directory("e").file("e/old", "1").file("f", "1");
    let deletions = |tarball: Tarball| tarball.file(".wh.d", "").file("e/.wh..wh..opq", "").file(".wh.f", "");
    let new = |tarball: Tarball| {
        tarball.directory("d").file("d/new", "2").directory("e").file("e/new", "2").file("f", "2")
    };
    for upper in [new(deletions(Tarball::new())), deletions(new(Tarball::new()))] {
        let tree = seen(&Fixture::new(), [lower(), upper]);
        assert_eq!(names(&tree), ["d", "d/new", "e", "e/new", "f"]);
        assert_eq!(tree["f"], "644 0:0 2");
    }
}

#[test]
fn deletions_reach_only_the_layers_below() {
    require_root!();
    let tree = seen(
        &Fixture::new(),
        [
            Tarball::new().directory("d").file("d/f", "1"),
            Tarball::new().file(".wh.d", ""),
            Tarball::new().directory("d").file("d/g", "3"),
        ],
    );
    assert_eq!(names(&tree), ["d", "d/g"]);
}

#[test]
fn a_deletion_of_nothing_leaves_no_trace() {
    require_root!();
    let layers = || {
        [
            Tarball::new().directory("d").file("d/f", "1"),
            Tarball::new()
                .file(".wh.nothing", "")
                .file("d/.wh.nothing", "")
                .file("nowhere/.wh.x", "")
                .file("nowhere/.wh..wh..opq", "")
                .file("d/f/.wh.x", "")
                .file("d/f/.wh..wh..opq", "")
                .directory("new")
                .file("new/.wh.x", ""),
        ]
    };
    assert_eq!(names(&seen(&Fixture::new(), layers())), ["d", "d/f", "new"]);
    let lowest =
        [Tarball::new().directory("d").file("d/.wh.f", "").file(".wh.g", "").file("d/.wh..wh..opq", "")];
    assert_eq!(names(&seen(&Fixture::new(), lowest)), ["d"]);
}

#[test]
fn an_opaque_root_hides_all_of_it() {
    require_root!();
    let tree = seen(
        &Fixture::new(),
        [
            Tarball::new().directory("d").file("d/f", "1").file("g", "1").symlink("l", "g"),
            Tarball::new().file(".wh..wh..opq", "").directory("d").file("d/new", "2"),
        ],
    );
    assert_eq!(names(&tree), ["d", "d/new"]);
}

#[test]
fn an_opaque_directory_without_an_entry_keeps_its_attributes() {
    require_root!();
    let lower = owned(Tarball::new(), EntryType::Directory, "d", 33, 0o750).file("d/f", "1");
    let tree = seen(&Fixture::new(), [lower, Tarball::new().file("d/.wh..wh..opq", "")]);
    assert_eq!(names(&tree), ["d"]);
    assert_eq!(tree["d"], "750 33:33 directory");
}

#[test]
fn directories_without_an_entry_keep_the_attributes_they_have_below() {
    require_root!();
    let lower = owned(Tarball::new(), EntryType::Directory, "a", 33, 0o750);
    let lower = owned(lower, EntryType::Directory, "a/b", 44, 0o1777);
    let records: &[(&str, &[u8])] = &[("SCHILY.xattr.user.mark", b"x")];
    let lower = lower.pax(records).raw(EntryType::Directory, "a/c", "", |header| header.set_mtime(7), b"");
    let fixture = Fixture::new();
    let tree =
        seen(&fixture, [lower, Tarball::new().file("a/b/f", "2").file("a/c/f", "2").file("new/f", "2")]);
    assert_eq!(tree["a"], "750 33:33 directory");
    assert_eq!(tree["a/b"], "1777 44:44 directory");
    assert_eq!(tree["new"], "755 0:0 directory");
    let layers = fixture.store.resolve(&name("image")).unwrap().layers;
    let upper = layers.iter().find(|layer| layer.join("a/c/f").exists()).unwrap();
    assert_eq!(fs::metadata(upper.join("a/c")).unwrap().mtime(), 7);
    let mut value = [0; 4];
    assert_eq!(rustix::fs::getxattr(upper.join("a/c"), "user.mark", &mut value), Ok(1));
}

#[test]
fn entries_below_a_link_of_a_lower_layer_go_where_it_leads_in_the_image() {
    require_root!();
    let fixture = Fixture::new();
    let outside = fixture.directory.path().to_string_lossy().into_owned();
    let lower = Tarball::new()
        .directory("usr")
        .directory("usr/bin")
        .file("usr/bin/old", "1")
        .file("usr/bin/gone", "1")
        .symlink("bin", "usr/bin")
        .symlink("sbin", "/usr/../bin")
        .symlink("up", &format!("{}{outside}", "../".repeat(20)));
    let upper = Tarball::new().file("bin/new", "2").file("sbin/.wh.gone", "").file("up/canary", "2");
    let tree = seen(&fixture, [lower, upper]);
    assert_eq!(tree["bin"], "777 0:0 link to usr/bin");
    assert_eq!(tree["usr/bin/new"], "644 0:0 2");
    assert!(tree.contains_key("usr/bin/old") && !tree.contains_key("usr/bin/gone"), "{tree:?}");
    assert_eq!(tree[&format!("{}/canary", outside.trim_start_matches('/'))], "644 0:0 2");
    assert_eq!(fs::read_to_string(fixture.canary()).unwrap(), "alive");
}

#[test]
fn entries_after_the_deletion_of_a_link_do_not_go_where_it_led() {
    require_root!();
    for deletion in ["d/.wh..wh..opq", "d/.wh.a"] {
        let lower = Tarball::new().directory("b").directory("d").symlink("d/a", "../b");
        let upper = Tarball::new().file("d/a/x", "2").file(deletion, "").file("d/a/y", "2");
        let tree = seen(&Fixture::new(), [lower, upper]);
        assert_eq!(names(&tree), ["b", "b/x", "d", "d/a", "d/a/y"], "{deletion}");
    }
}

#[test]
fn links_of_lower_layers_without_end_are_refused() {
    require_root!();
    let lower = Tarball::new().symlink("a", "b").symlink("b", "a");
    let error = refusal([lower, Tarball::new().file("a/f", "")]);
    assert!(matches!(error, UnpackError::ParentIsSymlink { .. }), "{error:?}");
}

#[test]
fn a_directory_takes_the_place_of_a_file_below_and_the_other_way_round() {
    require_root!();
    let lower = Tarball::new().file("f", "1").directory("d").file("d/x", "1").symlink("s", "d");
    let upper = Tarball::new().file("f/in", "2").file("d", "2").directory("s").file("s/y", "2");
    let tree = seen(&Fixture::new(), [lower, upper]);
    assert_eq!(names(&tree), ["d", "f", "f/in", "s", "s/y"]);
    assert_eq!(tree["d"], "644 0:0 2");
}

#[test]
fn a_hard_link_to_a_lower_layer_makes_both_names_one_file() {
    require_root!();
    let fixture = Fixture::new();
    let change = |header: &mut Header| (header.set_uid(7), header.set_mode(0o4755)).0;
    let contents = [vec![b'x'; 5000], vec![0; 300_000], vec![b'y'; 10]].concat();
    let lower = Tarball::new()
        .directory("d")
        .pax(&[("SCHILY.xattr.user.mark", b"x")])
        .raw(EntryType::Regular, "d/f", "", change, &contents)
        .symlink("s", "d/f")
        .symlink("e", "d");
    let upper = Tarball::new().hardlink("l", "d/f").hardlink("t", "s").hardlink("m", "e/f");
    let tree = seen(&fixture, [lower, upper]);
    assert_eq!(tree["t"], "777 0:0 link to d/f");
    assert!(tree["l"].starts_with("4755 7:0 xxx"));
    let layers = fixture.store.resolve(&name("image")).unwrap().layers;
    let upper = layers.iter().find(|layer| layer.join("l").exists()).unwrap();
    assert_eq!(fs::read(upper.join("d/f")).unwrap(), contents);
    let (first, second) = (fs::metadata(upper.join("d/f")).unwrap(), fs::metadata(upper.join("l")).unwrap());
    assert_eq!((first.ino(), first.nlink(), first.mtime()), (second.ino(), 3, 1_700_000_000));
    let mut value = [0; 4];
    assert_eq!(rustix::fs::getxattr(upper.join("l"), "user.mark", &mut value), Ok(1));
}

#[test]
fn a_hard_link_leads_to_nothing_that_is_not_there() {
    require_root!();
    let lower = || Tarball::new().directory("d").file("d/f", "1");
    for (upper, expected) in [
        (Tarball::new().hardlink("l", "d/none"), HardlinkProblem::Missing),
        (Tarball::new().file("d/.wh.f", "").hardlink("l", "d/f"), HardlinkProblem::Missing),
        (Tarball::new().file(".wh.d", "").hardlink("l", "d/f"), HardlinkProblem::Missing),
        (Tarball::new().hardlink("l", "d"), HardlinkProblem::Kind),
        (Tarball::new().symlink("s", "d").hardlink("l", "s/f"), HardlinkProblem::ThroughSymlink),
    ] {
        let error = refusal([lower(), upper]);
        let UnpackError::RefusedHardlink { source, .. } = error else { panic!("{error:?}") };
        assert_eq!(source.to_string(), expected.to_string());
    }
}

#[test]
fn copies_of_lower_files_count_against_the_limit() {
    require_root!();
    let fixture = Fixture::new();
    let sparse = |header: &mut Header| {
        let gnu = header.as_gnu_mut().unwrap();
        gnu.sparse[0].set_offset(1 << 30);
        gnu.sparse[0].set_length(0);
        gnu.set_real_size(1 << 30);
    };
    let lower = Tarball::new().raw(EntryType::GNUSparse, "disk", "", sparse, b"");
    let image = SavedImage::new([lower, Tarball::new().hardlink("l", "disk")]);
    let limits = UnpackLimits { max_bytes: 3 << 29, ..UnpackLimits::default() };
    let error =
        fixture.store.import_tar(&name("image"), pack(&image.layout()).as_slice(), &limits).unwrap_err();
    let ImportError::Layer { source, .. } = error else { panic!("{error:?}") };
    assert!(matches!(source, UnpackError::Limit(LimitError::Bytes { .. })), "{source:?}");
    fixture.assert_untouched();
}

#[test]
fn names_that_only_look_like_deletions_are_refused_with_their_name() {
    require_root!();
    for bad in [".wh.", "d/.wh..", "d/.wh...", "d/.wh.x/y", "d/.wh..wh.x", ".wh..wh..opq/x"] {
        let error = refusal([Tarball::new().directory("d"), Tarball::new().file(bad, "")]);
        assert!(
            matches!(&error, UnpackError::RefusedName { name, source: NameProblem::Whiteout } if name == bad),
            "{error:?}"
        );
    }
    let error = refusal([Tarball::new().directory("d"), Tarball::new().file("../.wh.d", "")]);
    assert!(matches!(error, UnpackError::RefusedName { source: NameProblem::ParentComponent, .. }));
}

#[test]
fn marks_of_overlay_mounts_in_an_archive_delete_nothing() {
    require_root!();
    let upper = Tarball::new()
        .raw(
            EntryType::Char,
            "f",
            "",
            |header| {
                header.set_device_major(0).unwrap();
                header.set_device_minor(0).unwrap();
            },
            b"",
        )
        .pax(&[("SCHILY.xattr.user.overlay.opaque", b"y"), ("SCHILY.xattr.trusted.overlay.opaque", b"y")])
        .directory("d")
        .pax(&[("SCHILY.xattr.user.overlay.whiteout", b"y")])
        .file("g", "");
    let lower = Tarball::new().file("f", "1").directory("d").file("d/x", "1").file("g", "1");
    let tree = seen(&Fixture::new(), [lower, upper]);
    assert_eq!(names(&tree), ["d", "d/x", "f", "g"]);
}

#[test]
fn what_aufs_has_left_in_old_layers_is_no_part_of_the_image() {
    require_root!();
    let lower =
        Tarball::new().directory(".wh..wh.plnk").file(".wh..wh.plnk/1.2", "x").file(".wh..wh.aufs", "x");
    assert_eq!(names(&seen(&Fixture::new(), [lower.file("f", "1")])), ["f"]);
}

#[test]
fn layers_that_stand_by_themselves_are_shared_whatever_lies_below() {
    require_root!();
    let fixture = Fixture::new();
    let (one, two) = (|| Tarball::new().file("one", "1"), || Tarball::new().file("two", "2"));
    let top = || Tarball::new().directory("d").file("d/f", "3");
    fixture.import_as("a", &pack(&SavedImage::new([one(), top()]).layout())).unwrap();
    let report = fixture.import_as("b", &pack(&SavedImage::new([two(), top()]).layout())).unwrap();
    let present: Vec<bool> = report.layers.iter().map(|layer| layer.was_present).collect();
    assert_eq!(present, [false, true]);
    // Nothing of a layer that the store has is even read.
    let mut files = SavedImage::new([two(), top()]).layout();
    for contents in files.values_mut().filter(|contents| contents.starts_with(&[0x1f, 0x8b])) {
        contents.clear();
    }
    let report = fixture.import_as("c", &pack(&files)).unwrap();
    assert!(report.layers.iter().all(|layer| layer.was_present && layer.compression.is_none()));
}

#[test]
fn layers_that_depend_on_those_below_are_shared_only_on_the_same() {
    require_root!();
    let fixture = Fixture::new();
    let lower = |text: &str| Tarball::new().directory("d").file("d/f", text);
    let top = || Tarball::new().file("d/.wh.f", "").file("d/g", "2");
    let import = |image: &str, layers: [Tarball; 2]| {
        let report = fixture.import_as(image, &pack(&SavedImage::new(layers).layout())).unwrap();
        report.layers.iter().map(|layer| layer.was_present).collect::<Vec<_>>()
    };
    assert_eq!(import("a", [lower("1"), top()]), [false, false]);
    assert_eq!(import("b", [Tarball::new().file("x", ""), top()]), [false, false]);
    assert_eq!(import("c", [lower("1"), top()]), [true, true]);
    let tree = merged(&fixture.store.resolve(&name("b")).unwrap().layers);
    assert!(tree.contains_key("d/g") && !tree.contains_key("d/f"), "{tree:?}");
}

#[test]
fn a_layer_that_comes_twice_is_stacked_once_and_on_top() {
    require_root!();
    let fixture = Fixture::new();
    let twice = || Tarball::new().directory("d").file("d/f", "1").file("x", "1");
    let between = Tarball::new().file("d/f", "2").file(".wh.x", "").file("d/g", "2");
    let tree = seen(&fixture, [twice(), between, twice()]);
    assert_eq!(names(&tree), ["d", "d/f", "d/g", "x"]);
    assert_eq!(tree["d/f"], "644 0:0 1");
    let image = fixture.store.resolve(&name("image")).unwrap();
    assert_eq!((image.diff_ids.len(), image.layers.len()), (3, 3));
}

#[test]
fn removing_an_image_leaves_the_layers_that_another_has() {
    require_root!();
    let fixture = Fixture::new();
    let base = || Tarball::new().directory("d").file("d/f", "1");
    let image = |text: &str| SavedImage::new([base(), Tarball::new().file("d/.wh.f", "").file("own", text)]);
    fixture.import_as("a", &pack(&image("a").layout())).unwrap();
    fixture.import_as("b", &pack(&image("b").layout())).unwrap();
    fixture.remove("a");
    let tree = merged(&fixture.store.resolve(&name("b")).unwrap().layers);
    assert_eq!(tree["own"], "644 0:0 b");
    fixture.remove("b");
    assert_eq!(names_in(&fixture.data_dir().join("layers")), Vec::<String>::new());
}
