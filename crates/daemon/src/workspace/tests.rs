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
    assert!(matches!(place.workspaces.remove(&id("user-1")), Err(WorkspaceError::InUse { .. })));
    drop(open);
    place.workspaces.remove(&id("user-1")).expect("removed");
    assert!(matches!(place.workspaces.remove(&id("user-1")), Err(WorkspaceError::NotFound { .. })));
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
