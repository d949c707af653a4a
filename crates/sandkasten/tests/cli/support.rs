//! A daemon that answers with fixed bytes, and the binary under test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

/// Answers every request by the first route whose start matches `METHOD /path`, and keeps what it was asked.
pub(crate) struct FakeDaemon {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

/// The start of a request line, the status, and the body; a body of events leaves the connection open at its end
/// where it has no last event.
pub(crate) type Route = (&'static str, u16, &'static str);

pub(crate) const ID: &str = "0123abcd-ef01";
pub(crate) const SESSION: &str = r#"{"id":"0123abcd-ef01","image":"host","status":"running","cwd":"/workspace","created_at":"2026-11-24T12:00:00Z","expires_at":"2026-11-24T12:30:00Z","acquire_source":"cold","isolation":{"namespaces":["mnt","pid"],"uid_base":1879048192,"capabilities":[0,0,0,0,0],"no_new_privs":true,"seccomp":"2 (1 filter)","landlock_abi":6,"readonly_rootfs":true,"cgroup":"v1"}}"#;

impl FakeDaemon {
    pub(crate) fn new(routes: &'static [Route]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let seen = Arc::clone(&seen);
                thread::spawn(move || serve(stream.expect("accept"), routes, &seen));
            }
        });
        Self { url, asked }
    }

    /// Returns the requests so far, each from its request line to the end of its body.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("unpoisoned").clone()
    }

    /// Waits until a request or an event of the connection was seen.
    pub(crate) fn wait_for(&self, start: &str) {
        for _ in 0..500 {
            if self.asked().iter().any(|asked| asked.starts_with(start)) {
                return;
            }
            thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{start} was never seen: {:?}", self.asked());
    }
}

/// The binary with a clean environment, in a directory without a configuration.
pub(crate) fn sandkasten(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandkasten"));
    command.env_clear().current_dir("/").args(arguments);
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    sandkasten(arguments).output().expect("the binary runs")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn serve(mut stream: TcpStream, routes: &[Route], seen: &Mutex<Vec<String>>) {
    while let Some(request) = read_request(&mut stream) {
        let found = routes.iter().find(|(start, ..)| request.starts_with(start));
        seen.lock().expect("unpoisoned").push(request.clone());
        let (_, status, body) =
            found.copied().unwrap_or(("", 404, r#"{"error_code":"SESSION_NOT_FOUND","message":"no route"}"#));
        if body.starts_with("event:") {
            let head = format!(
                "HTTP/1.1 {status} S\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
            );
            if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).is_err() {
                return;
            }
            if !body.contains("event: done") && !body.contains("event: error") {
                // The command goes on until the client goes away.
                let ended = stream.read(&mut [0; 16]);
                seen.lock().expect("unpoisoned").push(format!("CLOSED {}", matches!(ended, Ok(0) | Err(_))));
            }
            return;
        }
        let answer = format!("HTTP/1.1 {status} S\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let request = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = request.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0);
            if body.len() >= length {
                return Some(request);
            }
        }
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&buffer[..count]),
            _ => return None,
        }
    }
}
