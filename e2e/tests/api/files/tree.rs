//! `fs/list`, `stat`, `mkdir`, `move`, `copy`, `remove` and `chmod`.

use reqwest::Method;
use sandkasten_e2e::{Answer, TestDaemon, TestSession, with_daemon};
use serde_json::{Value, json};

/// Calls of the file routes of one session.
struct Tree<'a> {
    daemon: &'a TestDaemon,
    session: TestSession,
}

impl<'a> Tree<'a> {
    async fn new(daemon: &'a TestDaemon) -> Self {
        Self { daemon, session: daemon.session().await }
    }

    async fn ask(&self, method: Method, call: &str, query: &[(&str, &str)]) -> Answer {
        let route = format!("/v1/sessions/{}/fs/{call}", self.session.id);
        Answer::to(self.daemon.raw().request(method, &route).query(query)).await
    }

    async fn get(&self, call: &str, query: &[(&str, &str)]) -> Answer {
        self.ask(Method::GET, call, query).await
    }

    async fn post(&self, call: &str, body: Value) -> Answer {
        self.daemon.raw().post(&format!("/v1/sessions/{}/fs/{call}", self.session.id), &body).await
    }

    async fn remove(&self, path: &str, recursive: &str) -> Answer {
        self.ask(Method::DELETE, "remove", &[("path", path), ("recursive", recursive)]).await
    }

