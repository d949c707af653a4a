//! Whatever a command does to its shell, the exec ends with the right status and the next one works.

use std::time::{Duration, Instant};

use sandkasten_client::RequestError;
use sandkasten_e2e::{TestDaemon, patience, patience_ms, with_config, with_daemon};

/// How an exec may end.
#[derive(Debug, Clone, Copy)]
enum Ends {
    /// With this status.
    With(i32),
    /// With any status, but by itself.
    Somehow,
    /// By its timeout.
    ByTimeout,
    /// By itself or by its timeout, depending on the machine.
    Either,
}

use Ends::{ByTimeout, Either, Somehow, With};

const TIMEOUT_MS: u64 = 1_000;
/// A bound on hangs.
const PATIENCE: Duration = Duration::from_secs(10);

const SABOTAGE: &[(&str, Ends)] = &[
    ("exit 3", With(3)),
    ("return 5", With(5)),
    ("exit 300", With(44)),
    ("trap 'exit 9' EXIT; exit 3", With(9)),
    ("exec true", With(0)),
    ("exec false", With(1)),
    ("exec sh -c 'exit 8'", With(8)),
    ("exec cat", With(0)),
    ("exec bash", With(0)),
    ("exec bash -i", Somehow),
    ("exec /does/not/exist", Somehow),
    ("exec sleep 1000", ByTimeout),
    ("kill -9 $$", With(137)),
    ("kill -SEGV $$", With(139)),
    ("kill -TERM $$; echo -n", With(0)),
    ("kill -HUP $$", With(129)),
    ("kill -9 -1", Somehow),
    ("kill -9 0", With(137)),
    ("kill -STOP $$", ByTimeout),
    ("(sleep 0.1; kill -STOP $$) & sleep 0.5; echo -n", ByTimeout),
    ("suspend -f", ByTimeout),
    ("set -e; false", Somehow),
    ("set -u; echo $UNDEFINED", Somehow),
    ("set -n", Somehow),
    ("set -eu -o pipefail", With(0)),
    ("set -f; set -C; set -b; set -k; set -h; set -p", Somehow),
    ("set +m; set +i", Somehow),
    ("set -r", Somehow),
    ("set -o vi; set -o emacs; set -o history; set -H", Somehow),
    ("exec <&-", With(0)),
    ("exec >&-", With(0)),
    ("exec 2>&-", With(0)),
    ("exec <&- >&- 2>&-", With(0)),
    ("exec 200>&- 9>&-", With(0)),
    ("exec 0<>/dev/null 1>&0 2>&0", With(0)),
    ("for fd in $(ls /proc/$$/fd); do eval \"exec $fd>&-\"; done", Somehow),
    ("exec > /dev/full; echo x", Somehow),
    ("echo \"unterminated", Somehow),
    ("echo 'unterminated", Somehow),
    ("echo $(unterminated", Somehow),
    ("if true; then", Somehow),
    ("cat <<END\ntext without an end", Somehow),
    ("}", Somehow),
    ("${x:?message}", Somehow),
    ("echo x \\", With(0)),
    ("trap '' INT TERM HUP QUIT; while :; do :; done", ByTimeout),
    ("trap 'echo caught' INT TERM; while :; do sleep 0.05; done", ByTimeout),
    ("trap 'sleep 1000' EXIT; exit 0", ByTimeout),
    ("trap 'while :; do :; done' EXIT; exit 0", ByTimeout),
    ("trap 'kill -9 $$' DEBUG", With(137)),
    ("trap 'exit 6' DEBUG", With(6)),
    ("sleep 1000 & wait", ByTimeout),
    ("read line < /dev/tty", Somehow),
    ("read line", With(1)),
    ("cat; cat -; head -c 1", With(0)),
    ("ulimit -f 0", With(0)),
    ("umask 777", With(0)),
    ("mkdir -p /workspace/gone; cd /workspace/gone; rmdir /workspace/gone", With(0)),
    ("cd /; hash -r; PATH=; HOME=; IFS=; PWD=/etc; OLDPWD=", With(0)),
    ("unset PATH HOME PWD IFS SHLVL BASH_VERSION", With(0)),
    ("declare -r PS1=x PS2=y PATH=/usr/bin:/bin; readonly", Somehow),
    ("coproc cat; exec 3>&${COPROC[1]}", With(0)),
    ("f() { f; }; f", Either),
    ("x=$(head -c 300M /dev/zero | tr '\\0' x)", Either),
    ("eval \"$(printf 'true;%.0s' $(seq 20000))\"", With(0)),
    ("fg; bg; disown -a; jobs", Somehow),
    ("logout", Somehow),
    ("history -c; fc -l; bind -x '\"x\":y'", Somehow),
    ("ulimit -s 64; ulimit -d 1000", Somehow),
    ("ulimit -t 1; while :; do :; done", Somehow),
];

