//! Mirrors of registries, and pulls of one image at the same time.

use std::process::{Command, Stdio};

use reqwest::Method;
use sandkasten_e2e::{EventReader, TestDaemon, until, with_config, with_daemon};
use serde_json::json;

use crate::layout_registry::LayoutRegistry;
use crate::registry::{leftovers, said};
use crate::skopeo::{layered, run};

fn pull(daemon: &TestDaemon, environment: &[(&'static str, String)], arguments: &[&str]) -> Command {
    let arguments: Vec<&str> = ["image", "pull"].iter().chain(arguments).copied().collect();
    let mut command = daemon.command(&arguments);
    command.envs(environment.iter().cloned()).stderr(Stdio::piped());
    command
}

#[test]
fn an_image_of_docker_hub_comes_from_a_mirror_by_a_host_without_certificates() {
    let registry = LayoutRegistry::start(&layered());
    let nobody = "127.0.0.1:1";
    with_daemon(async |daemon| {
        let mut environment = registry.environment();
        let mirrors = format!("{{\"docker.io\": [\"{nobody}\", \"{}/hub\"]}}", registry.address);
        environment.extend([
            ("SANDKASTEN_IMAGES_MIRRORS", mirrors),
            ("SSL_CERT_FILE", "/dev/null".to_owned()),
            ("SSL_CERT_DIR", "/dev/null".to_owned()),
        ]);
        let output = pull(daemon, &environment, &["app:1"]).output().expect("it runs");
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let skipped = format!("asking {}, as {nobody} does not give it: ", registry.address);
        assert!(said(&output).contains(&skipped), "{}", said(&output));
        assert!(said(&output).contains("docker.io/library/app:1 is sha256:"), "{}", said(&output));
        assert_eq!(run(&mut daemon.command(&["run", "--image", "app:1", "--", "cat", "/one"])), b"1");
        // What needs TLS is refused there, and says why.
        let refused = ["--name", "other", "127.0.0.1:1/app:1"];
        let output = pull(daemon, &environment, &refused).output().expect("it runs");
        assert_eq!(output.status.code(), Some(125), "{}", said(&output));
        assert!(
            said(&output).contains("set up TLS with the certificates of this machine"),
            "{}",
            said(&output)
        );
    });
}

#[test]
fn a_client_has_an_image_of_docker_hub_from_a_mirror() {
    let registry = LayoutRegistry::start(&layered());
    let lines = format!(
        "images:\n  insecure_registries: [\"{0}\"]\n  mirrors: {{docker.io: [\"127.0.0.1:1\", \"{0}/hub\"]}}",
        registry.address
    );
    with_config(&lines, async |daemon| {
        let request =
            daemon.raw().request(Method::POST, "/v1/images/pull").json(&json!({"reference": "app:1"}));
        let mut reader = EventReader::open(request).await;
        let mut last = None;
        while let Some(event) = reader.next().await {
            last = Some(event);
        }
        let last = last.expect("an event");
        assert_eq!((last.name.as_str(), &last.data["image"]["name"]), ("done", &json!("app:1")));
        assert_eq!(leftovers(daemon), [""; 0]);
    });
}

#[test]
fn of_two_programs_that_pull_an_image_one_fetches_its_layers() {
    let registry = LayoutRegistry::stalling(&layered());
    let healthy = LayoutRegistry::start(&layered());
    let addresses = format!("{},{}", registry.address, healthy.address);
    let environment = [("SANDKASTEN_IMAGES_INSECURE_REGISTRIES", addresses)];
    with_daemon(async |daemon| {
        let reference = format!("{}/app:1", registry.address);
        let mut first = pull(daemon, &environment, &["--name", "one", &reference])
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        until("it fetches", async || registry.stalled().0 == 1).await;
        let mut second = pull(daemon, &environment, &["--name", "two", &reference]).spawn().expect("it runs");
        let mut lines =
            std::io::BufRead::lines(std::io::BufReader::new(second.stderr.take().expect("piped")));
        assert!(
            lines.any(|line| line.expect("text").contains(": another pull is fetching it")),
            "it waits for the other"
        );
        // Nobody waits for another registry.
        let elsewhere = format!("{}/app:1", healthy.address);
        let other = pull(daemon, &environment, &["--name", "three", &elsewhere]).output().expect("it runs");
        assert_eq!(other.status.code(), Some(0), "{}", said(&other));
        assert_eq!(registry.stalled().0, 1);
        // Whoever fetched is killed: the other one goes on, and finds that the layer has come by another way.
        first.kill().expect("it can be killed");
        first.wait().expect("it ends");
        for line in lines {
            drop(line);
        }
        assert_eq!(second.wait().expect("it ends").code(), Some(0));
        assert_eq!(registry.stalled(), (1, 1));
        assert_eq!(run(&mut daemon.command(&["run", "--image", "two", "--", "cat", "/one"])), b"1");
        // What the killed one has left goes when the store is opened the next time.
        let last = pull(daemon, &environment, &["--name", "four", &elsewhere]).output().expect("it runs");
        assert_eq!(last.status.code(), Some(0), "{}", said(&last));
        assert_eq!(leftovers(daemon), [""; 0]);
    });
}
