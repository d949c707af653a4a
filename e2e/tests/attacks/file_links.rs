//! Links in the workspace lead the file endpoints nowhere outside the sandbox.

use std::fs;
use std::path::Path;

use sandkasten_client::{RequestError, UploadFile};
use sandkasten_e2e::{API_KEY, TestDaemon, TestSession, with_daemon};

/// A file of the host that nobody in a sandbox may read or change.
struct HostSecret {
    directory: tempfile::TempDir,
}

const SECRET: &str = "host-secret-7f3a";

impl HostSecret {
    fn new() -> Self {
        let directory =
            tempfile::Builder::new().prefix("e2e-secret-").tempdir().expect("a directory can be made");
        let secret = Self { directory };
        fs::write(secret.file(), SECRET).expect("a file can be written");
        // Whoever gets here may do anything: nothing but the sandbox keeps them out.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(secret.path(), open).expect("a mode can be set");
        secret
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn file(&self) -> std::path::PathBuf {
        self.path().join("secret")
    }

    fn assert_untouched(&self) {
        assert_eq!(fs::read_to_string(self.file()).expect("it is still there"), SECRET);
        let entries: Vec<_> = fs::read_dir(self.path()).expect("a directory").flatten().collect();
        assert_eq!(entries.len(), 1, "nothing was added: {entries:?}");
    }
}

/// Targets that would reach the host, or a process, if anything outside the sandbox followed them.
fn targets(secret: &HostSecret, daemon: &TestDaemon) -> Vec<String> {
    let file = secret.file().to_string_lossy().into_owned();
    let pid = daemon.pid();
    let mut targets: Vec<String> = [
        "/etc/shadow",
        "../../../../../../etc/shadow",
        "/root/.bashrc",
        "/proc/self/environ",
        "/proc/self/cmdline",
        "/proc/self/maps",
        "/proc/self/mem",
        "/proc/self/root/etc/shadow",
        "/proc/self/cwd/../../../etc/shadow",
        "/proc/1/environ",
        "/proc/1/root/etc/shadow",
        "/proc/1/mem",
        "/proc/thread-self/environ",
        "/proc/self/task/self/environ",
        "/dev/fd/3",
        "/proc/self/fd/3",
    ]
    .map(str::to_owned)
    .to_vec();
    targets.push(file.clone());
    targets.push(format!("../../../../../..{file}"));
    for process in ["1".to_owned(), "self".to_owned(), pid.to_string()] {
        targets.push(format!("/proc/{process}/root{file}"));
        targets.push(format!("/proc/{process}/cwd{file}"));
    }
    targets.push(daemon.config().to_string_lossy().into_owned());
    targets.push(daemon.data_dir().join("sandkasten.db").to_string_lossy().into_owned());
    targets.extend((3..32).map(|descriptor| format!("/proc/self/fd/{descriptor}")));
    targets
}

fn assert_nothing_of_the_host(content: &[u8], target: &str) {
    let text = String::from_utf8_lossy(content);
    assert!(!text.contains(SECRET), "{target} led to the host's file");
    assert!(!text.contains(API_KEY), "{target} led to the key");
    let shadow = fs::read_to_string("/etc/shadow").unwrap_or_default();
    let first = shadow.lines().next().unwrap_or("no shadow file on this host");
    assert!(!text.contains(first), "{target} led to the host's accounts");
    assert!(!text.contains("PATH="), "{target} led to an environment");
}

fn assert_no_fault(error: &RequestError, target: &str) {
    match error {
        RequestError::Refused { status, body } => {
            assert!((400..500).contains(status), "{target}: {status} {}", body.message);
        }
        other => panic!("{target}: {other}"),
    }
}

async fn link(session: &TestSession, target: &str, name: &str) {
    session.output(&format!("ln -sfn '{target}' /workspace/{name}")).await;
}

#[test]
fn reading_through_links_shows_nothing_of_the_host() {
    with_daemon(async |daemon| {
        let (session, secret) = (daemon.session().await, HostSecret::new());
        for target in targets(&secret, daemon) {
            link(&session, &target, "link").await;
            match session.client.read_file(&session.id, "link", Some(1 << 16)).await {
                Ok((content, _)) => assert_nothing_of_the_host(&content, &target),
                Err(error) => assert_no_fault(&error, &target),
            }
        }
        for directory in ["/", "/proc/self/root", "/proc/1/root", "/proc/1/cwd", "/proc/self/cwd", "../../.."]
        {
            link(&session, directory, "dir").await;
            for file in
                ["etc/shadow", &secret.file().to_string_lossy()[1..], "proc/self/environ", "proc/1/environ"]
            {
                match session.client.read_file(&session.id, &format!("dir/{file}"), Some(1 << 16)).await {
                    Ok((content, _)) => assert_nothing_of_the_host(&content, directory),
                    Err(error) => assert_no_fault(&error, directory),
                }
            }
        }
        // What the sandbox's own user cannot read, its links do not give to the client either.
        secret.assert_untouched();
    });
}

#[test]
fn writing_through_links_changes_nothing_of_the_host_or_of_the_image() {
    with_daemon(async |daemon| {
        let (session, secret) = (daemon.session().await, HostSecret::new());
        let accounts = session.output("cat /etc/passwd").await;
        for target in targets(&secret, daemon) {
            link(&session, &target, "link").await;
            if let Err(error) = session.client.write_file(&session.id, "link", b"overwritten").await {
                assert_no_fault(&error, &target);
            }
            secret.assert_untouched();
        }
        let host_directory = secret.path().to_string_lossy().into_owned();
        for directory in [
            "/",
            "/etc",
            "/run/sandkasten",
            "/proc/self/root/tmp",
            "/proc/1/root/tmp",
            "/proc/1/cwd",
            host_directory.as_str(),
            "../../../../tmp",
        ] {
            link(&session, directory, "dir").await;
            for name in ["dir/passwd", "dir/secret", "dir/new", "dir/a/b/c"] {
                if let Err(error) = session.client.write_file(&session.id, name, b"overwritten").await {
                    assert_no_fault(&error, directory);
                }
            }
            let file = UploadFile { name: "secret".to_owned(), content: b"overwritten".to_vec() };
            if let Err(error) = session.client.upload(&session.id, "dir", vec![file]).await {
                assert_no_fault(&error, directory);
            }
            secret.assert_untouched();
        }
        assert_eq!(session.output("cat /etc/passwd").await, accounts);
        assert_eq!(session.output("echo alive").await, "alive");
        assert!(!Path::new("/tmp/a/b/c").exists() && !Path::new("/tmp/new").exists(), "made on the host");
        // The daemon itself is unharmed.
        assert_eq!(daemon.client().list_sessions().await.expect("a list").len(), 1);
    });
}

#[test]
fn link_loops_and_long_chains_are_refused_at_once() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session
            .output(
                "cd /workspace; ln -s loop loop; ln -s b a; ln -s a b; ln -s . self; \
                 echo end > c0; for n in $(seq 60); do ln -s c$((n-1)) c$n; done; ln -s missing dangling",
            )
            .await;
        let deep = format!("{}x", "self/".repeat(200));
        for path in ["loop", "a", "b", "loop/x", "c60", &deep, "dangling", "dangling/x"] {
            let error = session.client.read_file(&session.id, path, None).await.expect_err(path);
            assert_no_fault(&error, path);
        }
        for path in ["loop/x", "a/x", "c60/x"] {
            let error = session.client.write_file(&session.id, path, b"x").await.expect_err(path);
            assert_no_fault(&error, path);
        }
        assert_eq!(
            session.client.read_file(&session.id, "c20", None).await.expect("a short chain").0,
            b"end\n"
        );
    });
}

