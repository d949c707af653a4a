//! `POST /v1/images/pull`.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;
use sandkasten_e2e::{EventReader, LayerArchive, LayeredImage, ReadEvent, TestDaemon, until, with_config};
use serde_json::{Value, json};

use crate::layout_registry::{self, LayoutRegistry};
use crate::registry::{TestRegistry, USERS, leftovers};
use crate::skopeo::{layered, listed, run};
use crate::whole_way::import;

async fn begin(daemon: &TestDaemon, body: &Value) -> EventReader {
    EventReader::open(daemon.raw().request(Method::POST, "/v1/images/pull").json(body)).await
}

/// Pulls, and returns what was said on the way, and the last event.
async fn pull(daemon: &TestDaemon, body: &Value) -> (Vec<Value>, ReadEvent) {
    let mut reader = begin(daemon, body).await;
    let mut progress = Vec::new();
    loop {
        let event = reader.next().await.expect("an event");
        if event.name != "progress" {
            assert_eq!(reader.next().await, None, "something follows {event:?}");
            return (progress, event);
        }
        progress.push(event.data);
    }
}

async fn pulled(daemon: &TestDaemon, body: &Value) -> (Value, Value) {
    let (mut progress, last) = pull(daemon, body).await;
    assert_eq!(last.name, "done", "{last:?}");
    (progress.pop().expect("how far it is"), last.data)
}

/// The message and the code of a pull that fails.
async fn failure(daemon: &TestDaemon, body: &Value) -> (String, String) {
    let (_, last) = pull(daemon, body).await;
    assert_eq!(last.name, "error", "{last:?}");
    let text = |field: &str| last.data[field].as_str().expect("a text").to_owned();
    let (error, code) = (text("error"), text("error_code"));
    assert!(
        !error.contains(daemon.data_dir().to_str().expect("text")),
        "it names files of the host: {error}"
    );
    (error, code)
}

#[test]
fn an_image_is_pulled_for_a_client_shown_and_run_and_what_is_here_is_not_fetched_again() {
    let Some(registry) = TestRegistry::start(None) else { return };
    with_config(&layout_registry::lines(&registry.address), async |daemon| {
        drop(registry.push_layered());
        let raw = daemon.raw();
        let reference = format!("{}/team/app:1", registry.address);
        let (progress, last) = pull(daemon, &json!({ "reference": reference })).await;
        assert_eq!(last.name, "done", "{last:?}");
        assert_eq!((&progress[0]["phase"], &progress[0]["bytes_total"]), (&json!("resolving"), &json!(0)));
        let end = progress.last().expect("how far it is");
        assert_eq!(end["phase"], "unpacking", "{end}");
        assert_eq!((&end["layers_done"], &end["layers_total"]), (&json!(3), &json!(3)), "{end}");
        assert!(end["bytes_done"].as_u64().is_some_and(|bytes| bytes > 1000), "{end}");
        assert_eq!(end["bytes_done"], end["bytes_total"], "{end}");
        assert!(end["entries_unpacked"].as_u64().is_some_and(|entries| entries > 3), "{end}");
        assert_eq!(last.data["image"], raw.get("/v1/images/app:1").await.ok(200));
        assert_eq!(last.data["image"]["digest"], last.data["digest"]);
        assert_eq!(
            run(&mut daemon.command(&["run", "--image", "app:1", "--", "cat", "/d/h", "/one"])),
            b"11"
        );

        let by_digest =
            format!("{}/team/app@{}", registry.address, last.data["digest"].as_str().expect("text"));
        let (end, done) = pulled(daemon, &json!({"reference": by_digest, "name": "again"})).await;
        assert_eq!((&end["layers_total"], &end["bytes_total"]), (&json!(0), &json!(0)), "{end}");
        assert_eq!(done["image"], raw.get("/v1/images/again").await.ok(200));
        assert_eq!(raw.delete("/v1/images/again").await.ok(200), json!({"ok": true}));
        assert!(raw.get("/v1/images/again").await.message(404, "IMAGE_NOT_FOUND").contains("again"));
        assert_eq!(leftovers(daemon), [""; 0]);
    });
}

