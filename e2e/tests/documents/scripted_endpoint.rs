//! An endpoint that speaks as much of OpenAI's chat completions as an example needs, with answers written down beforehand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

/// Answers one request after the other with these messages, and gives what was asked: the key, and the request's body.
pub(crate) struct ScriptedEndpoint {
    /// Where it is.
    pub(crate) url: String,
    asked: thread::JoinHandle<Vec<(String, Value)>>,
}

impl ScriptedEndpoint {
    pub(crate) fn start(messages: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = thread::spawn(move || {
            let answer = |message| {
                let (connection, _) = listener.accept().expect("a connection");
                answer(&connection, &message)
            };
            messages.into_iter().map(answer).collect()
        });
        Self { url, asked }
    }

    /// What was asked, once all answers are given.
    pub(crate) fn asked(self) -> Vec<(String, Value)> {
        self.asked.join().expect("every request was one")
    }
}

fn answer(connection: &TcpStream, message: &Value) -> (String, Value) {
    let mut reader = BufReader::new(connection);
    let (mut key, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            // The first line has no colon and a space, and the last one is empty.
            if line.trim_end().is_empty() {
                break;
            }
            assert!(line.starts_with("POST /chat/completions "), "{line}");
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => value.clone_into(&mut key),
            "content-length" => length = value.parse().expect("a number"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let said = json!({"choices": [{"message": message}]}).to_string();
    let mut connection = connection;
    write!(
        connection,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{said}",
        said.len()
    )
    .expect("written");
    (key, serde_json::from_slice(&body).expect("JSON"))
}
