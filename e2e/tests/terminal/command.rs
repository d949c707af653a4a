//! `shell` and `run -it`, by somebody at a terminal.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use sandkasten_e2e::{PseudoTerminal, TestDaemon, TestTerminal, until, with_daemon};

fn start(daemon: &TestDaemon, arguments: &[&str]) -> PseudoTerminal {
    PseudoTerminal::start(&daemon.command(arguments))
}

#[test]
fn a_shell_feels_like_ssh() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut shell = start(daemon, &["shell", session.id.as_str()]);
        shell.shows("sandbox@").await;
        shell.give("stty size\r");
        shell.shows("24 80\r\n").await;
        shell.resize(50, 132);
        until("the window is known inside", async || {
            shell.give("stty size\r");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            shell.text().contains("50 132\r\n")
        })
        .await;
        shell.give("sleep 1000\r");
        until("it runs", async || session.output("ps -eo args | grep -c '^sleep 1000' || true").await == "1")
            .await;
        shell.give("\x03");
        shell.shows("^C").await;
        shell.give("echo st=$?; exit 42\r");
        shell.shows("st=130\r\n").await;
        assert_eq!(shell.ends().await, Some(42), "{}", shell.text());
    });
}

#[test]
fn a_shell_is_left_and_taken_up_again_and_watched() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let id = session.id.as_str();
        let mut shell = start(daemon, &["shell", id]);
        shell.shows("$ ").await;
        shell.give("kept=yes\r");
        shell.shows("$ ").await;
        shell.give("~.");
        shell.shows("left the terminal").await;
        assert_eq!(shell.ends().await, Some(0));
        let mut watcher = start(daemon, &["shell", "--view", id]);
        watcher.shows("kept=yes").await;
        watcher.is_raw().await;
        watcher.give("exit\r");
        let mut shell = start(daemon, &["shell", id]);
        shell.shows("kept=yes").await;
        shell.give("echo =$kept=\r");
        shell.shows("=yes=\r\n").await;
        watcher.shows("=yes=\r\n").await;
        watcher.give("\x03");
        assert_eq!(watcher.ends().await, Some(0), "{}", watcher.text());
        shell.give("exit\r");
        assert_eq!(shell.ends().await, Some(0), "{}", shell.text());
    });
}

#[test]
fn a_shell_goes_on_when_the_daemon_is_killed_and_started_again() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        // The next daemon has to be found where this one is.
        let address = daemon.url().trim_start_matches("http://").to_owned();
        let text = fs::read_to_string(daemon.config()).expect("a configuration");
        fs::write(daemon.config(), text.replace("127.0.0.1:0", &address)).expect("written");
        let mut shell = start(daemon, &["shell", session.id.as_str()]);
        shell.shows("$ ").await;
        shell.give("for i in 1 2 3 4 5 6; do echo n$i; sleep 0.3; done; echo ov''er\r");
        shell.shows("n1\r\n").await;
        daemon.kill_and_restart();
        shell.shows("the connection was cut").await;
        shell.shows("over\r\n").await;
        let lines = shell.text();
        for number in 1..=6 {
            assert_eq!(lines.matches(&format!("n{number}\r\n")).count(), 1, "n{number} in {lines}");
        }
        shell.give("exit 6\r");
        assert_eq!(shell.ends().await, Some(6), "{}", shell.text());
    });
}

#[test]
fn a_shell_whose_session_is_destroyed_says_so() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut shell = start(daemon, &["shell", session.id.as_str()]);
        shell.shows("$ ").await;
        session.destroy().await;
        assert_eq!(shell.ends().await, Some(4), "{}", shell.text());
        assert!(shell.text().contains("lost the terminal"), "{}", shell.text());
    });
}

#[test]
fn a_terminal_is_as_it_was_when_the_command_is_told_to_end() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut shell = start(daemon, &["shell", session.id.as_str()]);
        shell.shows("$ ").await;
        shell.is_raw().await;
        shell.signal(Signal::TERM);
        assert_eq!(shell.ends().await, Some(143));
        // The prompt had switched bracketed paste on, which a user who has left could not switch off.
        shell.shows("\x1b[?2004l").await;
        let mut terminal = TestTerminal::open(daemon, &session.id).await;
        terminal.give("echo al''ive\r").await;
        terminal.hears("alive\r\n").await;
    });
}

#[test]
fn run_gives_a_terminal_and_the_status_of_the_program() {
    with_daemon(async |daemon| {
        let mut run = start(daemon, &["run", "-it", "-e", "GREETING=hi there", "--", "bash", "--norc"]);
        run.shows("$ ").await;
        run.give("tty; echo $GREETING; stty size; exit 7\r");
        run.shows("/dev/pts/").await;
        run.shows("\nhi there\r\n24 80\r\n").await;
        assert_eq!(run.ends().await, Some(7), "{}", run.text());
        let mut run = start(
            daemon,
            &["run", "-t", "--", "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end"],
        );
        assert_eq!(run.ends().await, Some(0));
        run.shows("end\r\n").await;
        assert_eq!(run.text().matches('x').count(), 3_000_000);
        let mut run = start(daemon, &["run", "-it", "--", "sleep", "1000"]);
        run.is_raw().await;
        until("it runs", async || !daemon.client().list_sessions().await.expect("a list").is_empty()).await;
        run.give("~.");
        assert_eq!(run.ends().await, Some(130), "{}", run.text());
        assert!(daemon.client().list_sessions().await.expect("a list").is_empty());
    });
}

#[test]
fn run_gives_its_input_to_the_program_and_its_streams_to_ours() {
    with_daemon(async |daemon| {
        let piped = |arguments: &[&str], input: &[u8]| {
            let mut command: Command = daemon.command(arguments);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().expect("the binary starts");
            let (mut stdin, input) = (child.stdin.take().expect("a pipe"), input.to_vec());
            let writing = std::thread::spawn(move || stdin.write_all(&input));
            let output = child.wait_with_output().expect("it ends");
            drop(writing.join());
            output
        };
        let mut random = fastrand::Rng::with_seed(6);
        let whole: Vec<u8> = (0..4_000_000).map(|_| random.u8(..)).collect();
        let output = piped(&["run", "-i", "--", "cat"], &whole);
        assert!(
            output.status.success() && output.stdout == whole,
            "{:?}",
            String::from_utf8_lossy(&output.stderr)
        );
        let output = piped(&["run", "-i", "--", "sh", "-c", "cat >&2; echo out; exit 5"], b"to stderr\n");
        assert_eq!(
            (output.status.code(), &*output.stdout, &*output.stderr),
            (Some(5), &b"out\n"[..], &b"to stderr\n"[..])
        );
        let output = piped(&["run", "-i", "--", "true"], &whole);
        assert_eq!(output.status.code(), Some(0), "a program that does not read holds nobody up");
        let output = piped(&["run", "-i", "--timeout-ms", "300", "--", "sleep", "1000"], b"");
        assert_eq!(output.status.code(), Some(124));
        let output = piped(&["run", "-it", "--", "true"], b"");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains("no terminal"), "{said}");
        let output = piped(&["run", "-e", "A=b c", "-e", "A=d", "--", "sh", "-c", "echo $A"], b"");
        assert_eq!(output.stdout, b"d\n");
        assert!(daemon.client().list_sessions().await.expect("a list").is_empty());
    });
}
