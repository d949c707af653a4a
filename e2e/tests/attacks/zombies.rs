//! Orphans are reaped, however many there are.

use sandkasten_e2e::{until, with_daemon};

#[test]
fn five_hundred_orphans_leave_no_zombie() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("for n in $(seq 500); do (true &); done").await;
        session.python("import os, time\nfor n in range(100):\n  if os.fork() == 0:\n    if os.fork() == 0: os._exit(0)\n    os._exit(0)\n  os.wait()").await;
        until("every orphan is reaped", async || {
            session.output("ps -eo stat= | grep -c ^Z; true").await == "0"
        })
        .await;
        until("no process is left", async || {
            daemon.client().session_stats(&session.id).await.expect("stats").pids <= 2
        })
        .await;
    });
}

#[test]
fn orphans_of_the_limit_many_do_not_use_up_the_session() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        // More over time than may live at once.
        for _ in 0..4 {
            session.exec("for n in $(seq 150); do (true & true &); done").await;
        }
        assert_eq!(session.output("(echo alive)").await, "alive");
    });
}
