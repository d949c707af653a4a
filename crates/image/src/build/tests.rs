//! What a hostile step may have left in an upper directory, seen through the layer that is made of it; and listings of layers.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use rustix::fs::{CWD, FileType, Mode, XattrFlags, makedev, mknodat, setxattr};

use super::{BuildError, Context, ContextRules, CopyItem, CopyOrigin, CopyRequest};
use crate::root_view::RootView;
use crate::tests::require_root;
use crate::{ImageStore, UnpackLimits};

/// A store with an image of a few files, and the image's stage.
struct Kitchen {
    directory: tempfile::TempDir,
    store: ImageStore,
}

static GO_ON: AtomicBool = AtomicBool::new(true);

impl Kitchen {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = ImageStore::open(&directory.path().join("data")).expect("a store");
        let mut archive = tar::Builder::new(Vec::new());
        for name in ["etc/passwd", "lib/a", "lib/b", "opt/dir/old"] {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(3);
            archive.append_data(&mut header, name, &b"old"[..]).expect("an entry");
        }
        let bytes = archive.into_inner().expect("an archive");
        let name = "base".parse().expect("a name");
        store.import_tar(&name, bytes.as_slice(), &UnpackLimits::default()).expect("an image");
        Self { directory, store }
    }

    /// Makes a layer of an upper directory that `leave` fills; returns the directories of the stage, topmost first, and how many
    /// nodes were left out.
    fn layer(&self, leave: impl FnOnce(&Path)) -> Result<(Vec<PathBuf>, u64), BuildError> {
        let (mut stage, _) = self.store.stage_of_image(&"base".parse().expect("a name"))?;
        let scratch = self.store.scratch()?;
        let upper = scratch.path().join("u");
        fs::create_dir(&upper).expect("the upper directory");
        leave(&upper);
        let mut key = stage.key();
        key.part(&format!("{:?}", std::time::Instant::now()));
        let made = stage.add_changes(&scratch, &key, &GO_ON)?;
        Ok((stage.paths(), made.skipped_nodes))
    }
}

fn write(path: &Path, contents: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
    fs::write(path, contents).expect("a file");
}

#[test]
fn what_a_step_leaves_becomes_what_a_session_sees() {
    require_root!();
    let kitchen = Kitchen::new();
    let (paths, skipped) = kitchen
        .layer(|upper| {
            write(&upper.join("etc/new"), "new");
            write(&upper.join("etc/hosts"), "the sandbox's own");
            write(&upper.join("run/sandkasten/control"), "the sandbox's own");
            write(&upper.join("proc/x"), "");
            write(&upper.join("opt/dir/only"), "new");
            setxattr(upper.join("opt/dir"), "user.overlay.opaque", b"y", XattrFlags::empty())
                .expect("a mark");
            fs::create_dir(upper.join("lib")).expect("a directory");
            mknodat(CWD, upper.join("lib/a"), FileType::CharacterDevice, Mode::empty(), 0)
                .expect("a deletion");
            write(&upper.join("odd/file"), "x");
            fs::hard_link(upper.join("odd/file"), upper.join("odd/same")).expect("a link");
            symlink("../../../../etc/shadow", upper.join("odd/link")).expect("a link");
            fs::set_permissions(upper.join("odd/file"), fs::Permissions::from_mode(0o6711)).expect("a mode");
            chown(upper.join("odd/link"), Some(7), Some(8)).ok();
            setxattr(upper.join("odd/file"), "user.kept", b"v", XattrFlags::empty()).expect("an attribute");
            setxattr(upper.join("odd/file"), "user.overlay.redirect", b"/etc", XattrFlags::empty())
                .expect("a mark");
            setxattr(upper.join("odd"), "trusted.overlay.opaque", b"y", XattrFlags::empty()).expect("a mark");
            for (name, kind, device) in [
                ("pipe", FileType::Fifo, 0),
                ("zero", FileType::CharacterDevice, makedev(1, 5)),
                ("disk", FileType::BlockDevice, makedev(254, 0)),
                ("socket", FileType::Socket, 0),
            ] {
                mknodat(CWD, upper.join("odd").join(name), kind, Mode::RWXU, device).expect("a node");
            }
            fs::create_dir(upper.join("closed")).expect("a directory");
            write(&upper.join("closed/in"), "x");
            fs::set_permissions(upper.join("closed"), fs::Permissions::from_mode(0o0)).expect("a mode");
        })
        .expect("a layer");
    assert_eq!((paths.len(), skipped), (2, 4));
    let view = RootView::open(&paths, &[]).expect("a view");
    let names = |path: &str| -> Vec<String> {
        let names = view.list(path.as_bytes()).expect("a listing").into_iter();
        names.map(|name| String::from_utf8(name).expect("text")).collect()
    };
    assert_eq!(names(""), ["closed", "etc", "lib", "odd", "opt"]);
    assert_eq!(names("etc"), ["new", "passwd"]);
    assert_eq!(names("lib"), ["b"], "a deletion hides what is below");
    assert_eq!(names("opt/dir"), ["only"], "nothing of lower layers is in an opaque directory");
    assert_eq!(names("odd"), ["file", "link", "same"]);
    assert_eq!(names("closed"), ["in"]);
    let top = &paths[0];
    let file = fs::symlink_metadata(top.join("odd/file")).expect("a file");
    assert_eq!((file.mode() & 0o7777, file.nlink()), (0o6711, 2));
    let mut value = [0; 16];
    assert_eq!(rustix::fs::getxattr(top.join("odd/file"), "user.kept", &mut value), Ok(1));
    assert!(rustix::fs::getxattr(top.join("odd/file"), "user.overlay.redirect", &mut value).is_err());
    assert!(rustix::fs::getxattr(top.join("odd"), "trusted.overlay.opaque", &mut value).is_err());
    assert_eq!(fs::symlink_metadata(top.join("closed")).expect("a directory").mode() & 0o7777, 0);
    let made = fs::symlink_metadata(top.join("etc")).expect("a directory");
    assert_eq!((made.mode() & 0o7777, made.uid()), (0o755, 0));
}

