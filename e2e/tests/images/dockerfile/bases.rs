//! Images that a Dockerfile names and that are not here: they are pulled.

use std::io::Read;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use sandkasten_e2e::{TestDaemon, until, with_daemon};

use super::{Built, Kitchen};
use crate::layout_registry::LayoutRegistry;
use crate::skopeo::layered;

fn names(daemon: &TestDaemon) -> Vec<String> {
    let output = daemon.command(&["image", "list", "-q"]).output().expect("it runs");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn what_is_not_here_is_pulled_once_and_found_by_its_reference() {
    let registry = LayoutRegistry::start(&layered());
    with_daemon(async |daemon| {
        let kitchen = Kitchen { registries: registry.environment(), ..Kitchen::new(daemon) };
        let tool = format!("{}/team/tool:1", registry.address);
        let dockerfile =
            format!("FROM debian:12\nCOPY --from={tool} /one /copied\nRUN [\"/bin/cat\", \"/copied\"]\n");
        let built = kitchen.cook(&dockerfile);
        assert!(built.has("debian:12 is pulled as image debian:12"), "{built:?}");
        assert!(built.has(&format!("{tool} is pulled as image tool:1")), "{built:?}");
        assert_eq!(kitchen.taste("cat /copied"), "1");
        for name in ["debian:12", "docker.io/library/debian:12", &tool] {
            let again = kitchen.build(&format!("FROM {name}\nENV A=1"), &["--pull", "never"]);
            assert_eq!(again.code, Some(0), "{again:?}");
        }
        let anew = kitchen.build(&dockerfile, &["--pull", "always"]);
        assert!(anew.code == Some(0) && anew.has("debian:12 is pulled as image debian:12"), "{anew:?}");
        // The short name is that of another image.
        let other = format!("{}/other/tool:1", registry.address);
        let built = kitchen.cook(&format!("FROM {other}\nENV A=1"));
        assert!(built.has("is pulled as image other-tool:1"), "{built:?}");
        assert_eq!(names(daemon), ["base", "debian:12", "host", "made", "other-tool:1", "tool:1"]);
        assert_eq!(kitchen.left_over(), [""; 0]);
    });
}

#[test]
fn what_cannot_be_pulled_is_known_before_anything_runs() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        // Nobody listens there, and TLS it would have to be.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let dockerfile = format!("FROM base\nRUN echo has run\nCOPY --from={address}/a:1 /x /x\n");
        let built = kitchen.build(&dockerfile, &[]);
        built.failed(
            3,
            &[&format!("Dockerfile:3: the image {address}/a:1 is not present, and cannot be pulled: ask")],
        );
        assert!(!built.has("has run") && !kitchen.is_made(), "{built:?}");
        assert_eq!(kitchen.left_over(), [""; 0]);
    });
}

#[test]
fn an_interrupt_ends_a_pull_and_the_build() {
    let registry = LayoutRegistry::stalling(&layered());
    with_daemon(async |daemon| {
        let kitchen = Kitchen { registries: registry.environment(), ..Kitchen::new(daemon) };
        kitchen.file("Dockerfile", "FROM debian:12\nENV A=1\n");
        let mut command = kitchen.command(&["--name", "made"]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it runs");
        until("it fetches", async || registry.stalled().0 > 0).await;
        kill_process(Pid::from_child(&child), Signal::INT).expect("it is told");
        let mut said = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
        let code = child.wait().expect("it ends").code();
        let built = Built { code, stdout: String::new(), stderr: said };
        built.failed(130, &["interrupted: no image was made"]);
        assert_eq!(names(daemon), ["base", "host"]);
        assert_eq!(kitchen.left_over(), [""; 0]);
    });
}
