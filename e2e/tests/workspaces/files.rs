//! Files of a workspace by the API, without a session.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use sandkasten_e2e::{Answer, RawApi, with_config};
use serde_json::{Value, json};

use crate::ENABLED;
use crate::calls::Calls;

async fn read(raw: &RawApi, path: &str) -> String {
    let answer = raw.get(&format!("/v1/workspaces/user-1/fs/read?path={path}")).await.ok(200);
    let content = BASE64_STANDARD.decode(answer["content_base64"].as_str().expect("text")).expect("base64");
    String::from_utf8(content).expect("text")
}

async fn write(raw: &RawApi, body: &Value) -> Answer {
    raw.post("/v1/workspaces/user-1/fs/write", body).await
}

#[test]
fn files_are_written_listed_and_read_without_a_session_and_the_sessions_own_in_one() {
    with_config(ENABLED, async |daemon| {
        let raw = daemon.raw();
        assert_eq!(write(&raw, &json!({"path": "d/a", "text": "one"})).await.ok(200), json!({"ok": true}));
        for (path, text) in
            [("/d/b", "two"), ("/workspace/d/c", "three"), ("./d/../run.sh", "#!/bin/sh\necho ran\n")]
        {
            let content = BASE64_STANDARD.encode(text);
            let body = json!({"path": path, "content_base64": content, "mode": "0755"});
            assert_eq!(write(&raw, &body).await.status, 200);
        }
        for (path, text) in [("d/a", "one"), ("/d/b", "two"), ("/workspace/d/c", "three"), ("d/c", "three")] {
            assert_eq!(read(&raw, path).await, text);
        }
        let part = raw.get("/v1/workspaces/user-1/fs/read?path=/d/c&max_bytes=3").await.ok(200);
        assert_eq!(part, json!({"path": "d/c", "content_base64": "dGhy", "truncated": true}));
        let form = Form::new()
            .text("path", "up/load")
            .part("files", Part::bytes(b"x".as_slice()).file_name("one.txt"))
            .part("file", Part::bytes(b"y".as_slice()).file_name("../../two.txt"));
        let request = raw.request(Method::POST, "/v1/workspaces/user-1/fs/upload").multipart(form);
        let answer = Answer::to(request).await.ok(200);
        assert_eq!(answer, json!({"ok": true, "paths": ["up/load/one.txt", "up/load/two.txt"]}));
        let listed = raw.get("/v1/workspaces/user-1/fs?path=.").await.ok(200);
        let entry = |name: &str, is_dir: bool| json!({"name": name, "is_dir": is_dir});
        assert_eq!(listed, json!({"entries": [entry("d", true), entry("run.sh", false), entry("up", true)]}));
        assert_eq!(raw.get("/v1/workspaces/user-1/fs").await.ok(200), listed);
        assert_eq!(
            raw.get("/v1/workspaces/user-1/fs?path=/up/load").await.ok(200)["entries"][1],
            entry("two.txt", false)
        );

        let session = daemon.session_on("user-1").await;
        assert_eq!(
            session
                .output("./run.sh; stat -c %U:%G:%a d d/a run.sh up/load/one.txt")
                .await
                .replace('\n', " "),
            "ran sandbox:sandbox:755 sandbox:sandbox:644 sandbox:sandbox:755 sandbox:sandbox:644"
        );
        session.output("echo changed > d/a; mkfifo fifo; ln -s d link").await;
        // While a session uses it, as well.
        assert_eq!(read(&raw, "link/a").await, "changed\n");
        assert_eq!(write(&raw, &json!({"path": "link/new", "text": "new"})).await.status, 200);
        assert_eq!(session.output("cat d/new").await, "new");
    });
}

#[test]
fn what_cannot_be_done_is_the_clients_to_know_and_makes_no_workspace() {
    with_config(ENABLED, async |daemon| {
        let raw = daemon.raw();
        for path in ["..", "/..", "../x", "/workspace/../x", "a/../../x", "", "a\0b", "/", "."] {
            let answer = write(&raw, &json!({"path": path, "text": "x"})).await;
            assert!(!answer.message(400, "INVALID_REQUEST").is_empty(), "{path:?}");
        }
        for body in
            [json!({"path": "a"}), json!({"path": "a", "text": "x", "mode": "4755"}), json!({"text": "x"})]
        {
            assert!(!write(&raw, &body).await.message(400, "INVALID_REQUEST").is_empty(), "{body}");
        }
        for path in ["fs", "fs/read?path=a", "fs?path=/"] {
            let answer = raw.get(&format!("/v1/workspaces/user-1/{path}")).await;
            assert!(answer.message(404, "WORKSPACE_NOT_FOUND").contains("user-1"));
        }
        assert_eq!(raw.get("/v1/workspaces").await.ok(200), json!({"workspaces": []}));
        assert_eq!(write(&raw, &json!({"path": "file", "text": "x"})).await.status, 200);
        for (path, status, code) in [
            ("fs/read?path=missing", 404, "FILE_NOT_FOUND"),
            ("fs?path=missing", 404, "FILE_NOT_FOUND"),
            ("fs?path=file", 400, "INVALID_REQUEST"),
            ("fs/read?path=/", 400, "INVALID_REQUEST"),
            ("fs/read", 400, "INVALID_REQUEST"),
            ("fs?path=..", 400, "INVALID_REQUEST"),
            ("fs/read?path=file&max_bytes=999999999999", 400, "INVALID_REQUEST"),
        ] {
            let answer = raw.get(&format!("/v1/workspaces/user-1/{path}")).await;
            let message = answer.message(status, code);
            assert!(!message.contains(daemon.data_dir().to_str().expect("text")), "{path}: {message}");
        }
        let answer = write(&raw, &json!({"path": "file/below", "text": "x"})).await;
        assert!(!answer.message(400, "INVALID_REQUEST").is_empty());
    });
}

