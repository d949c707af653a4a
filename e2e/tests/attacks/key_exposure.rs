//! The key is nowhere but with those who have it: not in a process list, a log, an error, a sandbox, a URL or a cookie.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use reqwest::Method;
use sandkasten_e2e::{API_KEY, Answer, DetachedDaemon, Leaks, RawApi, TestSession, with_detached};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A key that no other test uses, so that it can be looked for on the whole host.
const KEY: &str = "sk-exposure-7d1f0c52a9e84b36";
/// What somebody takes for the key: often it nearly is.
const WRONG: &str = "sk-exposure-7d1f0c52a9e84b3x";

/// Starts a daemon that has the key from its environment, which is more exposed than a file.
fn start(daemon: &DetachedDaemon) {
    let config = fs::read_to_string(daemon.config()).expect("read");
    daemon.configure(Some(&config.replace(&format!("api_key: \"{API_KEY}\""), "")));
    let mut command = daemon.command(&["daemon", "--detach", "--log-level", "trace"]);
    let output = command.env("SANDKASTEN_API_KEY", KEY).output().expect("the binary runs");
    assert!(output.status.success(), "{output:?}");
    let said = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&said).contains(KEY));
}

async fn session(daemon: &DetachedDaemon) -> TestSession {
    let client = sandkasten_client::Client::new(daemon.url().parse().expect("a URL"), Some(KEY));
    let client = client.expect("a client");
    let session = client.create_session(&Default::default()).await.expect("a session");
    TestSession { id: session.id, client }
}

#[test]
fn the_key_is_in_no_process_list_and_no_sandbox() {
    with_detached("", async |daemon| {
        start(daemon);
        let session = session(daemon).await;
        session.exec("sleep 1000 &").await;
        // The daemon itself has it, or this test could not fail.
        let own = fs::read(format!("/proc/{}/environ", daemon.pid())).expect("an environment");
        assert!(contains(&own, KEY));
        let mut run = daemon.command(&["run", "--", "cat", "/proc/self/environ"]);
        let run = run.env("SANDKASTEN_API_KEY", KEY).output().expect("the binary runs");
        assert!(run.status.success() && contains(&run.stdout, "HOME="), "{run:?}");
        assert!(!contains(&run.stdout, KEY), "{run:?}");

        for process in fs::read_dir("/proc").expect("processes").flatten() {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            assert!(!contains(&line, KEY), "{}", String::from_utf8_lossy(&line));
        }
        let seen = session.output("set; export -p; cat /proc/*/environ /proc/*/cmdline 2>/dev/null || true");
        assert!(!seen.await.contains(KEY));
        let processes = Leaks::find(&daemon.data_dir(), Some(session.id.as_str())).processes;
        assert!(processes.len() >= 2, "{processes:?}");
        for pid in processes {
            let process = Path::new("/proc").join(pid.to_string());
            let environment = fs::read(process.join("environ")).expect("an environment");
            assert!(!contains(&environment, KEY), "process {pid}");
            assert!(!memory_contains(&process, KEY), "process {pid} has it in memory");
        }
        assert!(memory_contains(&Path::new("/proc").join(daemon.pid().to_string()), KEY));
        session.destroy().await;
    });
}

