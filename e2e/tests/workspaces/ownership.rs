//! Whose the files of a workspace are, on disk and inside.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use sandkasten_e2e::{TestDaemon, TestSession, with_config};

use crate::ENABLED;

/// The one owner of all workspaces on disk, as the documents name it.
const OWNER: u32 = 2_147_419_112;

fn tree(daemon: &TestDaemon, name: &str) -> PathBuf {
    daemon.data_dir().join("workspaces").join(name)
}

/// Everything below a directory, links as such.
fn all_below(directory: &Path) -> Vec<PathBuf> {
    let mut all = vec![directory.to_owned()];
    for entry in fs::read_dir(directory).expect("listed").flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            all.extend(all_below(&entry.path()));
        } else {
            all.push(entry.path());
        }
    }
    all
}

/// The first host id of a session.
async fn base(session: &TestSession) -> u32 {
    let shown = session.client.get_session(&session.id).await.expect("a session");
    shown.isolation.expect("it lives").uid_base
}

/// The workspace as processes of a session see it, by way of one of them.
async fn inside(daemon: &TestDaemon, session: &TestSession) -> PathBuf {
    let leaks = daemon.leaks(Some(session.id.as_str()));
    let process = leaks.processes.first().expect("a process");
    PathBuf::from(format!("/proc/{process}/root/workspace"))
}

#[test]
fn every_file_has_one_owner_on_disk_whatever_session_wrote_it() {
    with_config(ENABLED, async |daemon| {
        let mut bases = BTreeSet::new();
        for name in ["one", "two"] {
            let session = daemon.session_on("shared").await;
            bases.insert(base(&session).await);
            session
                .output(&format!(
                    "mkdir -p {name}/d && echo x > {name}/d/file && ln -s / {name}/link && mkfifo {name}/fifo && \
                     stat -c %u:%g {name} {name}/d/file {name}/link | sort -u"
                ))
                .await;
            let own = session.output("find . -printf '%U:%G\\n' | sort -u").await;
            assert_eq!(own, "1000:1000", "files of both sessions are the user's own");
            session.client.write_file(&session.id, &format!("{name}/api/file"), b"x").await.expect("written");
            session.output(&format!("touch -d 2001-01-01 {name}/api/file; chown 1000:1000 {name}/api")).await;
        }
        assert_eq!(bases.len(), 2, "the sessions had ranges of their own");
        let owners: BTreeSet<(u32, u32)> = all_below(&tree(daemon, "shared"))
            .iter()
            .map(|path| fs::symlink_metadata(path).map(|found| (found.uid(), found.gid())).expect("there"))
            .collect();
        assert_eq!(owners, BTreeSet::from([(OWNER, OWNER)]));
        let above = fs::metadata(daemon.data_dir().join("workspaces")).expect("there");
        assert_eq!((above.uid(), above.mode() & 0o7777), (0, 0o700));
    });
}

#[test]
fn a_foreign_owner_is_nobody_inside_and_cannot_be_used() {
    with_config(ENABLED, async |daemon| {
        daemon.session_on("foreign").await.destroy().await;
        // As a careless administrator might: root's, an account's, and what is root and user inside of other mounts.
        for owner in [0, 1_000, 0x7000_0000, 0x7000_03e8] {
            let path = tree(daemon, "foreign").join(owner.to_string());
            fs::write(&path, "secret").expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o4700)).expect("a mode");
            chown(&path, Some(owner), Some(owner)).expect("given away");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o4711)).expect("a mode");
        }
        let session = daemon.session_on("foreign").await;
        assert_eq!(session.output("stat -c %u:%g * | sort -u").await, "65534:65534");
        for command in ["cat 0", "echo x > 1000", "chown 1000 0", "chmod 777 1000", "touch 1879048192"] {
            assert_ne!(session.exec(command).await.exit_code, 0, "{command}");
        }
        assert_ne!(session.exec("rm -f 0").await.exit_code, 0, "not even their names");
        session.destroy().await;
        assert_eq!(daemon.raw().delete("/v1/workspaces/foreign").await.status, 200);
    });
}

#[test]
fn an_id_that_has_none_on_disk_makes_no_file() {
    with_config(ENABLED, async |daemon| {
        let session = daemon.session_on("closed").await;
        let inside = inside(daemon, &session).await;
        session.output("chmod 777 .; echo mine > file; chmod 666 file").await;
        // This test is root of the host, which no file of a workspace can belong to.
        let made = fs::write(inside.join("root"), "x").expect_err("no owner");
        assert_eq!(made.raw_os_error(), Some(rustix::io::Errno::OVERFLOW.raw_os_error()), "{made}");
        let given = chown(inside.join("file"), Some(base(&session).await), None).expect_err("no owner");
        assert_eq!(given.raw_os_error(), Some(rustix::io::Errno::OVERFLOW.raw_os_error()), "{given}");
        assert_eq!(session.output("ls").await, "file");
    });
}
