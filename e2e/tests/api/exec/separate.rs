//! Standard output and error apart.

use sandkasten_client::ExecEvent;
use sandkasten_e2e::with_daemon;
use serde_json::json;

use super::options::exec;

#[test]
fn the_two_outputs_come_apart_and_each_whole() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for shell in ["main", "none"] {
            let command = "for i in 1 2 3; do echo out $i; echo err $i >&2; done; seq 100000; seq 50000 >&2";
            let body = json!({"cmd": command, "separate_output": true, "shell": shell});
            let result = exec(daemon, &session, body).await;
            let expected = |name: &str, most: u32| {
                let numbers: Vec<String> = (1..=most).map(|number| number.to_string()).collect();
                format!("{name} 1\n{name} 2\n{name} 3\n{}\n", numbers.join("\n"))
            };
            assert!(result["stdout"] == expected("out", 100_000), "{shell}");
            assert!(result["stderr"] == expected("err", 50_000), "{shell}");
            assert_eq!(result["output"], result["stdout"]);
        }
        let plain = exec(daemon, &session, json!({"cmd": "echo a"})).await;
        assert!(plain.get("stdout").is_none() && plain.get("stderr").is_none());
    });
}

#[test]
fn chunks_of_a_stream_say_which_output_they_are_of() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let request = serde_json::from_value(
            json!({"cmd": "echo a; sleep 0.1; echo b >&2; exec 2>&-; exit 5", "separate_output": true}),
        );
        let request = request.expect("a request");
        let mut stream = session.client.exec_stream(&session.id, &request).await.expect("a stream");
        let mut heard = Vec::new();
        while let Some(event) = stream.next().await {
            match event.expect("a sound event") {
                ExecEvent::Chunk(chunk) => {
                    heard.push(format!("{:?} {}", chunk.stream.expect("a name"), chunk.chunk));
                }
                ExecEvent::Done(done) => {
                    heard.push(format!("{} {:?}", done.exit_code, done.verdict.expect("a verdict").reason))
                }
                ExecEvent::Failed(failed) => panic!("{failed:?}"),
            }
        }
        assert_eq!(heard, ["Stdout a\n", "Stderr b\n", "5 Exit"]);
    });
}
