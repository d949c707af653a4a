//! The tree that a session sees, and the one that umoci unpacks from the same layers: the same.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use sandkasten_api::session::CreateSessionRequest;
use sandkasten_e2e::{LayerArchive, LayeredImage, RootArchive, TestDaemon, TestSession, with_daemon};
use tar::EntryType;

use crate::registry::{TestRegistry, said};
use crate::whole_way::import;

/// Every oddity that layers may have and both must make the same of.
fn odd_layers() -> LayeredImage {
    let programs = ["find", "sort", "sha256sum", "cut", "xargs", "cat"];
    let base = fs::read(RootArchive::of_programs(&programs).path()).expect("an archive");
    let long = format!("odd/{}", "long/".repeat(30) + &"n".repeat(200));
    let lower = LayerArchive::default()
        .directory("odd")
        .file("odd/deleted", b"1")
        .file("odd/overwritten", b"1")
        .entry(EntryType::Directory, "odd/emptied", "", 0o2755, 33, b"")
        .file("odd/emptied/old", b"1")
        .directory("odd/emptied/deep")
        .file("odd/emptied/deep/old", b"1")
        .directory("odd/replaced")
        .file("odd/replaced/old", b"1")
        .directory("odd/to-file")
        .file("odd/to-file/old", b"1")
        .file("odd/to-directory", b"1")
        .directory("odd/gone")
        .file("odd/gone/f", b"1")
        .symlink("odd/link", "emptied")
        .symlink("odd/absolute", "/odd/replaced")
        .symlink("odd/out", "../../../../../../../../odd/kept")
        .symlink("odd/dangling", "/nowhere/at/all")
        .entry(
            EntryType::Regular,
            "odd/shared",
            "",
            0o4755,
            7,
            &[vec![b'x'; 70_000], vec![0; 200_000]].concat(),
        )
        .entry(EntryType::Directory, "odd/sticky", "", 0o1777, 0, b"")
        .directory("odd/kept")
        .file("odd/kept/f", b"1");
    let middle = LayerArchive::default()
        .file("odd/.wh.deleted", b"")
        .file("odd/.wh.gone", b"")
        .file("odd/emptied/.wh..wh..opq", b"")
        .file("odd/link/through", b"2")
        .file("odd/absolute/through", b"2")
        .file("odd/overwritten", b"22")
        .entry(EntryType::Regular, "odd/to-file", "", 0o604, 44, b"2")
        .directory("odd/to-directory")
        .file("odd/to-directory/f", b"2")
        .hardlink("odd/linked", "odd/shared")
        .hardlink("odd/linked-again", "odd/linked")
        .file("odd/sticky/without-its-parent", b"2")
        .file("odd/new/without/parents", b"2")
        .records(&[("path", b"/odd/from-the-root")])
        .file("odd/short", b"2")
        .records(&[("path", b"./odd/./dotted//name")])
        .file("odd/short", b"2")
        .file(&long, b"long")
        .symlink("odd/long-target", &"t/".repeat(150))
        .records(&[("path", b"odd/pax-\xc3\xa9-name"), ("mtime", b"1600000000.25")])
        .file("odd/short", b"2")
        .file("odd/twice", b"first")
        .file("odd/twice", b"second");
    let upper = LayerArchive::default()
        .directory("odd/gone")
        .file("odd/gone/again", b"3")
        .file("odd/kept/.wh.f", b"")
        .file("odd/kept/f", b"3")
        .file("odd/.wh.replaced", b"")
        .directory("odd/replaced")
        .file("odd/replaced/new", b"3");
    LayeredImage::new(base, [lower, middle, upper])
}

/// All below a directory, as `find` prints it: kind, mode, owner, links, size, time and target.
const LISTING: &str =
    "cd /odd; find . -type d -printf '%p %y %m %U:%G\\n' -o -printf '%p %y %m %U:%G %n %s %T@ %l\\n' | sort";
const CONTENTS: &str = "cd /odd; find . -type f -print0 | sort -z | xargs -0 sha256sum";

