//! A timeout ends everything the command has started, however it hid, and nothing that was there before.

use sandkasten_client::RequestError;
use sandkasten_e2e::{TestSession, until, with_config, with_daemon};

/// Waits until no process whose command line holds the mark is left.
async fn assert_gone(session: &TestSession, mark: &str) {
    let (head, tail) = mark.split_at(1);
    // Written so that it does not find itself.
    let count = format!("ps -eo args | grep -c '[{head}]{tail}'; true");
    until("the processes of a command that timed out are gone", async || session.output(&count).await == "0")
        .await;
}

/// Commands that start processes which sleep 4711 seconds or spin, and do not end.
const TREES: &[(&str, &str)] = &[
    ("foreground", "sleep 4711"),
    ("a pipeline", "sleep 4711 | cat | sleep 4711"),
    ("background", "sleep 4711 & sleep 4711 & wait"),
    ("a subshell", "(sleep 4711; true)"),
    ("a command substitution", "x=$(sleep 4711; true)"),
    ("a process substitution", "cat <(sleep 4711)"),
    ("another session", "setsid sleep 4711 & setsid -w sleep 4711"),
    ("disowned", "sleep 4711 & disown; nohup sleep 4711 >/dev/null 2>&1 & disown; sleep 4711"),
    (
        "ignoring signals",
        "sh -c 'trap \"\" INT TERM HUP QUIT; sleep 4711; sleep 4711' & sh -c 'trap \"\" INT TERM; while :; do sleep 4711; done'",
    ),
    ("stopped", "sh -c 'kill -STOP $$; sleep 4711' & sleep 4711"),
    ("a function in the shell", "f() { while :; do sleep 4711; done; }; f"),
    ("another shell", "bash -c 'sleep 4711 & sleep 4711; wait'"),
    ("a coprocess", "coproc sleep 4711; wait"),
    ("a waiting read", "sleep 4711 | read line"),
];

const DOUBLE_FORK: &str = "\
import os, signal, sys, time
def daemon():
    if os.fork(): return
    os.setsid()
    if os.fork(): os._exit(0)
    for number in range(1, 65):
        try: signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError): pass
    os.chdir('/')
    for descriptor in range(3): os.close(descriptor)
    os.execvp('sleep', ['sleep', '4711'])
for _ in range(5): daemon()
time.sleep(4711)";

#[test]
fn timeout_kills_every_kind_of_tree_and_keeps_earlier_jobs_and_variables() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("KEPT=yes; cd /tmp; greet() { echo hello; }; sleep 1234 &").await;
        for (what, command) in TREES {
            let details = session.timed_out(&format!("echo started; {command}"), 500).await;
            assert_eq!(details.output.as_deref(), Some("started\n"), "{what}");
            assert_gone(&session, "sleep 4711").await;
            assert_eq!(session.output("echo $KEPT; pwd; greet").await, "yes\n/tmp\nhello", "{what}");
            assert_eq!(
                session.output("ps -eo args | grep -c '[s]leep 1234'; jobs -r | wc -l").await,
                "1\n1",
                "{what}"
            );
        }
    });
}

#[test]
fn timeout_kills_double_forked_children() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        daemon.client().write_file(&session.id, "daemon.py", DOUBLE_FORK.as_bytes()).await.expect("written");
        session.exec("KEPT=yes; sleep 1234 &").await;
        let alive = daemon.leaks(Some(session.id.as_str())).processes.len();
        let details = session.timed_out("python3 /workspace/daemon.py", 1_000).await;
        assert_ne!(details.shell_restarted, Some(true));
        assert_gone(&session, "sleep 4711").await;
        assert_gone(&session, "daemon.py").await;
        assert_eq!(session.output("echo $KEPT").await, "yes");
        let left = daemon.leaks(Some(session.id.as_str())).processes;
        assert_eq!(left.len(), alive, "as many as before, seen from the host");
    });
}

#[test]
fn timeout_ends_a_fork_bomb() {
    with_config("defaults:\n  pids_limit: 64", async |daemon| {
        let (session, other) = (daemon.session().await, daemon.session().await);
        session.exec("KEPT=yes").await;
        let alive = daemon.leaks(Some(session.id.as_str())).processes.len();
        for bomb in [
            ":() { :|:& }; : 2>/dev/null; sleep 4711",
            "python3 -c '\nimport os\nwhile True:\n  try: os.fork()\n  except OSError: pass'",
        ] {
            let bomber = session.clone();
            let running = tokio::spawn(async move { bomber.timed_out(bomb, 1_500).await });
            until("the bomb goes off", async || {
                daemon.client().session_stats(&session.id).await.is_ok_and(|stats| stats.pids > 50)
            })
            .await;
            assert_eq!(other.output("(echo unharmed)").await, "unharmed");
            daemon.client().healthz().await.expect("healthy");
            running.await.expect("it timed out");
            until("all processes are gone", async || {
                daemon.leaks(Some(session.id.as_str())).processes.len() <= alive
            })
            .await;
            assert_eq!(session.output("(echo alive)").await, "alive");
        }
    });
}

#[test]
fn timeout_returns_what_was_printed_and_bounds_it() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let details = session.timed_out("echo before; printf unfinished; sleep 4711", 500).await;
        assert_eq!(details.output.as_deref(), Some("before\nunfinished"));
        let details = session.timed_out("yes | tr -d '\\n'", 500).await;
        assert_eq!(details.output.map(|output| output.len()), Some(1 << 20));
        assert_eq!(details.truncated, Some(true));
        assert_eq!(session.output("echo next").await, "next");
    });
}

#[test]
fn a_command_that_ends_with_its_timeout_is_one_or_the_other() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for _ in 0..30 {
            match session.try_exec("sleep 0.1; echo done", Some(100)).await {
                Ok(result) => assert_eq!((result.exit_code, result.output.as_str()), (0, "done\n")),
                Err(RequestError::Refused { status: 504, .. }) => {}
                Err(error) => panic!("{error}"),
            }
            assert_eq!(session.output("echo next").await, "next");
        }
    });
}

#[test]
fn destroying_a_session_ends_a_fork_bomb() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let bomber = session.clone();
        let bomb = ":() { :|:& }; : 2>/dev/null; sleep 4711";
        let running = tokio::spawn(async move { bomber.try_exec(bomb, None).await });
        until("the bomb goes off", async || {
            daemon.client().session_stats(&session.id).await.is_ok_and(|stats| stats.pids > 200)
        })
        .await;
        let traces = daemon.traces(session.id.as_str());
        daemon.client().destroy_session(&session.id).await.expect("destroyed");
        let left = traces.remaining();
        assert!(left.is_empty(), "{left:#?}");
        assert!(running.await.expect("no panic").is_err(), "the command did not end by itself");
    });
}
