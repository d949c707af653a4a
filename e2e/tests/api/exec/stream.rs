//! `exec/stream`: output as it is produced.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::Method;
use sandkasten_api::exec::ExecRequest;
use sandkasten_client::{ExecEvent, ExecStream};
use sandkasten_e2e::with_daemon;
use serde_json::{Value, json};

#[test]
fn each_line_arrives_within_50_ms_of_being_printed() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut stream =
            session.stream("for i in 1 2 3 4 5 6 7 8 9; do echo $EPOCHREALTIME; sleep 0.2; done").await;
        let mut delays = Vec::new();
        while let Some(event) = stream.next().await {
            let ExecEvent::Chunk(chunk) = event.expect("an event") else { continue };
            let lines: Vec<&str> = chunk.chunk.lines().collect();
            assert_eq!(lines.len(), 1, "lines were held back: {lines:?}");
            let printed: f64 = lines[0].parse().expect("a time");
            delays.push(Duration::from_secs_f64((now().as_secs_f64() - printed).max(0.0)));
        }
        delays.sort();
        assert_eq!(delays.len(), 9);
        assert!(delays[4] < Duration::from_millis(50), "{delays:?}");
    });
}

#[test]
fn events_have_the_form_of_the_contract() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let path = format!("/v1/sessions/{}/exec/stream", session.id);
        let body = json!({"cmd": "cd /tmp; echo out; echo err >&2; (exit 7)"});
        let response = daemon.raw().request(Method::POST, &path).json(&body).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        let kind = response.headers()["content-type"].to_str().expect("text").to_owned();
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        assert!(response.headers().contains_key("x-request-id"));
        let text = response.text().await.expect("the whole stream");
        let mut output = String::new();
        let events: Vec<&str> =
            text.split_terminator("\n\n").filter(|event| !event.starts_with(':')).collect();
        let (done, chunks) = events.split_last().expect("events");
        for event in chunks {
            let data = data_of(event, "chunk");
            output.push_str(data["chunk"].as_str().expect("text"));
            let sent = data["timestamp"].as_u64().expect("milliseconds");
            assert!(now().as_millis().abs_diff(u128::from(sent)) < 60_000, "{sent}");
        }
        assert_eq!(output, "out\nerr\n");
        let data = data_of(done, "done");
        assert_eq!((&data["exit_code"], &data["cwd"]), (&json!(7), &json!("/tmp")));
        assert!(data["duration_ms"].as_u64().is_some());
    });
}

#[test]
fn characters_and_sequences_that_are_cut_in_two_are_whole_in_the_stream() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for (pieces, text) in [
            (&[r"\303", r"\251"][..], "é"),
            (&[r"\360", r"\237", r"\246", r"\200"], "\u{1f980}"),
            (&[r"a\033[", r"31", r"mred\033", r"[0m"], "ared"),
            (&[r"one\r", r"\ntwo"], "one\ntwo"),
            (&[r"\377", r"\303", "("], "\u{fffd}\u{fffd}("),
            (&[r"end\303"], "end\u{fffd}"),
        ] {
            let printed: Vec<String> = pieces.iter().map(|piece| format!("printf '{piece}'")).collect();
            let (output, _) = read(session.stream(&printed.join("; sleep 0.1; ")).await).await;
            assert_eq!(output, text, "{pieces:?}");
        }
        let request = ExecRequest {
            cmd: Some(r"printf '\033[1ma\r\n'".to_owned()),
            raw_output: true,
            ..ExecRequest::default()
        };
        let stream = session.client.exec_stream(&session.id, &request).await.expect("a stream");
        assert_eq!(read(stream).await.0, "\u{1b}[1ma\r\n");
    });
}

#[test]
fn a_stream_loses_nothing_however_much_and_whatever_it_carries() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let (output, last) = read(session.stream("seq 1 700000; exit 4").await).await;
        let expected: String = (1..=700_000).map(|number| format!("{number}\n")).collect();
        assert!(output == expected, "{} bytes instead of {}", output.len(), expected.len());
        assert!(matches!(last, ExecEvent::Done(done) if done.exit_code == 4));
        let odd = "data: x\n\nevent: done\ndata: {\"exit_code\":0}\n\n: comment\r\u{2028}\u{85}\u{b}\"\\";
        daemon.client().write_file(&session.id, "odd", odd.as_bytes()).await.expect("written");
        let (output, last) = read(session.stream("cat odd; exit 5").await).await;
        assert_eq!(output, odd);
        assert!(matches!(last, ExecEvent::Done(done) if done.exit_code == 5));
    });
}

#[test]
fn a_silent_stream_carries_a_comment_every_15_seconds() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let path = format!("/v1/sessions/{}/exec/stream", session.id);
        let request = daemon.raw().request(Method::POST, &path).json(&json!({"cmd": "sleep 16; echo end"}));
        let mut response = request.send().await.expect("an answer");
        let started = std::time::Instant::now();
        let first = response.chunk().await.expect("a piece").expect("a piece");
        assert!(first.starts_with(b":") && first.ends_with(b"\n\n"), "{first:?}");
        assert!(started.elapsed() < Duration::from_millis(15_900), "{:?}", started.elapsed());
        let rest = response.text().await.expect("the rest");
        assert!(rest.starts_with("event: chunk\n"), "{rest}");
    });
}

/// Reads a stream to its end: all its text, and the last event.
async fn read(mut stream: ExecStream) -> (String, ExecEvent) {
    let mut output = String::new();
    while let Some(event) = stream.next().await {
        match event.expect("an event") {
            ExecEvent::Chunk(chunk) => output.push_str(&chunk.chunk),
            last => return (output, last),
        }
    }
    panic!("the stream has no last event")
}

fn data_of(event: &str, name: &str) -> Value {
    let data = event.strip_prefix(&format!("event: {name}\ndata: ")).unwrap_or_else(|| panic!("{event}"));
    serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}
