//! Nobody who can ask the daemon for something can write a line of its log, or act on the terminal that shows it.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::thread::{self, JoinHandle};

use reqwest::Method;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use sandkasten_e2e::{API_KEY, Answer, DetachedDaemon, until, with_detached};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What clears a screen, names a window, ends a line and begins a forged one, ends a string, begins a sequence in one
/// character, and turns text around.
const HOSTILE: &str = "x\x1b[2J\x1b]0;owned\x07\r\n{\"level\":\"ERROR\",\"message\":\"forged\"}\n\0\u{7f}\u{9b}2J\u{85}\u{2028}\u{202e}y";

#[test]
fn every_line_of_a_log_for_programs_is_one_printable_object() {
    with_detached("", async |daemon| {
        daemon.start(&["--log-level", "trace"]);
        provoke(daemon).await;
        assert!(daemon.run(&["stop"]).status.success());
        let log = daemon.log();
        let mut entries = Vec::new();
        for line in log.lines() {
            assert_printable(line);
            let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert_ne!(entry["message"], "forged");
            assert!(entry["timestamp"].is_string() && entry["level"].is_string(), "{line}");
            entries.push(entry);
        }
        // It was said and is there, in a form that does nothing.
        assert!(entries.iter().any(|entry| has(entry, "\u{9b}2J")), "{log}");
        assert!(entries.iter().any(|entry| has(entry, "%1b%5b2J%0a")), "{log}");
    });
}

#[test]
fn every_line_of_a_log_for_people_is_one_printable_line() {
    with_detached("", async |daemon| {
        let (terminal, shown) = terminal();
        let mut command = daemon.command(&["daemon", "--log-level", "trace"]);
        let mut child = command.stderr(Stdio::from(terminal)).spawn().expect("the binary runs");
        // The other end closes with the last who has it.
        drop(command);
        until("it is ready", async || daemon.status()["ready"] == true).await;
        provoke(daemon).await;
        assert!(daemon.run(&["stop"]).status.success());
        assert!(child.wait().expect("it ended").success());
        let mut log = shown.join().expect("read");
        assert!(log.contains("\x1b[32m INFO\x1b[0m"), "it has colours: {log:?}");
        for code in ["0", "2", "3", "31", "32", "33", "34", "35"] {
            log = log.replace(&format!("\x1b[{code}m"), "");
        }
        for line in log.lines() {
            assert_printable(line);
            let (at, _) = line.split_once(' ').expect("a time");
            assert!(at.parse::<jiff::Timestamp>().is_ok(), "{line:?}");
        }
        assert!(log.contains("\\u{9b}2J"), "{log}");
    });
}

#[test]
fn a_log_that_cannot_be_written_takes_nothing_down() {
    with_detached("", async |daemon| {
        // As a disk that is full.
        let full = OpenOptions::new().write(true).open("/dev/full").expect("a device");
        let mut command = daemon.command(&["daemon", "--log-level", "trace"]);
        let mut child = command.stderr(full).spawn().expect("the binary runs");
        until("it is ready", async || daemon.status()["ready"] == true).await;
        provoke(daemon).await;
        let session = daemon.session().await;
        assert_eq!(session.output("echo alive").await, "alive");
        session.destroy().await;
        assert!(daemon.run(&["stop"]).status.success());
        assert!(child.wait().expect("it ended").success());
    });
}

