//! Hostile archives: each is refused or made harmless, and nothing outside the layer changes.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use tar::EntryType;

use super::{Fixture, Tarball, names_in, require_root};
use crate::{HardlinkProblem, LimitError, NameProblem, UnpackError, UnpackLimits};

fn limits(change: impl Fn(&mut UnpackLimits)) -> UnpackLimits {
    let mut limits = UnpackLimits::default();
    change(&mut limits);
    limits
}

#[test]
fn names_that_climb_are_refused() {
    require_root!();
    for bad in ["../canary", "a/../../canary", "..", "/../canary", "a/.."] {
        let error = Fixture::new().refusal(Tarball::new().directory("a").file(bad, "dead"));
        assert!(
            matches!(&error, UnpackError::RefusedName { name, source: NameProblem::ParentComponent } if name == bad),
            "{error:?}"
        );
    }
}

#[test]
fn pax_and_gnu_names_that_climb_are_refused_too() {
    require_root!();
    let pax = Tarball::new().pax(&[("path", b"../../canary")]).file("harmless", "dead");
    assert!(matches!(Fixture::new().refusal(pax), UnpackError::RefusedName { .. }));
    let long = format!("{}../../canary", "a/".repeat(100));
    let gnu = Tarball::new().raw(EntryType::GNULongName, "././@LongLink", "", |_| {}, long.as_bytes());
    assert!(matches!(Fixture::new().refusal(gnu.file("harmless", "dead")), UnpackError::RefusedName { .. }));
    let link = Tarball::new().pax(&[("linkpath", b"../canary")]).hardlink("harmless", "harmless");
    assert!(matches!(Fixture::new().refusal(link), UnpackError::RefusedHardlink { .. }));
}

#[test]
fn absolute_names_end_up_in_the_layer() {
    require_root!();
    let fixture = Fixture::new();
    let canary = fixture.canary();
    let layer = fixture.layer(Tarball::new().file(&canary.to_string_lossy(), "dead"));
    assert_eq!(fs::read_to_string(&canary).unwrap(), "alive");
    assert_eq!(fs::read_to_string(layer.join(canary.strip_prefix("/").unwrap())).unwrap(), "dead");
}

#[test]
fn nothing_is_written_through_a_symlink() {
    require_root!();
    let fixture = Fixture::new();
    let outside = fixture.directory.path().to_string_lossy().into_owned();
    for target in [outside.as_str(), "../..", ".", "/proc/self/root", "loop"] {
        let tarball = || Tarball::new().symlink("loop", target);
        for below in ["loop/canary", "loop/new/file", "loop/a"] {
            assert!(matches!(
                fixture.refusal(tarball().file(below, "dead")),
                UnpackError::ParentIsSymlink { .. }
            ));
            assert!(matches!(
                fixture.refusal(tarball().directory(below)),
                UnpackError::ParentIsSymlink { .. }
            ));
            assert!(matches!(
                fixture.refusal(tarball().symlink(below, "x")),
                UnpackError::ParentIsSymlink { .. }
            ));
            assert!(matches!(
                fixture.refusal(tarball().file("f", "").hardlink(below, "f")),
                UnpackError::ParentIsSymlink { .. }
            ));
        }
    }
}

#[test]
fn a_file_over_a_symlink_replaces_the_link_and_spares_its_target() {
    require_root!();
    let fixture = Fixture::new();
    let canary = fixture.canary().to_string_lossy().into_owned();
    let layer = fixture.layer(Tarball::new().symlink("f", &canary).file("f", "mine"));
    assert_eq!(fs::read_to_string(&canary).unwrap(), "alive");
    assert!(fs::symlink_metadata(layer.join("f")).unwrap().is_file());
    assert_eq!(fs::read_to_string(layer.join("f")).unwrap(), "mine");
}

#[test]
fn a_directory_over_a_symlink_replaces_the_link() {
    require_root!();
    let fixture = Fixture::new();
    let outside = fixture.directory.path().to_string_lossy().into_owned();
    let layer = fixture.layer(Tarball::new().symlink("d", &outside).directory("d").file("d/canary", "mine"));
    assert_eq!(fs::read_to_string(fixture.canary()).unwrap(), "alive");
    assert_eq!(fs::read_to_string(layer.join("d/canary")).unwrap(), "mine");
}

