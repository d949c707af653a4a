//! `/v1/images`.

use std::fs;

use sandkasten_e2e::{RootArchive, TestDaemon, with_config, with_daemon};
use serde_json::{Value, json};

fn import(daemon: &TestDaemon, name: &str, archive: &RootArchive) {
    let path = archive.path();
    let output = daemon.command(&["image", "import", "--name", name]).arg(path).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
}

fn names(list: &Value) -> Vec<&str> {
    let images = list["images"].as_array().expect("images");
    images.iter().map(|image| image["name"].as_str().expect("a name")).collect()
}

#[test]
fn images_are_listed_shown_and_removed_unless_sessions_use_them() {
    with_daemon(async |daemon| {
        let raw = daemon.raw();
        import(daemon, "small:1.0", &RootArchive::of_programs(&["cat"]));
        let list = raw.get("/v1/images").await.ok(200);
        assert_eq!(names(&list), ["host", "small:1.0"]);
        let small = raw.get("/v1/images/small:1.0").await.ok(200);
        assert_eq!(small, list["images"][1]);
        assert_eq!(raw.get("/v1/images/small%3A1.0").await.ok(200), small);
        assert_eq!(small["allowed"], true);
        assert!(small["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:")), "{small}");
        assert!(small["size_bytes"].as_u64().is_some_and(|bytes| bytes > 10_000), "{small}");
        assert_eq!(small["layers"].as_array().map(Vec::len), Some(1), "{small}");
        assert_eq!(small["config"], json!({"env": []}));
        let session = raw.post("/v1/sessions", &json!({"image": "small:1.0"})).await.ok(201);
        assert!(!raw.delete("/v1/images/small:1.0").await.message(409, "IMAGE_IN_USE").is_empty());
        let path = format!("/v1/sessions/{}", session["id"].as_str().expect("an id"));
        assert_eq!(raw.delete(&path).await.status, 200);
        assert_eq!(raw.delete("/v1/images/small:1.0").await.ok(200), json!({"ok": true}));
        for answer in [raw.get("/v1/images/small:1.0").await, raw.delete("/v1/images/small:1.0").await] {
            assert!(answer.message(404, "IMAGE_NOT_FOUND").contains("small:1.0"));
        }
        assert_eq!(names(&raw.get("/v1/images").await.ok(200)), ["host"]);
        let left = fs::read_dir(daemon.data_dir().join("layers")).expect("layers").count();
        assert_eq!(left, 1, "the layer of the removed image stays");
    });
}

#[test]
fn the_built_in_image_stays_and_names_that_are_none_are_refused() {
    with_config("allowed_images: [other]\ndefault_image: other", async |daemon| {
        let raw = daemon.raw();
        let host = raw.get("/v1/images/host").await.ok(200);
        assert_eq!(host["allowed"], false);
        assert!(raw.delete("/v1/images/host").await.message(409, "IMAGE_IN_USE").contains("built in"));
        for name in ["..%2F..%2Fetc", "A", "a%00b", "%C3%A9", "a:b:c", ".lock", &"x".repeat(5_000)] {
            for answer in [
                raw.get(&format!("/v1/images/{name}")).await,
                raw.delete(&format!("/v1/images/{name}")).await,
            ] {
                assert!(!answer.message(400, "INVALID_IMAGE").is_empty(), "{name}");
            }
        }
    });
}

#[test]
fn sessions_of_an_image_have_what_is_configured_for_it() {
    const LINES: &str = "\
images:
  defaults:
    'ho*': {mem_limit_mb: 64, pids_limit: 40, cpu_limit: 0.5, max_exec_timeout_ms: 1500, env: {OWN: \"a b\", LANG: C}}
    'x*': {mem_limit_mb: 700}";
    with_config(LINES, async |daemon| {
        let session = daemon.session().await;
        let stats = daemon.raw().get(&format!("/v1/sessions/{}/stats", session.id)).await.ok(200);
        assert_eq!((&stats["memory_limit"], &stats["pids_limit"]), (&json!(64 << 20), &json!(40)), "{stats}");
        assert_eq!(stats["cpu_limit_millis"], 500, "{stats}");
        assert_eq!(session.output("echo \"$OWN\" $LANG $HOME").await, "a b C /home/sandbox");
        assert_eq!(session.output("stat -f -c '%b * %S / 1048576' /tmp | xargs expr").await, "8");
        let path = format!("/v1/sessions/{}/exec", session.id);
        let slow = daemon.raw().post(&path, &json!({"cmd": "sleep 30"})).await;
        assert!(slow.message(504, "COMMAND_TIMEOUT").contains("1500"), "{}", slow.text);
        daemon.kill_and_restart();
        let slow = daemon.raw().post(&path, &json!({"cmd": "sleep 30", "timeout_ms": 60_000})).await;
        assert!(slow.message(504, "COMMAND_TIMEOUT").contains("1500"), "{}", slow.text);
    });
}

#[test]
fn a_damaged_image_hides_no_other_and_is_removed() {
    with_daemon(async |daemon| {
        let raw = daemon.raw();
        import(daemon, "small", &RootArchive::of_programs(&["cat"]));
        let images = daemon.data_dir().join("images");
        fs::write(images.join("damaged.json"), "{").expect("written");
        fs::write(images.join("No Name.json"), "{").expect("written");
        let list = raw.get("/v1/images").await.ok(200);
        assert_eq!(names(&list), ["damaged", "host", "small"]);
        let damaged = raw.get("/v1/images/damaged").await.ok(200);
        assert_eq!(damaged, list["images"][0]);
        let reason = damaged["broken"].as_str().expect("a reason");
        assert!(reason.contains("image validate"), "{reason}");
        let place = daemon.data_dir().to_string_lossy().into_owned();
        assert!(!list.to_string().contains(&place), "it names files of the host: {list}");
        assert_eq!(raw.delete("/v1/images/damaged").await.status, 200);
        assert_eq!(names(&raw.get("/v1/images").await.ok(200)), ["host", "small"]);
        fs::remove_file(images.join("No Name.json")).expect("removed");
    });
}
