//! The client against a peer that answers with fixed bytes and keeps what it was asked.

use sandkasten_api::error::ErrorCode;
use sandkasten_api::exec::ExecRequest;
use sandkasten_api::id::SessionId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

use super::{Client, UploadFile};
use crate::{Endpoint, ExecEvent, RequestError};

/// Reads one request and answers it piece by piece.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, pieces: Vec<Vec<u8>>) -> String {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await.expect("read");
        request.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")
                    .map(|n| n.parse::<usize>().expect("a number"))
            });
            let whole = if head.contains("chunked") {
                body.ends_with("0\r\n\r\n")
            } else {
                body.len() >= length.unwrap_or(0)
            };
            if whole {
                break;
            }
        }
        assert!(count > 0, "the request ended early");
    }
    for piece in pieces {
        stream.write_all(&piece).await.expect("write");
        stream.flush().await.expect("flush");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    String::from_utf8_lossy(&request).into_owned()
}

fn json(status: &str, body: &str) -> Vec<Vec<u8>> {
    vec![format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()]
}

fn events(pieces: &[&str]) -> Vec<Vec<u8>> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".to_owned();
    std::iter::once(head.into_bytes()).chain(pieces.iter().map(|piece| piece.as_bytes().to_vec())).collect()
}

async fn peer(pieces: Vec<Vec<u8>>) -> (Client, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let endpoint = Endpoint::Http(format!("http://{}", listener.local_addr().expect("bound")));
    let asked = tokio::spawn(async move { answer(listener.accept().await.expect("accept").0, pieces).await });
    (Client::new(endpoint, Some("sk-the-key")).expect("a client"), asked)
}

fn id() -> SessionId {
    "0123abcd-ef01".parse().expect("an id")
}

fn command() -> ExecRequest {
    ExecRequest { cmd: Some("true".to_owned()), timeout_ms: Some(5), ..ExecRequest::default() }
}

#[tokio::test]
async fn requests_carry_the_key_and_answers_are_typed() {
    let (client, asked) =
        peer(json("200 OK", r#"{"exit_code":3,"cwd":"/","output":"x","truncated":false,"duration_ms":1}"#))
            .await;
    let result = client.exec(&id(), &command()).await.expect("an answer");
    assert_eq!((result.exit_code, result.output.as_str()), (3, "x"));
    let asked = asked.await.expect("asked");
    assert!(asked.starts_with("POST /v1/sessions/0123abcd-ef01/exec HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("authorization: Bearer sk-the-key\r\n"), "{asked}");
    assert!(asked.ends_with(r#"{"cmd":"true","timeout_ms":5,"raw_output":false}"#), "{asked}");
}

#[tokio::test]
async fn unix_sockets_are_spoken_to() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("s.sock");
    let listener = UnixListener::bind(&path).expect("bind");
    let asked = tokio::spawn(async move {
        answer(listener.accept().await.expect("accept").0, json("200 OK", r#"{"status":"ok"}"#)).await
    });
    let client = Client::new(Endpoint::Unix(path), None).expect("a client");
    assert_eq!(client.healthz().await.expect("an answer").status, "ok");
    let asked = asked.await.expect("asked");
    assert!(asked.contains("host: localhost\r\n") && !asked.contains("authorization"), "{asked}");
}

#[tokio::test]
async fn a_refusal_keeps_status_and_body() {
    let (client, _) =
        peer(json("404 Not Found", r#"{"error_code":"SESSION_NOT_FOUND","message":"no session"}"#)).await;
    let error = client.get_session(&id()).await.expect_err("refused");
    assert_eq!(error.to_string(), "no session");
    assert!(
        matches!(error, RequestError::Refused { status: 404, body } if body.error_code == ErrorCode::SessionNotFound)
    );
}

#[tokio::test]
async fn what_is_no_daemon_is_a_protocol_error() {
    for pieces in [json("200 OK", "<html>"), json("502 Bad Gateway", "oops"), json("302 Found", "")] {
        let (client, _) = peer(pieces).await;
        assert!(matches!(client.list_sessions().await, Err(RequestError::Protocol { .. })));
    }
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let endpoint = Endpoint::Http(format!("http://{}", listener.local_addr().expect("bound")));
    drop(listener);
    let client = Client::new(endpoint, None).expect("a client");
    assert!(matches!(client.healthz().await, Err(RequestError::Unreachable { .. })));
    let client = Client::new(Endpoint::Unix("/nowhere/s.sock".into()), None).expect("a client");
    assert!(matches!(client.healthz().await, Err(RequestError::Unreachable { .. })));
}

#[tokio::test]
async fn a_stream_yields_chunks_and_ends_with_done() {
    let (client, _) = peer(events(&[
        ": heartbeat\n\nevent: ch",
        "unk\ndata: {\"chunk\":\"a\",\"timestamp\":1}\n",
        "\nevent: news\ndata: {}\n\n",
        "event: done\ndata: {\"exit_code\":7,\"cwd\":\"/\",\"duration_ms\":2}\n\n",
    ]))
    .await;
    let mut stream = client.exec_stream(&id(), &command()).await.expect("started");
    let first = stream.next().await.expect("an event").expect("no error");
    assert!(matches!(first, ExecEvent::Chunk(chunk) if chunk.chunk == "a"));
    let second = stream.next().await.expect("an event").expect("no error");
    assert!(matches!(second, ExecEvent::Done(done) if done.exit_code == 7));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_stream_can_end_with_an_error_event() {
    let (client, _) =
        peer(events(&["event: error\ndata: {\"error\":\"late\",\"error_code\":\"COMMAND_TIMEOUT\"}\n\n"]))
            .await;
    let mut stream = client.exec_stream(&id(), &command()).await.expect("started");
    let event = stream.next().await.expect("an event").expect("no error");
    assert!(matches!(event, ExecEvent::Failed(failed) if failed.error_code == ErrorCode::CommandTimeout));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_stops_early_is_an_error() {
    for piece in ["event: chunk\n", "event: done\ndata: 5\n\n"] {
        let (client, _) = peer(events(&[piece])).await;
        let mut stream = client.exec_stream(&id(), &command()).await.expect("started");
        assert!(matches!(stream.next().await, Some(Err(RequestError::Protocol { .. }))), "{piece}");
        assert!(stream.next().await.is_none());
    }
}

#[tokio::test]
async fn files_travel_as_base64_and_multipart() {
    let (client, asked) = peer(json("200 OK", r#"{"ok":true}"#)).await;
    client.write_file(&id(), "a.txt", b"\x00\xff").await.expect("written");
    assert!(asked.await.expect("asked").ends_with(r#"{"path":"a.txt","content_base64":"AP8="}"#));

    let (client, asked) =
        peer(json("200 OK", r#"{"path":"/workspace/a b","content_base64":"AP8=","truncated":true}"#)).await;
    assert_eq!(client.read_file(&id(), "a b&c", Some(2)).await.expect("read"), (vec![0, 255], true));
    assert!(asked.await.expect("asked").contains("/fs/read?path=a+b%26c&max_bytes=2 HTTP"));

    let (client, asked) = peer(json("200 OK", r#"{"ok":true,"paths":["/workspace/f"]}"#)).await;
    let files = vec![UploadFile { name: "f".to_owned(), content: b"text".to_vec() }];
    assert_eq!(client.upload(&id(), "/workspace", files).await.expect("uploaded"), ["/workspace/f"]);
    let asked = asked.await.expect("asked");
    assert!(
        asked.contains("name=\"path\"") && asked.contains("filename=\"f\"") && asked.contains("text"),
        "{asked}"
    );
}