#[test]
fn links_inside_the_workspace_work() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.output("mkdir d; echo text > d/file; ln -s d/file l; ln -s d e; ln -s /workspace/d f").await;
        for path in ["l", "e/file", "f/file", "/workspace/e/file"] {
            assert_eq!(
                session.client.read_file(&session.id, path, None).await.expect(path).0,
                b"text\n",
                "{path}"
            );
        }
        session.client.write_file(&session.id, "e/new", b"new").await.expect("written");
        assert_eq!(session.output("cat d/new; stat -c %u:%g d/new").await, "new1000:1000");
    });
}

#[test]
fn what_the_user_may_not_read_or_write_is_refused() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.output("echo x > closed; chmod 0 closed; mkdir shut; chmod 0 shut").await;
        for path in ["closed", "shut/x"] {
            let error = session.client.read_file(&session.id, path, None).await.expect_err(path);
            assert_no_fault(&error, path);
        }
        let error = session.client.write_file(&session.id, "shut/x", b"x").await.expect_err("shut");
        assert_no_fault(&error, "shut/x");
    });
}

#[test]
fn paths_and_names_that_leave_the_workspace_are_refused() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for path in [
            "/etc/passwd",
            "..",
            "../x",
            "../../etc/passwd",
            "/workspace/../etc/passwd",
            "/workspace/../../etc/passwd",
            "/workspacex/x",
            "a/../../x",
            "/",
            "",
            "/proc/self/environ",
            "//etc/passwd",
            "/./etc/passwd",
            "a\0b",
            "/workspace/./../x",
        ] {
            let error = session.client.read_file(&session.id, path, None).await.expect_err(path);
            assert!(matches!(error, RequestError::Refused { status: 400, .. }), "{path:?}: {error}");
            let error = session.client.write_file(&session.id, path, b"x").await.expect_err(path);
            assert!(matches!(error, RequestError::Refused { status: 400, .. }), "{path:?}: {error}");
        }
        for name in ["..", ".", "", "a\0b", "a\nb", "a/..", &"x".repeat(256)] {
            let file = UploadFile { name: name.to_owned(), content: b"x".to_vec() };
            match session.client.upload(&session.id, "", vec![file]).await {
                Ok(paths) => {
                    assert!(paths.iter().all(|path| path.starts_with("/workspace/")), "{name:?}: {paths:?}")
                }
                Err(error) => assert_no_fault(&error, name),
            }
        }
        assert_eq!(session.output("ls -A /tmp /home/sandbox | grep -v : | tr -d '\\n'").await, "");
    });
}

#[test]
fn hard_links_bring_nothing_of_the_image_or_of_proc_into_the_workspace() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let program = "\
import os
os.chdir('/workspace')
for number, target in enumerate(['/etc/passwd', '/etc/hosts', '/usr/bin/env', '/proc/self/environ', '/proc/1/environ',
                                 '/dev/null', '/run/sandkasten', '/tmp/../etc/passwd']):
    for follow in (True, False):
        try:
            os.link(target, f'hard{number}', follow_symlinks=follow)
            print('linked', target)
        except OSError:
            pass
os.symlink('/proc/self/environ', 'soft')
os.link('soft', 'hard-soft', follow_symlinks=False)
open('one', 'w').write('old')
os.link('one', 'two')";
        assert_eq!(session.python(program).await, "");
        for path in ["soft", "hard-soft"] {
            assert_no_fault(&session.client.read_file(&session.id, path, None).await.expect_err(path), path);
        }
        // A write gives the name a new file, and the other name keeps the old one.
        session.client.write_file(&session.id, "two", b"new").await.expect("written");
        assert_eq!(session.output("cat one two; ls -A | grep -c hard").await, "oldnew1");
    });
}