#[test]
fn no_key_that_is_shown_is_in_the_log_or_an_answer() {
    with_detached("", async |daemon| {
        start(daemon);
        let session = session(daemon).await;
        let open = RawApi::new(daemon.url(), None);
        let mut answers = Vec::new();
        for key in [KEY, WRONG] {
            let expected = if key == KEY { 200 } else { 401 };
            let list = |path: &str| open.request(Method::GET, path);
            let bearer = Answer::to(list("/v1/sessions").bearer_auth(key)).await;
            assert_eq!(bearer.status, expected, "{key}");
            answers.push(bearer);
            for refused in [
                list(&format!("/v1/sessions?api_key={key}")),
                list(&format!("/v1/sessions?access_token={key}&token={key}&key={key}")),
                list("/v1/sessions").header("cookie", format!("api_key={key}; session={key}")),
                list("/v1/sessions").header("x-api-key", key),
                list("/v1/sessions").basic_auth("sandkasten", Some(key)),
                list("/v1/sessions").basic_auth(key, None::<&str>),
                list("/v1/sessions").header("authorization", format!("Bearer {key} {key}")),
                list("/v1/sessions").header("referer", format!("http://localhost/?api_key={key}")),
            ] {
                let answer = Answer::to(refused).await;
                assert_eq!(answer.status, 401, "{}", answer.text);
                answers.push(answer);
            }
            // Beside the right one, where it is of no use but may well be.
            let session = format!("/v1/sessions/{}", session.id);
            for (method, path, body) in [
                (Method::GET, format!("/v1/sessions?api_key={key}"), None),
                (Method::GET, format!("{session}/fs/read?path=absent&api_key={key}"), None),
                (Method::GET, format!("/v1/nothing?api_key={key}"), None),
                (Method::PUT, format!("{session}?api_key={key}"), None),
                (Method::POST, "/v1/sessions".to_owned(), Some(json!({"image": 5, "api_key": key}))),
                (Method::POST, format!("{session}/exec"), Some(json!({"cmd": "", "api_key": key}))),
            ] {
                let request =
                    open.request(method, &path).bearer_auth(KEY).header("cookie", format!("k={key}"));
                answers.push(
                    Answer::to(match body {
                        Some(body) => request.json(&body),
                        None => request,
                    })
                    .await,
                );
            }
        }
        for answer in &answers {
            let headers = format!("{:?}", answer.headers);
            for key in [KEY, WRONG] {
                assert!(!answer.text.contains(key) && !headers.contains(key), "{answer:?}");
            }
            for header in ["set-cookie", "location", "www-authenticate"] {
                let shown = answer.headers.get(header);
                assert!(shown.is_none_or(|value| value == "Bearer"), "{header}: {answer:?}");
            }
        }
        write_keys_in_odd_places(&daemon.url()).await;
        session.destroy().await;
        assert!(daemon.run(&["stop"]).status.success());
        let log = daemon.log();
        assert!(
            log.contains("\"status\":401") && log.contains("\"status\":200"),
            "requests are logged: {log}"
        );
        assert!(!log.contains(KEY) && !log.contains(WRONG), "{log}");
    });
}

/// Sends requests that no client would, and looks at the answers.
async fn write_keys_in_odd_places(url: &str) {
    let host = url.strip_prefix("http://").expect("a TCP address");
    for request in [
        // As browsers and curl write a key into a URL.
        format!("GET http://{KEY}:{WRONG}@{host}/v1/sessions HTTP/1.1\r\nHost: {host}\r\n"),
        format!("GET /v1/sessions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n {WRONG}\r\n"),
        format!("GET /v1/sessions HTTP/9.9\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n"),
        format!("Bearer {KEY}\r\n"),
    ] {
        let mut stream = TcpStream::connect(host).await.expect("a connection");
        stream.write_all(format!("{request}Connection: close\r\n\r\n").as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok();
        assert!(!contains(&answer, KEY) && !contains(&answer, WRONG), "{request}");
        assert!(!contains(&answer, "created_at"), "{request}");
    }
}

fn contains(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

/// Whether a word is anywhere in what a process could read of itself.
fn memory_contains(process: &Path, word: &str) -> bool {
    let maps = fs::read_to_string(process.join("maps")).expect("mappings");
    let memory = fs::File::open(process.join("mem")).expect("memory");
    maps.lines().any(|map| {
        let (range, rest) = map.split_once(' ').expect("a range");
        let (from, to) = range.split_once('-').expect("two ends");
        let [from, to] = [from, to].map(|end| u64::from_str_radix(end, 16).expect("an address"));
        // What is only reserved, or of the kernel, holds nothing.
        if !rest.starts_with("rw") || rest.contains("[v") {
            return false;
        }
        let mut bytes = vec![0; usize::try_from((to - from).min(64 << 20)).expect("a size")];
        let count = memory.read_at(&mut bytes, from).unwrap_or(0);
        contains(&bytes[..count], word)
    })
}
