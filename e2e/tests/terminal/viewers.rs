//! Many clients of one terminal.

use sandkasten_api::error::ErrorCode;
use sandkasten_api::process::ProcessRequest;
use sandkasten_api::terminal::{TerminalCommand, TerminalEvent, TerminalQuery};
use sandkasten_e2e::{TestTerminal, with_daemon};

fn watching() -> TerminalQuery {
    TerminalQuery { view: true, ..TerminalQuery::default() }
}

#[test]
fn everybody_sees_the_same_and_who_only_watches_types_nothing() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut first = TestTerminal::open(daemon, &session.id).await;
        let mut second = TestTerminal::open(daemon, &session.id).await;
        assert_eq!(first.process().await.id, second.process().await.id);
        let mut viewers = Vec::new();
        for _ in 0..20 {
            viewers.push(TestTerminal::connect(daemon, &session.id, &watching()).await.expect("a viewer"));
        }
        viewers[0].give("echo from-a-viewer\r").await;
        viewers[0].command(TerminalCommand::Resize { rows: 5, cols: 5 }).await;
        while viewers[0].events.len() < 3 {
            assert!(viewers[0].step().await);
        }
        for event in &viewers[0].events[1..3] {
            assert!(
                matches!(event, TerminalEvent::Error { error_code: ErrorCode::InvalidRequest, .. }),
                "{event:?}"
            );
        }
        first.give("echo one; stty size\r").await;
        second.hears("one\r\n24 80\r\n").await;
        second.give("echo tw''o; exit 3\r").await;
        for terminal in viewers.iter_mut().chain([&mut first, &mut second]) {
            assert_eq!(terminal.ends().await.exit_code, Some(3));
            assert!(terminal.text().contains("two\r\n") && !terminal.text().contains("from-a-viewer"));
        }
    });
}

#[test]
fn several_that_come_at_once_share_one_terminal() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let open = || TestTerminal::open(daemon, &session.id);
        let (mut a, mut b, mut c, mut d) = tokio::join!(open(), open(), open(), open());
        let id = a.process().await.id;
        for terminal in [&mut b, &mut c, &mut d] {
            assert_eq!(terminal.process().await.id, id);
        }
    });
}

#[test]
fn who_only_watches_and_does_not_read_holds_nobody_up_and_is_told_what_it_missed() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        // More than all buffers between hold.
        let request = ProcessRequest {
            cmd: Some("read go; head -c 60000000 /dev/zero; echo end".to_owned()),
            stdin: true,
            ..ProcessRequest::default()
        };
        let process = daemon.client().start_process(&session.id, &request).await.expect("started").id;
        let query = TerminalQuery { process: Some(process), ..TerminalQuery::default() };
        let viewing = TerminalQuery { view: true, ..query.clone() };
        let mut viewer = TestTerminal::connect(daemon, &session.id, &viewing).await.expect("a viewer");
        let mut reader = TestTerminal::connect(daemon, &session.id, &query).await.expect("a reader");
        reader.give("go\n").await;
        assert_eq!(reader.ends().await.exit_code, Some(0));
        assert_eq!(reader.heard.len(), 60_000_004, "who may type misses nothing");
        assert_eq!(viewer.ends().await.exit_code, Some(0));
        let offset = viewer.events.iter().rev().find_map(|event| match event {
            TerminalEvent::Offset { offset } => Some(*offset),
            _ => None,
        });
        assert!(offset.is_some() && viewer.heard.len() < reader.heard.len(), "{offset:?}");
        assert!(viewer.heard.ends_with(b"end\n"));
    });
}

#[test]
fn more_clients_than_may_are_refused_and_their_places_are_free_again() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for _ in 0..3 {
            let mut all = Vec::new();
            let refusal = loop {
                match TestTerminal::connect(daemon, &session.id, &watching()).await {
                    Ok(viewer) => all.push(viewer),
                    Err(error) => break error,
                }
                assert!(all.len() <= 64);
            };
            assert!(refusal.to_string().contains("64 clients follow"), "{refusal}");
            assert!(all.len() >= 60, "{}", all.len());
            let mut leaving: Vec<_> = all.into_iter().map(TestTerminal::leave).collect();
            for leaving in leaving.drain(..) {
                leaving.await;
            }
            sandkasten_e2e::until("there is a place", async || {
                TestTerminal::connect(daemon, &session.id, &watching()).await.is_ok()
            })
            .await;
        }
    });
}
