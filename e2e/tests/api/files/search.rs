//! `fs/search`.

use sandkasten_e2e::{Answer, TestDaemon, TestSession, with_daemon};
use serde_json::{Value, json};

async fn search(daemon: &TestDaemon, session: &TestSession, body: Value) -> Answer {
    daemon.raw().post(&format!("/v1/sessions/{}/fs/search", session.id), &body).await
}

/// The matches as `path:line:column:text`.
fn lines(answer: &Value) -> Vec<String> {
    let matches = answer["matches"].as_array().expect("matches");
    let show = |found: &Value| {
        let path = found["path"].as_str().expect("a path").trim_start_matches("/workspace/");
        format!("{path}:{}:{}:{}", found["line"], found["column"], found["text"].as_str().expect("a text"))
    };
    matches.iter().map(show).collect()
}

#[test]
fn lines_are_found_by_text_and_by_pattern() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session
            .output(
                "mkdir -p a/b; printf 'one\\r\\ntwo é needle\\nthree' > a/b/f.rs; printf 'NEEDLE\\nx.y\\n' > g.txt; \
                 printf 'needle\\0' > binary; ln -s /etc etc; ln -s a/b/f.rs link; mkfifo fifo",
            )
            .await;
        let found = search(daemon, &session, json!({"literal": "needle"})).await.ok(200);
        assert_eq!(lines(&found), ["a/b/f.rs:2:7:two é needle"]);
        assert_eq!(
            (&found["files_searched"], &found["files_skipped"], &found["truncated"]),
            (&json!(2), &json!(1), &json!(false))
        );
        for (body, expected) in [
            (
                json!({"literal": "needle", "ignore_case": true}),
                vec!["a/b/f.rs:2:7:two é needle", "g.txt:1:1:NEEDLE"],
            ),
            (json!({"regex": "^t\\w+"}), vec!["a/b/f.rs:2:1:two é needle", "a/b/f.rs:3:1:three"]),
            (json!({"regex": "one$"}), vec!["a/b/f.rs:1:1:one"]),
            (json!({"literal": "x.y"}), vec!["g.txt:2:1:x.y"]),
            (json!({"literal": "x?y"}), vec![]),
            (
                json!({"regex": "e", "glob": "*.rs", "max_matches": 2}),
                vec!["a/b/f.rs:1:3:one", "a/b/f.rs:2:8:two é needle"],
            ),
            (json!({"regex": ".", "path": "g.txt"}), vec!["g.txt:1:1:NEEDLE", "g.txt:2:1:x.y"]),
            (json!({"regex": "three", "path": "link"}), vec!["link:3:1:three"]),
            (json!({"literal": "root", "glob": "etc/*"}), vec![]),
        ] {
            assert_eq!(lines(&search(daemon, &session, body.clone()).await.ok(200)), expected, "{body}");
        }
        let found = search(daemon, &session, json!({"literal": "two", "context": 5})).await.ok(200);
        assert_eq!(found["matches"][0]["before"], json!(["one"]));
        assert_eq!(found["matches"][0]["after"], json!(["three"]));
        for body in [
            json!({}),
            json!({"literal": "a", "regex": "b"}),
            json!({"literal": ""}),
            json!({"regex": "("}),
            json!({"regex": "(?=a)"}),
            json!({"regex": "(a{1000}){1000}"}),
            json!({"literal": "a", "max_matches": 0}),
            json!({"literal": "a", "context": 21}),
            json!({"literal": "a", "glob": "["}),
            json!({"literal": "a", "path": "/etc"}),
        ] {
            assert!(!search(daemon, &session, body).await.message(400, "INVALID_REQUEST").is_empty());
        }
        let answer = search(daemon, &session, json!({"literal": "a", "path": "none"})).await;
        assert!(!answer.message(404, "FILE_NOT_FOUND").is_empty());
    });
}

#[test]
fn no_pattern_and_no_file_makes_a_search_long_or_its_answer_large() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session
            .output("head -c 15000000 /dev/zero | tr '\\0' a > one-line; yes $(head -c 2000 /dev/zero | tr '\\0' a) | head -c 15000000 > lines")
            .await;
        for pattern in ["(a*)*b", "(a|aa)+$", "(x+x+)+y|a{500}b", "[a-z]{1,500}z"] {
            let started = std::time::Instant::now();
            let answer = search(daemon, &session, json!({"regex": pattern, "max_matches": 1000})).await;
            assert!(
                started.elapsed() < std::time::Duration::from_secs(20),
                "{pattern}: {:?}",
                started.elapsed()
            );
            assert_eq!(answer.status, 200, "{pattern}: {:.300}", answer.text);
        }
        let answer =
            search(daemon, &session, json!({"literal": "a", "max_matches": 1000, "context": 20})).await;
        assert_eq!(answer.ok(200)["truncated"], true);
        assert!(answer.text.len() < 2 << 20, "{} bytes", answer.text.len());
    });
}
