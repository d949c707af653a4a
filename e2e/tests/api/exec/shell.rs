//! What carries over from one exec to the next.

use sandkasten_e2e::with_daemon;

#[test]
fn the_state_of_the_shell_carries_over() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for (first, then, output) in [
            ("cd /tmp", "pwd; cd - >/dev/null; pwd", "/tmp\n/workspace"),
            ("export COLOUR=blue", "echo $COLOUR; sh -c 'echo $COLOUR'", "blue\nblue"),
            ("plain='a  b'", "echo \"$plain\"; sh -c 'echo [$plain]'", "a  b\n[]"),
            ("list=(one 'two three'); declare -A map=([k]=v)", "echo ${#list[@]} ${map[k]}", "2 v"),
            ("greet() { echo hello $1; }", "greet you; type -t greet", "hello you\nfunction"),
            ("alias ll='echo listing'", "ll", "listing"),
            ("set -o pipefail", "false | true; echo $?", "1"),
            ("set +o pipefail; set -f", "echo *; set +f", "*"),
            ("shopt -s nullglob", "echo [nothing*]; shopt -u nullglob", ""),
            ("umask 027", "umask", "0027"),
            ("ulimit -f 4096", "ulimit -f", "4096"),
            ("trap 'echo trapped' USR1", "kill -USR1 $$; true", "trapped"),
            ("set -- x 'y z'", "echo $# $2; set --", "2 y z"),
            ("echo $$ > pid", "[ $$ = $(cat pid) ] && echo same shell; rm pid", "same shell"),
            ("mark=1; (mark=2; cd /)", "echo $mark; pwd", "1\n/workspace"),
            ("sleep 0.01 & echo $! > pid; wait", "[ $! = $(cat pid) ] && echo same job; rm pid", "same job"),
            ("echo kept > file; exec 9<file", "cat <&9; exec 9<&-", "kept"),
            ("readonly fixed=1", "fixed=2; echo never", ""),
        ] {
            let began = session.exec(first).await;
            assert_eq!(began.exit_code, 0, "{first}: {}", began.output);
            let result = session.exec(then).await;
            if first.starts_with("readonly") {
                assert!(result.exit_code != 0 && result.output.contains("readonly"), "{result:?}");
            } else {
                assert_eq!(result.output.trim_end(), output, "{first}; {then}");
            }
        }
    });
}

#[test]
fn a_fresh_shell_has_nothing_of_the_one_before_but_its_directory() {
    with_daemon(async |daemon| {
        for end in ["exit 3", "kill -9 $$", "exec false"] {
            let session = daemon.session().await;
            let ask = "umask; ulimit -n; ulimit -c; echo $- [${A-}] $SHLVL; trap; alias; set -o | sha256sum; env | grep -v ^_=";
            let first = session.output(ask).await;
            session.exec("umask 077; ulimit -n 64; ulimit -c 0; export A=1 PATH=; set -f").await;
            session.exec("trap '' TERM; trap 'echo x' USR1; alias a=b; cd /tmp").await;
            session.exec(end).await;
            let inside = format!("echo \"${{PWD}}\"; {ask}");
            let fresh = session.output(&inside).await.replace("PWD=/tmp", "PWD=/workspace");
            assert_eq!(fresh, format!("/tmp\n{first}"), "after {end}");
            assert_eq!(session.output("echo >file; stat -c %a file").await, "644", "after {end}");
        }
    });
}

#[test]
fn background_jobs_live_on_and_are_waited_for_and_killed() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("sleep 1000 &").await;
        assert!(session.exec("jobs").await.output.contains("sleep 1000"));
        assert_eq!(session.exec("kill %1; wait %1").await.exit_code, 143);
        assert_eq!(session.exec("jobs").await.output, "");
        session.exec("(sleep 0.3; echo finished > mark; exit 5) & job=$!").await;
        assert_eq!(session.exec("wait $job").await.exit_code, 5);
        assert_eq!(session.output("cat mark").await, "finished");
        session.exec("(while :; do echo tick >> ticks; sleep 0.05; done) & echo $! > pid").await;
        session.exec("sleep 0.3; cp ticks before; sleep 0.3").await;
        assert_eq!(
            session.output("[ $(wc -l < ticks) -gt $(wc -l < before) ] && echo goes on").await,
            "goes on"
        );
        assert_eq!(session.exec("kill %%; wait $(cat pid)").await.exit_code, 143);
        let started = session.exec("python3 -m http.server 8123 >log 2>&1 & sleep 0.1").await;
        assert_eq!(started.exit_code, 0);
        let ask = "for i in $(seq 100); do (: </dev/tcp/127.0.0.1/8123) 2>/dev/null && break; sleep 0.05; done; echo $i";
        let tries: u32 = session.output(ask).await.parse().expect("a number");
        assert!(tries < 100, "a server in the background answers later commands");
    });
}

#[test]
fn sessions_share_nothing() {
    with_daemon(async |daemon| {
        let (one, other) = (daemon.session().await, daemon.session().await);
        one.exec("export secret=1; echo x > /tmp/mine; echo x > mine; sleep 1000 & cd /tmp").await;
        let seen =
            other.output("echo [$secret]; ls /tmp /workspace; ps -e 2>/dev/null | grep -c sleep; pwd").await;
        assert_eq!(seen, "[]\n/tmp:\n\n/workspace:\n0\n/workspace");
    });
}

#[test]
fn a_low_limit_of_descriptors_does_not_cost_the_shell_its_life() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for limit in [1_000, 256, 200, 64] {
            let result = session.exec(&format!("kept={limit}; ulimit -n {limit}")).await;
            assert_eq!((result.exit_code, result.output.as_str()), (0, ""), "{limit}");
            assert_eq!(session.output("echo $kept; ulimit -n").await, format!("{limit}\n{limit}"));
        }
    });
}

#[test]
fn the_last_status_carries_over_as_if_typed() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        assert_eq!(session.exec("(exit 5)").await.exit_code, 5);
        assert_eq!(session.output("echo $?").await, "5");
    });
}