#[test]
fn hardlinks_lead_nowhere_but_to_earlier_entries() {
    require_root!();
    let fixture = Fixture::new();
    let canary = fixture.canary().to_string_lossy().into_owned();
    let outside = fixture.directory.path().to_string_lossy().into_owned();
    let problem = |tarball: Tarball| match fixture.refusal(tarball) {
        UnpackError::RefusedHardlink { source, .. } => source,
        other => panic!("{other:?}"),
    };
    assert!(matches!(problem(Tarball::new().hardlink("l", &canary)), HardlinkProblem::Missing));
    assert!(matches!(problem(Tarball::new().hardlink("l", "../../../canary")), HardlinkProblem::Name { .. }));
    assert!(matches!(problem(Tarball::new().hardlink("l", "/etc/passwd")), HardlinkProblem::Missing));
    assert!(matches!(problem(Tarball::new().hardlink("l", "l")), HardlinkProblem::Missing));
    assert!(matches!(problem(Tarball::new().hardlink("l", "")), HardlinkProblem::NoTarget));
    assert!(matches!(problem(Tarball::new().directory("d").hardlink("l", "d")), HardlinkProblem::Kind));
    for target in ["d/canary", "d/data/x"] {
        let error = problem(Tarball::new().symlink("d", &outside).hardlink("l", target));
        assert!(matches!(error, HardlinkProblem::ThroughSymlink), "{error:?}");
    }
    assert!(matches!(problem(Tarball::new().file("a/b", "").hardlink("a", "a/b")), HardlinkProblem::Missing));
    assert_eq!(fs::metadata(fixture.canary()).unwrap().nlink(), 1);
}

#[test]
fn a_hardlink_to_a_symlink_links_the_link() {
    require_root!();
    let fixture = Fixture::new();
    let canary = fixture.canary().to_string_lossy().into_owned();
    let layer = fixture.layer(Tarball::new().symlink("s", &canary).hardlink("l", "s").file("l", "mine"));
    assert_eq!(fs::read_to_string(fixture.canary()).unwrap(), "alive");
    assert_eq!(fs::metadata(fixture.canary()).unwrap().nlink(), 1);
    assert_eq!(fs::read_to_string(layer.join("l")).unwrap(), "mine");
    assert!(fs::symlink_metadata(layer.join("s")).unwrap().is_symlink());
}

#[test]
fn whiteouts_are_refused_with_their_name() {
    require_root!();
    for bad in [".wh.etc", "etc/.wh..wh..opq", ".wh./x"] {
        let error = Fixture::new().refusal(Tarball::new().directory("etc").file(bad, ""));
        assert!(
            matches!(&error, UnpackError::RefusedName { name, source: NameProblem::Whiteout } if name == bad),
            "{error:?}"
        );
    }
}

#[test]
fn device_nodes_and_pipes_are_skipped_and_counted() {
    require_root!();
    let fixture = Fixture::new();
    let archive = Tarball::new()
        .directory("dev")
        .node(EntryType::Char, "dev/null")
        .node(EntryType::Block, "dev/sda")
        .node(EntryType::Fifo, "dev/initctl")
        .bytes();
    assert_eq!(fixture.import(&archive).unwrap().summary.skipped_nodes, 3);
    assert_eq!(names_in(&fixture.lowest_layer("image").join("dev")), Vec::<String>::new());
}

#[test]
fn orders_to_overlay_mounts_are_dropped_and_capabilities_stay_on_disk() {
    require_root!();
    let fixture = Fixture::new();
    let capability: &[u8] = b"\x01\0\0\x02\0\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let records: &[(&str, &[u8])] = &[
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.user.overlay.opaque", b"y"),
        ("SCHILY.xattr.security.selinux", b"label"),
        ("SCHILY.xattr.security.capability", capability),
        ("SCHILY.xattr.user.kept", b"value"),
    ];
    let archive = Tarball::new().pax(records).file("f", "").pax(&records[..3]).directory("d").bytes();
    assert_eq!(fixture.import(&archive).unwrap().summary.dropped_attributes, 6);
    let layer = fixture.lowest_layer("image");
    assert_eq!(attributes(&layer.join("d")), Vec::<String>::new());
    assert_eq!(attributes(&layer.join("f")), ["security.capability", "user.kept"]);
    let mut value = [0; 64];
    let length = rustix::fs::getxattr(layer.join("f"), "security.capability", &mut value).unwrap();
    assert_eq!(&value[..length], capability);
}

