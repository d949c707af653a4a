//! What an archive cannot make of a user's directory, and what it can.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use sandkasten_isolation::host::RootDirectory;
use tar::{Builder, EntryType, Header};

use crate::{ArchiveFormat, PieceReader, PieceWriter, UnpackArchiveError, pack, unpack};

const UMASK: u32 = 0o027;

/// A directory `target` to unpack into, and beside it one that is none of the archive's business.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["target", "outside"] {
            fs::create_dir(directory.path().join(name)).expect("made");
        }
        fs::write(directory.path().join("outside/file"), "secret").expect("written");
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn root(&self) -> RootDirectory {
        RootDirectory::of_caller(fs::File::open(self.path("target")).expect("opened").into(), UMASK)
    }

    fn unpack(&self, archive: &[u8]) -> Result<(), UnpackArchiveError> {
        unpack(&self.root(), ".", ArchiveFormat::Tar, archive).map(drop)
    }

    fn assert_untouched(&self) {
        assert_eq!(fs::read_to_string(self.path("outside/file")).expect("there"), "secret");
        assert_eq!(fs::read_dir(self.path("outside")).expect("listed").count(), 1);
        assert_eq!(fs::read_dir(self.directory.path()).expect("listed").count(), 2);
    }
}

/// An archive whose entries have names, targets and modes as they are written here.
fn archive(entries: &[(EntryType, &str, &str, u32)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, name, content, mode) in entries {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_uid(0);
        let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
        if is_link {
            header.set_link_name_literal(content).expect("a short target");
        }
        header.set_size(if is_link { 0 } else { content.len() as u64 });
        header.set_cksum();
        builder.append(&header, if is_link { &b""[..] } else { content.as_bytes() }).expect("appended");
    }
    builder.into_inner().expect("finished")
}

#[test]
fn names_links_and_kinds_that_would_leave_the_target_are_refused() {
    use EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink};
    let absolute = |place: &Place| place.path("outside").to_str().expect("text").to_owned();
    for entries in [
        &[(Regular, "../outside/file", "evil", 0o644)][..],
        &[(Regular, "a/../../outside/file", "evil", 0o644)],
        &[(Symlink, "l", "OUTSIDE", 0o777), (Regular, "l/file", "evil", 0o644)],
        &[(Symlink, "l", "../outside", 0o777), (Regular, "l/new", "evil", 0o644)],
        &[(Symlink, "l", "OUTSIDE", 0o777), (Directory, "l/", "", 0o777)],
        &[(Symlink, "l", "OUTSIDE/file", 0o777), (Regular, "l", "evil", 0o644)],
        &[(Symlink, "l", "OUTSIDE", 0o777), (Symlink, "l/new", "x", 0o777)],
        &[(Link, "hard", "OUTSIDE/file", 0o644)],
        &[(Char, "device", "", 0o666)],
        &[(Block, "device", "", 0o666)],
        &[(Fifo, "pipe", "", 0o666)],
    ] {
        let place = Place::new();
        let outside = absolute(&place);
        let entries: Vec<_> = entries
            .iter()
            .map(|(kind, name, content, mode)| (*kind, *name, content.replace("OUTSIDE", &outside), *mode))
            .collect();
        let entries: Vec<_> = entries
            .iter()
            .map(|(kind, name, content, mode)| (*kind, *name, content.as_str(), *mode))
            .collect();
        assert!(place.unpack(&archive(&entries)).is_err(), "{entries:?}");
        place.assert_untouched();
    }
}

#[test]
fn links_that_are_there_already_are_not_written_through() {
    let place = Place::new();
    let mode = |place: &Place| fs::metadata(place.path("outside")).expect("there").mode();
    let before = mode(&place);
    symlink(place.path("outside"), place.path("target/l")).expect("linked");
    symlink(place.path("outside/file"), place.path("target/f")).expect("linked");
    for entries in [
        (EntryType::Regular, "l/new", "evil", 0o644),
        (EntryType::Directory, "l/", "", 0o777),
        (EntryType::Directory, "l/new/", "", 0o777),
        (EntryType::Symlink, "l/new", "x", 0o777),
        (EntryType::Regular, "f", "evil", 0o644),
        (EntryType::Symlink, "l", "x", 0o777),
    ] {
        assert!(place.unpack(&archive(&[entries])).is_err(), "{entries:?}");
        place.assert_untouched();
    }
    assert_eq!(mode(&place), before);
}

#[test]
fn an_absolute_name_is_one_below_and_no_bit_is_set_that_the_umask_takes() {
    let place = Place::new();
    let entries = [
        (EntryType::Directory, "d/", "", 0o7777),
        (EntryType::Regular, "/d/setuid", "x", 0o6777),
        (EntryType::Directory, "closed/", "", 0o500),
        (EntryType::Regular, "closed/file", "x", 0o400),
        (EntryType::Symlink, "out", "/etc/passwd", 0o777),
    ];
    place.unpack(&archive(&entries)).expect("unpacked");
    let mode = |name: &str| fs::symlink_metadata(place.path(name)).expect(name).permissions().mode() & 0o7777;
    assert_eq!(
        ["target/d", "target/d/setuid", "target/closed", "target/closed/file"].map(mode),
        [0o750, 0o750, 0o500, 0o400]
    );
    assert_eq!(fs::read_link(place.path("target/out")).expect("a link"), PathBuf::from("/etc/passwd"));
    let own = fs::metadata(place.path("target")).expect("there").uid();
    assert_eq!(fs::metadata(place.path("target/d/setuid")).expect("there").uid(), own);
    fs::set_permissions(place.path("target/closed"), fs::Permissions::from_mode(0o700)).expect("a mode");
    place.assert_untouched();
}

#[test]
fn what_a_user_packs_is_what_is_there_and_pipes_are_counted() {
    let place = Place::new();
    fs::create_dir_all(place.path("target/a/b")).expect("made");
    fs::write(place.path("target/a/b/file"), vec![7; 200_000]).expect("written");
    symlink("nowhere", place.path("target/a/link")).expect("linked");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.path("target/pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("made");
    for format in [ArchiveFormat::Tar, ArchiveFormat::TarZstd] {
        let mut pieces = Vec::new();
        let writer = PieceWriter::new(|piece| {
            pieces.push(piece);
            Ok(())
        });
        assert_eq!(pack(&place.root(), ".", format, writer).expect("packed").skipped, 1);
        let copy = Place::new();
        let mut pieces = pieces.into_iter().map(Ok);
        let unpacked =
            unpack(&copy.root(), ".", format, PieceReader::new(|| pieces.next())).expect("unpacked");
        assert_eq!((unpacked.entries, unpacked.bytes), (4, 200_000));
        assert_eq!(fs::read(copy.path("target/a/b/file")).expect("read"), vec![7; 200_000]);
    }
    fs::remove_file(place.path("target/a/b/file")).expect("removed");
    let empty = RootDirectory::of_caller(fs::File::open(place.path("target/a/b")).expect("opened").into(), 0);
    let mut archive = Vec::new();
    pack(&empty, ".", ArchiveFormat::Tar, &mut archive).expect("packed");
    assert!(matches!(place.unpack(&archive), Err(UnpackArchiveError::Empty)));
}