async fn sabotage(daemon: &TestDaemon, command: &str, ends: Ends) -> Result<(), String> {
    let session = daemon.session().await;
    let started = Instant::now();
    // The shell's own limit on processor time takes longer than a short timeout.
    let timeout_ms = if matches!(ends, ByTimeout) { TIMEOUT_MS } else { patience_ms(5_000) };
    let result = session.try_exec(command, Some(timeout_ms)).await;
    match (&result, ends) {
        (Ok(result), With(code)) if result.exit_code == code => {}
        (Ok(_), Somehow | Either) | (Err(RequestError::Refused { status: 504, .. }), ByTimeout | Either) => {}
        _ => return Err(format!("{result:?}, not {ends:?}")),
    }
    for (next, exit_code, output) in [("echo alive", 0, "alive\n"), ("(exit 9)", 9, "")] {
        let result = session.try_exec(next, Some(patience_ms(5_000))).await;
        match &result {
            Ok(result) if (result.exit_code, result.output.as_str()) == (exit_code, output) => {}
            _ => return Err(format!("then {next}: {result:?}")),
        }
    }
    let took = started.elapsed();
    daemon.client().destroy_session(&session.id).await.map_err(|error| format!("not destroyed: {error}"))?;
    if took < patience(PATIENCE) { Ok(()) } else { Err(format!("took {took:?}")) }
}

