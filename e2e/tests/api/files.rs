//! Files of a session: `fs/write` and `fs/read` here, what else there is below.

mod archive;
mod edit;
mod raw;
mod search;
mod tree;
mod watch;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sandkasten_e2e::{Answer, TestDaemon, TestSession, with_daemon};
use serde_json::{Value, json};

#[test]
fn what_is_written_is_there_and_read_back_byte_for_byte() {
    with_daemon(async |daemon| {
        let files = Files::new(daemon).await;
        let every_byte: Vec<u8> = (0..=255).collect();
        for (path, body, content) in [
            ("a.txt", json!({"text": "héllo\r\n\u{0}"}), "héllo\r\n\u{0}".as_bytes()),
            ("/workspace/b.bin", json!({"content_base64": BASE64_STANDARD.encode(&every_byte)}), &every_byte),
            ("deep/er/and/deeper.txt", json!({"text": "x"}), b"x"),
            ("empty.txt", json!({"text": ""}), b""),
            ("empty.bin", json!({"content_base64": ""}), b""),
            ("a.txt", json!({"text": "shorter"}), b"shorter"),
            ("./up/../dot/./f", json!({"text": "dots"}), b"dots"),
            ("name with 'quotes' $(id) \u{1f980}", json!({"text": "odd"}), b"odd"),
        ] {
            assert_eq!(files.write(path, &body).await.ok(200), json!({"ok": true}), "{path}");
            let answer = files.read(path, None).await.ok(200);
            assert_eq!(content_of(&answer), content, "{path}");
            assert_eq!(answer["truncated"], false);
            let shown = answer["path"].as_str().expect("a path");
            assert!(shown.starts_with("/workspace/"), "{shown}");
        }
        assert_eq!(
            files.session.output("cat dot/f; stat -c %s a.txt b.bin empty.txt").await,
            "dots7\n256\n0"
        );
        files.session.exec("printf from-inside > /workspace/inside; mkdir sub; cd sub").await;
        assert_eq!(content_of(&files.read("inside", None).await.ok(200)), b"from-inside");
        // Relative to the workspace, wherever the shell is.
        assert_eq!(files.read("sub/../inside", None).await.status, 200);
    });
}

#[test]
fn files_belong_to_the_sandbox_user_and_keep_their_mode() {
    with_daemon(async |daemon| {
        let files = Files::new(daemon).await;
        assert_eq!(files.write("new/dir/run.sh", &json!({"text": "echo one"})).await.status, 200);
        let owner = "stat -c '%u:%g %a' new new/dir new/dir/run.sh";
        let lines = files.session.output(owner).await;
        assert!(lines.lines().all(|line| line.starts_with("1000:1000 ")), "{lines}");
        assert!(lines.ends_with(" 644"), "{lines}");
        files.session.exec("chmod 750 new/dir/run.sh").await;
        assert_eq!(files.write("new/dir/run.sh", &json!({"text": "echo two"})).await.status, 200);
        assert_eq!(
            files.session.output("stat -c '%u %a' new/dir/run.sh; new/dir/run.sh").await,
            "1000 750\ntwo"
        );
        files.session.exec("rm -r new && echo gone > a && mv a b").await;
        assert_eq!(files.session.output("ls").await, "b");
    });
}

#[test]
fn a_mode_is_set_where_one_is_given_and_no_other_bits_with_it() {
    with_daemon(async |daemon| {
        let files = Files::new(daemon).await;
        for (mode, shown) in [("0755", "755"), ("600", "600"), ("0000", "0")] {
            let body = json!({"text": "echo ran", "mode": mode});
            assert_eq!(files.write("run.sh", &body).await.status, 200, "{mode}");
            assert_eq!(files.session.output("stat -c %a run.sh").await, shown);
        }
        for mode in ["4755", "01777", "0o755", "rwx", "", "75", "+755", "-755", "99999999999"] {
            let body = json!({"text": "x", "mode": mode});
            let message = files.write("run.sh", &body).await.message(400, "INVALID_REQUEST");
            assert!(message.contains("mode") && message.contains("octal"), "{mode}: {message}");
        }
        assert_eq!(files.write("new.sh", &json!({"text": "echo ran", "mode": "0755"})).await.status, 200);
        assert_eq!(files.session.output("./new.sh").await, "ran");
    });
}

#[test]
fn exactly_one_content_is_taken() {
    with_daemon(async |daemon| {
        let files = Files::new(daemon).await;
        for body in [json!({}), json!({"text": "a", "content_base64": "YQ=="}), json!({"text": null})] {
            let message = files.write("a", &body).await.message(400, "INVALID_REQUEST");
            assert!(message.contains("text") && message.contains("content_base64"), "{message}");
        }
        for encoded in ["a", "YQ", "!!!!", "YQ==YQ==", "YQ==\n", "_-_-"] {
            let body = json!({ "content_base64": encoded });
            let message = files.write("a", &body).await.message(400, "INVALID_REQUEST");
            assert!(message.contains("content_base64"), "{message}");
        }
        assert_eq!(files.session.output("ls").await, "");
    });
}

