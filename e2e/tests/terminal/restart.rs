//! Terminals outlive the daemon.

use sandkasten_api::process::{ProcessKind, ProcessStatus};
use sandkasten_e2e::{TestTerminal, with_daemon};

#[test]
fn a_terminal_goes_on_when_the_daemon_dies() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut terminal = TestTerminal::open(daemon, &session.id).await;
        let id = terminal.process().await.id;
        terminal.give("kept=yes; echo bef''ore; sleep 1; echo mean''while\r").await;
        terminal.hears("before\r\n").await;
        daemon.kill_and_restart();
        let mut terminal = TestTerminal::open(daemon, &session.id).await;
        let process = terminal.process().await;
        assert_eq!(
            (process.id, process.kind, process.status),
            (id, ProcessKind::Terminal, ProcessStatus::Running)
        );
        terminal.hears("before\r\n").await;
        terminal.hears("meanwhile\r\n").await;
        terminal.give("stty size; echo kept=$kept; exit 5\r").await;
        terminal.hears("24 80\r\nkept=yes\r\n").await;
        assert_eq!(terminal.ends().await.exit_code, Some(5));
        // How it ended is known to the next daemon as well.
        let path = format!("/v1/sessions/{}/processes/{id}", session.id);
        let before = daemon.raw().get(&path).await.ok(200);
        daemon.kill_and_restart();
        assert_eq!(daemon.raw().get(&path).await.ok(200), before);
    });
}