/// The odd image as a layout, and the tree that umoci makes of it; none where umoci is not there.
#[allow(clippy::print_stdout, reason = "whoever runs the tests has to see what was skipped")]
fn unpacked(directory: &Path) -> Option<(PathBuf, BTreeMap<String, String>)> {
    if Command::new("umoci").arg("--version").output().is_err() {
        println!("SKIP: this host has no umoci, which unpacks images by itself");
        return None;
    }
    let layout = directory.join("layout");
    odd_layers().write_layout(&layout);
    let bundle = directory.join("bundle");
    let image = format!("{}:test", layout.display());
    let unpacked =
        Command::new("umoci").args(["unpack", "--image", &image]).arg(&bundle).output().expect("umoci runs");
    assert!(unpacked.status.success(), "{}", String::from_utf8_lossy(&unpacked.stderr));
    let theirs = tree(&bundle.join("rootfs/odd"));
    Some((layout, theirs))
}

#[test]
fn a_session_sees_the_tree_that_umoci_unpacks() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some((layout, theirs)) = unpacked(directory.path()) else { return };
    with_daemon(async |daemon| {
        import(daemon, "odd", &layout);
        compare(daemon, "odd", &theirs).await;
    });
}

#[test]
fn a_session_of_a_pulled_image_sees_the_tree_that_umoci_unpacks() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some((layout, theirs)) = unpacked(directory.path()) else { return };
    let Some(registry) = TestRegistry::start(None) else { return };
    with_daemon(async |daemon| {
        registry.push(&layout);
        let pulled = registry.pull(daemon, &["--name", "odd"], None);
        assert_eq!(pulled.status.code(), Some(0), "{}", said(&pulled));
        compare(daemon, "odd", &theirs).await;
    });
}

/// Holds what a session of an image sees against what umoci has unpacked.
async fn compare(daemon: &TestDaemon, image: &str, theirs: &BTreeMap<String, String>) {
    let client = daemon.client();
    let request = CreateSessionRequest { image: Some(image.to_owned()), ..CreateSessionRequest::default() };
    let session = TestSession { id: client.create_session(&request).await.expect("a session").id, client };
    let listed = session.output(LISTING).await;
    let contents = session.output(CONTENTS).await;
    let hashes: BTreeMap<&str, &str> =
        contents.lines().filter_map(|line| line.split_once("  ")).map(|(hash, name)| (name, hash)).collect();
    let ours: BTreeMap<String, String> = listed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, what)| {
            let hash = hashes.get(name).copied().unwrap_or_default();
            (name.to_owned(), format!("{} {hash}", what.trim_end()).trim_end().to_owned())
        })
        .collect();
    assert!(ours.len() > 60, "{ours:#?}");
    let all: std::collections::BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let different: Vec<String> = all
        .into_iter()
        .filter(|name| ours.get(*name) != theirs.get(*name))
        .map(|name| format!("{name}: {:?}, umoci {:?}", ours.get(name), theirs.get(name)))
        .collect();
    assert!(different.is_empty(), "{different:#?}");
}

/// Lists a directory as `find` and `sha256sum` do in the session.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut tree = BTreeMap::new();
    list(root, ".".to_owned(), &mut tree);
    tree
}

fn list(path: &Path, name: String, tree: &mut BTreeMap<String, String>) {
    let found = fs::symlink_metadata(path).expect("a file");
    let owner = format!("{:o} {}:{}", found.mode() & 0o7777, found.uid(), found.gid());
    if found.is_dir() {
        for entry in fs::read_dir(path).expect("a directory") {
            let entry = entry.expect("an entry");
            list(&entry.path(), format!("{name}/{}", entry.file_name().to_string_lossy()), tree);
        }
        tree.insert(name, format!("d {owner}"));
        return;
    }
    let time = format!("{}.{:09}0", found.mtime(), found.mtime_nsec());
    let (kind, rest) = if found.is_symlink() {
        ("l", fs::read_link(path).expect("a link").display().to_string())
    } else {
        use sha2::{Digest, Sha256};
        let hash = Sha256::digest(fs::read(path).expect("a file"));
        ("f", hash.iter().map(|byte| format!("{byte:02x}")).collect())
    };
    tree.insert(name, format!("{kind} {owner} {} {} {time} {rest}", found.nlink(), found.len()));
}