#[test]
fn a_line_break_in_an_attribute_is_kept_and_forges_no_other_record() {
    require_root!();
    let fixture = Fixture::new();
    let forged: &[(&str, &[u8])] =
        &[("SCHILY.xattr.user.a", b"x\n18 path=../canary\n"), ("path", b"renamed")];
    fixture.import(&Tarball::new().pax(forged).file("f", "x").bytes()).unwrap();
    let layer = fixture.lowest_layer("image");
    assert_eq!(names_in(&layer), ["renamed"]);
    let mut value = [0; 64];
    let length = rustix::fs::getxattr(layer.join("renamed"), "user.a", &mut value).unwrap();
    assert_eq!(&value[..length], b"x\n18 path=../canary\n");
    assert_eq!(fs::read_to_string(fixture.canary()).unwrap(), "alive");
}

#[test]
fn too_many_entries_are_refused() {
    require_root!();
    let mut tarball = Tarball::new();
    for index in 0..11 {
        tarball = tarball.file(&format!("f{index}"), "");
    }
    let error = Fixture::new().refusal_of(&tarball.bytes(), &limits(|limits| limits.max_entries = 10));
    assert!(matches!(error, UnpackError::Limit(LimitError::Entries { allowed: 10 })), "{error:?}");
}

#[test]
fn deep_paths_are_refused_with_the_name() {
    require_root!();
    let deep = |depth: usize| Tarball::new().pax(&[("path", "d/".repeat(depth).as_bytes())]).directory("x");
    let error = Fixture::new().refusal(deep(129));
    assert!(matches!(error, UnpackError::Limit(LimitError::Depth { allowed: 128, .. })), "{error:?}");
    let fixture = Fixture::new();
    assert!(fixture.layer(deep(128)).join("d/".repeat(128)).is_dir());
}

#[test]
fn sizes_that_lie_or_go_past_the_limit_are_refused() {
    require_root!();
    let small = limits(|limits| limits.max_bytes = 10_000);
    let error = Fixture::new().refusal_of(&Tarball::new().file("f", &"x".repeat(20_000)).bytes(), &small);
    assert!(matches!(error, UnpackError::Limit(LimitError::Bytes { allowed: 10_000 })), "{error:?}");
    let lie = Tarball::new().raw(EntryType::Regular, "f", "", |header| header.set_size(1 << 62), b"x");
    let error = Fixture::new().refusal(lie);
    assert!(matches!(error, UnpackError::Limit(LimitError::Bytes { .. })), "{error:?}");
    let lie = Tarball::new().raw(EntryType::Regular, "f", "", |header| header.set_size(1 << 20), b"x");
    let error = Fixture::new().refusal(lie);
    assert!(matches!(error, UnpackError::Truncated { .. }), "{error:?}");
}

#[test]
fn a_name_too_large_for_memory_is_refused() {
    require_root!();
    let long = vec![b'a'; 2 << 20];
    let tarball = Tarball::new().raw(EntryType::GNULongName, "././@LongLink", "", |_| {}, &long);
    let error = Fixture::new().refusal(tarball.file("f", ""));
    assert!(matches!(error, UnpackError::Limit(LimitError::Header { .. })), "{error:?}");
}

#[test]
fn a_gzip_bomb_is_refused_by_its_ratio() {
    require_root!();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let plain = Tarball::new().raw(EntryType::Regular, "f", "", |_| {}, &vec![0; 4 << 20]).bytes();
    encoder.write_all(&plain).unwrap();
    let bomb = encoder.finish().unwrap();
    let strict = limits(|limits| (limits.max_ratio, limits.ratio_grace_bytes) = (100, 1 << 20));
    let error = Fixture::new().refusal_of(&bomb, &strict);
    assert!(matches!(error, UnpackError::Limit(LimitError::Ratio { allowed: 100 })), "{error:?}");
    let layer = super::saved_image::SavedImage::new([Tarball::new().raw(
        EntryType::Regular,
        "f",
        "",
        |_| {},
        &vec![0; 4 << 20],
    )]);
    let fixture = Fixture::new();
    let archive = super::saved_image::pack(&layer.layout());
    let error = fixture.store.import_tar(&super::name("image"), archive.as_slice(), &strict).unwrap_err();
    assert!(
        matches!(
            error,
            crate::ImportError::Layer { source: UnpackError::Limit(LimitError::Ratio { .. }), .. }
        ),
        "{error:?}"
    );
    fixture.assert_untouched();
    Fixture::new().import(&bomb).expect("small archives may compress well");
}