#[test]
fn a_pull_for_a_client_that_fails_leaves_the_older_image_and_nothing_else() {
    let Some(registry) = TestRegistry::start(None) else { return };
    with_config(&layout_registry::lines(&registry.address), async |daemon| {
        let directory = registry.push_layered();
        let small = directory.path().join("small.tar");
        fs::write(&small, LayerArchive::default().file("f", b"1").bytes()).expect("written");
        import(daemon, "app:1", &small);
        let before = listed(daemon, "app:1");

        let unknown = format!("{}/team/app:unknown", registry.address);
        let (error, code) = failure(daemon, &json!({"reference": unknown, "name": "app:1"})).await;
        assert_eq!(code, "IMAGE_PULL_FAILED");
        assert!(error.contains("manifests/unknown is not there"), "{error}");

        registry.damage_a_layer();
        let reference = format!("{}/team/app:1", registry.address);
        let (error, code) = failure(daemon, &json!({ "reference": reference })).await;
        assert_eq!(code, "IMAGE_PULL_FAILED");
        assert!(error.contains("has the digest sha256:"), "{error}");
        assert_eq!(listed(daemon, "app:1"), before);
        until("the download is gone", async || leftovers(daemon).is_empty()).await;
    });
}

#[test]
fn what_clients_may_not_pull_is_refused_and_nobody_is_asked() {
    let internal = TcpListener::bind("127.0.0.1:0").expect("a port");
    internal.set_nonblocking(true).expect("it need not be waited for");
    let address = internal.local_addr().expect("an address").to_string();
    let lines = format!(
        "allowed_images: [\"app*\", host]\nimages:\n  pull_registries: [docker.io]\n  insecure_registries: [\"{address}\"]"
    );
    with_config(&lines, async |daemon| {
        let raw = daemon.raw();
        for (body, code, expected) in [
            (json!({"reference": format!("{address}/app")}), "INVALID_IMAGE", "images.pull_registries"),
            (json!({"reference": "localhost/app"}), "INVALID_IMAGE", "may not pull from localhost"),
            (json!({"reference": "python"}), "INVALID_IMAGE", "allowed_images"),
            (json!({"reference": "app", "name": "host:1"}), "INVALID_IMAGE", "reserved"),
            (json!({"reference": "app", "name": "../app"}), "INVALID_IMAGE", "another name"),
            (json!({"reference": "http://docker.io/app"}), "INVALID_REQUEST", "reference"),
            (json!({"name": "app"}), "INVALID_REQUEST", "reference"),
            (json!({"reference": "app", "username": "me"}), "INVALID_REQUEST", "password"),
            (json!({"reference": "app", "password": 4711}), "INVALID_REQUEST", "expected a string"),
            (json!({"reference": "app", "tag": "1"}), "INVALID_REQUEST", "tag"),
        ] {
            let answer = raw.post("/v1/images/pull", &body).await;
            let message = answer.message(400, code);
            assert!(message.contains(expected) && !message.contains("4711"), "{body}: {message}");
        }
        let without_key = raw.with_key(None).post("/v1/images/pull", &json!({"reference": "app"})).await;
        assert!(!without_key.message(401, "UNAUTHORIZED").is_empty());
        let asked = internal.accept().map_err(|error| error.kind());
        assert!(matches!(asked, Err(std::io::ErrorKind::WouldBlock)), "{asked:?}");
    });
}

#[test]
fn an_image_of_another_digest_than_is_allowed_is_not_fetched() {
    let registry = LayoutRegistry::stalling(&layered());
    let lines = format!("allowed_images: [host, \"app@sha256:{}\"]\n{}", "0".repeat(64), registry.lines());
    with_config(&lines, async |daemon| {
        let reference = format!("{}/app", registry.address);
        let (error, code) = failure(daemon, &json!({ "reference": reference })).await;
        assert_eq!(code, "INVALID_IMAGE");
        assert!(error.contains("with other digests alone"), "{error}");
        assert_eq!(registry.stalled(), (0, 0));
    });
}

#[test]
fn a_client_that_leaves_ends_its_pull_and_frees_its_place() {
    let (registry, other) = (LayoutRegistry::stalling(&layered()), LayoutRegistry::stalling(&layered()));
    let addresses = format!("[\"{}\", \"{}\"]", registry.address, other.address);
    let lines = format!("images:\n  pull_registries: {addresses}\n  insecure_registries: {addresses}");
    with_config(&lines, async |daemon| {
        let body = json!({"reference": format!("{}/app", registry.address)});
        let first = begin(daemon, &body).await;
        let second = begin(daemon, &json!({"reference": format!("{}/app", other.address)})).await;
        until("both fetch", async || (registry.stalled(), other.stalled()) == ((1, 0), (1, 0))).await;
        let places = leftovers(daemon).iter().filter(|name| name.starts_with(".tmp-")).count();
        assert_eq!(places, 2, "{:?}", leftovers(daemon));
        let third = daemon.raw().post("/v1/images/pull", &body).await;
        assert!(third.message(429, "LIMIT_EXCEEDED").contains("2 pulls"), "{}", third.text);
        assert_eq!(third.headers["retry-after"], "1");
        drop((first, second));
        let nobody = async || (registry.stalled(), other.stalled()) == ((1, 1), (1, 1));
        until("nobody waits for the registries", nobody).await;
        until("nothing is left", async || leftovers(daemon).is_empty()).await;
        let mut again = begin(daemon, &body).await;
        assert_eq!(again.next().await.expect("an event").name, "progress");
        assert!(daemon.raw().get("/v1/images/app").await.message(404, "IMAGE_NOT_FOUND").contains("app"));
    });
}

