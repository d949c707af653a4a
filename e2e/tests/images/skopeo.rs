//! Images between Sandkasten, skopeo and umoci: each reads what the others write.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use sandkasten_e2e::{LayerArchive, LayeredImage, RootArchive, TestDaemon, with_daemon};
use serde_json::{Value, json};

use crate::whole_way::import;

pub(crate) fn layered() -> LayeredImage {
    let base = fs::read(RootArchive::of_programs(&["cat"]).path()).expect("an archive");
    let upper = LayerArchive::default().directory("d").file("d/f", b"1").file("d/g", b"1");
    let top = LayerArchive::default()
        .file("d/.wh.f", b"")
        .hardlink("d/h", "d/g")
        .file("one", b"1")
        .file("two", b"2");
    LayeredImage::new(base, [upper, top]).with_config(json!({"Env": ["COLOUR=blue"], "Cmd": ["/bin/sh"]}))
}

pub(crate) fn listed(daemon: &TestDaemon, name: &str) -> Value {
    let output = daemon.command(&["image", "list", "--json"]).output().expect("the binary runs");
    let images: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    images.into_iter().find(|image| image["name"] == name).expect("the image is listed")
}

pub(crate) fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

pub(crate) fn lacks(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).status().is_err()
}

fn skopeo(from: &str, to: &str) {
    run(Command::new("skopeo").args(["copy", "--quiet", "--insecure-policy", from, to]));
}

fn path(directory: &Path, name: &str) -> String {
    directory.join(name).display().to_string()
}

#[test]
fn what_skopeo_writes_is_imported_in_each_of_its_forms() {
    if lacks("skopeo") {
        println!("SKIP: this host has no skopeo, which writes images by itself");
        return;
    }
    with_daemon(async |daemon| {
        let directory = tempfile::tempdir().expect("a directory");
        layered().write_layout(&directory.path().join("layout"));
        import(daemon, "ours", &directory.path().join("layout"));
        let ours = listed(daemon, "ours");
        let from = format!("oci:{}:test", path(directory.path(), "layout"));
        for (kind, name) in [("docker-archive", "saved.tar"), ("oci-archive", "layout.tar"), ("oci", "copy")]
        {
            let target = path(directory.path(), name);
            skopeo(&from, &format!("{kind}:{target}:app:1"));
            import(daemon, "theirs", Path::new(&target));
            let theirs = listed(daemon, "theirs");
            assert_eq!((&theirs["layers"], &theirs["config"]), (&ours["layers"], &ours["config"]), "{kind}");
        }
    });
}

#[test]
fn what_is_exported_is_read_by_skopeo_and_umoci_and_comes_back_the_same() {
    with_daemon(async |daemon| {
        let directory = tempfile::tempdir().expect("a directory");
        layered().write_layout(&directory.path().join("layout"));
        import(daemon, "app:1", &directory.path().join("layout"));
        let before = listed(daemon, "app:1");
        let exported = path(directory.path(), "exported");
        run(&mut daemon.command(&["image", "export", "app:1", "--dir", &exported]));
        let archive = run(&mut daemon.command(&["image", "export", "app:1", "--tar", "-"]));
        fs::write(directory.path().join("exported.tar"), archive).expect("written");
        run(&mut daemon.command(&["image", "rm", "app:1"]));
        for name in ["exported", "exported.tar"] {
            import(daemon, "again", &directory.path().join(name));
            let again = listed(daemon, "again");
            assert_eq!((&again["layers"], &again["config"]), (&before["layers"], &before["config"]));
        }
        let run_in = ["run", "--image", "again", "--", "cat", "/d/h", "/one"];
        assert_eq!(run(&mut daemon.command(&run_in)), b"11");

        if lacks("skopeo") {
            println!("SKIP: this host has no skopeo, which reads images by itself");
        } else {
            let inspected =
                run(Command::new("skopeo").args(["inspect", "--config", &format!("oci:{exported}:1")]));
            let config: Value = serde_json::from_slice(&inspected).expect("JSON");
            assert_eq!(config["rootfs"]["diff_ids"], before["layers"]);
            // It compares the digest of each layer with the configuration's.
            skopeo(
                &format!("oci-archive:{exported}.tar:1"),
                &format!("dir:{}", path(directory.path(), "dir")),
            );
        }
        if lacks("umoci") {
            println!("SKIP: this host has no umoci, which unpacks images by itself");
        } else {
            let bundle = directory.path().join("bundle");
            run(Command::new("umoci").args(["unpack", "--image", &format!("{exported}:1")]).arg(&bundle));
            assert_eq!(fs::read(bundle.join("rootfs/d/h")).expect("a file"), b"1");
            assert!(!bundle.join("rootfs/d/f").exists());
        }
    });
}
