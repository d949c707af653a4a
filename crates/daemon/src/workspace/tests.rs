//! Workspaces on a directory of their own.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use sandkasten_isolation::plan::WORKSPACE_OWNER;

use super::{WorkspaceError, Workspaces};
use crate::config::Config;

/// A data directory; none where the test may not give files away.
struct Place {
    directory: tempfile::TempDir,
    workspaces: Workspaces,
}

impl Place {
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIP: giving a workspace to its owner needs root");
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let mut config = Config::default();
        config.data_dir = directory.path().join("data");
        config.workspace.min_free_mb = 0;
        let workspaces = Workspaces::new(&config);
        workspaces.prepare().expect("prepared");
        Some(Self { directory, workspaces })
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join("data/workspaces").join(name)
    }

    fn listed(&self) -> Vec<String> {
        let all = self.workspaces.list().expect("listed");
        all.into_iter().map(|workspace| workspace.id.to_string()).collect()
    }
}

fn id(name: &str) -> sandkasten_api::id::WorkspaceId {
    name.parse().expect("an id")
}

#[test]
fn a_workspace_belongs_to_the_owner_of_all_and_is_closed_to_users_of_the_host() {
    let Some(place) = Place::new() else { return };
    drop(place.workspaces.open_or_make(&id("user-1")).expect("made"));
    let found = fs::metadata(place.path("user-1")).expect("there");
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (WORKSPACE_OWNER, WORKSPACE_OWNER, 0o755));
    let above = fs::metadata(place.path("")).expect("there");
    assert_eq!((above.uid(), above.mode() & 0o7777), (0, 0o700));
}

#[test]
fn one_that_was_made_and_not_given_away_is_given_away_at_the_next_use() {
    let Some(place) = Place::new() else { return };
    fs::create_dir(place.path("user-1")).expect("made");
    fs::set_permissions(place.path("user-1"), fs::Permissions::from_mode(0o700)).expect("a mode");
    assert_eq!(place.listed(), ["user-1"]);
    assert_eq!(fs::metadata(place.path("user-1")).expect("there").uid(), WORKSPACE_OWNER);
    fs::set_permissions(place.path("user-1"), fs::Permissions::from_mode(0o000)).expect("a mode");
    drop(place.workspaces.open_or_make(&id("user-1")).expect("opened"));
    assert_eq!(fs::metadata(place.path("user-1")).expect("there").mode() & 0o777, 0o700);
}

#[test]
fn neither_a_link_nor_a_directory_of_somebody_is_taken_for_a_workspace() {
    let Some(place) = Place::new() else { return };
    let outside = place.directory.path().join("outside");
    fs::create_dir(&outside).expect("made");
    symlink(&outside, place.path("link")).expect("linked");
    assert!(place.workspaces.open_or_make(&id("link")).is_err());
    assert!(place.listed().is_empty());
    assert_eq!(fs::metadata(&outside).expect("there").uid(), 0);
    fs::create_dir(place.path("foreign")).expect("made");
    std::os::unix::fs::chown(place.path("foreign"), Some(1_000), Some(1_000)).expect("given away");
    let refused = place.workspaces.open_or_make(&id("foreign"));
    assert!(matches!(refused, Err(WorkspaceError::Owner { owner: 1_000, .. })));
}

#[test]
fn a_use_that_failed_takes_back_what_it_made_and_nothing_else() {
    let Some(place) = Place::new() else { return };
    place.workspaces.open_or_make(&id("user-1")).expect("made").undo().expect("undone");
    assert!(place.listed().is_empty());
    assert_eq!(fs::read_dir(place.path(".locks")).expect("listed").count(), 0);
    let (first, second) =
        (place.workspaces.open_or_make(&id("user-1")), place.workspaces.open_or_make(&id("user-1")));
    first.expect("made").undo().expect("undone");
    assert_eq!(place.listed(), ["user-1"], "another has come upon it");
    second.expect("opened").undo().expect("undone");
    assert_eq!(place.listed(), ["user-1"], "it was there before");
    let filled = place.workspaces.open_or_make(&id("user-2")).expect("made");
    fs::write(place.path("user-2/file"), "").expect("written");
    filled.undo().expect("undone");
    assert_eq!(place.listed(), ["user-1", "user-2"]);
}

#[test]
fn a_workspace_in_use_stays_and_one_that_is_not_goes_whole() {
    let Some(place) = Place::new() else { return };
    let open = place.workspaces.open_or_make(&id("user-1")).expect("made");
    fs::write(place.path("user-1/file"), "content").expect("written");
    assert!(matches!(place.workspaces.remove(&id("user-1"), || {}), Err(WorkspaceError::InUse { .. })));
    drop(open);
    place.workspaces.remove(&id("user-1"), || {}).expect("removed");
    assert!(matches!(place.workspaces.remove(&id("user-1"), || {}), Err(WorkspaceError::NotFound { .. })));
    for directory in [".locks", ".rubbish"] {
        assert_eq!(fs::read_dir(place.path(directory)).expect("listed").count(), 0, "{directory}");
    }
}

#[test]
fn what_a_daemon_did_not_get_to_remove_is_no_workspace_and_goes_at_the_next_start() {
    let Some(place) = Place::new() else { return };
    fs::create_dir_all(place.path(".rubbish/left/deep")).expect("made");
    fs::write(place.path(".rubbish/left/deep/file"), "").expect("written");
    assert!(place.listed().is_empty());
    place.workspaces.clean().expect("cleaned");
    assert_eq!(fs::read_dir(place.path(".rubbish")).expect("listed").count(), 0);
}

