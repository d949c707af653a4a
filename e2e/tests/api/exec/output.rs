//! What becomes of what a command writes.

use sandkasten_api::exec::{ExecRequest, ExecResult};
use sandkasten_e2e::{TestSession, with_daemon};

const MEBIBYTE: usize = 1 << 20;

#[test]
fn both_outputs_come_in_the_order_they_were_written() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let result =
            session.exec("for i in 1 2 3 4 5; do echo out$i; echo err$i >&2; done; printf end").await;
        assert_eq!(result.output, "out1\nerr1\nout2\nerr2\nout3\nerr3\nout4\nerr4\nout5\nerr5\nend");
        assert!(!result.truncated);
        let script =
            "import os\nfor i in range(500):\n    os.write(1, b'o%d ' % i); os.write(2, b'e%d ' % i)";
        let expected: String = (0..500).map(|i| format!("o{i} e{i} ")).collect();
        assert_eq!(session.exec(&format!("python3 -c \"{script}\"")).await.output, expected);
        assert_eq!(session.exec("true").await.output, "");
        assert_eq!(
            session
                .exec("ls /nowhere >/dev/null; sh -c 'echo pipe >&2' 2>&1 | cat")
                .await
                .output
                .lines()
                .count(),
            2
        );
    });
}

#[test]
fn plain_output_loses_escape_sequences_and_carriage_returns_and_raw_output_keeps_them() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for (format, plain) in [
            (r"\033[1;31mred\033[0m", "red"),
            (r"\033]0;title\007after", "after"),
            (r"\033]8;;http://x\033\\link\033]8;;\033\\", "link"),
            (r"\033[2J\033[H\033(Bcleared", "cleared"),
            (r"one\r\ntwo\r\n", "one\ntwo\n"),
            (r"10%%\r20%%\r", "10%\r20%\r"),
            (r"tab\tbell\007", "tab\tbell\u{7}"),
        ] {
            let command = format!("printf '{format}'");
            assert_eq!(session.exec(&command).await.output, plain, "{format}");
            let bytes = session.output(&format!("{command} | od -An -v -tx1 | tr -d ' \\n'")).await;
            let raw = raw(&session, &command).await.output;
            let hexadecimal: String = raw.bytes().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hexadecimal, bytes, "{format}");
        }
    });
}

#[test]
fn bytes_that_are_no_text_become_replacement_characters() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for (format, text) in [
            (r"a\377\376b", "a\u{fffd}\u{fffd}b"),
            (r"a\303", "a\u{fffd}"),
            (r"\303\251 \360\237\246\200", "é \u{1f980}"),
            (r"a\000b", "a\u{0}b"),
            (r"\355\240\200", "\u{fffd}\u{fffd}\u{fffd}"),
        ] {
            let command = format!("printf '{format}'");
            assert_eq!(session.exec(&command).await.output, text, "{format}");
            assert_eq!(raw(&session, &command).await.output, text, "{format}");
        }
        let noise = session.exec("head -c 300000 /dev/urandom; exit 3").await;
        assert_eq!(noise.exit_code, 3);
    });
}

#[test]
fn output_is_cut_at_one_mebibyte_and_the_command_goes_on() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for (bytes, truncated) in [(MEBIBYTE, false), (MEBIBYTE + 1, true), (20 << 20, true)] {
            let command = format!("head -c {bytes} /dev/zero | tr '\\0' x; echo {bytes} > done; (exit 7)");
            let result = session.exec(&command).await;
            assert_eq!((result.exit_code, result.truncated), (7, truncated), "{bytes} bytes");
            assert_eq!(result.output.len(), MEBIBYTE, "{bytes} bytes");
            assert_eq!(session.output("cat done").await, bytes.to_string());
        }
        let binary = session.exec("head -c 2M /dev/zero | tr '\\0' '\\377'").await;
        assert!(binary.truncated && binary.output.chars().count() <= MEBIBYTE);
        let coloured =
            session.exec("for i in $(seq 200000); do printf '\\033[31m%d\\033[0m\\n' $i; done; exit 9").await;
        assert!(coloured.truncated && coloured.output.len() <= MEBIBYTE && coloured.exit_code == 9);
        assert!(!coloured.output.contains('\u{1b}'));
    });
}

#[test]
fn an_exec_does_not_wait_for_what_it_left_in_the_background() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let result = session.exec("(sleep 1000; echo late) & echo now").await;
        assert!(result.output.contains("now") && result.duration_ms < 10_000, "{result:?}");
        assert_eq!(session.output("kill %1; wait; echo clean").await.lines().last(), Some("clean"));
    });
}

async fn raw(session: &TestSession, command: &str) -> ExecResult {
    let request = ExecRequest { cmd: Some(command.to_owned()), raw_output: true, ..ExecRequest::default() };
    session.client.exec(&session.id, &request).await.expect("a result")
}
