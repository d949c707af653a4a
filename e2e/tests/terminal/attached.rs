//! One client at a terminal.

use sandkasten_api::exec::TerminalSize;
use sandkasten_api::process::{ProcessKind, ProcessStatus};
use sandkasten_api::session::UpdateSessionRequest;
use sandkasten_api::terminal::{TerminalCommand, TerminalEvent, TerminalQuery};
use sandkasten_api::verdict::Reason;
use sandkasten_e2e::{TestTerminal, until, with_daemon};

#[test]
fn a_terminal_is_an_interactive_shell_of_the_size_of_its_window() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let query = TerminalQuery { rows: Some(31), cols: Some(97), ..TerminalQuery::default() };
        let mut terminal = TestTerminal::connect(daemon, &session.id, &query).await.expect("a terminal");
        let process = terminal.process().await;
        assert_eq!(
            (process.kind, process.name.as_deref(), process.tty),
            (ProcessKind::Terminal, Some("main"), true)
        );
        terminal.hears("sandbox@").await;
        terminal.give("stty size; tty; echo $TERM; echo $-\r").await;
        for expected in ["31 97\r\n", "/dev/pts/", "xterm-256color\r\n", "i"] {
            terminal.hears(expected).await;
        }
        let TerminalSize { rows, cols } = TerminalSize { rows: 40, cols: 100 };
        terminal.command(TerminalCommand::Resize { rows, cols }).await;
        terminal.give("stty size\r").await;
        terminal.hears("40 100\r\n").await;
    });
}

#[test]
fn keys_reach_the_program_that_runs() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut terminal = TestTerminal::open(daemon, &session.id).await;
        terminal.give("sleep 1000\r").await;
        terminal.hears("sleep 1000").await;
        // The shell may not have started it yet; a key that came before would be the shell's.
        let running = "ps -eo args | grep -c '^sleep 1000' || true";
        until("it runs", async || session.output(running).await == "1").await;
        terminal.give("\x03").await;
        terminal.hears("^C").await;
        terminal.hears("$ ").await;
        terminal.give("echo st=$?; cat\r").await;
        terminal.hears("st=130\r\n").await;
        terminal.give("echoed\r").await;
        terminal.hears("echoed\r\nechoed\r\n").await;
        terminal.give("\x04").await;
        terminal.give("jobs; sleep 2000\r").await;
        until("it runs", async || session.output("ps -eo args | grep -c '^sleep 2000' || true").await == "1")
            .await;
        terminal.give("\x1a").await;
        terminal.hears("Stopped").await;
        terminal.give("fg\r").await;
        terminal.hears("fg\r\n").await;
        terminal.hears("sleep 2000\r\n").await;
        // The shell says what it is about to do; a key that came before it has would be the shell's.
        let foreground = "ps -eo stat,args | grep -c '^S[^ ]*+ *sleep 2000' || true";
        until("it is in the foreground", async || session.output(foreground).await == "1").await;
        terminal.give("\x03").await;
        terminal.hears("$ ").await;
        terminal.give("exit 9\r").await;
        let ended = terminal.ends().await;
        assert_eq!((ended.exit_code, ended.status), (Some(9), ProcessStatus::Ended));
        assert_eq!(ended.verdict.expect("a verdict").reason, Reason::Exit);
    });
}

#[test]
fn a_terminal_that_is_left_goes_on_and_is_found_again_with_what_it_wrote() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut terminal = TestTerminal::open(daemon, &session.id).await;
        let first = terminal.process().await.id;
        terminal.give("kept=yes; for i in 1 2 3 4; do echo line-$i; sleep 0.2; done\r").await;
        terminal.hears("line-1\r\n").await;
        terminal.leave().await;
        let mut terminal = TestTerminal::open(daemon, &session.id).await;
        assert_eq!(terminal.process().await.id, first);
        for line in ["line-1\r\n", "line-2\r\n", "line-3\r\n", "line-4\r\n"] {
            terminal.hears(line).await;
        }
        terminal.give("echo kept=$kept; exit\r").await;
        terminal.hears("kept=yes\r\n").await;
        terminal.ends().await;
        let mut terminal = TestTerminal::open(daemon, &session.id).await;
        assert_ne!(terminal.process().await.id, first, "after its end there is another");
        let named = TerminalQuery { name: Some("two".to_owned()), ..TerminalQuery::default() };
        let mut two = TestTerminal::connect(daemon, &session.id, &named).await.expect("a terminal");
        assert_ne!(two.process().await.id, terminal.process().await.id);
        two.give("stty size\r").await;
        two.hears("24 80\r\n").await;
    });
}