#[test]
fn a_step_that_changes_nothing_of_the_image_makes_no_layer() {
    require_root!();
    let kitchen = Kitchen::new();
    let (paths, _) = kitchen
        .layer(|upper| {
            write(&upper.join("etc/hosts"), "the sandbox's own");
            mknodat(CWD, upper.join("etc/resolv.conf"), FileType::CharacterDevice, Mode::empty(), 0)
                .expect("a deletion");
            write(&upper.join("dev/x"), "");
        })
        .expect("no layer");
    assert_eq!(paths.len(), 1);
}

#[test]
fn a_name_that_means_a_deletion_makes_no_layer_and_neither_does_a_tree_without_end() {
    require_root!();
    let kitchen = Kitchen::new();
    let refused = kitchen.layer(|upper| write(&upper.join("lib/.wh.b"), ""));
    assert!(matches!(refused, Err(BuildError::NameOfDeletion { .. })), "{refused:?}");
    let deep = kitchen.layer(|upper| {
        let path: PathBuf = std::iter::repeat_n("d", 200).collect();
        fs::create_dir_all(upper.join(path)).expect("directories");
    });
    assert!(matches!(deep, Err(BuildError::Changes { .. })), "{deep:?}");
    let huge = kitchen.layer(|upper| {
        fs::File::create(upper.join("huge")).expect("a file").set_len(1 << 42).expect("a hole");
    });
    assert!(matches!(huge, Err(BuildError::Changes { .. })), "{huge:?}");
    // Nothing of it is left.
    let left = fs::read_dir(kitchen.directory.path().join("data/layers")).expect("a directory");
    assert!(left.flatten().all(|entry| !entry.file_name().to_string_lossy().starts_with(".tmp")));
}

#[test]
fn a_file_that_changes_while_it_is_copied_is_an_error_and_the_last_of_several_sources_counts() {
    require_root!();
    let kitchen = Kitchen::new();
    let context = kitchen.directory.path().join("context");
    write(&context.join("one/x"), "1");
    write(&context.join("two/x"), "2");
    let files = Context::open(&context, ContextRules::keeping_all()).expect("a context");
    let origin = CopyOrigin::Context(&files);
    let request = CopyRequest {
        items: ["one/x", "two/x"].map(|path| CopyItem::Path(path.to_owned())).into(),
        destination: "/to/".to_owned(),
        owner: None,
        mode: None,
        unpacks: false,
    };
    let (mut stage, _) = kitchen.store.stage_of_image(&"base".parse().expect("a name")).expect("a stage");
    let plan = stage.plan_copy(&origin, &request, &GO_ON).expect("a plan");
    let key = stage.key();
    write(&context.join("two/x"), "3");
    let changed = stage.add_copy(&origin, &plan, &key, &GO_ON);
    assert!(matches!(changed, Err(BuildError::Changed { .. })), "{changed:?}");
    write(&context.join("two/x"), "2 and more");
    let plan = stage.plan_copy(&origin, &request, &GO_ON).expect("a plan");
    stage.add_copy(&origin, &plan, &key, &GO_ON).expect("a layer");
    assert_eq!(fs::read_to_string(stage.paths()[0].join("to/x")).expect("a file"), "2 and more");
    let stopped = stage.plan_copy(&origin, &request, &AtomicBool::new(false));
    assert!(matches!(stopped, Err(BuildError::Cancelled)));
    let name = "made".parse().expect("a name");
    stage.finish(Some(&name), &super::BuiltConfig::default()).expect("an image");
    let report = kitchen.store.validate(&name).expect("a report");
    assert_ne!(report.status(), crate::CheckStatus::Failure, "{report:?}");
}
