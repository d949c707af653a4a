//! The order of execs.

use sandkasten_client::ExecEvent;
use sandkasten_e2e::with_daemon;

#[test]
fn execs_of_one_session_run_one_at_a_time_in_the_order_of_their_arrival() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut streams = Vec::new();
        for number in 0..8 {
            // The head of a stream comes when the command is queued.
            streams.push(
                session
                    .stream(&format!("echo begin {number} >> log; sleep 0.1; echo end {number} >> log"))
                    .await,
            );
        }
        for mut stream in streams {
            while let Some(event) = stream.next().await {
                assert!(matches!(event.expect("an event"), ExecEvent::Chunk(_) | ExecEvent::Done(_)));
            }
        }
        let expected: Vec<String> = (0..8).map(|number| format!("begin {number}\nend {number}")).collect();
        assert_eq!(session.output("cat log").await, expected.join("\n"));
    });
}

#[test]
fn a_busy_session_holds_up_nobody_else() {
    with_daemon(async |daemon| {
        let (busy, other) = (daemon.session().await, daemon.session().await);
        let running = busy.stream("echo started; sleep 1000").await;
        let result = other.exec("echo at once").await;
        assert!(result.output == "at once\n" && result.duration_ms < 10_000, "{result:?}");
        let client = daemon.client();
        // Files, stats and a look need no turn in the queue.
        client.write_file(&busy.id, "a", b"x").await.expect("written");
        assert_eq!(client.read_file(&busy.id, "a", None).await.expect("read").0, b"x");
        client.session_stats(&busy.id).await.expect("stats");
        client.get_session(&busy.id).await.expect("a session");
        let third = daemon.session().await;
        third.destroy().await;
        drop(running);
        assert_eq!(busy.output("echo its turn").await, "its turn");
    });
}

#[test]
fn a_queued_command_whose_client_leaves_is_never_run() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let running = session.stream("sleep 0.5; echo one >> log").await;
        let queued = session.stream("echo two >> log").await;
        drop(queued);
        let last = session.output("echo three >> log; cat log").await;
        drop(running);
        assert_eq!(last, "one\nthree");
    });
}
