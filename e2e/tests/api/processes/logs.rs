//! What processes write, from any offset, as often as one likes.

use std::time::Duration;

use reqwest::Method;
use sandkasten_e2e::{until, with_daemon};
use serde_json::{Value, json};

use super::TestProcess;

/// Reads a stream of events to its end, as names and data.
async fn events(process: &TestProcess<'_>, since: u64) -> Vec<(String, Value)> {
    let path = format!("{}/logs?follow=true&since={since}", process.path);
    let answer = process.daemon.raw().request(Method::GET, &path).send().await.expect("an answer");
    let text = tokio::time::timeout(Duration::from_secs(60), answer.text()).await.expect("an end");
    let event = |event: &str| {
        let (name, data) = event.strip_prefix("event: ")?.split_once("\ndata: ")?;
        Some((name.to_owned(), serde_json::from_str(data).expect("JSON")))
    };
    text.expect("text").split("\n\n").filter_map(event).collect()
}

#[test]
fn a_log_is_followed_from_an_offset_to_the_end_by_any_number_of_readers() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let command = "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; sleep 0.1; done; exit 4";
        let process = TestProcess::start(daemon, &session, json!({"cmd": command})).await;
        let (all, rest) = tokio::join!(events(&process, 0), events(&process, 14));
        let text = |events: &[(String, Value)]| -> String {
            events.iter().filter_map(|(_, data)| data["chunk"].as_str()).collect()
        };
        let whole: String = (1..=9).map(|number| format!("line {number}\n")).collect();
        assert_eq!(text(&all), whole);
        assert_eq!(text(&rest), &whole[14..]);
        let (name, done) = all.last().expect("an end");
        assert_eq!((name.as_str(), &done["exit_code"]), ("done", &json!(4)), "{done}");
        assert_eq!(all[0].1["offset"], 0);
        assert_eq!(rest[rest.len() - 2].1["next_offset"], 63);
        // And once more after the end.
        assert_eq!(text(&events(&process, 7).await), &whole[7..]);
    });
}

#[test]
fn the_last_mebibyte_is_kept_and_what_is_gone_is_said() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let command = "yes 0123456 | head -c 3000000; sleep 1000";
        let process = TestProcess::start(daemon, &session, json!({"cmd": command})).await;
        until("it has written", async || process.logs(0).await["next_offset"] == 3_000_000).await;
        let log = process.logs(0).await;
        assert_eq!(log["offset"], 3_000_000 - (1 << 20), "{}", log["offset"]);
        assert_eq!(log["output"].as_str().expect("text").len(), 1 << 20);
        assert_eq!(process.logs(2_999_997).await["output"], "56\n"[0..3].to_owned());
        let beyond = process.logs(9_999_999).await;
        assert_eq!((&beyond["output"], &beyond["offset"]), (&json!(""), &json!(9_999_999)));
        process.end().await;
    });
}

#[test]
fn the_result_of_an_exec_can_be_asked_for_again() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let path = format!("/v1/sessions/{}/exec", session.id);
        let body = json!({"cmd": "cd /tmp; seq 1000; echo err >&2; exit 6", "separate_output": true,
                          "max_output_bytes": 10, "on_limit": "head_tail"});
        let first = daemon.raw().post(&path, &body).await.ok(200);
        let again = format!("{path}/{}", first["exec_id"].as_str().expect("an id"));
        assert_eq!(daemon.raw().get(&again).await.ok(200), first);
        let body = json!({"cmd": "echo part; sleep 1000", "timeout_ms": 300});
        let first = daemon.raw().post(&path, &body).await.refused(504, "COMMAND_TIMEOUT");
        let again = format!("{path}/{}", first["details"]["exec_id"].as_str().expect("an id"));
        assert_eq!(daemon.raw().get(&again).await.refused(504, "COMMAND_TIMEOUT"), first);
        let process = TestProcess::start(daemon, &session, json!({"argv": ["sleep", "1000"]})).await;
        let running = process.path.replace("/processes/", "/exec/");
        assert_eq!(daemon.raw().get(&running).await.ok(202)["status"], "running");
    });
}

#[test]
fn as_many_followers_as_there_may_be_do_not_hold_up_the_session() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let body = json!({"cmd": "echo begun; exec sleep 1000"});
        let process = TestProcess::start(daemon, &session, body).await;
        let path = format!("{}/logs?follow=true", process.path);
        let raw = daemon.raw();
        let mut followers = Vec::new();
        for _ in 0..64 {
            let mut answer = raw.request(Method::GET, &path).send().await.expect("an answer");
            let first = answer.chunk().await.expect("a stream").expect("an event");
            assert!(first.starts_with(b"event: chunk"), "{first:?}");
            followers.push(answer);
        }
        raw.get(&path).await.refused(429, "LIMIT_EXCEEDED");
        assert_eq!(session.output("echo alive").await, "alive");
        assert_eq!(process.logs(0).await["output"], "begun\n");
        drop(followers);
        until("their places are free", async || {
            let answer = raw.request(Method::GET, &path).send().await.expect("an answer");
            answer.status() == 200
        })
        .await;
        process.end().await;
    });
}
