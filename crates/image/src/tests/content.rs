//! Good archives: what is in the layer afterwards is what was in the archive.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::time::Instant;

use tar::{EntryType, Header};

use super::{Fixture, Tarball, name, names_in, require_root};
use crate::{Compression, ImportError, UnpackError, UnpackLimits};

#[test]
fn owners_modes_and_times_are_kept() {
    require_root!();
    let fixture = Fixture::new();
    let change = |header: &mut Header| {
        header.set_uid(33);
        header.set_gid(44);
        header.set_mode(0o4755);
    };
    let layer = fixture.layer(
        Tarball::new()
            .raw(EntryType::Regular, "suid", "", change, b"x")
            .raw(EntryType::Directory, "closed", "", |header| header.set_mode(0o2500), b"")
            .file("closed/f", "x")
            .pax(&[("mtime", b"1234.5")])
            .symlink("s", "x"),
    );
    let suid = fs::metadata(layer.join("suid")).unwrap();
    assert_eq!((suid.uid(), suid.gid(), suid.mode() & 0o7777, suid.mtime()), (33, 44, 0o4755, 1_700_000_000));
    let closed = fs::metadata(layer.join("closed")).unwrap();
    assert_eq!((closed.mode() & 0o7777, closed.mtime()), (0o2500, 1_700_000_000));
    let link = fs::symlink_metadata(layer.join("s")).unwrap();
    assert_eq!((link.mtime(), link.mtime_nsec()), (1234, 500_000_000));
}

#[test]
fn owners_outside_a_session_become_nobody_and_are_counted() {
    require_root!();
    let fixture = Fixture::new();
    let owner =
        |owner: u64, group: u64| move |header: &mut Header| (header.set_uid(owner), header.set_gid(group)).0;
    let archive = Tarball::new()
        .raw(EntryType::Regular, "high", "", owner(100_000, 5), b"")
        .raw(EntryType::Directory, "group", "", owner(0, 1 << 40), b"")
        .raw(EntryType::Symlink, "last", "x", owner(65_535, 65_535), b"")
        .bytes();
    assert_eq!(fixture.import(&archive).unwrap().summary.clamped_owners, 2);
    let ids = |name: &str| {
        let found = fs::symlink_metadata(fixture.lowest_layer("image").join(name)).unwrap();
        (found.uid(), found.gid())
    };
    assert_eq!((ids("high"), ids("group"), ids("last")), ((65_534, 5), (0, 65_534), (65_535, 65_535)));
}

