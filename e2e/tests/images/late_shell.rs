//! A shell that is up later than its session, or never.

use std::path::Path;
use std::process::Command;

use sandkasten_e2e::{LayerArchive, LayeredImage, RawApi, TestDaemon, with_config};
use serde_json::{Value, json};

use crate::whole_way::import;

/// The shell of the image is as good as the workspace says: none where there is a file `broken`.
const SHELL: &str = r#"
#include <unistd.h>
int main(int count, char **arguments) {
    if (access("/workspace/broken", F_OK) == 0) return 3;
    arguments[0] = "sh";
    return execv("/bin/busybox", arguments);
}
"#;
const CONFIG: &str = "workspace: {enabled: true}\n";

fn import_image(daemon: &TestDaemon, directory: &Path, busybox: &[u8]) {
    let (source, program) = (directory.join("shell.c"), directory.join("shell"));
    std::fs::write(&source, SHELL).expect("written");
    let compiled = Command::new("cc").args(["-static", "-O1", "-o"]).args([&program, &source]).status();
    assert!(compiled.expect("cc runs, as the tree is built with it").success());
    let shell = std::fs::read(program).expect("a program");
    let lowest = LayerArchive::default()
        .directory("bin")
        .entry(tar::EntryType::Regular, "bin/sh", "", 0o755, 0, &shell)
        .entry(tar::EntryType::Regular, "bin/busybox", "", 0o755, 0, busybox)
        .bytes();
    let layout = directory.join("layout");
    LayeredImage::new(lowest, []).write_layout(&layout);
    import(daemon, "fickle", &layout);
}

async fn create(api: &RawApi) -> Value {
    api.post("/v1/sessions", &json!({"image": "fickle", "workspace_id": "work"})).await.ok(201)
}

fn path(session: &Value) -> String {
    format!("/v1/sessions/{}", session["id"].as_str().expect("an id"))
}

#[test]
fn a_shell_that_has_been_seen_to_work_and_fails_later_costs_commands_and_not_the_session() {
    let Ok(busybox) = std::fs::read("/bin/busybox") else {
        println!("SKIP: this host has no busybox");
        return;
    };
    with_config(CONFIG, async |daemon| {
        let directory = tempfile::tempdir().expect("a directory");
        import_image(daemon, directory.path(), &busybox);
        let api = daemon.raw();
        let first = path(&create(&api).await);
        let ran = api.post(&format!("{first}/exec"), &json!({"cmd": "echo up; : > broken"})).await.ok(200);
        assert_eq!(ran["output"], "up\n");
        api.delete(&first).await.ok(200);

        let second = path(&create(&api).await);
        for _ in 0..2 {
            let refused = api.post(&format!("{second}/exec"), &json!({"cmd": "echo up"})).await;
            assert_eq!(refused.status, 500, "{refused:?}");
        }
        let argv = json!({"argv": ["/bin/busybox", "rm", "broken"]});
        assert_eq!(api.post(&format!("{second}/exec"), &argv).await.ok(200)["exit_code"], 0);
        let ran = api.post(&format!("{second}/exec"), &json!({"cmd": "echo up"})).await.ok(200);
        assert_eq!(ran["output"], "up\n");
        api.delete(&second).await.ok(200);
    });
}

#[test]
fn the_first_session_of_an_image_is_refused_where_its_shell_takes_no_commands() {
    let Ok(busybox) = std::fs::read("/bin/busybox") else {
        println!("SKIP: this host has no busybox");
        return;
    };
    with_config(CONFIG, async |daemon| {
        let directory = tempfile::tempdir().expect("a directory");
        import_image(daemon, directory.path(), &busybox);
        let api = daemon.raw();
        let broken = json!({"path": "broken", "text": ""});
        api.post("/v1/workspaces/work/fs/write", &broken).await.ok(200);
        let body = json!({"image": "fickle", "workspace_id": "work"});
        let message = api.post("/v1/sessions", &body).await.message(400, "INVALID_IMAGE");
        assert!(message.contains("took no command"), "{message}");
        assert!(daemon.leaks(None).processes.is_empty());
    });
}
