//! Pulling from Debian's `docker-registry`, with images that skopeo has put there.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use sandkasten_e2e::{PseudoTerminal, TestDaemon, with_daemon};
use serde_json::Value;

use crate::skopeo::{lacks, layered, listed, run};
use crate::whole_way::import;

/// What `htpasswd -B` makes of me and hunter2.
pub(crate) const USERS: &str = r"me:$2b$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.";

/// A registry on a port of loopback; it ends with the value.
pub(crate) struct TestRegistry {
    directory: tempfile::TempDir,
    child: Child,
    pub(crate) address: String,
}

impl TestRegistry {
    /// Says why there is none where there is none. With `users` it wants a password.
    #[allow(clippy::print_stdout, reason = "whoever runs the tests has to see what was skipped")]
    pub(crate) fn start(users: Option<&str>) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let program = match program(directory.path()) {
            Ok(program) => program,
            Err(why) => {
                println!("SKIP: this host has no docker-registry, which images are pulled from: {why}");
                return None;
            }
        };
        if lacks("skopeo") {
            println!("SKIP: this host has no skopeo, which fills the registry");
            return None;
        }
        let path = |name: &str| directory.path().join(name);
        let mut config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n",
            path("storage").display()
        );
        if let Some(users) = users {
            fs::write(path("users"), users).expect("written");
            config +=
                &format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", path("users").display());
        }
        fs::write(path("config.yml"), config).expect("written");
        let mut child = Command::new(program)
            .arg("serve")
            .arg(path("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the registry starts");
        let mut log = BufReader::new(child.stderr.take().expect("piped")).lines();
        let address = log.by_ref().find_map(|line| {
            let line = line.ok()?;
            let (_, address) = line.split_once("listening on ")?;
            Some(address.split(['"', ',']).next()?.to_owned())
        });
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || log.for_each(drop));
        Some(Self { directory, child, address: address.expect("it says where it listens") })
    }

    /// Puts the image of a layout there as `team/app:1`.
    pub(crate) fn push(&self, layout: &Path) {
        let target = format!("docker://{}/team/app:1", self.address);
        let mut command = Command::new("skopeo");
        command.args(["copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false"]);
        run(command.args(["--dest-creds", "me:hunter2", &format!("oci:{}:test", layout.display()), &target]));
    }

    /// Puts the image of three layers there. Returns a directory with its layout in `layout`.
    pub(crate) fn push_layered(&self) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        let layout = directory.path().join("layout");
        layered().write_layout(&layout);
        self.push(&layout);
        directory
    }

    pub(crate) fn pull(&self, daemon: &TestDaemon, options: &[&str], password: Option<&str>) -> Output {
        let reference = format!("{}/team/app:1", self.address);
        let mut command = daemon.command(&["image", "pull", &reference]);
        command.args(options).env("SANDKASTEN_IMAGES_INSECURE_REGISTRIES", &self.address);
        // Nobody's own credentials.
        command.env("DOCKER_CONFIG", self.directory.path());
        given(command, password)
    }

    /// Changes the last byte of the largest file of the storage.
    pub(crate) fn damage_a_layer(&self) {
        let blob = self.largest_blob();
        let mut bytes = fs::read(&blob).expect("a layer");
        *bytes.last_mut().expect("not empty") ^= 1;
        fs::write(&blob, bytes).expect("written");
    }

    /// The largest file of the storage: a layer.
    fn largest_blob(&self) -> PathBuf {
        let mut found: Vec<PathBuf> = vec![self.directory.path().join("storage")];
        let mut largest = (0, PathBuf::new());
        while let Some(path) = found.pop() {
            let meta = fs::metadata(&path).expect("a file");
            if meta.is_dir() {
                let entries = fs::read_dir(&path).expect("a directory");
                found.extend(entries.map(|entry| entry.expect("an entry").path()));
            } else {
                largest = largest.max((meta.len(), path));
            }
        }
        largest.1
    }
}

impl Drop for TestRegistry {
    fn drop(&mut self) {
        self.child.kill().expect("it ends");
        self.child.wait().expect("it ends");
    }
}

/// Finds the program, or fetches its package and takes it from there: it is no service of this host.
fn program(directory: &Path) -> Result<PathBuf, String> {
    if Command::new("docker-registry").arg("--version").stdout(Stdio::null()).status().is_ok() {
        return Ok(PathBuf::from("docker-registry"));
    }
    let did = |command: &mut Command| match command.current_dir(directory).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(said.lines().find(|line| line.starts_with("E:")).unwrap_or("apt failed").to_owned())
        }
        Err(error) => Err(format!("{:?}: {error}", command.get_program())),
    };
    did(Command::new("apt-get").args(["download", "docker-registry"]))?;
    let entries = fs::read_dir(directory).map_err(|error| error.to_string())?;
    let package = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|end| end == "deb"));
    let package = package.ok_or("apt downloaded nothing")?;
    did(Command::new("dpkg-deb").arg("-x").arg(package).arg(directory.join("package")))?;
    Ok(directory.join("package/usr/bin/docker-registry"))
}

