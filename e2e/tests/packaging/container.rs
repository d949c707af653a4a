//! The recipe of the container, built by `image build`: without its network, and without the stage that compiles.

use std::fs;

use sandkasten_e2e::{RootArchive, with_daemon};
use serde_json::{Value, json};

use crate::repository;

/// Takes out of the recipe what needs a registry or a network; the binary is a file of the context.
fn without_network(recipe: &str) -> String {
    let (before, rest) = recipe.split_once("FROM ${RUST} AS build\n").expect("a stage that compiles");
    let (_, rest) = rest.split_once("RUN make build\n").expect("which ends like this");
    let packages = rest.find("RUN apt-get update").expect("a step with packages");
    let end = rest[packages..].find("\nCOPY").expect("a step behind it");
    let rest = format!("{}{}", &rest[..packages], &rest[packages + end + 1..]);
    let copied =
        rest.replace("COPY --from=build /source/bin/sandkasten /sandkasten", "COPY sandkasten /sandkasten");
    assert_ne!(copied, rest, "the binary has a stage of its own");
    format!("{before}{copied}")
}

#[test]
fn the_recipe_makes_an_image_that_serves_with_a_key_and_a_private_data_directory() {
    with_daemon(async |daemon| {
        let archive = RootArchive::of_programs(&["mkdir", "stat", "cat"]);
        let path = archive.path().to_string_lossy().into_owned();
        let import = ["image", "import", "--name", "base", "--tar", &path];
        let imported = daemon.command(&import).output().expect("it runs");
        assert!(imported.status.success(), "{imported:?}");
        let context = tempfile::tempdir().expect("a directory");
        let recipe =
            fs::read_to_string(repository().join("packaging/container/Containerfile")).expect("a recipe");
        fs::write(context.path().join("Dockerfile"), without_network(&recipe)).expect("written");
        fs::write(context.path().join("sandkasten"), "the binary").expect("written");
        let place = context.path().to_string_lossy().into_owned();
        let build = ["image", "build", "--name", "made", "--build-arg", "DEBIAN=base", &place];
        let built = daemon.command(&build).output().expect("it runs");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

        let listed = daemon.command(&["image", "list", "--json"]).output().expect("it runs").stdout;
        let listed: Value = serde_json::from_slice(&listed).expect("JSON");
        let made =
            listed.as_array().expect("images").iter().find(|image| image["name"] == "made").expect("made");
        let config = &made["config"];
        assert_eq!(config["entrypoint"], json!(["sandkasten"]), "{config}");
        assert_eq!(config["cmd"], json!(["daemon"]), "{config}");
        let env = config["env"].as_array().expect("variables");
        assert!(env.contains(&json!("SANDKASTEN_LISTEN=0.0.0.0:8080")), "{config}");
        assert!(
            !env.iter().any(|variable| variable.to_string().contains("KEY")),
            "a key in an image is everybody's"
        );
        let look = [
            "run",
            "--image",
            "made",
            "--",
            "sh",
            "-c",
            "stat -c %a /var/lib/sandkasten; cat /usr/bin/sandkasten",
        ];
        let seen = daemon.command(&look).output().expect("it runs");
        assert_eq!(String::from_utf8_lossy(&seen.stdout), "700\nthe binary", "{seen:?}");
    });
}
