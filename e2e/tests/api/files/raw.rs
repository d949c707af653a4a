//! `fs/raw`: contents as they are, both ways.

use reqwest::Method;
use sandkasten_e2e::{Answer, TestDaemon, TestSession, until, with_daemon};
use serde_json::json;

fn route(session: &TestSession, path: &str) -> String {
    format!("/v1/sessions/{}/fs/raw?path={path}", session.id)
}

async fn put(
    daemon: &TestDaemon,
    session: &TestSession,
    path: &str,
    content: impl Into<reqwest::Body>,
) -> Answer {
    Answer::to(daemon.raw().request(Method::PUT, &route(session, path)).body(content)).await
}

async fn get(daemon: &TestDaemon, session: &TestSession, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = daemon.raw().request(Method::GET, &route(session, path));
    Answer::to(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("(none)")
}

#[test]
fn content_larger_than_any_other_limit_travels_both_ways_byte_for_byte() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let content: Vec<u8> =
            (0..40_u32 << 20).map(|byte| (byte.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let sum = {
            use sha2::Digest;
            sha2::Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let answer = put(daemon, &session, "new/dir/large&mode=0750", content.clone()).await.ok(200);
        assert_eq!(answer, json!({"ok": true, "path": "/workspace/new/dir/large", "bytes": 40 << 20}));
        assert_eq!(
            session.output("sha256sum < new/dir/large | cut -c 1-64; stat -c '%a %u' new/dir/large").await,
            format!("{sum}\n750 1000")
        );
        let response =
            daemon.raw().request(Method::GET, &route(&session, "new/dir/large")).send().await.expect("sent");
        assert_eq!(response.headers()["content-length"], (40 << 20).to_string().as_str());
        assert!(response.bytes().await.expect("whole") == content);
        let answer = put(daemon, &session, "empty", "").await.ok(200);
        assert_eq!(answer["bytes"], 0);
        assert_eq!(get(daemon, &session, "empty", &[]).await.text, "");
    });
}

#[test]
fn a_range_is_sent_alone_and_only_of_the_file_it_was_meant_for() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        assert_eq!(put(daemon, &session, "ten", "0123456789").await.status, 200);
        let whole = get(daemon, &session, "ten", &[]).await;
        assert_eq!(
            (whole.status, whole.text.as_str(), header(&whole, "accept-ranges")),
            (200, "0123456789", "bytes")
        );
        assert!(header(&whole, "last-modified").ends_with(" GMT"), "{}", header(&whole, "last-modified"));
        assert_eq!(
            (header(&whole, "content-disposition"), header(&whole, "x-content-type-options")),
            ("attachment", "nosniff")
        );
        for (range, content, shown) in [
            ("bytes=0-3", "0123", "bytes 0-3/10"),
            ("bytes=7-", "789", "bytes 7-9/10"),
            ("bytes=-1", "9", "bytes 9-9/10"),
            ("bytes=9-100", "9", "bytes 9-9/10"),
        ] {
            let part = get(daemon, &session, "ten", &[("range", range)]).await;
            assert_eq!(
                (part.status, part.text.as_str(), header(&part, "content-range")),
                (206, content, shown)
            );
        }
        let answer = get(daemon, &session, "ten", &[("range", "bytes=10-")]).await;
        assert!(!answer.message(416, "INVALID_REQUEST").is_empty());
        assert_eq!(header(&answer, "content-range"), "bytes */10");
        let tag = header(&whole, "etag").to_owned();
        let headers = [("range", "bytes=0-0"), ("if-range", tag.as_str())];
        assert_eq!(get(daemon, &session, "ten", &headers).await.text, "0");
        session.output("printf abcdefghij > ten").await;
        assert_eq!(get(daemon, &session, "ten", &headers).await.text, "abcdefghij");
    });
}

#[test]
fn what_cannot_be_sent_or_taken_is_refused_with_its_code() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.output("mkdir dir; mkfifo fifo; echo kept > file; echo x > closed; chmod 0 closed").await;
        for (path, status, code) in [
            ("none", 404, "FILE_NOT_FOUND"),
            ("dir", 409, "IS_DIRECTORY"),
            ("fifo", 409, "NOT_REGULAR_FILE"),
            ("file/x", 409, "NOT_DIRECTORY"),
            ("closed", 403, "PERMISSION_DENIED"),
            ("../etc/passwd", 400, "INVALID_REQUEST"),
        ] {
            assert!(!get(daemon, &session, path, &[]).await.message(status, code).is_empty(), "{path}");
        }
        for (path, status, code) in [
            ("dir", 409, "IS_DIRECTORY"),
            ("fifo", 409, "NOT_REGULAR_FILE"),
            ("file/x", 409, "NOT_DIRECTORY"),
            ("x&mode=7777", 400, "INVALID_REQUEST"),
            ("/etc/x", 400, "INVALID_REQUEST"),
        ] {
            assert!(!put(daemon, &session, path, "x").await.message(status, code).is_empty(), "{path}");
        }
        session.exec("cat /dev/zero > fill").await;
        let answer = put(daemon, &session, "file", vec![b'x'; 20 << 20]).await;
        assert!(!answer.message(507, "NO_SPACE").is_empty());
        assert_eq!(session.output("rm fill; cat file; ls -A").await, "kept\nclosed\ndir\nfifo\nfile");
    });
}

#[test]
fn an_upload_that_breaks_off_leaves_no_file_and_no_space_taken() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.output("echo old > file").await;
        let free = "stat -f -c %f /workspace; ls -A; cat file";
        let before = session.output(free).await;
        let (sender, receiver) = tokio::sync::mpsc::channel::<Vec<u8>>(1);
        let pieces = futures_util::stream::unfold(receiver, async |mut receiver| {
            receiver.recv().await.map(|piece| (Ok::<_, std::io::Error>(piece), receiver))
        });
        let request = daemon.raw().request(Method::PUT, &route(&session, "file"));
        let sending = tokio::spawn(request.body(reqwest::Body::wrap_stream(pieces)).send());
        for _ in 0..20 {
            sender.send(vec![b'x'; 1 << 20]).await.expect("taken");
        }
        until("some of it is there", async || session.output(free).await != before).await;
        assert!(session.output("ls -A; cat file").await.ends_with("file\nold"), "not under any name");
        sending.abort();
        until("nothing is left of it", async || session.output(free).await == before).await;
    });
}

#[test]
fn a_download_ends_short_where_its_session_ends() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.output("head -c 50000000 /dev/zero > large").await;
        let mut response =
            daemon.raw().request(Method::GET, &route(&session, "large")).send().await.expect("sent");
        assert!(response.chunk().await.expect("begun").is_some());
        session.destroy().await;
        let mut rest = Ok(Some(Default::default()));
        while matches!(rest, Ok(Some(_))) {
            rest = response.chunk().await;
        }
        assert!(rest.is_err(), "half a file was taken for a whole one");
    });
}
