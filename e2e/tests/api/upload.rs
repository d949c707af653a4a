//! `fs/upload`: several files in one form.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use sandkasten_e2e::{Answer, TestDaemon, TestSession, with_daemon};
use serde_json::json;

#[test]
fn files_of_a_form_land_in_the_directory_it_names() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let form = Form::new().part("file", file("one.txt", "1")).part("files", file("two.txt", "22"));
        let form = form.part("files", file("empty", "")).text("path", "new/dir");
        let answer = upload(daemon, &session, form).await.ok(200);
        assert_eq!(
            answer,
            json!({"ok": true, "paths": ["/workspace/new/dir/one.txt", "/workspace/new/dir/two.txt", "/workspace/new/dir/empty"]})
        );
        assert_eq!(
            session.output("cd new/dir; cat one.txt two.txt empty; echo; stat -c %u * | sort -u").await,
            "122\n1000"
        );
        for (directory, path) in [
            (None, "/workspace/x"),
            (Some("/workspace"), "/workspace/x"),
            (Some("/workspace/sub"), "/workspace/sub/x"),
        ] {
            let form = directory.into_iter().fold(Form::new(), |form, path| form.text("path", path));
            let answer = upload(daemon, &session, form.part("file", file("x", "y"))).await.ok(200);
            assert_eq!(answer["paths"], json!([path]));
        }
    });
}

#[test]
fn a_name_with_slashes_is_its_last_part_and_never_leads_elsewhere() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for (name, path) in [
            ("a/b/c.txt", "/workspace/d/c.txt"),
            ("../../etc/passwd", "/workspace/d/passwd"),
            ("/etc/shadow", "/workspace/d/shadow"),
            ("C:\\files\\e.txt", "/workspace/d/e.txt"),
            ("with space \u{1f980}", "/workspace/d/with space \u{1f980}"),
        ] {
            let form = Form::new().text("path", "d").part("file", file(name, "x"));
            assert_eq!(upload(daemon, &session, form).await.ok(200)["paths"], json!([path]));
        }
        for name in ["", "..", ".", "a/..", "a/", &"n".repeat(300)] {
            let form = Form::new().part("file", file(name, "x"));
            assert!(
                !upload(daemon, &session, form).await.message(400, "INVALID_REQUEST").is_empty(),
                "{name}"
            );
        }
        assert_eq!(session.output("ls; ls d | wc -l").await, "d\n5");
    });
}

#[test]
fn forms_that_say_nothing_useful_are_refused_and_leave_nothing() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for form in [
            Form::new(),
            Form::new().text("path", "d"),
            Form::new().text("file", "no name"),
            Form::new().part("file", file("a", "x")).text("path", "/etc"),
            Form::new().part("file", file("a", "x")).text("path", "../up"),
            Form::new().part("attachment", file("a", "x")),
        ] {
            assert!(!upload(daemon, &session, form).await.message(400, "INVALID_REQUEST").is_empty());
        }
        let route = format!("/v1/sessions/{}/fs/upload", session.id);
        for kind in ["application/json", "multipart/form-data", "multipart/form-data; boundary=x"] {
            let request = daemon.raw().request(Method::POST, &route).header("content-type", kind).body("{}");
            assert!(!Answer::to(request).await.message(400, "INVALID_REQUEST").is_empty(), "{kind}");
        }
        let bare = daemon.raw().request(Method::POST, &route);
        assert!(!Answer::to(bare).await.message(400, "INVALID_REQUEST").is_empty());
        assert_eq!(session.output("ls -A").await, "");
    });
}

#[test]
fn a_hundred_files_and_ten_mebibytes_are_the_most() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let of_count = |count: usize| {
            (0..count).fold(Form::new().text("path", "many"), |form, number| {
                form.part("files", file(&format!("f{number}"), "x"))
            })
        };
        let message = upload(daemon, &session, of_count(101)).await.message(400, "INVALID_REQUEST");
        assert!(message.contains("100"), "{message}");
        assert_eq!(session.output("ls").await, "");
        assert_eq!(upload(daemon, &session, of_count(100)).await.status, 200);
        assert_eq!(session.output("ls many | wc -l").await, "100");
        let of_bytes = |bytes: usize| Form::new().part("file", file("large", "x".repeat(bytes)));
        assert_eq!(upload(daemon, &session, of_bytes(10 << 20)).await.status, 200);
        assert_eq!(session.output("stat -c %s large").await, "10485760");
        let message = upload(daemon, &session, of_bytes(11 << 20)).await.message(413, "INVALID_REQUEST");
        assert!(message.contains("10 MiB"), "{message}");
        let halves = Form::new()
            .part("files", file("h1", "x".repeat(6 << 20)))
            .part("files", file("h2", "x".repeat(6 << 20)));
        assert_eq!(upload(daemon, &session, halves).await.status, 413);
        assert_eq!(session.output("ls; stat -c %s large").await, "large\nmany\n10485760");
    });
}

fn file(name: &str, content: impl Into<String>) -> Part {
    Part::text(content.into()).file_name(name.to_owned())
}

async fn upload(daemon: &TestDaemon, session: &TestSession, form: Form) -> Answer {
    let route = format!("/v1/sessions/{}/fs/upload", session.id);
    Answer::to(daemon.raw().request(Method::POST, &route).multipart(form)).await
}
