//! The file tree: a root that nobody can change, mounts that give no privilege, and nothing of the host's.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use sandkasten_e2e::{TestSession, with_config, with_daemon};

/// Where a session may write.
const WRITABLE: [&str; 5] = ["/dev/shm", "/home/sandbox", "/run", "/tmp", "/workspace"];

/// A mount of a session.
#[derive(Debug)]
struct Mount {
    root: String,
    target: String,
    options: BTreeSet<String>,
    propagation: Vec<String>,
    kind: String,
    source: String,
}

async fn mounts(session: &TestSession) -> Vec<Mount> {
    let text = session.output("cat /proc/self/mountinfo").await;
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let end = fields.iter().position(|field| *field == "-").expect("a separator");
        Mount {
            root: fields[3].to_owned(),
            target: fields[4].to_owned(),
            options: fields[5].split(',').map(str::to_owned).collect(),
            propagation: fields[6..end].iter().map(|field| (*field).to_owned()).collect(),
            kind: fields[end + 1].to_owned(),
            source: fields[end + 2].to_owned(),
        }
    };
    text.lines().map(parse).collect()
}

#[test]
fn no_directory_outside_the_writable_mounts_takes_a_change() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let attempts = "\
import errno, os
writable = ('/dev/shm', '/home/sandbox', '/run', '/tmp', '/workspace', '/proc', '/dev/pts')
tried = 0
def attempt(what, call, *arguments):
    global tried
    tried += 1
    try:
        call(*arguments)
        print(what, 'worked')
    except OSError as error:
        if error.errno != errno.EROFS: print(what, error)
def create(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
for top, directories, files in os.walk('/'):
    directories[:] = [d for d in directories if os.path.join(top, d) not in writable and os.access(os.path.join(top, d), os.X_OK)]
    if top.count('/') >= 3: directories[:] = []
    attempt('create in ' + top, create, os.path.join(top, 'not-there-x'))
    attempt('mkdir in ' + top, os.mkdir, os.path.join(top, 'not-there-y'))
    attempt('link in ' + top, os.symlink, 'a', os.path.join(top, 'not-there-z'))
    for name in files[:3]:
        path = os.path.join(top, name)
        attempt('unlink ' + path, os.unlink, path)
        attempt('rename ' + path, os.rename, path, path + 'x')
        if os.path.exists(path) and not path.startswith('/dev/'):
            attempt('chmod ' + path, os.chmod, path, 0o777)
            attempt('utime ' + path, os.utime, path, (0, 0))
            attempt('xattr ' + path, os.setxattr, path, 'user.x', b'y')
print(tried > 200)";
        assert_eq!(session.python(attempts).await, "True", "what is not EROFS before the end");
        let touched = session.exec("touch / /usr /etc /etc/passwd /var/tmp/x /sys /mnt/x").await;
        assert_eq!(touched.output.matches("Read-only file system").count(), 7, "{}", touched.output);
    });
}

#[test]
fn every_writable_mount_can_be_written_to() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for place in WRITABLE {
            assert_eq!(
                session.output(&format!("echo x > {place}/file && cat {place}/file")).await,
                "x",
                "{place}"
            );
        }
        // Programs are built and run in the workspace.
        let script = "cp /bin/true /workspace/program && /workspace/program && echo ran";
        assert_eq!(session.output(script).await, "ran");
    });
}

#[test]
fn mounts_are_nosuid_nodev_private_and_read_only_but_for_the_writable_ones() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mounts = mounts(&session).await;
        for mount in &mounts {
            let has = |option: &str| mount.options.contains(option);
            assert!(has("nosuid"), "{mount:?}");
            // A masked file is covered by the null device, which has to be one.
            let of_devices = mount.target == "/dev" || mount.target == "/dev/pts" || mount.root == "/null";
            assert!(has("nodev") || of_devices, "{mount:?}");
            assert!(mount.propagation.is_empty(), "{mount:?}");
            let ours = mount.target == "/run/sandkasten" || mount.target == "/dev/pts";
            assert_eq!(has("rw"), WRITABLE.contains(&mount.target.as_str()) || ours, "{mount:?}");
        }
        for target in ["/proc", "/dev", "/dev/pts", "/run/sandkasten"] {
            let mount = mounts.iter().find(|mount| mount.target == target).expect(target);
            assert!(mount.options.contains("noexec"), "{mount:?}");
        }
    });
}

