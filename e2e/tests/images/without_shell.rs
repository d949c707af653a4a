//! An image that has programs and no shell.

use std::fs;
use std::path::Path;
use std::process::Command;

use sandkasten_e2e::{LayerArchive, LayeredImage, with_daemon};
use serde_json::json;

use crate::whole_way::import;

/// Says its arguments, its directory and a variable, reads its input, and ends with 7.
const PROGRAM: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int count, char **arguments) {
    char directory[4096];
    for (int index = 1; index < count; index++) puts(arguments[index]);
    puts(getcwd(directory, sizeof directory));
    puts(getenv("COLOUR") ? getenv("COLOUR") : "none");
    for (int next; (next = getchar()) != EOF;) putchar(next);
    printf("%d\n", getuid());
    return 7;
}
"#;

fn program(directory: &Path) -> Vec<u8> {
    let (source, program) = (directory.join("program.c"), directory.join("program"));
    fs::write(&source, PROGRAM).expect("written");
    let compiled = Command::new("cc").args(["-static", "-O1", "-o"]).args([&program, &source]).status();
    assert!(compiled.expect("cc runs, as the tree is built with it").success());
    fs::read(program).expect("a program")
}

#[test]
fn programs_and_files_are_usable_and_commands_are_refused_with_the_reason() {
    with_daemon(async |daemon| {
        let directory = tempfile::tempdir().expect("a directory");
        let program = program(directory.path());
        let lowest = LayerArchive::default()
            .directory("opt")
            .entry(tar::EntryType::Regular, "opt/say", "", 0o755, 0, &program)
            .bytes();
        let image = LayeredImage::new(lowest, [])
            .with_config(json!({"Env": ["PATH=/opt", "COLOUR=blue"], "Entrypoint": ["/opt/say"]}));
        let layout = directory.path().join("layout");
        image.write_layout(&layout);
        import(daemon, "bare", &layout);

        let api = daemon.raw();
        let created = api.post("/v1/sessions", &json!({"image": "bare"})).await;
        let created = created.ok(201);
        assert_eq!(created["cwd"], "/workspace");
        let path = format!("/v1/sessions/{}", created["id"].as_str().expect("an id"));
        let exec = async |body: serde_json::Value| api.post(&format!("{path}/exec"), &body).await;

        let ran = exec(json!({"argv": ["say", "a b", "$c"], "stdin": "given\n"})).await.json();
        assert_eq!(
            (&ran["output"], &ran["exit_code"]),
            (&json!("a b\n$c\n/workspace\nblue\ngiven\n1000\n"), &json!(7)),
            "{ran}"
        );
        for body in [
            json!({"cmd": "say"}),
            json!({"cmd": "say", "shell": "other"}),
            json!({"cmd": "say", "shell": "none"}),
        ] {
            // As often as a session may have shells, and once more.
            for _ in 0..17 {
                let message = exec(body.clone()).await.message(400, "INVALID_REQUEST");
                assert!(message.contains("no shell") && message.contains("argv"), "{message}");
            }
        }
        assert_eq!(exec(json!({"argv": ["none"]})).await.json()["exit_code"], 127);

        let file = json!({"path": "f", "text": "kept"});
        assert_eq!(api.post(&format!("{path}/fs/write"), &file).await.status, 200);
        let started = api.post(&format!("{path}/processes"), &json!({"argv": ["/opt/say"]})).await;
        assert_eq!(started.status, 201, "{started:?}");
        assert_eq!(api.delete(&path).await.status, 200);
    });
}

#[test]
fn a_session_without_a_shell_survives_its_daemon() {
    with_daemon(async |daemon| {
        let directory = tempfile::tempdir().expect("a directory");
        let program = program(directory.path());
        let lowest =
            LayerArchive::default().entry(tar::EntryType::Regular, "say", "", 0o755, 0, &program).bytes();
        let layout = directory.path().join("layout");
        LayeredImage::new(lowest, []).write_layout(&layout);
        import(daemon, "bare", &layout);
        let api = daemon.raw();
        let created = api.post("/v1/sessions", &json!({"image": "bare"})).await;
        let path = format!("/v1/sessions/{}/exec", created.json()["id"].as_str().expect("an id"));
        daemon.kill_and_restart();
        let api = daemon.raw();
        assert_eq!(api.post(&path, &json!({"argv": ["/say"]})).await.json()["exit_code"], 7);
        let refused = api.post(&path, &json!({"cmd": "/say"})).await.message(400, "INVALID_REQUEST");
        assert!(refused.contains("no shell"), "{refused}");
    });
}
