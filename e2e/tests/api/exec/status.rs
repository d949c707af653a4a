//! Exit status and directory, and that nothing forges them.

use sandkasten_e2e::with_daemon;
use serde_json::json;

#[test]
fn an_answer_has_the_fields_of_the_contract() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let path = format!("/v1/sessions/{}/exec", session.id);
        let answer = daemon.raw().post(&path, &json!({"cmd": "cd /tmp; sleep 0.2; echo hi"})).await.ok(200);
        assert!(answer["duration_ms"].as_u64().is_some_and(|time| (200..20_000).contains(&time)), "{answer}");
        for (field, value) in [
            ("exit_code", json!(0)),
            ("cwd", json!("/tmp")),
            ("output", json!("hi\n")),
            ("truncated", json!(false)),
        ] {
            assert_eq!(answer[field], value, "{field}");
        }
        assert_eq!(daemon.raw().get(&format!("/v1/sessions/{}", session.id)).await.ok(200)["cwd"], "/tmp");
    });
}

#[test]
fn exit_codes_are_those_of_the_command_and_death_by_a_signal_is_128_more() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("kept=yes").await;
        for (command, code) in [
            ("true", 0),
            ("false", 1),
            ("(exit 42)", 42),
            ("sh -c 'exit 255'", 255),
            ("(exit 256)", 0),
            ("false; true", 0),
            ("true | false", 1),
            ("no-such-command-anywhere", 127),
            ("/etc/passwd", 126),
            ("sh -c 'kill -TERM $$'", 143),
            ("sh -c 'kill -KILL $$'", 137),
            ("sh -c 'kill -SEGV $$'", 139),
            ("sh -c 'kill -INT $$'", 130),
            ("sleep 1000 & kill $!; wait $!", 143),
            ("! true", 1),
            ("f() { return 77; }; f", 77),
        ] {
            assert_eq!(session.exec(command).await.exit_code, code, "{command}");
        }
        assert_eq!(session.output("echo $kept").await, "yes");
    });
}

#[test]
fn exit_gives_its_code_and_a_fresh_shell_in_the_same_directory() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for (command, code) in [
            ("exit 3", 3),
            ("exit", 0),
            ("echo before; exit 300", 44),
            ("f() { exit 5; }; f; echo never", 5),
            ("exec true", 0),
            ("exec sh -c 'exit 6'", 6),
            ("kill -KILL $$; sleep 1000", 137),
            ("set -e; false; echo never", 1),
            ("trap 'exit 8' EXIT; exit 1", 8),
        ] {
            session.exec("mkdir -p '/workspace/a b'; cd '/workspace/a b'; unset trace; trace=here").await;
            let result = session.exec(command).await;
            assert_eq!((result.exit_code, result.cwd.as_str()), (code, "/workspace/a b"), "{command}");
            assert!(!result.output.contains("never"), "{command}: {}", result.output);
            assert_eq!(session.output("pwd; echo [$trace]").await, "/workspace/a b\n[]", "after {command}");
        }
        for _ in 0..10 {
            let result = session.exec("cd /tmp; exit 3").await;
            assert_eq!((result.exit_code, result.cwd.as_str()), (3, "/tmp"));
        }
        assert_eq!(session.output("pwd").await, "/tmp");
    });
}

#[test]
fn nothing_that_a_command_does_forges_its_status_or_directory() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for command in [
            r#"echo '{"exit_code":0,"cwd":"/fake","output":"","truncated":false,"duration_ms":1}'; false"#,
            "for fd in /proc/self/fd/*; do printf '0\\0/fake\\0' >&${fd##*/}; done 2>/dev/null; false",
            "for ((fd = 3; fd < 300; fd++)); do eval \"exec $fd>&-\"; done 2>/dev/null; false",
            "pwd() { echo /fake; }; cd() { :; }; PWD=/fake; OLDPWD=/fake; false",
            "printf() { :; }; echo() { :; }; eval() { :; }; read() { :; }; builtin() { :; }; command() { :; }; false",
            "alias return=true exit=true eval=true '['=true; shopt -s expand_aliases; false",
            "PROMPT_COMMAND='(exit 9)'; PS0='$(true)'; PS1='$(cd /tmp)'; PS4='$(cd /tmp)'; set -x; false",
            "trap 'true; cd /tmp' DEBUG; trap - DEBUG; cd /workspace; trap true ERR RETURN; false",
            "IFS=0123456789/; set -f; false",
            "set -v; set -x; false",
            "exec 2>&-; false",
            "exec >/dev/null; false",
            "exec </dev/zero; false",
            "enable -n cd; hash -r; PATH=/nowhere; false",
            "readonly _status=0 status=0 code=0 rc=0 ret=0 PWD; false",
            "kill -STOP $BASHPID & kill -CONT $!; false",
            "ulimit -n 12; false",
        ] {
            let session = if command.contains("ulimit") { daemon.session().await } else { session.clone() };
            let result = session.exec(command).await;
            assert_eq!(
                (result.exit_code, result.cwd.as_str()),
                (1, "/workspace"),
                "{command}: {}",
                result.output
            );
            let next = session.exec("true").await;
            assert_eq!((next.exit_code, next.cwd.as_str()), (0, "/workspace"), "after {command}");
            session.exec("exit 0").await;
        }
    });
}

#[test]
fn any_directory_is_named_as_it_is() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for name in
            ["with space", "quote\"'`$(id)", "new\nline", "ünï \u{1f980}", "back\\slash", "-dash", "*"]
        {
            let command = format!(
                "cd /workspace; d='{}'; mkdir -p -- \"$d\"; cd -- \"$d\"",
                name.replace('\'', r"'\''")
            );
            let result = session.exec(&command).await;
            assert_eq!(
                (result.exit_code, result.cwd),
                (0, format!("/workspace/{name}")),
                "{}",
                result.output
            );
        }
        let no_text = session.exec("cd /workspace; mkdir $'\\377'; cd $'\\377'").await;
        assert_eq!(no_text.cwd, "/workspace/\u{fffd}");
        let gone = session.exec("mkdir /workspace/gone; cd /workspace/gone; rmdir /workspace/gone").await;
        assert_eq!(gone.exit_code, 0, "{}", gone.output);
        assert_eq!(session.exec("cd /workspace; ln -s /tmp link; cd link").await.exit_code, 0);
        assert_eq!(session.output("echo alive").await, "alive");
        session.exec("mkdir /workspace/gone; cd /workspace/gone; rmdir /workspace/gone; exit 3").await;
        assert_eq!(
            session.output("echo alive").await,
            "alive",
            "after a fresh shell in a directory that is gone"
        );
    });
}
