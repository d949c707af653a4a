//! Why a command ended, as every result says it.

use sandkasten_e2e::{with_config, with_daemon};
use serde_json::{Value, json};

use super::options::exec;

fn reason(result: &Value) -> &str {
    result["reason"].as_str().expect("a reason")
}

#[test]
fn every_result_says_why_it_ended_and_what_it_used() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let result = exec(daemon, &session, json!({"cmd": "true"})).await;
        assert_eq!((reason(&result), result.get("hint")), ("exit", None));
        let result =
            exec(daemon, &session, json!({"cmd": "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"})).await;
        assert!(result["cpu_usec"].as_u64().expect("a number") > 10_000, "{result}");
        assert!(result["peak_memory_bytes"].as_u64().expect("a number") > 0, "{result}");
        let result = exec(daemon, &session, json!({"cmd": "exit 3"})).await;
        assert_eq!(reason(&result), "exit");
        assert!(result["hint"].as_str().expect("a hint").contains('3'));
        let result = exec(daemon, &session, json!({"cmd": "sh -c 'kill -ABRT $$'"})).await;
        assert_eq!((reason(&result), &result["signal"]), ("signal", &json!("SIGABRT")));
        let result = exec(daemon, &session, json!({"cmd": "no-such-program"})).await;
        assert!(result["hint"].as_str().expect("a hint").contains("not found"), "{result}");
    });
}

#[test]
fn the_processor_time_of_one_command_is_not_the_nexts() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        exec(daemon, &session, json!({"cmd": "timeout 1 sh -c 'while :; do :; done'"})).await;
        let result = exec(daemon, &session, json!({"cmd": "true"})).await;
        assert!(result["cpu_usec"].as_u64().expect("a number") < 200_000, "{result}");
    });
}

#[test]
fn used_up_memory_is_named_with_its_limit_and_the_session_lives_on() {
    with_config("defaults:\n  mem_limit_mb: 64\n", async |daemon| {
        let session = daemon.session().await;
        for body in [
            json!({"cmd": "python3 -c 'x = bytearray(10**9)'"}),
            json!({"argv": ["python3", "-c", "x = bytearray(10**9)"]}),
            json!({"cmd": "sh -c \"python3 -c 'x = bytearray(10**9)'\"; exit 1", "shell": "none"}),
        ] {
            let result = exec(daemon, &session, body).await;
            assert_eq!((reason(&result), &result["limit"]), ("oom", &json!(64 << 20)), "{result}");
            assert!(result["used"].as_u64().expect("a number") > 32 << 20, "{result}");
            assert!(result["hint"].as_str().expect("a hint").contains("64 MiB"), "{result}");
        }
        let result = exec(daemon, &session, json!({"cmd": "false"})).await;
        assert_eq!(reason(&result), "exit", "an earlier command's misfortune is not this one's");
    });
}

#[test]
fn too_many_processes_and_a_full_disk_are_named() {
    with_config("defaults:\n  pids_limit: 32\n", async |daemon| {
        let session = daemon.session().await;
        let forks = "import os, time\ntry:\n    while True:\n        if os.fork() == 0: time.sleep(2); os._exit(0)\nexcept OSError: raise SystemExit(1)";
        let result = exec(daemon, &session, json!({"argv": ["python3", "-c", forks]})).await;
        assert_eq!((reason(&result), &result["limit"]), ("pids_limit", &json!(32)), "{result}");
        session.output("sleep 3").await;
        let result = exec(daemon, &session, json!({"cmd": "cat /dev/zero > /tmp/full"})).await;
        assert_eq!(reason(&result), "disk_full", "{result}");
        assert!(result["limit"].as_u64().expect("a number") > 1 << 20, "{result}");
        session.output("rm /tmp/full").await;
        assert_eq!(reason(&exec(daemon, &session, json!({"cmd": "false"})).await), "exit");
    });
}

#[test]
fn a_sandbox_that_goes_is_told_apart_from_a_command_that_fails() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let path = format!("/v1/sessions/{}/exec", session.id);
        let raw = daemon.raw();
        let body = json!({"cmd": "sleep 1000"});
        let (answer, ()) = tokio::join!(raw.post(&path, &body), async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            session.clone().destroy().await;
        });
        let answer = answer.refused(409, "SESSION_NOT_RUNNING");
        assert_eq!(answer["details"]["reason"], "sandbox_lost", "{answer}");
    });
}
