//! Job control: in the session's shell over several execs, and in a shell that a command starts.

use sandkasten_e2e::with_daemon;

use super::put;

/// Says that it has begun, by which time it has left the shell's handling of signals behind, and sleeps. Each job says so in a pipe
/// of its own: the next to be read from could still be open for writing by the one before.
const JOB: &str = "#!/bin/sh\necho \"$1\" > /workspace/begun-$1\nexec sleep 1000\n";

/// All of it in one shell, each step on a line of output. With `-m` on its command line bash wants a terminal, here and
/// everywhere.
const SCRIPT: &str = r#"
set -m; cd /workspace
./job one & read -r line < begun-one; echo "$line began"
./job two & read -r line < begun-two; echo "$line began"
read -r _ _ _ _ group _ < /proc/$!/stat; [ "$group" = $! ] && echo "a group of its own"
kill -TSTP %1; wait %1; echo "stopped: $?"
jobs
bg %1
jobs -r | wc -l
kill %1; wait %1; echo "killed: $?"
kill -s INT %./job; wait %2; echo "interrupted: $?"
sh -c 'kill -TSTP $$; exit 5'; echo "stopped in front: $?"
fg; echo "ended in front: $?"
sh -c 'exit 6' & wait -n; echo "waited: $?"
jobs
"#;

const EXPECTED: &str = "\
one began
two began
a group of its own
stopped: 148
[1]+  Stopped                 ./job one
[2]-  Running                 ./job two &
[1]+ ./job one &
2
killed: 143
interrupted: 130
stopped in front: 148
sh -c 'kill -TSTP $$; exit 5'
ended in front: 5
waited: 6";

#[test]
fn a_shell_with_job_control_stops_continues_and_ends_its_jobs() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        put(&session, "job", JOB).await;
        put(&session, "script", SCRIPT).await;
        session.output("mkfifo /workspace/begun-one /workspace/begun-two; chmod +x /workspace/job").await;
        let said = session.output("bash /workspace/script 2> /workspace/errors").await;
        assert_eq!(said, EXPECTED, "{}", session.output("cat /workspace/errors").await);
    });
}

#[test]
fn jobs_of_the_sessions_shell_are_stopped_continued_and_ended_by_later_commands() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        put(&session, "job", JOB).await;
        session.output("cd /workspace; mkfifo begun-one begun-two; chmod +x job; set -m").await;
        session.output("./job one & read -r line < begun-one").await;
        session.output("./job two & read -r line < begun-two").await;
        let jobs = async || session.output("jobs").await;
        assert_eq!(
            jobs().await,
            "[1]-  Running                 ./job one &\n[2]+  Running                 ./job two &"
        );

        assert_eq!(session.exec("kill -TSTP %1; wait %1").await.exit_code, 148);
        assert!(jobs().await.starts_with("[1]+  Stopped"), "{}", jobs().await);
        assert_eq!(session.output("bg %1; jobs -r | wc -l").await, "[1]+ ./job one &\n2");
        assert_eq!(session.exec("kill %1; wait %1").await.exit_code, 143);
        assert_eq!(jobs().await, "[2]+  Running                 ./job two &");
        assert_eq!(session.exec("kill -KILL %2; wait %2").await.exit_code, 137);
        assert_eq!(jobs().await, "");
    });
}

#[test]
fn a_command_that_is_stopped_in_front_is_brought_back_by_a_later_one() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.output("set -m").await;
        assert_eq!(session.exec("sh -c 'kill -TSTP $$; exit 5'").await.exit_code, 148);
        assert!(session.output("jobs").await.contains("Stopped"));
        assert_eq!(session.exec("fg").await.exit_code, 5);
        assert_eq!(session.output("jobs").await, "");
    });
}

#[test]
fn without_job_control_jobs_are_listed_waited_for_and_killed_by_later_commands() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.output("sleep 1000 &").await;
        session.output("bash -c 'exit 9' & kept=$!").await;
        assert_eq!(session.exec("wait $kept").await.exit_code, 9);
        assert_eq!(session.output("jobs -r").await, "[1]+  Running                 sleep 1000 &");
        assert_eq!(session.exec("kill %1; wait %1").await.exit_code, 143);
        assert_eq!(session.output("jobs").await, "");
    });
}
