//! `image import|list|validate|rm|prune`, and `run --image`.

use sandkasten_e2e::{RootArchive, with_daemon};
use serde_json::Value;

use crate::outcome::Outcome;

#[test]
fn an_archive_becomes_an_image_that_is_listed_validated_run_and_removed() {
    with_daemon(async |daemon| {
        let archive = RootArchive::of_programs(&["ls", "cat"]);
        let path = archive.path().to_string_lossy().into_owned();
        let said = Outcome::output(daemon, &["image", "import", "--name", "small", "--tar", &path]);
        assert!(said.starts_with("small"), "{said}");
        assert_eq!(Outcome::output(daemon, &["image", "list", "-q"]), "host\nsmall");
        let listed: Value =
            serde_json::from_str(&Outcome::output(daemon, &["image", "list", "--json"])).expect("JSON");
        assert_eq!(listed[1]["name"], "small");
        assert!(listed[1]["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:")), "{listed}");
        assert!(Outcome::output(daemon, &["image", "list"]).contains("small"));
        let report: Value =
            serde_json::from_str(&Outcome::output(daemon, &["image", "validate", "small", "--json"]))
                .expect("JSON");
        assert_ne!(report[0]["status"], "failure", "{report}");

        let run = ["run", "--image", "small", "--", "cat", "/etc/made-for-a-test"];
        assert_eq!(Outcome::output(daemon, &run), "yes");
        let foreign = Outcome::of(daemon, &["run", "--image", "small", "--", "python3", "--version"]);
        assert_eq!(foreign.code, Some(127), "the host's programs are not in the image: {foreign:?}");

        let id = Outcome::output(daemon, &["create", "--image", "small"]);
        Outcome::of(daemon, &["image", "rm", "small"]).failed(4, &["small", "rm"]);
        assert_eq!(
            Outcome::output(daemon, &["exec", &id, "--", "ls", "/etc/made-for-a-test"]),
            "/etc/made-for-a-test"
        );
        Outcome::output(daemon, &["rm", &id]);
        assert_eq!(Outcome::output(daemon, &["image", "rm", "small"]), "small");
        assert_eq!(Outcome::output(daemon, &["image", "list", "-q"]), "host");
        Outcome::of(daemon, &run).failed(4, &["small"]);
        Outcome::of(daemon, &["image", "rm", "small"]).failed(4, &["small", "image list"]);
        Outcome::output(daemon, &["image", "prune"]);
        let layers = std::fs::read_dir(daemon.data_dir().join("layers")).expect("a directory").count();
        assert_eq!(layers, 1, "the layer of the removed image stays");
    });
}

#[test]
fn layers_of_a_replaced_image_stay_for_the_sessions_on_them_and_no_longer() {
    with_daemon(async |daemon| {
        let archives = [&["ls", "cat"][..], &["ls"], &["cat"]].map(RootArchive::of_programs);
        let import = |name: &str, archive: &RootArchive| {
            let path = archive.path().to_string_lossy().into_owned();
            Outcome::output(daemon, &["image", "import", "--name", name, "--tar", &path]);
        };
        let prune = || Outcome::output(daemon, &["image", "prune"]);
        import("small", &archives[0]);
        let id = Outcome::output(daemon, &["create", "--image", "small"]);
        import("unused", &archives[1]);
        for name in ["small", "unused"] {
            import(name, &archives[2]);
        }
        assert_eq!(prune(), "removed 1 layers");
        daemon.kill_and_restart();
        assert_eq!(prune(), "removed 0 layers");
        let read = ["exec", &id, "--", "cat", "/etc/made-for-a-test"];
        assert_eq!(Outcome::output(daemon, &read), "yes");
        Outcome::output(daemon, &["rm", &id]);
        assert_eq!(prune(), "removed 1 layers");
    });
}

#[test]
fn what_is_no_archive_is_refused_and_changes_nothing() {
    with_daemon(async |daemon| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("odd.tar");
        let path_text = path.to_string_lossy().into_owned();
        let import = ["image", "import", "--name", "odd", "--tar", &path_text];
        Outcome::of(daemon, &import).failed(2, &[&path_text, "try:"]);
        std::fs::write(&path, b"this is text, and no archive").expect("written");
        Outcome::of(daemon, &import).failed(4, &["odd"]);
        for name in ["host", "../up", "Upper Case", ""] {
            let outcome = Outcome::of(daemon, &["image", "import", "--name", name, "--tar", &path_text]);
            assert!(matches!(outcome.code, Some(2 | 4)), "{name:?}: {outcome:?}");
        }
        Outcome::of(daemon, &["image", "rm", "host"]).failed(4, &["host"]);
        Outcome::of(daemon, &["image", "validate", "no-such-image"]).failed(4, &["no-such-image"]);
        assert_eq!(Outcome::output(daemon, &["image", "list", "-q"]), "host");
        assert_eq!(Outcome::output(daemon, &["run", "--", "echo", "alive"]), "alive");
    });
}