#[test]
fn the_root_of_a_layer_can_be_entered_and_its_parents_cannot() {
    require_root!();
    let fixture = Fixture::new();
    let change = |header: &mut Header| {
        header.set_uid(1000);
        header.set_mode(0o700);
    };
    let layer =
        fixture.layer(Tarball::new().raw(EntryType::Directory, "./", "", change, b"").file("./f", "x"));
    let root = fs::metadata(&layer).unwrap();
    assert_eq!((root.uid(), root.mode() & 0o7777), (0, 0o755));
    assert_eq!(fs::metadata(layer.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(names_in(&layer), ["f"]);
}

#[test]
fn a_later_entry_takes_the_place_of_an_earlier_one() {
    require_root!();
    let fixture = Fixture::new();
    let archive = Tarball::new()
        .file("twice", "first")
        .file("twice", "second")
        .file("file-then-dir", "x")
        .directory("file-then-dir")
        .file("file-then-dir/f", "in")
        .raw(EntryType::Directory, "dir-then-file", "", |header| header.set_mode(0o700), b"")
        .directory("dir-then-file/a")
        .file("dir-then-file/a/b", "x")
        .file("dir-then-file", "flat")
        .raw(EntryType::Directory, "same", "", |header| header.set_mode(0o700), b"")
        .file("same/kept", "x")
        .directory("same")
        .hardlink("twice-linked", "twice")
        .hardlink("twice-linked", "twice")
        .bytes();
    assert_eq!(fixture.import(&archive).unwrap().summary.replaced_entries, 4);
    let layer = fixture.lowest_layer("image");
    let read = |name: &str| fs::read_to_string(layer.join(name)).unwrap();
    assert_eq!(read("twice"), "second");
    assert_eq!(read("file-then-dir/f"), "in");
    assert_eq!(read("dir-then-file"), "flat");
    assert_eq!(read("same/kept"), "x");
    assert_eq!(fs::metadata(layer.join("same")).unwrap().mode() & 0o777, 0o755);
    assert_eq!(fs::metadata(layer.join("twice-linked")).unwrap().nlink(), 2);
}

#[test]
fn replacing_one_of_two_links_spares_the_other() {
    require_root!();
    let fixture = Fixture::new();
    let layer = fixture.layer(Tarball::new().file("a", "old").hardlink("b", "a").file("b", "new"));
    assert_eq!(fs::read_to_string(layer.join("a")).unwrap(), "old");
    assert_eq!(fs::read_to_string(layer.join("b")).unwrap(), "new");
}

#[test]
fn directories_without_an_entry_are_made() {
    require_root!();
    let fixture = Fixture::new();
    let layer = fixture.layer(Tarball::new().file("a/b/c", "x").directory("d/e/"));
    assert_eq!(fs::read_to_string(layer.join("a/b/c")).unwrap(), "x");
    let implied = fs::metadata(layer.join("a/b")).unwrap();
    assert_eq!((implied.mode() & 0o7777, implied.uid(), implied.mtime()), (0o755, 0, 0));
}

#[test]
fn a_header_for_the_whole_archive_as_git_writes_it_is_no_file() {
    require_root!();
    let comment = b"52 comment=0123456789012345678901234567890123456789\n";
    let with_comment =
        |tarball: Tarball| tarball.raw(EntryType::XGlobalHeader, "pax_global_header", "", |_| {}, comment);
    let first = with_comment(Tarball::new()).file("f", "x");
    // What is said of the header itself is said of no file after it.
    let second = with_comment(first.pax(&[("path", b"elsewhere")])).file("g", "y");
    let fixture = Fixture::new();
    let layer = fixture.layer(second);
    assert_eq!(names_in(&layer), ["f", "g"]);
}

#[test]
fn long_names_and_targets_are_whole() {
    require_root!();
    let fixture = Fixture::new();
    let (long, target) = (format!("{}{}", "n/".repeat(60), "m".repeat(255)), "t".repeat(2000));
    let mut tarball = Tarball::new();
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(1);
    tarball.builder.append_data(&mut header, &long, &b"x"[..]).unwrap();
    let tarball = tarball
        .pax(&[("path", format!("{long}2").as_bytes()), ("linkpath", target.as_bytes())])
        .symlink("short", "short");
    // One byte more than a name may have, by the appended digit.
    assert!(matches!(fixture.refusal(tarball), UnpackError::RefusedName { .. }));
    let mut tarball = Tarball::new();
    tarball.builder.append_data(&mut header, &long, &b"x"[..]).unwrap();
    let layer = fixture.layer(tarball.pax(&[("linkpath", target.as_bytes())]).symlink("link", "short"));
    assert_eq!(fs::read_to_string(layer.join(&long)).unwrap(), "x");
    assert_eq!(fs::read_link(layer.join("link")).unwrap().to_str(), Some(target.as_str()));
}

#[test]
fn a_sparse_file_of_4_gib_takes_no_space() {
    require_root!();
    let fixture = Fixture::new();
    let data = [b'x'; 512];
    let sparse = |header: &mut Header| {
        let gnu = header.as_gnu_mut().unwrap();
        gnu.sparse[0].set_offset(0);
        gnu.sparse[0].set_length(512);
        gnu.sparse[1].set_offset(4 << 30);
        gnu.sparse[1].set_length(0);
        gnu.set_real_size(4 << 30);
    };
    let start = Instant::now();
    let layer =
        fixture.layer(Tarball::new().raw(EntryType::GNUSparse, "disk", "", sparse, &data).file("f", "x"));
    let disk = fs::metadata(layer.join("disk")).unwrap();
    assert_eq!(disk.len(), 4 << 30);
    assert!(disk.blocks() < 1000, "{} blocks", disk.blocks());
    assert_eq!(fs::read_to_string(layer.join("f")).unwrap(), "x");
    println!("4 GiB of holes took {:?}", start.elapsed());
}

#[test]
fn sparse_files_of_each_version_that_pax_has_are_whole() {
    require_root!();
    let fixture = Fixture::new();
    let map = format!("{:\0<512}", "2\n4294967296\n3\n4294967306\n2\n");
    let layer = fixture.layer(
        Tarball::new()
            .pax(&[
                ("GNU.sparse.size", b"14"),
                ("GNU.sparse.numblocks", b"2"),
                ("GNU.sparse.offset", b"1"),
                ("GNU.sparse.numbytes", b"3"),
                ("GNU.sparse.offset", b"10"),
                ("GNU.sparse.numbytes", b"2"),
            ])
            .file("oldest", "abcde")
            .pax(&[
                ("GNU.sparse.size", b"14"),
                ("GNU.sparse.map", b"1,3,10,2"),
                ("GNU.sparse.name", b"older"),
            ])
            .file("GNUSparseFile.0/older", "abcde")
            .pax(&[
                ("GNU.sparse.major", b"1"),
                ("GNU.sparse.minor", b"0"),
                ("GNU.sparse.name", b"newest"),
                ("GNU.sparse.realsize", b"4294967310"),
            ])
            .file("GNUSparseFile.0/newest", &format!("{map}abcde"))
            .file("after", "x"),
    );
    assert_eq!(names_in(&layer), ["after", "newest", "older", "oldest"]);
    for name in ["oldest", "older"] {
        assert_eq!(fs::read(layer.join(name)).unwrap(), b"\0abc\0\0\0\0\0\0de\0\0", "{name}");
    }
    let newest = fs::File::open(layer.join("newest")).unwrap();
    let found = newest.metadata().unwrap();
    assert_eq!(found.len(), 4_294_967_310);
    assert!(found.blocks() < 1000, "{} blocks", found.blocks());
    let mut end = [0; 14];
    newest.read_exact_at(&mut end, 4_294_967_296).unwrap();
    assert_eq!(&end, b"abc\0\0\0\0\0\0\0de\0\0");
}

#[test]
fn an_archive_of_10_000_files_is_unpacked_whole() {
    require_root!();
    let fixture = Fixture::in_memory();
    let mut tarball = Tarball::new();
    for index in 0..10_000 {
        tarball = tarball.file(&format!("d{}/f{index}", index / 100), "x");
    }
    let report = fixture.import(&tarball.bytes()).unwrap();
    assert_eq!(report.summary.entries, 10_000);
    let layer = fixture.lowest_layer("image");
    assert_eq!((names_in(&layer).len(), names_in(&layer.join("d99")).len()), (100, 100));
}

#[test]
fn runs_of_zeros_become_holes_and_stay_zeros() {
    require_root!();
    let fixture = Fixture::new();
    let mut contents = vec![0; 300_000];
    contents.push(b'x');
    contents.extend(vec![0; 300_000]);
    let layer = fixture.layer(Tarball::new().raw(EntryType::Regular, "f", "", |_| {}, &contents));
    assert_eq!(fs::read(layer.join("f")).unwrap(), contents);
}

#[test]
fn compression_is_told_by_content_and_changes_nothing() {
    require_root!();
    let fixture = Fixture::new();
    let plain = Tarball::new().file("f", &"content ".repeat(1000)).bytes();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    let report = fixture.import_as("plain", &plain).unwrap();
    let layer = report.layers[0];
    assert_eq!((layer.compression, layer.was_present), (Some(Compression::None), false));
    for (archive, compression) in [
        (gzip.finish().unwrap(), Compression::Gzip),
        (zstd, Compression::Zstd),
        (xz(&plain), Compression::Xz),
    ] {
        let again = fixture.import_as("other", &archive).unwrap();
        assert_eq!((again.layers[0].compression, again.layers[0].was_present), (Some(compression), true));
        assert_eq!(again.digest, report.digest);
    }
    assert_eq!(fixture.lowest_layer("plain"), fixture.lowest_layer("other"));
    let hash = report.digest.strip_prefix("sha256:").unwrap().to_owned();
    assert!(fixture.lowest_layer("plain").ends_with(hash));
}

#[test]
fn other_compressions_and_what_is_no_archive_are_named() {
    require_root!();
    let fixture = Fixture::new();
    let limits = UnpackLimits::default();
    let bzip2 = fixture.refusal_of(b"BZh9rest", &limits);
    assert!(matches!(bzip2, UnpackError::UnsupportedCompression { found: "bzip2" }), "{bzip2:?}");
    assert!(matches!(fixture.refusal_of(b"\xfd7zXZ\0rest", &limits), UnpackError::ReadArchive { .. }));
    assert!(matches!(fixture.refusal_of(&[b'x'; 2000], &limits), UnpackError::ReadArchive { .. }));
    assert!(matches!(fixture.refusal_of(b"", &limits), UnpackError::Truncated { position: 0 }));
    assert!(matches!(fixture.refusal_of(&[0; 1024], &limits), UnpackError::Empty));
}

#[test]
fn an_xz_dictionary_that_would_not_fit_into_memory_is_refused() {
    require_root!();
    let fixture = Fixture::new();
    // The size of the dictionary is one byte of the first block's header, behind its size and flags, and the filter's id and
    // size of properties; the checksum comes after.
    let mut archive = xz(&Tarball::new().file("f", "x").bytes());
    let header = 12..12 + (usize::from(archive[12]) + 1) * 4;
    archive[header.start + 4] = 40;
    let mut checksum = flate2::Crc::new();
    checksum.update(&archive[header.start..header.end - 4]);
    archive[header.end - 4..header.end].copy_from_slice(&checksum.sum().to_le_bytes());
    let error = fixture.refusal_of(&archive, &UnpackLimits::default());
    let UnpackError::ReadArchive { source, .. } = error else { panic!("{error:?}") };
    assert!(source.to_string().contains("memory"), "{source}");
}

fn xz(plain: &[u8]) -> Vec<u8> {
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

#[test]
fn an_image_gets_the_name_of_the_session_user() {
    require_root!();
    let fixture = Fixture::new();
    let archive = Tarball::new().file("etc/passwd", "root:x:0:0::/root:/bin/sh\n").bytes();
    assert!(fixture.import(&archive).unwrap().account_layer);
    let image = fixture.store.resolve(&name("image")).unwrap();
    assert_eq!(image.layers.len(), 2);
    let passwd = fs::read_to_string(image.layers[0].join("etc/passwd")).unwrap();
    assert!(passwd.starts_with("root:x:0:0::/root:/bin/sh\nsandbox:x:1000:1000:"), "{passwd}");
    assert!(fs::read_to_string(image.layers[0].join("etc/group")).unwrap().contains("sandbox:x:1000:\n"));
    let complete = Tarball::new()
        .file("etc/passwd", "u:x:1000:1000::/:/bin/sh\n")
        .file("etc/group", "u:x:1000:\n")
        .bytes();
    assert!(!fixture.import_as("complete", &complete).unwrap().account_layer);
    assert_eq!(fixture.store.resolve(&name("complete")).unwrap().layers.len(), 1);
}

#[test]
fn the_built_in_name_is_reserved() {
    let fixture = Fixture::new();
    let error = fixture.import_as("host", &Tarball::new().file("f", "").bytes()).unwrap_err();
    assert!(matches!(error, ImportError::Reserved { .. }));
}
