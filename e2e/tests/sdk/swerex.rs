//! SWE-ReX's client against `/compat/swerex/{id}`, and what no client of it would send.

use std::io::{Cursor, Write};
use std::path::Path;
use std::process::Command;

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use sandkasten_e2e::{API_KEY, Answer, TestDaemon, TestSession, make_virtual_environment, with_daemon};
use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Its client needs the second and does not say so.
const PACKAGES: [&str; 2] = ["swe-rex==1.4.0", "aiohttp==3.14.5"];

#[test]
fn the_client_of_swe_rex_drives_a_session() {
    let directory = tempfile::tempdir().expect("a directory");
    let environment = directory.path().join("venv");
    if let Err(reason) = make_virtual_environment("python3", &environment, &PACKAGES) {
        println!("SKIP: {} could not be installed: {reason}", PACKAGES[0]);
        return;
    }
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let output = Command::new(environment.join("bin/python"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/drive_swerex.py"))
            .env_clear()
            .env("HOST", format!("{}/compat/swerex/{}", daemon.url(), session.id))
            .env("KEY", API_KEY)
            .output()
            .expect("python runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        for part in ["shells: ", "interrupts: ", "processes: ", "files: ", "key: "] {
            assert!(said.lines().any(|line| line.starts_with(part)), "{part} was not done:\n{said}");
        }
        assert_eq!(session.output("echo the session lives on").await, "the session lives on");
    });
}

fn call(session: &TestSession, what: &str) -> String {
    format!("/compat/swerex/{}/{what}", session.id)
}

#[test]
fn its_key_opens_its_own_calls_and_nothing_else() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let raw = daemon.raw().with_key(None);
        let with = async |path: &str, key: &str| {
            Answer::to(raw.request(Method::GET, path).header("x-api-key", key)).await
        };
        let alive = call(&session, "is_alive");
        assert_eq!(with(&alive, API_KEY).await.ok(200)["is_alive"], true);
        with("/v1/sessions", API_KEY).await.refused(401, "UNAUTHORIZED");
        with(&alive, &API_KEY[1..]).await.refused(401, "UNAUTHORIZED");
        raw.get(&alive).await.refused(401, "UNAUTHORIZED");
        // A wrong one is not mended by a right one beside it.
        let both = raw.request(Method::GET, &alive).header("x-api-key", "wrong").bearer_auth(API_KEY);
        Answer::to(both).await.refused(401, "UNAUTHORIZED");
        daemon.raw().get("/compat/swerex/0123abcd-ef01/is_alive").await.refused(404, "SESSION_NOT_FOUND");
    });
}

/// A zip archive of these names, each with a content.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        archive.start_file(*name, SimpleFileOptions::default()).expect("an entry");
        archive.write_all(content).expect("written");
    }
    archive.finish().expect("an archive").into_inner()
}

async fn upload(daemon: &TestDaemon, session: &TestSession, target: &str, zip: Vec<u8>) -> Answer {
    let form = Form::new()
        .part("file", Part::bytes(zip).file_name("a.zip"))
        .text("target_path", target.to_owned())
        .text("unzip", "true");
    Answer::to(daemon.raw().request(Method::POST, &call(session, "upload")).multipart(form)).await
}

#[test]
fn a_hostile_archive_reaches_nothing_outside_and_is_no_fault() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        assert_eq!(session.output("ln -s /etc way; mkdir in; echo done").await, "done");
        for zip in [
            archive(&[("../../out", b"x")]),
            archive(&[("/tmp/out", b"x")]),
            archive(&[("a/../../../out", b"x")]),
            archive(&[("ok", b"x"), ("way/out", b"x")]),
            b"PK\x03\x04 and no more".to_vec(),
            Vec::new(),
        ] {
            let answer = upload(daemon, &session, "/workspace", zip).await;
            assert!(matches!(answer.status, 200 | 511), "{} {}", answer.status, answer.text);
        }
        assert_eq!(
            session.output("ls /tmp/out /out /etc/out 2>&1 | grep -vc 'No such file'; true").await,
            "0"
        );
        // Small on the way, and larger than what the session may store.
        let bomb = archive(&[("bomb", &vec![0_u8; 300 << 20])]);
        assert!(bomb.len() < 1 << 20, "{}", bomb.len());
        let answer = upload(daemon, &session, "/workspace/in", bomb).await;
        assert_eq!(answer.status, 511, "{}", answer.text);
        assert_eq!(session.output("ls in").await, "", "nothing of it stays");
        let answer =
            daemon.raw().post(&call(&session, "run_in_session"), &json!({"action_type": "rm"})).await;
        answer.refused(400, "INVALID_REQUEST");
        let named = json!({"session": "../main", "session_type": "bash"});
        assert_eq!(daemon.raw().post(&call(&session, "create_session"), &named).await.status, 511);
    });
}
