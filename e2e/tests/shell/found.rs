//! What drawn sequences and reports have found to be wrong once, each as a claim of its own.

use std::time::Duration;

use sandkasten_client::RequestError;
use sandkasten_e2e::patience_ms;

use crate::shells::{Shell, with_shell};

#[test]
fn busybox_goes_on_when_a_job_in_the_background_ends() {
    with_shell(Shell::Busybox, async |daemon| {
        let session = daemon.session().await;
        for round in 0..30 {
            session.exec("kept=yes; /bin/sleep 0.02 &").await;
            session.exec("/bin/sleep 0.01").await;
            // The job ends while the shell waits for the next command.
            tokio::time::sleep(Duration::from_millis(30)).await;
            assert_eq!(session.output("echo $kept").await, "yes", "round {round}");
        }
    });
}

#[test]
fn busybox_goes_on_when_a_job_ends_after_a_timeout() {
    with_shell(Shell::Busybox, async |daemon| {
        let session = daemon.session().await;
        for round in 0..5 {
            session.exec("kept=yes; /bin/sleep 0.5 & /bin/sleep 0.6 & /bin/sleep 0.7 &").await;
            session.timed_out("/bin/sleep 1000", 200).await;
            tokio::time::sleep(Duration::from_millis(600)).await;
            assert_eq!(session.output("echo $kept").await, "yes", "round {round}");
            assert_eq!(session.exec("/bin/sleep 0.05 & wait; (exit 3)").await.exit_code, 3, "round {round}");
        }
    });
}

#[test]
fn what_reads_where_busybox_waits_costs_timeouts_and_never_a_wrong_result() {
    with_shell(Shell::Busybox, async |daemon| {
        let session = daemon.session().await;
        // Each takes one end of a waiting away.
        session.exec("for file in /run/sandkasten/w*; do /bin/head -c 7 $file & done 2>/dev/null").await;
        let mut timeouts = 0;
        for _ in 0..6 {
            match session.try_exec("echo alive; (exit 9)", Some(patience_ms(500))).await {
                Ok(result) => assert_eq!((result.exit_code, result.output.as_str()), (9, "alive\n")),
                Err(RequestError::Refused { status: 504, .. }) => timeouts += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(timeouts <= 2, "{timeouts} of 6 timed out");
        let write = "for file in /run/sandkasten/w*; do (echo return >$file) && echo written; done";
        let refused = session.exec(write).await.output;
        assert!(refused.contains("Permission denied") && !refused.contains("written"), "{refused}");
    });
}