/// Says hostile things to the daemon wherever it could repeat them.
async fn provoke(daemon: &DetachedDaemon) {
    let session = daemon.session().await;
    let base = format!("/v1/sessions/{}", session.id);
    let api = daemon.raw();
    // Longer than any name of a file, so that the kernel's own refusal is repeated too.
    let long = HOSTILE.replace('\0', "").repeat(12);
    for (path, body) in [
        ("/v1/sessions".to_owned(), json!({"image": HOSTILE})),
        ("/v1/sessions".to_owned(), json!({"workspace_id": HOSTILE})),
        ("/v1/sessions".to_owned(), json!({HOSTILE: HOSTILE})),
        (format!("{base}/exec"), json!({"cmd": HOSTILE})),
        (format!("{base}/exec"), json!({"cmd": format!("printf '%s' '{}'", HOSTILE.replace('\0', ""))})),
        (format!("{base}/fs/write"), json!({"path": HOSTILE, "text": HOSTILE})),
        (format!("{base}/fs/write"), json!({"path": long, "text": "x"})),
    ] {
        api.post(&path, &body).await;
    }
    let read = |path: &str| api.request(Method::GET, &format!("{base}/fs/read")).query(&[("path", path)]);
    for path in [HOSTILE, &long] {
        Answer::to(read(path)).await;
    }
    let upload = api.request(Method::POST, &format!("{base}/fs/upload"));
    let boundary = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\n\r\nx\r\n--b--\r\n",
        HOSTILE.replace(['\n', '\r'], "")
    );
    Answer::to(upload.header("content-type", "multipart/form-data; boundary=b").body(boundary)).await;

    let url = daemon.url();
    let host = url.strip_prefix("http://").expect("a TCP address");
    let key = format!("Authorization: Bearer {API_KEY}\r\n");
    for request in [
        format!("GET /v1/\u{9b}2J\u{85}\u{202e} HTTP/1.1\r\nHost: {host}\r\n{key}"),
        format!("GET /v1/%1b%5b2J%0a%00%c2%9b HTTP/1.1\r\nHost: {host}\r\n{key}"),
        format!("GET /v1/\x1b[2J HTTP/1.1\r\nHost: {host}\r\n{key}"),
        format!("GET /v1/\u{7f}\0 HTTP/1.1\r\nHost: {host}\r\n{key}"),
        format!("G\x1b[2JT /v1 HTTP/1.1\r\nHost: {host}\r\n{key}"),
        format!("GET /v1/sessions HTTP/1.1\r\nHost: \u{9b}2J\u{202e}.example\r\n{key}"),
        format!("GET /v1/sessions HTTP/1.1\r\nHost: {host}\r\nOrigin: http://\u{9b}2J\x1b[2J\r\n{key}"),
        format!("GET /v1/sessions HTTP/1.1\r\nHost: {host}\r\nX-Request-ID: a\u{9b}2J\tb\r\n{key}"),
        format!(
            "GET /v1/sessions HTTP/1.1\r\nHost: {host}\r\nX-Request-ID: a\n{{\"message\":\"forged\"}}\r\n{key}"
        ),
        HOSTILE.to_owned(),
    ] {
        let mut stream = TcpStream::connect(host).await.expect("a connection");
        stream.write_all(format!("{request}Connection: close\r\n\r\n").as_bytes()).await.expect("sent");
        // Answered or cut off.
        stream.read_to_end(&mut Vec::new()).await.ok();
    }
    session.destroy().await;
}

fn assert_printable(line: &str) {
    let acts = |c: char| {
        c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffd}')
    };
    assert!(!line.contains(acts) && !line.is_empty(), "{line:?}");
}

/// Whether a word is in any of an object's values.
fn has(entry: &Value, word: &str) -> bool {
    entry.as_object().is_some_and(|fields| {
        fields.values().any(|value| value.as_str().is_some_and(|text| text.contains(word)))
    })
}

/// Makes a terminal, and returns the end for a program and what is shown until that is closed.
fn terminal() -> (OwnedFd, JoinHandle<String>) {
    let shown = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&shown).expect("granted");
    unlockpt(&shown).expect("unlocked");
    let name = ptsname(&shown, Vec::new()).expect("a name").into_string().expect("UTF-8");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(name, flags, Mode::empty()).expect("its other end");
    let reader = thread::spawn(move || {
        let (mut shown, mut bytes, mut buffer) = (File::from(shown), Vec::new(), [0; 4096]);
        // The kernel says EIO where nobody has the other end any more.
        while let Ok(count) = shown.read(&mut buffer) {
            bytes.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8(bytes).expect("UTF-8").replace("\r\n", "\n")
    });
    (terminal, reader)
}