async fn assert_survives_all(daemon: &TestDaemon, list: &[(&str, Ends)]) {
    let mut wrong = Vec::new();
    for (command, ends) in list {
        if let Err(reason) = sabotage(daemon, command, *ends).await {
            wrong.push(format!("{command}: {reason}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn bash_survives_sabotage() {
    with_daemon(async |daemon| assert_survives_all(daemon, SABOTAGE).await);
}

#[test]
fn a_session_outlives_any_number_of_its_shells() {
    with_daemon(async |daemon| {
        for (end, exit_code) in [("exit 3", 3), ("kill -9 $$", 137), ("exec false", 1)] {
            let session = daemon.session().await;
            for round in 0..5 {
                assert_eq!(session.exec(end).await.exit_code, exit_code, "round {round} of {end}");
                let next = session.try_exec("echo alive", Some(patience_ms(5_000))).await;
                let next = next.unwrap_or_else(|error| panic!("round {round} of {end}: {error}"));
                assert_eq!((next.exit_code, next.output.as_str()), (0, "alive\n"), "round {round} of {end}");
            }
        }
    });
}

#[test]
fn hooks_that_hang_between_commands_cost_a_timeout_and_not_the_session() {
    with_daemon(async |daemon| {
        let mut wrong = Vec::new();
        for hook in [
            "trap 'sleep 1000' DEBUG",
            "trap 'while :; do :; done' DEBUG",
            "PROMPT_COMMAND='while :; do :; done'",
            "PROMPT_COMMAND='sleep 1000'",
            "PS1='$(sleep 1000)'",
            "PS0='$(sleep 1000)'",
            "PROMPT_COMMAND='kill -STOP $$'",
            "PROMPT_COMMAND='exec sleep 1000'",
        ] {
            let session = daemon.session().await;
            // Where exactly it hangs is the shell's business: in this exec or in the next.
            let mut timeouts = 0;
            let mut alive = false;
            for command in [hook, "echo alive", "echo alive"] {
                match session.try_exec(command, Some(TIMEOUT_MS)).await {
                    Ok(result) => alive = result.output == "alive\n" && result.exit_code == 0,
                    Err(RequestError::Refused { status: 504, .. }) => timeouts += 1,
                    Err(error) => wrong.push(format!("{command} of {hook}: {error}")),
                }
            }
            if !alive || timeouts > 1 {
                wrong.push(format!("{hook}: {timeouts} timeouts, works again: {alive}"));
            }
            daemon.client().destroy_session(&session.id).await.expect("destroyed");
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

#[test]
fn a_posix_shell_survives_sabotage() {
    let list = [
        ("exit 3", With(3)),
        ("return 5", With(5)),
        ("exec cat", With(0)),
        ("exec sleep 1000", ByTimeout),
        ("kill -9 $$", With(137)),
        ("kill -STOP $$", ByTimeout),
        ("set -e; false", Somehow),
        ("set -u; echo $UNDEFINED", Somehow),
        ("exec <&-", With(0)),
        ("exec >&- 2>&-", With(0)),
        ("for fd in $(ls /proc/$$/fd); do eval \"exec $fd>&-\"; done", Somehow),
        ("echo \"unterminated", Somehow),
        ("cat <<END\ntext", Somehow),
        ("trap '' INT TERM; while :; do :; done", ByTimeout),
        ("trap 'sleep 1000' EXIT; exit 0", ByTimeout),
        ("${x:?message}", Somehow),
        ("mkdir /workspace/gone; cd /workspace/gone; rmdir /workspace/gone", With(0)),
    ];
    with_config("defaults:\n  shell_prefer: sh", async |daemon| assert_survives_all(daemon, &list).await);
}

#[test]
fn limits_that_a_command_sets_on_its_shell_break_no_more_than_they_say() {
    with_daemon(async |daemon| {
        let mut wrong = Vec::new();
        for limit in
            ["ulimit -n 3", "ulimit -n 0", "ulimit -u 1", "ulimit -v 1000", "ulimit -c 0; ulimit -l 0"]
        {
            let session = daemon.session().await;
            if let Err(error) = session.try_exec(limit, Some(patience_ms(5_000))).await {
                wrong.push(format!("{limit}: {error}"));
            }
            // It may fail for want of what the command has taken away, but says so, and exit gives a new shell.
            match session.try_exec("echo alive", Some(patience_ms(5_000))).await {
                Ok(result) if result.exit_code != 0 || result.output == "alive\n" => {}
                other => wrong.push(format!("echo after {limit}: {other:?}")),
            }
            session.try_exec("exit 0", Some(patience_ms(5_000))).await.ok();
            match session.try_exec("echo alive", Some(patience_ms(5_000))).await {
                Ok(result) if (result.exit_code, result.output.as_str()) == (0, "alive\n") => {}
                other => wrong.push(format!("echo after {limit} and exit: {other:?}")),
            }
            daemon.client().destroy_session(&session.id).await.expect("destroyed");
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

#[test]
fn options_of_the_shell_carry_over_without_touching_the_results() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("set -x").await;
        let traced = session.exec("echo alive").await;
        let lines: Vec<&str> =
            traced.output.lines().map(|line| line.trim_start_matches('+').trim()).collect();
        assert_eq!(lines, ["echo alive", "alive"], "{traced:?}");
        assert_eq!(session.exec("set +x; (exit 9)").await.exit_code, 9);
        session.exec("set -v").await;
        assert_eq!(session.exec("echo alive").await.output, "echo alive\nalive\n");
    });
}

#[test]
fn a_full_process_table_leaves_the_shell_usable() {
    with_config("defaults:\n  pids_limit: 64", async |daemon| {
        let session = daemon.session().await;
        let fill = "\
import os, signal
try:
    while True:
        if os.fork() == 0: signal.pause()
except OSError: open('/workspace/full', 'w').close()
signal.pause()";
        session.client.write_file(&session.id, "fill.py", fill.as_bytes()).await.expect("written");
        session.exec("python3 fill.py & while ! test -e full; do :; done").await;
        assert_eq!(session.output("echo alive").await, "alive");
        // Bash tries again for half a minute to start what cannot be started.
        session.timed_out("(echo never)", TIMEOUT_MS).await;
        assert_eq!(session.output("echo alive").await, "alive");
        assert_eq!(session.exec("exit 3").await.exit_code, 3);
        assert_eq!(session.output("echo alive").await, "alive");
    });
}

#[test]
fn running_out_of_memory_again_and_again_leaves_the_shell_usable() {
    with_config("defaults:\n  mem_limit_mb: 64", async |daemon| {
        let session = daemon.session().await;
        for _ in 0..3 {
            let child = session.exec("python3 -c 'x = bytearray(400 << 20)'").await;
            assert_eq!(child.exit_code, 137, "{child:?}");
            let shell = session.exec("x=$(head -c 100M /dev/zero | tr '\\0' x)").await;
            assert_ne!(shell.exit_code, 0, "{:?}", shell.exit_code);
            assert_eq!(session.output("(echo alive)").await, "alive");
        }
    });
}
