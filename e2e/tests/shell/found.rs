//! What drawn sequences and reports have found to be wrong once, each as a claim of its own.

use std::time::Duration;

use sandkasten_api::exec::ExecRequest;
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
        let steal = "for file in a b; do /bin/head -c 7 /run/sandkasten/w$$$file >/workspace/$file & done";
        session.exec(steal).await;
        let mut timeouts = 0;
        for _ in 0..6 {
            match session.try_exec("echo alive; (exit 9)", Some(patience_ms(500))).await {
                Ok(result) => assert_eq!((result.exit_code, result.output.as_str()), (9, "alive\n")),
                Err(RequestError::Refused { status: 504, .. }) => timeouts += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(timeouts <= 2, "{timeouts} of 6 timed out");
        assert_eq!(session.output("/bin/cat a b").await, "return\nreturn");
        let write = "for file in a b; do (echo return >/run/sandkasten/w$$$file) && echo written; done";
        let refused = session.exec(write).await.output;
        assert!(refused.contains("Permission denied") && !refused.contains("written"), "{refused}");
    });
}

#[test]
fn what_a_trap_prints_at_the_end_of_any_shell_is_output_of_the_command_that_ends_it() {
    for shell in [Shell::Bash, Shell::Dash, Shell::Busybox] {
        with_shell(shell, async |daemon| {
            let session = daemon.session().await;
            for (trap, end, exit_code, output) in [
                ("echo bye", "echo before; exit 0", 0, "before\nbye\n"),
                ("echo bye >&2", "exit 3", 3, "bye\n"),
                ("echo bye; exit 9", "f() { exit 3; }; f", 9, "bye\n"),
                ("/bin/cat /etc/made-for-a-test", "set -e; (exit 4)", 4, "yes\n"),
                ("/bin/head -c 200000 /dev/zero >/workspace/x; echo bye", "exit", 0, "bye\n"),
            ] {
                if shell == Shell::Bash && trap.contains("made-for-a-test") {
                    continue;
                }
                session.exec(&format!("trap '{trap}' EXIT")).await;
                session.exec("echo not the last").await;
                let ended = session.exec(end).await;
                assert_eq!(
                    (ended.exit_code, ended.output.as_str()),
                    (exit_code, output),
                    "{shell:?}: {trap}"
                );
                assert_eq!(session.output("echo alive").await, "alive", "{shell:?}: {trap}");
            }
            session.exec("set -x; trap 'echo bye' EXIT; PS1='prompt '").await;
            session.exec("echo traced").await;
            let traced = session.exec("exit 5").await;
            assert_eq!(traced.exit_code, 5, "{shell:?}");
            let lines: Vec<&str> =
                traced.output.lines().map(|line| line.trim_start_matches(['+', ' '])).collect();
            assert_eq!(lines, ["exit 5", "echo bye", "bye"], "{shell:?}");
        });
    }
}

#[test]
fn a_trap_that_prints_more_than_is_kept_ends_all_the_same() {
    for shell in [Shell::Dash, Shell::Busybox] {
        with_shell(shell, async |daemon| {
            let session = daemon.session().await;
            session.exec("trap '/bin/head -c 1000000 /dev/zero' EXIT").await;
            let ended = session.exec("echo before; exit 3").await;
            assert_eq!(ended.exit_code, 3);
            assert_eq!(ended.output, format!("before\n{}", "\0".repeat(64 << 10)), "{shell:?}");
            // What it leaves in the background is not blocked, and not heard later.
            session.exec("trap '(while :; do echo foreign; /bin/sleep 0.01; done) & exit 4' EXIT").await;
            assert_eq!(session.exec("exit 0").await.exit_code, 4, "{shell:?}");
            assert_eq!(session.exec("/bin/sleep 0.1; exit 5").await.output, "", "{shell:?}");
        });
    }
}

#[test]
fn streams_that_are_apart_are_apart_in_a_trap() {
    for shell in [Shell::Bash, Shell::Dash, Shell::Busybox] {
        with_shell(shell, async |daemon| {
            let session = daemon.session().await;
            session.exec("trap 'echo one; echo two >&2' EXIT").await;
            let request = ExecRequest {
                cmd: Some("exit 3".to_owned()),
                separate_output: true,
                ..ExecRequest::default()
            };
            let ended = session.client.exec(&session.id, &request).await.expect("an answer");
            let apart = (ended.stdout.as_deref(), ended.stderr.as_deref());
            assert_eq!(apart, (Some("one\n"), Some("two\n")), "{shell:?}");
        });
    }
}

#[test]
fn functions_over_all_words_that_could_report_a_status_are_kept() {
    for (shell, definition) in [
        (Shell::Bash, "builtin() { :; }; printf() { echo mine; }; command() { :; }; unset() { :; }"),
        (Shell::Dash, "command() { :; }; printf() { echo mine; }"),
        (Shell::Busybox, "command() { :; }; printf() { echo mine; }"),
    ] {
        with_shell(shell, async |daemon| {
            let session = daemon.session().await;
            for options in ["", "set -e; ", "set -u; IFS=0123456789; "] {
                assert_eq!(session.exec(&format!("{options}{definition}")).await.exit_code, 0, "{shell:?}");
                for _ in 0..2 {
                    assert_eq!(session.exec("true").await.exit_code, 0, "{shell:?}");
                    assert_eq!(session.output("printf x").await, "mine", "{shell:?}");
                    let last = session.output("(exit 7) || echo \"$?\"; command echo never").await;
                    assert_eq!(last, "7", "{shell:?}");
                    if !options.contains("-e") {
                        assert_eq!(session.exec("return 7").await.exit_code, 7, "{shell:?}");
                        assert_eq!(session.output("echo \"$?\"").await, "7", "{shell:?}");
                    }
                }
                assert_eq!(session.exec("exit 3").await.exit_code, 3, "{shell:?}");
            }
        });
    }
}

#[test]
fn commands_with_variables_or_a_directory_run_whatever_functions_there_are() {
    for shell in [Shell::Bash, Shell::Dash, Shell::Busybox] {
        with_shell(shell, async |daemon| {
            let session = daemon.session().await;
            session.exec("kept=yes; command() { :; }; printf() { :; }; builtin() { :; }").await;
            let request = ExecRequest {
                cmd: Some("echo $kept $GIVEN $PWD; (exit 4)".to_owned()),
                env: [("GIVEN".to_owned(), "given".to_owned())].into(),
                cwd: Some("/tmp".to_owned()),
                ..ExecRequest::default()
            };
            let result = session.client.exec(&session.id, &request).await.expect("an answer");
            assert_eq!((result.exit_code, result.output.as_str()), (4, "yes given /tmp\n"), "{shell:?}");
            assert_eq!(session.output("echo ${GIVEN-gone} $kept").await, "gone yes", "{shell:?}");
        });
    }
}

#[test]
fn a_function_over_every_way_to_run_a_command_costs_itself_and_not_the_shell() {
    with_shell(Shell::Bash, async |daemon| {
        let session = daemon.session().await;
        for posix in ["set +o posix", "set -o posix"] {
            session.exec(&format!("kept=yes; {posix}")).await;
            session.exec("set +o posix; function . { :; }; builtin() { :; }; printf() { :; }").await;
            let result = session.exec("echo $kept; (exit 9)").await;
            assert_eq!((result.exit_code, result.output.as_str()), (9, "yes\n"), "{posix}");
            assert_eq!(
                session.output("set -o | while read -r a b; do test $a != posix || echo $b; done").await,
                "off"
            );
        }
    });
}
