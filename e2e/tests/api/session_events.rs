//! `GET /v1/sessions/{id}/events` and `GET /v1/events`.

use std::time::Duration;

use reqwest::Method;
use sandkasten_e2e::{EventReader, RawConnection, TestDaemon, patience, until, with_daemon};
use serde_json::json;

#[test]
fn a_sessions_events_begin_with_what_is_and_end_with_it() {
    with_daemon(async |daemon| {
        let (session, other) = (daemon.session().await, daemon.session().await);
        let id = session.id.to_string();
        let mut events = of(daemon, &id).await;
        assert_eq!(events.state().await, (id.clone(), "running".to_owned(), None));
        other.destroy().await;
        session.destroy().await;
        assert_eq!(events.state().await, (id.clone(), "destroyed".to_owned(), None));
        assert_eq!(events.next().await, None);
        let mut late = of(daemon, &id).await;
        assert_eq!(late.state().await, (id, "destroyed".to_owned(), None));
        assert_eq!(late.next().await, None);
        let unknown = daemon.raw().get("/v1/sessions/0123abcd-ef01/events").await;
        assert!(!unknown.message(404, "SESSION_NOT_FOUND").is_empty());
        assert!(!daemon.raw().get("/v1/sessions/x/events").await.message(400, "INVALID_REQUEST").is_empty());
        for path in ["/v1/events", "/v1/sessions/0123abcd-ef01/events"] {
            assert_eq!(daemon.raw().with_key(None).get(path).await.status, 401);
        }
    });
}

#[test]
fn the_event_of_an_end_comes_when_everything_of_the_session_is_gone() {
    with_daemon(async |daemon| {
        let created = daemon.raw().post("/v1/sessions", &json!({"ttl_seconds": 1})).await.ok(201);
        let id = created["id"].as_str().expect("an id");
        let traces = daemon.traces(id);
        let mut events = of(daemon, id).await;
        assert_eq!(events.state().await.1, "running");
        assert_eq!(events.state().await.1, "expired");
        assert_eq!(traces.remaining(), [""; 0]);
        assert_eq!(daemon.raw().get(&format!("/v1/sessions/{id}")).await.ok(200)["status"], "expired");
    });
}

#[test]
fn events_of_all_sessions_begin_with_the_live_ones_and_are_resumed_where_they_were_left() {
    with_daemon(async |daemon| {
        let before = daemon.session().await;
        let mut events = all(daemon, None).await;
        assert_eq!(events.state().await, (before.id.to_string(), "running".to_owned(), None));
        let made = daemon.session().await;
        let event = events.next().await.expect("an event");
        assert_eq!(event.data["session_id"], made.id.as_str());
        let seen = event.id.expect("an id");
        drop(events);
        made.clone().destroy().await;
        let brief = daemon.session().await;
        brief.clone().destroy().await;
        let mut resumed = all(daemon, Some(&seen)).await;
        for (session, status) in [(&made, "destroyed"), (&brief, "running"), (&brief, "destroyed")] {
            assert_eq!(resumed.state().await, (session.id.to_string(), status.to_owned(), None));
        }
        // Another daemon knows nothing of those numbers.
        daemon.kill_and_restart();
        assert_eq!(resumed.next().await, None);
        for seen in [seen.as_str(), "nonsense", ""] {
            let mut fresh = all(daemon, Some(seen)).await;
            assert_eq!(fresh.state().await, (before.id.to_string(), "running".to_owned(), None), "{seen}");
        }
    });
}

#[test]
fn open_streams_do_not_hold_up_the_end_of_the_daemon() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut streams = [all(daemon, None).await, of(daemon, session.id.as_str()).await];
        for stream in &mut streams {
            assert_eq!(stream.state().await.1, "running");
        }
        let begun = std::time::Instant::now();
        daemon.terminate();
        // Cut off, it would take the five seconds that requests have.
        assert!(begun.elapsed() < patience(Duration::from_secs(4)), "{:?}", begun.elapsed());
        for stream in &mut streams {
            assert_eq!(stream.next().await, None);
        }
        daemon.start_again();
    });
}

#[test]
fn clients_that_go_away_leave_nothing_open() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let files = || std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).map_or(0, Iterator::count);
        let before = files();
        let mut streams = Vec::new();
        for _ in 0..50 {
            streams.push(all(daemon, None).await);
            streams.push(of(daemon, session.id.as_str()).await);
        }
        assert!(files() >= before + 100);
        drop(streams);
        // The place of the next sandbox, which has been made meanwhile, takes more than a dozen.
        until("the daemon lets go of them", async || files() <= before + 25).await;
    });
}

#[test]
fn a_client_that_does_not_read_holds_nobody_up() {
    with_daemon(async |daemon| {
        let mut stalled = RawConnection::open(daemon).await;
        let headers = RawConnection::headers(daemon);
        assert!(stalled.send(format!("GET /v1/events HTTP/1.1\r\n{headers}\r\n")).await);
        assert!(stalled.until("200 OK", patience(Duration::from_secs(10))).await.is_some());
        let mut reader = all(daemon, None).await;
        let session = daemon.session().await;
        assert_eq!(reader.state().await.1, "running");
        session.destroy().await;
        assert_eq!(reader.state().await.1, "destroyed");
        assert!(stalled.until("destroyed", patience(Duration::from_secs(10))).await.is_some());
    });
}

async fn of(daemon: &TestDaemon, id: &str) -> EventReader {
    EventReader::open(daemon.raw().request(Method::GET, &format!("/v1/sessions/{id}/events"))).await
}

async fn all(daemon: &TestDaemon, seen: Option<&str>) -> EventReader {
    let request = daemon.raw().request(Method::GET, "/v1/events");
    EventReader::open(match seen {
        Some(seen) => request.header("last-event-id", seen),
        None => request,
    })
    .await
}
