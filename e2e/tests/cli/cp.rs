//! `cp` and `workspace cp`: files between the host and what is inside.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sandkasten_e2e::{TestDaemon, TestSession, with_config, with_daemon};

use crate::outcome::Outcome;

/// A directory of the host in which the command runs, with a session that is called `box`.
struct Place<'a> {
    daemon: &'a TestDaemon,
    session: TestSession,
    directory: tempfile::TempDir,
}

impl<'a> Place<'a> {
    async fn new(daemon: &'a TestDaemon) -> Self {
        let session = daemon.session().await;
        let renamed = serde_json::json!({"name": "box"});
        let request = daemon.raw().request(reqwest::Method::PATCH, &format!("/v1/sessions/{}", session.id));
        assert_eq!(request.json(&renamed).send().await.expect("an answer").status(), 200);
        let directory = tempfile::Builder::new().prefix("e2e-cp-").tempdir().expect("a directory");
        Self { daemon, session, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &str, mode: u32) {
        if let Some(parent) = self.path(name).parent() {
            fs::create_dir_all(parent).expect("made");
        }
        fs::write(self.path(name), content).expect("written");
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).expect("a mode");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn mode(&self, name: &str) -> u32 {
        fs::symlink_metadata(self.path(name)).expect(name).mode() & 0o7777
    }

    fn cp(&self, from: &str, to: &str) -> Outcome {
        let mut command = self.daemon.command(&["cp", from, to]);
        command.current_dir(self.directory.path());
        Outcome::from(command)
    }

    fn copied(&self, from: &str, to: &str) {
        let outcome = self.cp(from, to);
        assert_eq!(
            (outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()),
            (Some(0), "", ""),
            "{from} {to}"
        );
    }

    fn names(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(name)).expect("listed");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn files_and_directories_go_in_and_out_by_the_rules_of_cp() {
    with_daemon(async |daemon| {
        let place = Place::new(daemon).await;
        place.write("src/one", "one", 0o640);
        place.write("src/sub/run.sh", "run", 0o755);
        fs::create_dir(place.path("src/empty")).expect("made");
        symlink("one", place.path("src/link")).expect("linked");
        fs::set_permissions(place.path("src/sub"), fs::Permissions::from_mode(0o500)).expect("a mode");
        fs::set_permissions(place.path("src"), fs::Permissions::from_mode(0o750)).expect("a mode");
        let id = place.session.id.as_str();
        for (from, to) in [
            ("src", "box:"),
            ("src", "box:new"),
            ("src/.", "box:/workspace/flat"),
            ("src/", "box:slash/"),
            ("src/one", "box:two"),
            ("src/one", "box:made/on/the/way"),
            ("src/one", "box:src/sub/../empty/"),
            ("src/link", "box:followed"),
            ("src/empty", "box:nothing"),
        ] {
            place.copied(from, &to.replace("box", if to.contains("new") { id } else { "box" }));
        }
        let listed = "find . -path ./src/sub -prune -o -printf '%P %y %m %u\\n' | LC_ALL=C sort | grep -v ^flat; stat -c '%a' flat src/sub; cat two";
        assert_eq!(
            place.session.output(listed).await,
            " d 755 sandbox\nfollowed f 640 sandbox\nmade d 755 sandbox\nmade/on d 755 sandbox\nmade/on/the d 755 sandbox\n\
             made/on/the/way f 640 sandbox\nnew d 750 sandbox\nnew/empty d 755 sandbox\nnew/link l 777 sandbox\nnew/one f 640 sandbox\n\
             new/sub d 500 sandbox\nnew/sub/run.sh f 755 sandbox\nnothing d 755 sandbox\nslash d 750 sandbox\nslash/empty d 755 sandbox\n\
             slash/link l 777 sandbox\nslash/one f 640 sandbox\nslash/sub d 500 sandbox\nslash/sub/run.sh f 755 sandbox\nsrc d 750 sandbox\n\
             src/empty d 755 sandbox\nsrc/empty/one f 640 sandbox\nsrc/link l 777 sandbox\nsrc/one f 640 sandbox\ntwo f 640 sandbox\n\
             750\n500\none"
        );
        fs::create_dir(place.path("into")).expect("made");
        symlink("into", place.path("by-link")).expect("linked");
        for (from, to) in [
            ("box:new", "copy"),
            ("box:new", "into"),
            ("box:new/", "into/named"),
            ("box:new/.", "by-link/"),
            ("box:new/.", "contents"),
            ("box:two", "three"),
            ("box:two", "into/"),
            ("box:new/link", "into/followed"),
            ("box:nothing", "empty"),
            ("box:", "all"),
        ] {
            place.copied(from, to);
        }
        assert_eq!(place.names("into"), ["empty", "followed", "link", "named", "new", "one", "sub", "two"]);
        assert_eq!(place.names("all"), ["flat", "followed", "made", "new", "nothing", "slash", "src", "two"]);
        for copy in ["copy", "into/new", "into/named", "contents"] {
            assert_eq!(place.names(copy), ["empty", "link", "one", "sub"], "{copy}");
            assert_eq!(place.read(&format!("{copy}/sub/run.sh")), "run");
            let modes = ["", "/one", "/sub", "/sub/run.sh"].map(|name| place.mode(&format!("{copy}{name}")));
            assert_eq!(modes, [0o750, 0o640, 0o500, 0o755], "{copy}");
            assert_eq!(fs::read_link(place.path(&format!("{copy}/link"))).expect("a link"), Path::new("one"));
        }
        assert_eq!((place.read("into/followed").as_str(), place.mode("into/followed")), ("one", 0o640));
        assert_eq!((place.mode("three"), place.names("empty").len()), (0o640, 0));
        // What is there is replaced by what has its name, and the rest stays.
        place.session.output("echo changed > new/one; echo more > new/more").await;
        place.write("copy/kept", "kept", 0o644);
        place.copied("box:new/.", "copy");
        assert_eq!(place.names("copy"), ["empty", "kept", "link", "more", "one", "sub"]);
        assert_eq!(place.read("copy/one"), "changed\n");
        for sub in [
            "src/sub",
            "copy/sub",
            "into/new/sub",
            "into/named/sub",
            "into/sub",
            "contents/sub",
            "all/new/sub",
            "all/slash/sub",
            "all/src/sub",
            "all/flat/sub",
        ] {
            fs::set_permissions(place.path(sub), fs::Permissions::from_mode(0o700)).expect("a mode");
        }
    });
}

#[test]
fn contents_of_any_size_and_archives_go_through_the_standard_streams() {
    with_daemon(async |daemon| {
        let place = Place::new(daemon).await;
        let content: Vec<u8> =
            (0..30_u32 << 20).map(|byte| (byte.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let piped = |from: &str, to: &str, input: &[u8]| {
            let mut command = daemon.command(&["cp", from, to]);
            let mut child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("runs");
            let mut stdin = child.stdin.take().expect("piped");
            let output = std::thread::scope(|scope| {
                // One that does not read to the end has failed, and says why itself.
                scope.spawn(move || drop(stdin.write_all(input)));
                child.wait_with_output().expect("it ends")
            });
            (output.status.code(), output.stdout, String::from_utf8_lossy(&output.stderr).into_owned())
        };
        assert_eq!(piped("-", "box:large", &content).0, Some(0));
        assert!(piped("box:large", "-", b"").1 == content);
        place.copied("box:large", "large");
        assert!(fs::read(place.path("large")).expect("read") == content);
        place.copied("large", "box:again");
        assert_eq!(place.session.output("cmp large again; echo $?").await, "0");
        place.session.output("mkdir d; echo x > d/x; mkdir e").await;
        let (code, archive, _) = piped("box:d", "-", b"");
        assert_eq!(code, Some(0));
        assert_eq!(piped("-", "box:e", &archive).0, Some(0));
        assert_eq!(place.session.output("cat e/x").await, "x");
        let (code, _, why) = piped("-", "box:e", &content);
        assert!(code == Some(4) && why.contains("cannot write box:e"), "{why}");
        // More than fits is heard of, however much of it is still to be sent.
        let (code, _, why) = piped("-", "box:more", &vec![0; 500 << 20]);
        assert!(code == Some(4) && why.contains("no space"), "{code:?}: {why}");
        assert_eq!(place.session.output("ls").await, "again\nd\ne\nlarge");
    });
}

#[test]
fn what_cannot_be_copied_is_said_and_nothing_is_made() {
    with_daemon(async |daemon| {
        let place = Place::new(daemon).await;
        place.write("file", "x", 0o644);
        fs::create_dir(place.path("d")).expect("made");
        place.session.output("echo x > file; mkdir d; mkfifo pipe; echo x > closed; chmod 0 closed").await;
        for (from, to, code, words) in [
            ("file", "d", 2, &["both places are on this host", "SESSION:PATH"][..]),
            ("box:file", "box:x", 2, &["both places are inside"]),
            ("", "box:x", 2, &["empty"]),
            ("no id:x", "y", 2, &["./no id:x"]),
            ("missing", "box:x", 2, &["cannot copy missing", "No such file"]),
            ("file/", "box:x", 2, &["cannot copy file/", "Not a directory"]),
            ("file", "box:new/", 4, &["box:new/ is no directory"]),
            ("file", "box:../x", 4, &["outside /workspace"]),
            ("d", "box:file", 4, &["a file in the place"]),
            ("box:missing", "x", 4, &["box:missing"]),
            ("box:/etc/passwd", "x", 4, &["outside /workspace"]),
            ("nobody:x", "x", 4, &["no live session is called nobody"]),
            ("0123abcd-ef01:x", "x", 4, &["0123abcd-ef01"]),
            ("box:file/", "x", 4, &["box:file/ is no directory"]),
            ("box:pipe", "x", 4, &["pipe"]),
            ("box:closed", "x", 4, &["closed"]),
            ("box:file", "missing/x", 2, &["missing/x"]),
            ("box:file", "x/", 2, &["x/ is no directory"]),
            ("box:d", "file", 2, &["file is no directory"]),
            ("box:d", "missing/x", 2, &["missing/x"]),
        ] {
            let outcome = place.cp(from, to);
            outcome.failed(code, words);
            assert!(outcome.stderr.starts_with("error: "), "{from} {to}: {outcome:?}");
        }
        assert_eq!(place.names("."), ["d", "file"]);
        assert_eq!(place.session.output("ls").await, "closed\nd\nfile\npipe");
        let mut elsewhere = daemon.command(&["cp", "x:y", "z"]);
        elsewhere.env("SANDKASTEN_URL", "http://127.0.0.1:1");
        Outcome::from(elsewhere).failed(3, &["no daemon at"]);
    });
}

#[test]
fn nothing_that_a_session_makes_is_written_outside_of_the_target() {
    with_daemon(async |daemon| {
        let place = Place::new(daemon).await;
        place.write("outside/file", "secret", 0o644);
        let outside = place.path("outside").to_str().expect("text").to_owned();
        let untouched = || {
            assert_eq!(place.read("outside/file"), "secret");
            assert_eq!(place.names("outside"), ["file"]);
        };
        // First links, which come out as they are; then files in their places.
        place
            .session
            .output(&format!(
                "mkdir d; ln -s {outside} d/directory; ln -s {outside}/file d/file; ln -s ../outside d/relative; \
                 ln -s {outside}/new d/new"
            ))
            .await;
        place.copied("box:d", "out");
        assert_eq!(fs::read_link(place.path("out/directory")).expect("a link"), Path::new(&outside));
        untouched();
        for (name, made) in [
            ("directory", "mkdir d/directory; echo evil > d/directory/file"),
            ("relative", "mkdir d/relative; echo evil > d/relative/new"),
            ("file", "echo evil > d/file"),
            ("new", "echo evil > d/new"),
        ] {
            place.session.output(&format!("rm -rf d; mkdir d; {made}")).await;
            let outcome = place.cp("box:d/.", "out");
            assert_eq!(outcome.code, Some(2), "{name}: {outcome:?}");
            assert!(outcome.stderr.contains("not written through links"), "{outcome:?}");
            untouched();
            // The same by the name itself.
            let outcome = place.cp(&format!("box:d/{name}"), "out");
            assert_eq!(outcome.code, Some(2), "{name}: {outcome:?}");
            untouched();
            let outcome = place.cp(&format!("box:d/{name}"), &format!("out/{name}"));
            assert_eq!(outcome.code, Some(2), "{name}: {outcome:?}");
            assert!(outcome.stderr.contains("is a link"), "{outcome:?}");
            untouched();
        }
        place
            .session
            .output("rm -rf d; mkdir d; echo x > d/setuid; chmod 6777 d/setuid d; mkfifo d/pipe")
            .await;
        let mut command = daemon.command(&["cp", "box:d", "bits"]);
        let directory = place.directory.path().to_owned();
        command.current_dir(directory);
        assert_eq!(Outcome::from(command).code, Some(0));
        assert_eq!(
            (place.names("bits"), place.mode("bits"), place.mode("bits/setuid")),
            (vec!["setuid".to_owned()], 0o755, 0o755)
        );
        // A name is no command to the terminal.
        place.session.output("rm -rf d; mkdir -p $'d/\\033]0;evil\\007'").await;
        place.write("names/\u{1b}]0;evil\u{7}", "", 0o644);
        let outcome = place.cp("box:d/.", "names");
        assert!(outcome.code == Some(2) && !outcome.stderr.contains(['\u{1b}', '\u{7}']), "{outcome:?}");
    });
}

#[test]
fn an_ordinary_user_gets_files_of_their_own() {
    with_daemon(async |daemon| {
        let place = Place::new(daemon).await;
        place.session.output("mkdir -p d/sub; echo x > d/sub/file; chmod 666 d/sub/file; chmod 777 d").await;
        fs::set_permissions(place.directory.path(), fs::Permissions::from_mode(0o777)).expect("a mode");
        // The binary may be where the user cannot get to it.
        let binary = place.path("sandkasten");
        fs::copy(sandkasten_e2e::binary(), &binary).expect("copied");
        let as_user = |words: &[&str]| {
            let told = daemon.command(&[]);
            let mut command = std::process::Command::new("sh");
            command.args(["-c", "umask 027; exec \"$@\"", "sh"]).arg(&binary).args(words);
            command.envs(told.get_envs().filter_map(|(name, value)| Some((name, value?))));
            command.current_dir(place.directory.path()).uid(12_345).gid(54_321);
            Outcome::from(command)
        };
        let outcome = as_user(&["cp", "box:d", "own"]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        for (name, mode) in [("own", 0o750), ("own/sub", 0o750), ("own/sub/file", 0o640)] {
            let found = fs::metadata(place.path(name)).expect("there");
            assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (12_345, 54_321, mode), "{name}");
        }
        assert_eq!(as_user(&["cp", "own", "box:back"]).code, Some(0));
        assert_eq!(as_user(&["cp", "box:d/sub/file", "one"]).code, Some(0));
        assert_eq!((place.mode("one"), place.read("one")), (0o640, "x\n".to_owned()));
        fs::set_permissions(place.path("own/sub"), fs::Permissions::from_mode(0o000)).expect("a mode");
        let outcome = as_user(&["cp", "own", "box:again"]);
        assert!(outcome.code == Some(125) && outcome.stderr.contains("own"), "{outcome:?}");
        let outcome = as_user(&["cp", "box:d", "/proc"]);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
    });
}

#[test]
fn files_of_a_workspace_need_no_session() {
    with_config("workspace:\n  enabled: true\n  min_free_mb: 16", async |daemon| {
        let directory = tempfile::Builder::new().prefix("e2e-cp-").tempdir().expect("a directory");
        let cp = |from: &str, to: &str| {
            let mut command = daemon.command(&["workspace", "cp", from, to]);
            command.current_dir(directory.path());
            Outcome::from(command)
        };
        fs::create_dir_all(directory.path().join("src/sub")).expect("made");
        fs::write(directory.path().join("src/sub/file"), "content").expect("written");
        fs::create_dir(directory.path().join("empty")).expect("made");
        let listed = || Outcome::output(daemon, &["workspace", "list", "-q"]);
        cp("missing", "user-1:x").failed(2, &["missing"]);
        cp("src/sub/file", "user-1:../x").failed(4, &["outside"]);
        cp("src/sub/file", "user-1:x/").failed(4, &["x/ is no directory"]);
        cp("user-1:x", "y").failed(4, &["user-1:x"]);
        assert_eq!(listed(), "");
        for (from, to) in [
            ("src", "user-1:"),
            ("src/sub/file", "user-1:/workspace/one"),
            ("empty", "user-2:"),
            ("src", "user-3:src"),
        ] {
            let outcome = cp(from, to);
            assert_eq!(outcome.code, Some(0), "{from} {to}: {outcome:?}");
        }
        assert_eq!(listed(), "user-1\nuser-2\nuser-3");
        let session = daemon.session_on("user-1").await;
        assert_eq!(
            session.output("find . -type f | sort; stat -c %U one").await,
            "./one\n./sub/file\nsandbox"
        );
        for (from, to) in [("user-1:", "."), ("user-1:.", "flat"), ("user-1:sub/file", "file")] {
            let outcome = cp(from, to);
            assert_eq!(outcome.code, Some(0), "{from} {to}: {outcome:?}");
        }
        for file in ["user-1/sub/file", "flat/sub/file", "flat/one", "file"] {
            assert_eq!(fs::read_to_string(directory.path().join(file)).expect(file), "content");
        }
        cp("user-1", "user-2").failed(2, &["workspace copy"]);
        cp("Upper:x", "y").failed(2, &["Upper"]);
    });
}