#[test]
fn an_archive_without_end_is_refused_in_time() {
    require_root!();
    let strict = limits(|limits| limits.max_duration = Duration::ZERO);
    let error = Fixture::new().refusal_of(&Tarball::new().file("f", "x").bytes(), &strict);
    assert!(matches!(error, UnpackError::Limit(LimitError::Duration { .. })), "{error:?}");
}

#[test]
fn a_root_that_is_no_directory_is_refused() {
    require_root!();
    for tarball in [
        Tarball::new().symlink("./", "/etc"),
        Tarball::new().file(".", "x"),
        Tarball::new().file("f", "").hardlink("/", "f"),
    ] {
        let error = Fixture::new().refusal(tarball);
        assert!(matches!(error, UnpackError::RootIsNotDirectory { .. }), "{error:?}");
    }
}

#[test]
fn a_file_as_parent_is_refused() {
    require_root!();
    let error = Fixture::new().refusal(Tarball::new().file("f", "").file("f/g/h", ""));
    assert!(matches!(error, UnpackError::ParentIsNotDirectory { .. }), "{error:?}");
    let error = Fixture::new().refusal(Tarball::new().file("f", "").file("f/g", ""));
    assert!(matches!(error, UnpackError::ParentIsNotDirectory { .. }), "{error:?}");
}

#[test]
fn unknown_kinds_and_malformed_maps_of_sparse_files_are_refused() {
    require_root!();
    let error = Fixture::new().refusal(Tarball::new().raw(EntryType::new(b'M'), "f", "", |_| {}, b""));
    assert!(matches!(&error, UnpackError::UnsupportedEntry { kind, .. } if kind == "M"), "{error:?}");
    let records =
        |map: &'static [u8]| -> [(&str, &[u8]); 2] { [("GNU.sparse.size", b"10"), ("GNU.sparse.map", map)] };
    for map in
        [&b"0"[..], b"0,2", b"0,1,0,0", b"5,0,4,1", b"10,1", b"18446744073709551615,1", b"0,-1", b"x,1"]
    {
        let error = Fixture::new().refusal(Tarball::new().pax(&records(map)).file("f", "1"));
        assert!(matches!(&error, UnpackError::ReadArchive { .. }), "{map:?}: {error:?}");
    }
    let newest: &[(&str, &[u8])] =
        &[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"10")];
    for contents in ["", "1\n", "9999999\n", "1\n0\n99999999999999999999\n", &"1".repeat(512)] {
        let error = Fixture::new().refusal(Tarball::new().pax(newest).file("f", contents));
        assert!(
            matches!(&error, UnpackError::ReadArchive { .. } | UnpackError::Truncated { .. }),
            "{contents:?}: {error:?}"
        );
    }
}

#[test]
fn an_etc_that_leads_to_the_host_gives_an_account_layer_without_the_host() {
    require_root!();
    for target in ["/etc", "../../../../../../etc", "/proc/self/root/etc"] {
        let fixture = Fixture::new();
        let before = fs::read("/etc/passwd").unwrap();
        assert!(fixture.import(&Tarball::new().symlink("etc", target).bytes()).unwrap().account_layer);
        let image = fixture.store.resolve(&super::name("image")).unwrap();
        let passwd = fs::read_to_string(image.layers[0].join("etc/passwd")).unwrap();
        assert_eq!(passwd.lines().count(), 3, "{passwd}");
        assert_eq!(fs::read("/etc/passwd").unwrap(), before);
    }
}

/// The names of a file's extended attributes.
fn attributes(path: &std::path::Path) -> Vec<String> {
    let mut list = [0_u8; 1024];
    let length = rustix::fs::listxattr(path, &mut list).unwrap();
    let names = list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut names: Vec<String> = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    names.sort();
    names
}
