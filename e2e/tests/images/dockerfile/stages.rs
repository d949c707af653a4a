//! Several stages, images to begin with, and what the image says of itself.

use sandkasten_e2e::with_daemon;
use serde_json::json;

use super::Kitchen;

const TWO_STAGES: &str = "ARG BASE=base\nFROM $BASE AS build\nRUN mkdir /out && echo made > /out/a && chown 7:8 /out/a && ln -s a /out/l\n\
     FROM base AS unused\nRUN echo never; exit 1\n\
     FROM build AS tested\nRUN cat /out/a && echo tested > /out/b\n\
     FROM base\nCOPY --from=build /out/ /opt/\nCOPY --from=1 --chown=9 /bin/true* /opt/\n";

#[test]
fn only_the_stages_that_the_target_needs_are_built() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        let last = TWO_STAGES.replace(
            "COPY --from=1 --chown=9 /bin/true* /opt/\n",
            "COPY --from=0 --chown=9 /out/a /opt/nine\n",
        );
        let built = kitchen.cook(&last);
        assert!(!built.has("never") && !built.has("tested"), "{built:?}");
        assert_eq!(
            kitchen.taste("cd /opt; stat -c '%n %u:%g' *; cat l"),
            "a 7:8\nl 0:0\nnine 9:9\nmade",
            "owners of a stage are kept, unless --chown says otherwise"
        );
        let built = kitchen.build(&last, &["--target", "tested"]);
        assert_eq!(built.code, Some(0), "{built:?}");
        assert!(built.has("[build 2/2] CACHED RUN") && built.has("[tested 1/2] FROM stage 0"), "{built:?}");
        assert_eq!(
            kitchen.taste("cat /out/a /out/b; ls /opt"),
            "made\ntested\nls: cannot access '/opt': No such file or directory"
        );
        kitchen.build(&last, &["--target", "nowhere"]).failed(4, &["no stage \"nowhere\""]);
        // A stage that is needed and fails is a failure.
        kitchen
            .build(TWO_STAGES, &[])
            .failed(4, &["Dockerfile:5: RUN echo never; exit 1 ended with status 1"]);
    });
}

#[test]
fn images_are_found_by_their_names_here_and_what_is_missing_is_known_first() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        for name in ["base", "base:latest", "docker.io/library/base", "docker.io/library/base:latest"] {
            let built = kitchen.build(&format!("FROM {name}\nENV A=1"), &[]);
            assert_eq!(built.code, Some(0), "{built:?}");
        }
        let missing = kitchen.build(
            "FROM base\nRUN echo has run\nFROM base\nCOPY --from=debian:12 /x /x\nCOPY --from=0 /x /x",
            &["--pull", "never"],
        );
        missing.failed(4, &["Dockerfile:4: the image debian:12 is not present", "sandkasten image import"]);
        assert!(!missing.has("has run"), "{missing:?}");
        kitchen
            .build("FROM ghcr.io/a/b:1\n", &["--pull", "never"])
            .failed(4, &["the image ghcr.io/a/b:1 is not present"]);
        kitchen.build("FROM ghcr.io/A:b:1\n", &[]).failed(4, &["\"ghcr.io/A:b:1\" is no reference"]);
        kitchen.build("FROM host\nRUN x", &[]).failed(4, &["nothing can be built on it"]);
        kitchen.build("FROM scratch\nRUN [\"/x\"]", &[]).failed(4, &["no files yet"]);
        kitchen.build("FROM scratch\nENV A=1", &[]).failed(4, &["not one file"]);
        // An image of one program, without a shell.
        kitchen.file("hello", "data");
        kitchen.cook("FROM scratch\nCOPY --from=base /bin /bin\nCOPY --from=base /lib /lib\nCOPY --from=base /lib64 /lib64\nCOPY hello /\nRUN [\"/bin/cp\", \"/hello\", \"/copied\"]");
        assert_eq!(kitchen.taste("cat /copied"), "data");
        assert_eq!(kitchen.build("FROM made\nENV A=1", &["--name", "host"]).code, Some(2));
    });
}

#[test]
fn the_configuration_is_inherited_changed_and_taken_along() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        kitchen.cook("FROM base\nENV A=1 PATH=/opt/bin:$PATH\nLABEL one=1 two=2\nCMD [\"serve\"]\nEXPOSE 80\nVOLUME /data\nSTOPSIGNAL SIGINT\nHEALTHCHECK CMD x");
        let below =
            daemon.command(&["image", "export", "made", "--tar", "-"]).output().expect("it runs").stdout;
        std::fs::write(kitchen.path("below.tar"), below).expect("written");
        let archive = kitchen.path("below.tar").to_string_lossy().into_owned();
        let import = ["image", "import", "--name", "below", &archive];
        assert!(daemon.command(&import).output().expect("it runs").status.success());
        let built =
            kitchen.cook("FROM below\nENV B=$A\nLABEL two=zwei\nWORKDIR /srv\nUSER 5\nENTRYPOINT run it\n");
        assert!(built.has("ENTRYPOINT run it"), "{built:?}");
        let config = kitchen.config();
        assert_eq!(config["env"], json!(["A=1", "PATH=/opt/bin:", "B=1"]));
        assert_eq!(config["labels"], json!({"one": "1", "two": "zwei"}));
        assert_eq!((&config["workdir"], &config["user"]), (&json!("/srv"), &json!("5")));
        assert_eq!(config["entrypoint"], json!(["/bin/sh", "-c", "run it"]));
        assert_eq!(config["cmd"], json!(null), "the command of the image below is for its own program");
        let written =
            daemon.command(&["image", "export", "made", "--tar", "-"]).output().expect("it runs").stdout;
        let written = String::from_utf8_lossy(&written).into_owned();
        for part in [
            "\"ExposedPorts\":{\"80/tcp\":{}}",
            "\"Volumes\":{\"/data\":{}}",
            "\"StopSignal\":\"SIGINT\"",
            "\"created_by\":\"USER 5\"",
        ] {
            assert!(written.contains(part), "{part}");
        }
    });
}