#[test]
fn output_is_taken_up_where_it_was_left() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut terminal = TestTerminal::open(daemon, &session.id).await;
        terminal.give("PS1=; stty -echo; echo fi''rst\r").await;
        terminal.hears("first\r\n").await;
        let (process, since) = (terminal.process().await.id, terminal.heard.len() as u64);
        terminal.give("echo second\r").await;
        terminal.hears("second\r\n").await;
        terminal.leave().await;
        let query = TerminalQuery { process: Some(process), since, ..TerminalQuery::default() };
        let mut terminal = TestTerminal::connect(daemon, &session.id, &query).await.expect("a terminal");
        terminal.hears("second\r\n").await;
        assert!(!terminal.text().contains("first\r"), "{}", terminal.text());
        assert!(!terminal.events.iter().any(|event| matches!(event, TerminalEvent::Offset { .. })));
    });
}

#[test]
fn what_asked_the_terminal_a_question_is_not_asked_again() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut terminal = TestTerminal::open(daemon, &session.id).await;
        terminal.give(r"printf 'a\033[6n\033]11;?\007b\033[1mc\n'".to_owned() + "\r").await;
        terminal.hears("a\x1b[6n\x1b]11;?\x07b\x1b[1mc").await;
        terminal.leave().await;
        let mut terminal = TestTerminal::open(daemon, &session.id).await;
        terminal.hears("ab\x1b[1mc").await;
        terminal.give(r"printf 'd\033[6n\n'".to_owned() + "\r").await;
        terminal.hears("d\x1b[6n").await;
    });
}

#[test]
fn an_old_terminal_shows_whole_lines_of_the_last_mebibyte() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut terminal = TestTerminal::open(daemon, &session.id).await;
        terminal.give("PS1=; stty -echo; seq 1000000 1300000; echo the-e''nd\r").await;
        terminal.hears("the-end\r\n").await;
        terminal.leave().await;
        let mut terminal = TestTerminal::open(daemon, &session.id).await;
        terminal.hears("the-end\r\n").await;
        assert!(terminal.heard.len() > 1_000_000 && terminal.heard.len() <= 1 << 20);
        let text = terminal.text();
        let first: u32 = text.lines().next().expect("a line").trim_end().parse().expect("a whole line");
        let whole: Vec<String> = (first..=1_300_000).map(|number| number.to_string()).collect();
        assert!(text.lines().map(str::trim_end).take(whole.len()).eq(whole.iter().map(String::as_str)));
        assert!(matches!(terminal.events[1], TerminalEvent::Offset { .. }), "{:?}", terminal.events);
    });
}

#[test]
fn a_session_does_not_expire_under_somebody_at_its_terminal() {
    with_daemon(async |daemon| {
        let client = daemon.client();
        let session = daemon.session().await;
        let mut terminal = TestTerminal::open(daemon, &session.id).await;
        terminal.hears("$ ").await;
        let request = UpdateSessionRequest { ttl_seconds: Some(Some(1)), ..UpdateSessionRequest::default() };
        client.update_session(&session.id, &request).await.expect("changed");
        terminal.give("sleep 3; echo still-th''ere\r").await;
        terminal.hears("still-there\r\n").await;
        terminal.leave().await;
        until("it expires", async || client.list_sessions().await.expect("a list").is_empty()).await;
    });
}