fn give(path: &std::path::Path) {
    std::os::unix::fs::lchown(path, Some(WORKSPACE_OWNER), Some(WORKSPACE_OWNER)).expect("given away");
}

/// A file of a workspace, its owner's.
fn write(path: &std::path::Path, content: &[u8], mode: u32) {
    fs::write(path, content).expect("written");
    give(path);
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn a_copy_has_files_links_and_holes_and_nothing_that_is_somebody_elses_or_no_file() {
    let Some(place) = Place::new() else { return };
    let secret = place.directory.path().join("secret");
    fs::write(&secret, "secret").expect("written");
    drop(place.workspaces.open_or_make(&id("one")).expect("made"));
    fs::create_dir(place.path("one/d")).expect("made");
    give(&place.path("one/d"));
    write(&place.path("one/d/file"), b"content", 0o6751);
    write(&place.path("one/closed"), b"closed", 0o000);
    fs::write(place.path("one/roots"), "root's").expect("written");
    symlink(&secret, place.path("one/link")).expect("linked");
    give(&place.path("one/link"));
    symlink(place.directory.path(), place.path("one/directory-link")).expect("linked");
    give(&place.path("one/directory-link"));
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.path("one/fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("made");
    give(&place.path("one/fifo"));
    write(&place.path("one/sparse"), b"", 0o644);
    let sparse = fs::File::options().write(true).open(place.path("one/sparse")).expect("opened");
    sparse.set_len(1 << 40).expect("a hole");
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"island", 1 << 39).expect("written");
    place.workspaces.copy(&id("one"), &id("two")).expect("copied");
    let mut names: Vec<_> =
        fs::read_dir(place.path("two")).expect("listed").flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, ["closed", "d", "directory-link", "link", "sparse"]);
    let found = fs::metadata(place.path("two/d/file")).expect("there");
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (WORKSPACE_OWNER, WORKSPACE_OWNER, 0o751));
    assert_eq!(found.mtime(), fs::metadata(place.path("one/d/file")).expect("there").mtime());
    assert_eq!(fs::read_link(place.path("two/link")).expect("a link"), secret);
    assert_eq!(fs::symlink_metadata(place.path("two/link")).expect("there").uid(), WORKSPACE_OWNER);
    assert_eq!(fs::read(place.path("two/closed")).expect("read"), b"closed");
    let sparse = fs::metadata(place.path("two/sparse")).expect("there");
    assert!(sparse.len() == 1 << 40 && sparse.blocks() < 2_048, "{}", sparse.blocks());
    let mut island = [0; 6];
    let copied = fs::File::open(place.path("two/sparse")).expect("opened");
    std::os::unix::fs::FileExt::read_exact_at(&copied, &mut island, 1 << 39).expect("read");
    assert_eq!(&island, b"island");
    fs::write(place.path("one/d/file"), "changed").expect("written");
    assert_eq!(fs::read(place.path("two/d/file")).expect("read"), b"content");
}

#[test]
fn a_copy_is_there_whole_or_not_at_all() {
    let Some(place) = Place::new() else { return };
    drop(place.workspaces.open_or_make(&id("one")).expect("made"));
    let mut deep = place.path("one");
    for _ in 0..super::measure::MAX_DEPTH + 10 {
        deep.push("d");
        fs::create_dir(&deep).expect("made");
        give(&deep);
    }
    let refused = place.workspaces.copy(&id("one"), &id("two"));
    assert!(matches!(refused, Err(WorkspaceError::TooDeep { .. })));
    // As a daemon leaves it that is killed in the middle.
    fs::create_dir(place.path(".unfinished/three")).expect("made");
    fs::write(place.path(".unfinished/three/half"), "").expect("written");
    assert_eq!(place.listed(), ["one"]);
    place.workspaces.clean().expect("cleaned");
    for directory in [".rubbish", ".unfinished"] {
        assert_eq!(fs::read_dir(place.path(directory)).expect("listed").count(), 0, "{directory}");
    }
    fs::create_dir(place.path(".unfinished/three")).expect("made");
    fs::write(place.path(".unfinished/three/half"), "").expect("written");
    drop(place.workspaces.open_or_make(&id("two")).expect("made"));
    place.workspaces.copy(&id("two"), &id("three")).expect("copied");
    assert_eq!(fs::read_dir(place.path("three")).expect("listed").count(), 0);
}

#[test]
fn names_that_are_taken_or_in_use_are_not_given_again() {
    let Some(place) = Place::new() else { return };
    let all = &place.workspaces;
    assert_eq!(all.create(&id("one")).expect("made").files, 0);
    assert!(matches!(all.create(&id("one")), Err(WorkspaceError::Exists { .. })));
    assert!(matches!(all.copy(&id("one"), &id("one")), Err(WorkspaceError::Exists { .. })));
    assert!(matches!(all.rename(&id("one"), &id("one"), || {}), Err(WorkspaceError::Exists { .. })));
    assert!(matches!(all.rename(&id("none"), &id("two"), || {}), Err(WorkspaceError::NotFound { .. })));
    assert!(matches!(all.copy(&id("none"), &id("two")), Err(WorkspaceError::NotFound { .. })));
    let used = all.open(&id("one")).expect("opened");
    assert!(matches!(all.rename(&id("one"), &id("two"), || {}), Err(WorkspaceError::InUse { .. })));
    all.copy(&id("one"), &id("two")).expect("a copy needs no rest");
    drop(used);
    assert!(matches!(all.rename(&id("one"), &id("two"), || {}), Err(WorkspaceError::Exists { .. })));
    all.rename(&id("one"), &id("three"), || {}).expect("renamed");
    assert_eq!(place.listed(), ["three", "two"]);
}
