//! The calls on files that a session has, on a workspace without one.

use futures_util::StreamExt;
use reqwest::{Body, Method};
use sandkasten_e2e::{Answer, EventReader, RawApi, TestDaemon, until, with_config};
use serde_json::{Value, json};

use crate::{ENABLED, archive};

/// The calls of one workspace.
pub(crate) struct Calls {
    raw: RawApi,
    base: String,
}

impl Calls {
    pub(crate) fn of(daemon: &TestDaemon, id: &str) -> Self {
        Self { raw: daemon.raw(), base: format!("/v1/workspaces/{id}/fs") }
    }

    pub(crate) async fn get(&self, call: &str) -> Answer {
        self.raw.get(&format!("{}/{call}", self.base)).await
    }

    pub(crate) async fn post(&self, call: &str, body: Value) -> Answer {
        self.raw.post(&format!("{}/{call}", self.base), &body).await
    }

    pub(crate) async fn put(&self, call: &str, content: impl Into<Body>) -> Answer {
        Answer::to(self.raw.request(Method::PUT, &format!("{}/{call}", self.base)).body(content)).await
    }

    pub(crate) async fn remove(&self, path: &str) -> Answer {
        self.raw.delete(&format!("{}/remove?path={path}&recursive=true", self.base)).await
    }

    /// Every call that needs a file to be there.
    async fn all_on(&self, path: &str) -> Vec<Answer> {
        vec![
            self.get(&format!("list?path={path}")).await,
            self.get(&format!("stat?path={path}")).await,
            self.get(&format!("raw?path={path}")).await,
            self.get(&format!("archive?path={path}")).await,
            self.get(&format!("watch?path={path}")).await,
            self.post("move", json!({"from": path, "to": "other"})).await,
            self.post("copy", json!({"from": path, "to": "other"})).await,
            self.post("chmod", json!({"path": path, "mode": "0700"})).await,
            self.post("edit", json!({"path": path, "edits": [{"old": "a", "new": "b"}]})).await,
            self.post("search", json!({"path": path, "literal": "a"})).await,
            self.remove(path).await,
        ]
    }
}