    async fn names(&self, query: &[(&str, &str)]) -> String {
        let answer = self.get("list", query).await.ok(200);
        let entries = answer["entries"].as_array().expect("entries");
        entries.iter().map(|entry| entry["path"].as_str().expect("a path")).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn a_list_says_what_each_entry_is() {
    with_daemon(async |daemon| {
        let tree = Tree::new(daemon).await;
        tree.session
            .output(
                "mkdir -p d/e; printf 12345 > d/f; chmod 640 d/f; touch -d 2024-05-06T07:08:09.5Z d/f; ln -s ../x d/l; \
                 mkfifo d/p; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"d/s\")'",
            )
            .await;
        let answer = tree.get("list", &[("path", "d")]).await.ok(200);
        assert_eq!((&answer["path"], &answer["truncated"]), (&json!("/workspace/d"), &json!(false)));
        let shown: Vec<_> = answer["entries"]
            .as_array()
            .expect("entries")
            .iter()
            .map(|entry| {
                format!(
                    "{} {}",
                    entry["name"].as_str().expect("a name"),
                    entry["type"].as_str().expect("a type")
                )
            })
            .collect();
        assert_eq!(shown, ["e directory", "f file", "l symlink", "p fifo", "s socket"]);
        assert_eq!(
            answer["entries"][1],
            json!({"name": "f", "path": "/workspace/d/f", "type": "file", "size": 5, "mode": "0640",
                   "mtime": "2024-05-06T07:08:09.5Z"})
        );
        assert_eq!(answer["entries"][2]["target"], "../x");
        assert_eq!(tree.get("stat", &[("path", "d/f")]).await.ok(200), answer["entries"][1]);
        assert_eq!(tree.get("stat", &[("path", "d/l")]).await.ok(200)["type"], "symlink");
        assert_eq!(tree.get("stat", &[("path", ".")]).await.ok(200)["name"], "workspace");
    });
}

#[test]
fn depth_and_glob_say_what_is_listed() {
    with_daemon(async |daemon| {
        let tree = Tree::new(daemon).await;
        tree.session.output("mkdir -p a/b/c; touch a/1.rs a/b/2.rs a/b/c/3.txt; ln -s / a/root").await;
        for (query, expected) in [
            (vec![], "a"),
            (vec![("path", "a")], "a/1.rs a/b a/root"),
            (vec![("depth", "2")], "a a/1.rs a/b a/root"),
            (vec![("depth", "100")], "a a/1.rs a/b a/b/2.rs a/b/c a/b/c/3.txt a/root"),
            (vec![("glob", "*.rs")], "a/1.rs a/b/2.rs"),
            (vec![("glob", "*.rs"), ("depth", "2")], "a/1.rs"),
            (vec![("glob", "a/**/*.txt")], "a/b/c/3.txt"),
            (vec![("path", "a"), ("glob", "b/*")], "a/b/2.rs a/b/c"),
        ] {
            let expected: Vec<_> = expected.split(' ').map(|path| format!("/workspace/{path}")).collect();
            assert_eq!(tree.names(&query).await, expected.join(" "), "{query:?}");
        }
        for query in [
            ("depth", "0"),
            ("depth", "101"),
            ("depth", "x"),
            ("glob", "["),
            ("glob", ""),
            ("levels", "1"),
            ("path", ".."),
        ] {
            assert!(
                !tree.get("list", &[query]).await.message(400, "INVALID_REQUEST").is_empty(),
                "{query:?}"
            );
        }
        tree.session.output("mkdir many; cd many; seq 10001 | xargs touch").await;
        let answer = tree.get("list", &[("path", "many")]).await.ok(200);
        assert_eq!(answer["entries"].as_array().map(Vec::len), Some(10_000));
        assert_eq!(answer["truncated"], true);
    });
}

#[test]
fn directories_are_made_moved_copied_and_removed() {
    with_daemon(async |daemon| {
        let tree = Tree::new(daemon).await;
        for body in [
            json!({"path": "plain"}),
            json!({"path": "secret", "mode": "0700"}),
            json!({"path": "a/b/c", "parents": true}),
            json!({"path": "a/b/c", "parents": true}),
        ] {
            assert_eq!(tree.post("mkdir", body).await.ok(200), json!({"ok": true}));
        }
        assert_eq!(
            tree.session.output("stat -c '%n %a %u' plain secret a/b a/b/c").await,
            "plain 755 1000\nsecret 700 1000\na/b 755 1000\na/b/c 755 1000"
        );
        tree.session
            .output("printf one > a/b/c/one; printf two > two; ln -s nowhere a/b/link; chmod 750 a/b")
            .await;
        let copied = tree.post("copy", json!({"from": "a", "to": "copy"})).await.ok(200);
        assert_eq!(copied, json!({"ok": true, "entries": 5, "bytes": 3, "skipped": 0}));
        assert_eq!(
            tree.session.output("cat copy/b/c/one; readlink copy/b/link; stat -c '%a %u' copy/b").await,
            "onenowhere\n750 1000"
        );
        assert_eq!(tree.post("move", json!({"from": "copy", "to": "plain/moved"})).await.status, 200);
        assert_eq!(
            tree.post("copy", json!({"from": "two", "to": "a/b/c/one", "overwrite": true})).await.status,
            200
        );
        assert_eq!(
            tree.post("move", json!({"from": "two", "to": "plain/moved/b/c/one", "overwrite": true}))
                .await
                .status,
            200
        );
        assert_eq!(
            tree.session.output("cat a/b/c/one plain/moved/b/c/one; ls").await,
            "twotwoa\nplain\nsecret"
        );
        assert_eq!(tree.post("chmod", json!({"path": "a/b/c/one", "mode": "0000"})).await.status, 200);
        assert_eq!(tree.post("chmod", json!({"path": "a/b/c/one", "mode": "0751"})).await.status, 200);
        assert_eq!(tree.session.output("stat -c %a a/b/c/one").await, "751");
        assert_eq!(tree.remove("a/b/c/one", "false").await.ok(200), json!({"ok": true}));
        assert_eq!(tree.remove("secret", "false").await.status, 200);
        assert_eq!(tree.remove("a", "true").await.status, 200);
        assert_eq!(tree.remove("plain", "true").await.status, 200);
        assert_eq!(tree.session.output("ls -A").await, "");
    });
}

#[test]
fn each_failure_has_a_code_of_its_own() {
    with_daemon(async |daemon| {
        let tree = Tree::new(daemon).await;
        tree.session
            .output("mkdir -p full/d closed; echo x > file; mkfifo fifo; touch closed/x; chmod 0 closed; ln -s loop loop")
            .await;
        let moved = |from: &str, to: &str| json!({"from": from, "to": to});
        let pair = |from: &str, to: &str| json!({"from": from, "to": to, "overwrite": true});
        for (answer, status, code) in [
            (tree.get("list", &[("path", "none")]).await, 404, "FILE_NOT_FOUND"),
            (tree.get("stat", &[("path", "none/x")]).await, 404, "FILE_NOT_FOUND"),
            (tree.get("list", &[("path", "file")]).await, 409, "NOT_DIRECTORY"),
            (tree.get("stat", &[("path", "file/x")]).await, 409, "NOT_DIRECTORY"),
            (tree.get("list", &[("path", "closed")]).await, 403, "PERMISSION_DENIED"),
            (tree.get("list", &[("path", "loop")]).await, 400, "INVALID_REQUEST"),
            (tree.post("mkdir", json!({"path": "file"})).await, 409, "FILE_EXISTS"),
            (tree.post("mkdir", json!({"path": "file", "parents": true})).await, 409, "FILE_EXISTS"),
            (tree.post("mkdir", json!({"path": "none/x"})).await, 404, "FILE_NOT_FOUND"),
            (tree.post("mkdir", json!({"path": "closed/x/y"})).await, 403, "PERMISSION_DENIED"),
            (tree.post("move", moved("none", "x")).await, 404, "FILE_NOT_FOUND"),
            (tree.post("move", moved("file", "full")).await, 409, "FILE_EXISTS"),
            (tree.post("move", pair("file", "full")).await, 409, "IS_DIRECTORY"),
            (tree.post("move", pair("full", "file")).await, 409, "NOT_DIRECTORY"),
            (tree.post("move", pair("full/d", "full")).await, 409, "DIRECTORY_NOT_EMPTY"),
            (tree.post("move", moved("full", "full/d/x")).await, 400, "INVALID_REQUEST"),
            (tree.post("copy", moved("full", "full/d/x")).await, 400, "INVALID_REQUEST"),
            (tree.post("copy", moved("fifo", "x")).await, 409, "NOT_REGULAR_FILE"),
            (tree.post("copy", moved("file", "fifo")).await, 409, "FILE_EXISTS"),
            (tree.post("copy", moved("closed", "x")).await, 403, "PERMISSION_DENIED"),
            (tree.remove("full", "false").await, 409, "DIRECTORY_NOT_EMPTY"),
            (tree.remove("none", "true").await, 404, "FILE_NOT_FOUND"),
            (tree.remove("closed", "true").await, 403, "PERMISSION_DENIED"),
            (tree.remove(".", "true").await, 400, "INVALID_REQUEST"),
            (tree.post("move", moved("/workspace", "x")).await, 400, "INVALID_REQUEST"),
            (tree.remove("../etc", "true").await, 400, "INVALID_REQUEST"),
            (tree.post("chmod", json!({"path": "file", "mode": "4755"})).await, 400, "INVALID_REQUEST"),
            (tree.post("chmod", json!({"path": "none", "mode": "0755"})).await, 404, "FILE_NOT_FOUND"),
        ] {
            let message = answer.message(status, code);
            for word in [&*daemon.data_dir().to_string_lossy(), "/proc/"] {
                assert!(!message.contains(word), "{message}");
            }
        }
        tree.session.output("ln -s /etc etc; ln -s /proc proc").await;
        assert_eq!(tree.remove("etc/passwd", "false").await.status, 403);
        assert_eq!(
            tree.get("list", &[("path", "proc")]).await.message(409, "NOT_REGULAR_FILE"),
            "/workspace/proc is not a regular file"
        );
        assert_eq!(
            tree.session.output("cat file; chmod 755 closed; ls -A").await,
            "x\nclosed\netc\nfifo\nfile\nfull\nloop\nproc"
        );
    });
}

#[test]
fn a_full_workspace_is_said_and_no_half_copy_stays() {
    with_daemon(async |daemon| {
        let tree = Tree::new(daemon).await;
        tree.session.exec("mkdir d; head -c 1000000 /dev/zero > d/some; cat /dev/zero > fill").await;
        let answer = tree.post("copy", json!({"from": "d", "to": "e"})).await;
        assert!(!answer.message(507, "NO_SPACE").is_empty());
        assert_eq!(tree.session.output("ls -A").await, "d\nfill");
    });
}