#[test]
fn a_disk_that_is_too_full_takes_no_write_and_gives_reads() {
    // Of its own, so that it can be filled.
    let place = tempfile::tempdir().expect("a directory");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64m,mode=0700", "none"])
        .arg(place.path())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        println!("SKIP: no tmpfs could be mounted");
        return;
    }
    with_config("workspace:\n  enabled: true\n  min_free_mb: 8", async |daemon| {
        // The disk of workspaces alone: images and the database have theirs.
        let workspaces = daemon.data_dir().join("workspaces");
        let bind = |from: &std::path::Path| {
            let mount = std::process::Command::new("mount").arg("--bind").arg(from).arg(&workspaces).status();
            assert!(mount.is_ok_and(|status| status.success()));
        };
        for directory in [".locks", ".rubbish"] {
            std::fs::create_dir(place.path().join(directory)).expect("made");
        }
        bind(place.path());
        let raw = daemon.raw();
        assert_eq!(write(&raw, &json!({"path": "small", "text": "kept"})).await.status, 200);
        let session = daemon.session_on("user-1").await;
        // Nothing but the disk bounds a session; the write that does not fit is an error of its own.
        let filled = session.exec("head -c 100M /dev/zero > full; echo alive").await;
        assert!(filled.output.ends_with("alive\n"), "{}", filled.output);
        assert!(filled.output.contains("No space left"), "{}", filled.output);
        let answer = write(&raw, &json!({"path": "more", "text": "x"})).await;
        assert!(answer.message(429, "LIMIT_EXCEEDED").contains("min_free_mb"));
        let answer = raw.post("/v1/sessions", &json!({"workspace_id": "user-1"})).await;
        assert!(!answer.message(429, "LIMIT_EXCEEDED").is_empty());
        let calls = Calls::of(daemon, "user-1");
        for answer in [
            calls.put("raw?path=more", "x").await,
            calls.post("mkdir", json!({"path": "more/and", "parents": true})).await,
            calls.post("copy", json!({"from": "small", "to": "more"})).await,
            calls.post("edit", json!({"path": "small", "edits": [{"old": "kept", "new": "gone"}]})).await,
        ] {
            assert!(!answer.message(429, "LIMIT_EXCEEDED").is_empty());
        }
        assert_eq!(read(&raw, "small").await, "kept");
        assert_eq!(calls.post("move", json!({"from": "full", "to": "moved"})).await.status, 200);
        assert_eq!(calls.remove("moved").await.status, 200);
        assert_eq!(write(&raw, &json!({"path": "more", "text": "x"})).await.status, 200);
        // What does not leave enough is not begun.
        let large = json!({"path": "large", "content_base64": BASE64_STANDARD.encode(vec![0; 40 << 20])});
        assert_eq!(write(&raw, &large).await.status, 200);
        assert_eq!(write(&raw, &large).await.status, 429);
        // What turns out to be too much ends early, and leaves what is kept free.
        assert_eq!(calls.remove("large").await.status, 200);
        assert!(
            !calls.put("raw?path=large", vec![0; 100 << 20]).await.message(429, "LIMIT_EXCEEDED").is_empty()
        );
        let zeros = "0".repeat(100 << 20);
        let bomb = zstd::encode_all(&crate::archive(&[("zeros", &zeros)])[..], 3).expect("compressed");
        assert!(bomb.len() < 1 << 20);
        let answer = calls.put("archive?path=bomb&format=tar.zst", bomb).await;
        assert!(!answer.message(429, "LIMIT_EXCEEDED").is_empty());
        assert_eq!(calls.put("raw?path=large", vec![0; 25 << 20]).await.status, 200);
        let answer = calls.post("copy", json!({"from": "large", "to": "second"})).await;
        assert_eq!(answer.status, 200);
        let answer = calls.post("copy", json!({"from": "large", "to": "third"})).await;
        assert!(!answer.message(429, "LIMIT_EXCEEDED").is_empty());
        assert_eq!(calls.get("list?glob=third").await.ok(200)["entries"], json!([]));
        session.destroy().await;
        assert_eq!(raw.delete("/v1/workspaces/user-1").await.status, 200);
        let unmounted = std::process::Command::new("umount").arg(&workspaces).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    });
    let unmounted = std::process::Command::new("umount").arg(place.path()).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
}