fn given(mut command: Command, input: Option<&str>) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut pipe = child.stdin.take().expect("piped");
    pipe.write_all(input.unwrap_or_default().as_bytes()).expect("it is read");
    drop(pipe);
    child.wait_with_output().expect("it ends")
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What is on the way into the store.
pub(crate) fn leftovers(daemon: &TestDaemon) -> Vec<String> {
    let entries = fs::read_dir(daemon.data_dir().join("layers")).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with('.')).collect()
}

#[test]
fn an_image_is_pulled_run_and_pulled_again_without_its_layers() {
    let Some(registry) = TestRegistry::start(None) else { return };
    with_daemon(async |daemon| {
        let directory = registry.push_layered();
        let pulled = registry.pull(daemon, &[], None);
        assert_eq!(pulled.status.code(), Some(0), "{}", said(&pulled));
        assert!(pulled.stdout.starts_with(b"app:1  "), "{}", String::from_utf8_lossy(&pulled.stdout));
        assert_eq!(said(&pulled).matches(": fetched ").count(), 3, "{}", said(&pulled));
        let run_in = ["run", "--image", "app:1", "--", "cat", "/d/h", "/one"];
        assert_eq!(run(&mut daemon.command(&run_in)), b"11");

        import(daemon, "ours", &directory.path().join("layout"));
        let (ours, theirs) = (listed(daemon, "ours"), listed(daemon, "app:1"));
        assert_eq!((&theirs["layers"], &theirs["config"]), (&ours["layers"], &ours["config"]));

        let again = registry.pull(daemon, &["--name", "again"], None);
        assert_eq!(again.status.code(), Some(0), "{}", said(&again));
        assert!(said(&again).contains("3 layers, 3 of them here already"), "{}", said(&again));
        assert!(!said(&again).contains(": fetch"), "{}", said(&again));
        assert_eq!(leftovers(daemon), [""; 0]);
    });
}

#[test]
fn a_pull_that_fails_leaves_the_older_image_and_nothing_else() {
    let Some(registry) = TestRegistry::start(None) else { return };
    with_daemon(async |daemon| {
        let directory = registry.push_layered();
        let small = directory.path().join("small.tar");
        fs::write(&small, sandkasten_e2e::LayerArchive::default().file("f", b"1").bytes()).expect("written");
        import(daemon, "app:1", &small);
        let before: Value = listed(daemon, "app:1");

        registry.damage_a_layer();
        let pulled = registry.pull(daemon, &[], None);
        assert_eq!(pulled.status.code(), Some(4), "{}", said(&pulled));
        assert!(said(&pulled).contains("has the digest sha256:"), "{}", said(&pulled));
        assert!(said(&pulled).contains("nothing was changed"), "{}", said(&pulled));

        let reference = format!("{}/team/app:1", registry.address);
        let unlisted = given(daemon.command(&["image", "pull", &reference]), None);
        assert_eq!(unlisted.status.code(), Some(3), "{}", said(&unlisted));
        assert!(said(&unlisted).contains("images.insecure_registries"), "{}", said(&unlisted));

        assert_eq!(listed(daemon, "app:1"), before);
        assert_eq!(leftovers(daemon), [""; 0]);
    });
}

#[test]
fn a_registry_with_a_password_is_told_it_and_only_a_right_one_helps() {
    let Some(registry) = TestRegistry::start(Some(USERS)) else { return };
    with_daemon(async |daemon| {
        drop(registry.push_layered());
        let as_me = ["--username", "me", "--password-stdin"];
        for (options, password, exit, expected) in [
            (&[][..], None, 4, "--username"),
            (&as_me, Some("wrong"), 4, "check the user"),
            (&as_me, Some(""), 2, "it is empty"),
            (&as_me, Some("hunter2\n"), 0, "fetched"),
        ] {
            let pulled = registry.pull(daemon, options, password);
            assert_eq!(pulled.status.code(), Some(exit), "{}", said(&pulled));
            assert!(said(&pulled).contains(expected), "{}", said(&pulled));
            assert!(!said(&pulled).contains("hunter2"), "{}", said(&pulled));
        }
        // me:hunter2, as docker login stores it.
        let stored = format!(r#"{{"auths": {{"{}": {{"auth": "bWU6aHVudGVyMg=="}}}}}}"#, registry.address);
        fs::write(registry.directory.path().join("config.json"), stored).expect("written");
        let pulled = registry.pull(daemon, &["--name", "stored"], None);
        assert_eq!(pulled.status.code(), Some(0), "{}", said(&pulled));
    });
}

#[test]
fn a_password_is_not_typed_where_it_would_show() {
    with_daemon(async |daemon| {
        let pull = ["image", "pull", "--username", "me", "--password-stdin", "127.0.0.1:1/app"];
        let mut terminal = PseudoTerminal::start(&daemon.command(&pull));
        terminal.shows("it is a terminal").await;
        assert_eq!(terminal.ends().await, Some(2), "{}", terminal.text());
    });
}