#[test]
fn no_mount_tells_a_path_of_the_host_or_brings_its_control_files() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let data_dir = daemon.data_dir().to_string_lossy().into_owned();
        for mount in mounts(&session).await {
            let known = ["/", "/null", mount.target.as_str()];
            assert!(known.contains(&mount.root.as_str()), "the root tells of the host: {mount:?}");
            assert!(!format!("{mount:?}").contains(&data_dir), "{mount:?}");
            let forbidden = ["cgroup", "cgroup2", "sysfs", "securityfs", "debugfs", "tracefs", "bpf", "fuse"];
            assert!(!forbidden.contains(&mount.kind.as_str()), "{mount:?}");
            assert!(!mount.source.starts_with('/') || mount.source.starts_with("/dev/"), "{mount:?}");
        }
        assert_eq!(session.python("import os; print(os.listdir('/sys'))").await, "[]");
        let list = format!("ls -d {data_dir} /tmp/sk-* 2>/dev/null; ls -A /root 2>/dev/null; true");
        assert_eq!(session.output(&list).await, "");
    });
}

#[test]
fn files_that_tell_of_the_host_are_the_sessions_own_or_absent() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for path in ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/passwd", "/etc/group"] {
            let inside = session.output(&format!("stat -L -c %d:%i {path}")).await;
            if let Ok(host) = fs::metadata(path) {
                assert_ne!(inside, format!("{}:{}", host.dev(), host.ino()), "{path} is the host's");
            }
        }
        let accounts = session.output("cut -d: -f1 /etc/passwd").await;
        assert_eq!(accounts, "root\nnobody\nsandbox");
        for path in ["shadow", "gshadow", "sudoers", "ssh", "machine-id", "environment", "fstab", "crontab"] {
            assert_eq!(
                session.output(&format!("test -e /etc/{path} || echo absent")).await,
                "absent",
                "{path}"
            );
        }
        let everything = "\
import os
for place in ('/root', '/home', '/mnt', '/media', '/opt', '/srv', '/boot', '/var/log', '/var/lib', '/var/spool'):
    try: entries = sorted(os.listdir(place))
    except OSError: continue
    if entries: print(place, entries)";
        assert_eq!(session.python(everything).await, "/home ['sandbox']");
    });
}

#[test]
fn a_writable_root_takes_changes_that_no_other_session_sees() {
    with_config("defaults:\n  readonly_rootfs: false\n  mem_limit_mb: 64", async |daemon| {
        let (first, second) = (daemon.session().await, daemon.session().await);
        let root = mounts(&first).await.into_iter().find(|mount| mount.target == "/").expect("a root");
        for option in ["rw", "nosuid", "nodev"] {
            assert!(root.options.contains(option), "{root:?}");
        }
        assert_eq!(first.output("echo mine > /var/tmp/x && cat /var/tmp/x").await, "mine");
        assert_eq!(second.output("test -e /var/tmp/x || echo absent").await, "absent");
        // Root's files stay root's, and the image itself stays as it is.
        for path in ["/etc/passwd", "/usr/bin/env", "/x", "/usr/x"] {
            let refused = first.exec(&format!("echo x >> {path}")).await;
            assert_ne!(refused.exit_code, 0, "{path}: {}", refused.output);
        }
        let full = first.exec("head -c 100M /dev/zero > /var/tmp/full").await;
        assert!(full.output.contains("No space left"), "{full:?}");
        assert_eq!(first.output("rm /var/tmp/full; echo alive").await, "alive");
        let third = daemon.session().await;
        assert_eq!(third.output("test -e /var/tmp/x || echo absent").await, "absent");
    });
}