#[test]
fn the_end_of_the_daemon_ends_a_pull_and_says_so() {
    let registry = LayoutRegistry::stalling(&layered());
    with_config(&registry.lines(), async |daemon| {
        let mut reader = begin(daemon, &json!({"reference": format!("{}/app", registry.address)})).await;
        until("it fetches", async || registry.stalled() == (1, 0)).await;
        daemon.terminate();
        let mut last = None;
        while let Some(event) = reader.next().await {
            last = Some(event);
        }
        let last = last.expect("an event");
        assert_eq!((last.name.as_str(), &last.data["error_code"]), ("error", &json!("IMAGE_PULL_FAILED")));
        assert!(last.data["error"].as_str().is_some_and(|error| error.contains("being stopped")), "{last:?}");
        assert_eq!(leftovers(daemon), [""; 0]);
        daemon.start_again();
    });
}

#[test]
fn a_password_of_a_request_is_used_and_written_nowhere() {
    let Some(registry) = TestRegistry::start(Some(USERS)) else { return };
    with_config(&layout_registry::lines(&registry.address), async |daemon| {
        drop(registry.push_layered());
        let reference = format!("{}/team/app:1", registry.address);
        let (error, code) = failure(daemon, &json!({ "reference": reference })).await;
        assert_eq!(code, "IMAGE_PULL_FAILED");
        assert!(error.contains("refused with 401"), "{error}");
        let wrong = json!({"reference": reference, "username": "me", "password": "hunter3"});
        let (error, code) = failure(daemon, &wrong).await;
        assert_eq!(code, "IMAGE_PULL_FAILED");
        assert!(error.contains("refused with 401") && !error.contains("hunter3"), "{error}");
        let right = json!({"reference": reference, "username": "me", "password": "hunter2"});
        let (_, done) = pulled(daemon, &right).await;
        assert!(!done.to_string().contains("hunter2"), "{done}");
        let log = daemon.log();
        assert!(log.contains("an image was pulled"), "{log}");
        assert!(!log.contains("hunter") && !log.contains("bWU6aHVudGVy"), "{log}");
    });
}

/// A mount, which goes with the value.
struct Mount(PathBuf);

impl Mount {
    fn new(arguments: &[&str], target: &Path) -> Option<Self> {
        let mounted = Command::new("mount").args(arguments).arg(target).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(target.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).status().ok();
    }
}

#[test]
fn a_full_disk_ends_a_pull_and_the_older_image_stays() {
    // Of its own, so that it can be filled.
    let place = tempfile::tempdir().expect("a directory");
    let Some(_disk) = Mount::new(&["-t", "tmpfs", "-o", "size=16m", "none"], place.path()) else {
        println!("SKIP: no tmpfs could be mounted");
        return;
    };
    let of = |mebibytes: usize| {
        let archive = LayerArchive::default().file("f", &vec![b'x'; mebibytes << 20]);
        LayoutRegistry::start(&LayeredImage::new(archive.bytes(), []))
    };
    // One fits, one does not once it is unpacked, one not as it comes.
    let (small, large, larger) = (of(1), of(10), of(20));
    let addresses = [&small, &large, &larger].map(|registry| format!("\"{}\"", registry.address)).join(", ");
    let lines = format!("images:\n  pull_registries: [{addresses}]\n  insecure_registries: [{addresses}]");
    with_config(&lines, async |daemon| {
        // The disk of layers alone: the database has its own.
        let (layers, copy) = (daemon.data_dir().join("layers"), place.path().join("layers"));
        run(Command::new("cp").arg("-a").arg(&layers).arg(&copy));
        let bind = Mount::new(&["--bind", copy.to_str().expect("text")], &layers).expect("mounted");
        let body = |registry: &LayoutRegistry| json!({"reference": format!("{}/app", registry.address)});
        let (_, before) = pulled(daemon, &body(&small)).await;
        for registry in [&large, &larger] {
            let (error, code) = failure(daemon, &body(registry)).await;
            assert_eq!((code.as_str(), error.contains("no room")), ("NO_SPACE", true), "{error}");
            assert_eq!(daemon.raw().get("/v1/images/app").await.ok(200), before["image"]);
            until("nothing is left", async || leftovers(daemon).is_empty()).await;
        }
        drop(bind);
    });
}