#[test]
fn paths_outside_the_workspace_are_refused_for_reading_and_writing() {
    with_daemon(async |daemon| {
        let files = Files::new(daemon).await;
        let long = "a/".repeat(3_000);
        for path in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../etc/passwd",
            "/workspace/../etc/passwd",
            "/workspacex/a",
            "a/../../etc/passwd",
            "/tmp/a",
            "nul\u{0}byte",
            &long,
        ] {
            for answer in [files.write(path, &json!({"text": "x"})).await, files.read(path, None).await] {
                let message = answer.message(400, "INVALID_REQUEST");
                assert!(!message.contains(&*daemon.data_dir().to_string_lossy()), "{message}");
            }
        }
        assert_eq!(files.session.output("ls -A; ls /tmp").await, "");
    });
}

#[test]
fn what_is_no_file_is_refused_without_a_word_about_the_host() {
    with_daemon(async |daemon| {
        let files = Files::new(daemon).await;
        files
            .session
            .exec("mkdir dir; mkfifo fifo; echo x > file; ln -s nowhere dangling; ln -s loop loop")
            .await;
        let text = json!({"text": "x"});
        let mut answers = vec![files.read("missing", None).await, files.read("dir/missing", None).await];
        answers.push(files.read("dangling", None).await);
        for answer in &answers {
            assert!(!answer.message(404, "FILE_NOT_FOUND").is_empty());
        }
        for refused in [
            files.read("dir", None).await,
            files.read(".", None).await,
            files.read("fifo", None).await,
            files.read("loop", None).await,
            files.write("dir", &text).await,
            files.write("/workspace", &text).await,
            files.write("file/below", &text).await,
            files.write("dir/", &text).await,
            files.write(&"n".repeat(300), &text).await,
        ] {
            assert!(!refused.message(400, "INVALID_REQUEST").is_empty());
            answers.push(refused);
        }
        let below_a_file = files.read("file/below", None).await;
        assert!(matches!(below_a_file.status, 400 | 404), "{}", below_a_file.text);
        answers.push(below_a_file);
        for answer in answers {
            for word in [&*daemon.data_dir().to_string_lossy(), "/proc/", "layers"] {
                assert!(!answer.text.contains(word), "{}", answer.text);
            }
        }
        assert_eq!(files.session.output("cat file; ls dir").await, "x");
    });
}

#[test]
fn reading_stops_at_max_bytes_and_says_so() {
    with_daemon(async |daemon| {
        let files = Files::new(daemon).await;
        files
            .session
            .exec("printf 0123456789 > ten; head -c $((10 * 1024 * 1024 + 1)) /dev/zero > large")
            .await;
        for (most, length, truncated) in
            [(0, 0, true), (1, 1, true), (9, 9, true), (10, 10, false), (11, 10, false)]
        {
            let answer = files.read("ten", Some(most)).await.ok(200);
            assert_eq!(
                (content_of(&answer).len(), &answer["truncated"]),
                (length, &json!(truncated)),
                "{most}"
            );
        }
        assert_eq!(files.read("ten", Some(100 << 20)).await.status, 200);
        let message = files.read("ten", Some((100 << 20) + 1)).await.message(400, "INVALID_REQUEST");
        assert!(message.contains("104857601"), "{message}");
        for query in
            ["path=ten&max_bytes=-1", "path=ten&max_bytes=x", "max_bytes=1", "", "path=ten&maxbytes=1"]
        {
            let path = format!("/v1/sessions/{}/fs/read?{query}", files.session.id);
            assert!(!daemon.raw().get(&path).await.message(400, "INVALID_REQUEST").is_empty(), "{query}");
        }
        let answer = files.read("large", None).await.ok(200);
        assert_eq!((content_of(&answer).len(), &answer["truncated"]), (10 << 20, &json!(true)));
        let answer = files.read("large", Some(11 << 20)).await.ok(200);
        assert_eq!((content_of(&answer).len(), &answer["truncated"]), ((10 << 20) + 1, &json!(false)));
    });
}

#[test]
fn a_reader_never_sees_half_a_write() {
    with_daemon(async |daemon| {
        let files = Files::new(daemon).await;
        let contents = ["a".repeat(2 << 20), "b".repeat(2 << 20)];
        assert_eq!(files.write("file", &json!({"text": contents[0]})).await.status, 200);
        files.session.exec("while :; do md5sum < file; done > sums 2>&1 &").await;
        for round in 0..20 {
            assert_eq!(files.write("file", &json!({"text": contents[round % 2]})).await.status, 200);
        }
        let seen = files.session.output("kill %1; wait; head -n -1 sums | sort -u | wc -l; ls -A").await;
        assert!(matches!(seen.as_str(), "1\nfile\nsums" | "2\nfile\nsums"), "{seen}");
    });
}

/// The files of one session.
struct Files<'a> {
    daemon: &'a TestDaemon,
    session: TestSession,
}

impl<'a> Files<'a> {
    async fn new(daemon: &'a TestDaemon) -> Self {
        Self { daemon, session: daemon.session().await }
    }

    async fn write(&self, path: &str, body: &Value) -> Answer {
        let mut body = body.clone();
        body["path"] = json!(path);
        self.daemon.raw().post(&format!("/v1/sessions/{}/fs/write", self.session.id), &body).await
    }

    async fn read(&self, path: &str, max_bytes: Option<u64>) -> Answer {
        let route = format!("/v1/sessions/{}/fs/read", self.session.id);
        let request = self.daemon.raw().request(reqwest::Method::GET, &route).query(&[("path", path)]);
        Answer::to(max_bytes.into_iter().fold(request, |request, most| request.query(&[("max_bytes", most)])))
            .await
    }
}

fn content_of(answer: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(answer["content_base64"].as_str().expect("content")).expect("standard base64")
}