/// The ids of all workspaces.
async fn workspaces(daemon: &TestDaemon) -> Vec<String> {
    let listed = daemon.raw().get("/v1/workspaces").await.ok(200);
    let all = listed["workspaces"].as_array().expect("a list");
    all.iter().map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn files_are_managed_without_a_session_as_with_one() {
    with_config(ENABLED, async |daemon| {
        let calls = Calls::of(daemon, "user-1");
        let large: Vec<u8> =
            (0..12_u32 << 20).map(|byte| (byte.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let answer = calls.put("raw?path=/data/large&mode=0640", large.clone()).await.ok(200);
        assert_eq!(answer, json!({"ok": true, "path": "data/large", "bytes": 12 << 20}));
        let response =
            calls.raw.request(Method::GET, &format!("{}/raw?path=data/large", calls.base)).send().await;
        assert!(response.expect("an answer").bytes().await.expect("whole") == large);
        let part = calls.raw.request(Method::GET, &format!("{}/raw?path=data/large", calls.base));
        let part = part.header("range", "bytes=5-9").send().await.expect("an answer");
        assert_eq!(part.status(), 206);
        assert_eq!(part.bytes().await.expect("whole"), large[5..10]);

        assert_eq!(
            calls.post("mkdir", json!({"path": "src/a", "parents": true, "mode": "0750"})).await.ok(200),
            json!({"ok": true})
        );
        assert_eq!(calls.put("raw?path=src/a/one.py", "x = 1\ny = 1\n").await.status, 200);
        let edit = json!({"path": "/workspace/src/a/one.py", "edits": [{"old": "x = 1", "new": "x = 2"}]});
        assert_eq!(calls.post("edit", edit).await.ok(200)["path"], "src/a/one.py");
        let found = calls.post("search", json!({"literal": "x = 2"})).await.ok(200);
        assert_eq!(
            (&found["matches"][0]["path"], &found["matches"][0]["line"]),
            (&json!("src/a/one.py"), &json!(1))
        );
        assert_eq!(calls.post("copy", json!({"from": "src", "to": "copy"})).await.ok(200)["entries"], 3);
        assert_eq!(calls.post("move", json!({"from": "copy/a", "to": "copy/b"})).await.status, 200);
        assert_eq!(calls.post("chmod", json!({"path": "copy/b", "mode": "0700"})).await.status, 200);
        let listed = calls.get("list?glob=*.py").await.ok(200);
        let paths: Vec<_> =
            listed["entries"].as_array().expect("a list").iter().map(|entry| &entry["path"]).collect();
        assert_eq!(listed["path"], ".");
        assert_eq!(paths, ["copy/b/one.py", "src/a/one.py"]);
        let listed = calls.get("list?path=/copy").await.ok(200);
        assert_eq!((&listed["path"], &listed["entries"][0]["path"]), (&json!("copy"), &json!("copy/b")));
        assert_eq!(calls.get("stat?path=copy/b").await.ok(200)["mode"], "0700");
        let root = calls.get("stat?path=/").await.ok(200);
        assert_eq!(
            (&root["path"], &root["type"], &root["mode"]),
            (&json!("."), &json!("directory"), &json!("0755"))
        );

        for format in ["tar", "tar.zst"] {
            let packed =
                calls.raw.request(Method::GET, &format!("{}/archive?path=/&format={format}", calls.base));
            let packed = packed.send().await.expect("an answer").bytes().await.expect("whole");
            let other = Calls::of(daemon, &format!("from-{}", format.replace('.', "-")));
            assert_eq!(
                other.put(&format!("archive?path=/&format={format}"), packed).await.ok(200)["entries"],
                8
            );
            assert_eq!(other.get("raw?path=copy/b/one.py").await.text, "x = 2\ny = 1\n");
        }
        let session = daemon.session_on("from-tar").await;
        assert_eq!(
            session.output("stat -c '%U:%G %a' data/large copy/b src/a/one.py | tr '\\n' ' '").await.trim(),
            "sandbox:sandbox 640 sandbox:sandbox 700 sandbox:sandbox 644"
        );
        assert_eq!(calls.remove("copy").await.status, 200);
        assert_eq!(calls.get("stat?path=copy").await.message(404, "FILE_NOT_FOUND"), "copy does not exist");
    });
}

#[test]
fn what_is_missing_is_made_by_a_write_that_succeeds_and_by_nothing_else() {
    with_config(ENABLED, async |daemon| {
        let calls = Calls::of(daemon, "user-1");
        for answer in calls.all_on("file").await {
            assert!(answer.message(404, "WORKSPACE_NOT_FOUND").contains("user-1"));
        }
        for (answer, status, code) in [
            (calls.post("mkdir", json!({"path": "a/b"})).await, 404, "FILE_NOT_FOUND"),
            (calls.put("raw?path=/", "x").await, 409, "IS_DIRECTORY"),
            (calls.put("archive?path=.", "no archive").await, 400, "INVALID_REQUEST"),
            (calls.put("archive?path=.", archive(&[("../up", "x")])).await, 400, "INVALID_REQUEST"),
        ] {
            assert!(!answer.message(status, code).is_empty());
        }
        for path in ["..", "/..", "a/../../x", "/workspace/../x", ""] {
            let body = json!({"path": path, "parents": true});
            assert!(!calls.post("mkdir", body).await.message(400, "INVALID_REQUEST").is_empty(), "{path:?}");
            for call in ["raw", "archive"] {
                let answer = calls.put(&format!("{call}?path={path}"), "x").await;
                assert!(!answer.message(400, "INVALID_REQUEST").is_empty(), "{call} {path:?}");
            }
        }
        // One that breaks off, as well.
        let broken = futures_util::stream::iter([Ok("x"), Err(std::io::Error::other("gone"))]);
        let request = calls.raw.request(Method::PUT, &format!("{}/raw?path=file", calls.base));
        assert!(request.body(Body::wrap_stream(broken)).send().await.is_err());
        until("nothing is left of it", async || workspaces(daemon).await.is_empty()).await;

        let (made, kept) = (Calls::of(daemon, "made"), Calls::of(daemon, "kept"));
        assert_eq!(made.post("mkdir", json!({"path": "/", "parents": true})).await.status, 200);
        assert_eq!(kept.put("archive?path=.", archive(&[("./", "")])).await.status, 200);
        assert_eq!(workspaces(daemon).await, ["kept", "made"]);
        for body in [json!({"from": ".", "to": "x"}), json!({"from": "x", "to": "/"})] {
            assert!(!made.post("move", body).await.message(400, "INVALID_REQUEST").is_empty());
        }
        assert!(!made.remove("/workspace").await.message(400, "INVALID_REQUEST").is_empty());
        assert_eq!(made.get("list").await.ok(200)["entries"], json!([]));
        let answer = Calls::of(daemon, "Upper").get("list").await;
        assert!(!answer.message(400, "INVALID_WORKSPACE").is_empty());
    });
}

#[test]
fn a_workspace_that_a_request_writes_to_is_neither_removed_nor_renamed() {
    with_config(ENABLED, async |daemon| {
        let calls = Calls::of(daemon, "user-1");
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<Result<Vec<u8>, std::io::Error>>();
        sender.send(Ok(vec![b'x'; 1 << 20])).expect("received");
        let pieces = futures_util::stream::unfold(receiver, async |mut receiver| {
            receiver.recv().await.map(|piece| (piece, receiver))
        });
        let request = calls.raw.request(Method::PUT, &format!("{}/raw?path=file", calls.base));
        let upload = tokio::spawn(request.body(Body::wrap_stream(pieces.boxed())).send());
        until("it is there", async || !workspaces(daemon).await.is_empty()).await;
        let raw = daemon.raw();
        assert!(!raw.delete("/v1/workspaces/user-1").await.message(409, "WORKSPACE_IN_USE").is_empty());
        let renamed = raw.post("/v1/workspaces/user-1/rename", &json!({"to": "other"})).await;
        assert!(!renamed.message(409, "WORKSPACE_IN_USE").is_empty());
        sender.send(Ok(b"end".to_vec())).expect("received");
        drop(sender);
        let answer = upload.await.expect("a task").expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(calls.get("stat?path=file").await.ok(200)["size"], (1 << 20) + 3);
        assert_eq!(raw.delete("/v1/workspaces/user-1").await.status, 200);
        assert!(!calls.get("stat?path=file").await.message(404, "WORKSPACE_NOT_FOUND").is_empty());
    });
}

#[test]
fn a_watch_tells_what_a_session_changes_and_ends_with_the_workspace() {
    with_config(ENABLED, async |daemon| {
        let calls = Calls::of(daemon, "user-1");
        let session = daemon.session_on("user-1").await;
        session.output("mkdir src").await;
        let watch = async |path: &str| {
            let request = calls.raw.request(Method::GET, &format!("{}/watch?path={path}", calls.base));
            let mut events = EventReader::open(request).await;
            let ready = events.next().await.expect("an event");
            assert_eq!((ready.name.as_str(), &ready.data["path"]), ("ready", &json!(path)));
            events
        };
        let mut events = [watch(".").await, watch("src").await];
        session.output("echo x > src/file").await;
        let change = events[1].next().await.expect("an event");
        assert_eq!((&change.data["path"], &change.data["kind"]), (&json!("src/file"), &json!("created")));
        session.destroy().await;
        // A watch is no use that keeps it.
        assert_eq!(
            daemon.raw().post("/v1/workspaces/user-1/rename", &json!({"to": "other"})).await.status,
            200
        );
        for events in &mut events {
            let mut last = events.next().await.expect("an event");
            while last.name == "change" {
                last = events.next().await.expect("an event");
            }
            assert_eq!((last.name.as_str(), &last.data["reason"]), ("end", &json!("removed")));
            assert!(events.next().await.is_none());
        }
        let mut events =
            EventReader::open(daemon.raw().request(Method::GET, "/v1/workspaces/other/fs/watch?path=src"))
                .await;
        assert_eq!(events.next().await.expect("an event").name, "ready");
        assert_eq!(daemon.raw().delete("/v1/workspaces/other").await.status, 200);
        let last = events.next().await.expect("an event");
        assert_eq!((last.name.as_str(), &last.data["reason"]), ("end", &json!("removed")));
    });
}

#[test]
fn edits_by_way_of_a_session_and_of_its_workspace_take_turns() {
    with_config(ENABLED, async |daemon| {
        const LINES: usize = 40;
        let calls = Calls::of(daemon, "user-1");
        let session = daemon.session_on("user-1").await;
        let content: String = (0..LINES).map(|line| format!("<{line}>\n")).collect();
        assert_eq!(calls.put("raw?path=file", content).await.status, 200);
        let raw = daemon.raw();
        let edits = (0..LINES).map(|line| {
            let place = if line % 2 == 0 {
                "workspaces/user-1".to_owned()
            } else {
                format!("sessions/{}", session.id)
            };
            let edit =
                json!({"path": "file", "edits": [{"old": format!("<{line}>"), "new": format!("({line})")}]});
            let raw = &raw;
            async move { raw.post(&format!("/v1/{place}/fs/edit"), &edit).await.ok(200) }
        });
        futures_util::future::join_all(edits).await;
        let expected: String = (0..LINES).map(|line| format!("({line})\n")).collect();
        assert_eq!(session.output("cat file").await, expected.trim_end());
    });
}
