//! Contexts that were made to do harm: nothing outside of them gets into an image.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use sandkasten_e2e::with_daemon;

use super::{Kitchen, make_executable};

#[test]
fn links_of_a_context_lead_nowhere_but_into_it() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        let outside = tempfile::tempdir().expect("a directory");
        fs::write(outside.path().join("secret"), "secret").expect("written");
        symlink(outside.path(), kitchen.path("out")).expect("a link");
        symlink("/etc/shadow", kitchen.path("shadow")).expect("a link");
        symlink("../../../../../../../../etc/shadow", kitchen.path("climbing")).expect("a link");
        symlink("loop", kitchen.path("loop")).expect("a link");
        for source in
            ["out", "out/secret", "shadow", "climbing", "../../etc/shadow", "/etc/shadow", "loop", "out/*"]
        {
            let built = kitchen.build(&format!("FROM base\nCOPY {source} /x\n"), &[]);
            assert_eq!(built.code, Some(4), "{source}: {built:?}");
        }
        // Within a tree they are copied as they are.
        kitchen.cook("FROM base\nCOPY . /all/\n");
        assert_eq!(
            kitchen.taste("cat /all/out/secret /all/shadow 2>/dev/null; stat -c %N /all/shadow"),
            "'/all/shadow' -> '/etc/shadow'"
        );
        // A link of the image that leads up stays in the image.
        kitchen.file("file", "data");
        kitchen.cook("FROM base\nRUN ln -s ../../../../../../../../tmp/up /up && mkdir -p /tmp/up\nCOPY file /up/here\nCOPY file /up/\n");
        assert!(!std::path::Path::new("/tmp/up").exists());
        kitchen
            .build("FROM base\nRUN ln -s /nowhere /dangling\nCOPY file /dangling/x\n", &[])
            .failed(4, &["dangling"]);
    });
}

#[test]
fn pipes_devices_and_sockets_of_a_context_are_left_out_and_never_opened() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        kitchen.file("tree/file", "data");
        mknodat(CWD, kitchen.path("tree/pipe"), FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
        mknodat(CWD, kitchen.path("tree/zero"), FileType::CharacterDevice, Mode::RUSR, makedev(1, 5))
            .expect("a device");
        let _socket = std::os::unix::net::UnixListener::bind(kitchen.path("tree/socket")).expect("a socket");
        let built = kitchen.cook("FROM base\nCOPY tree /tree\n");
        assert!(built.has("left out 3 pipes, sockets and devices"), "{built:?}");
        assert_eq!(kitchen.taste("ls /tree"), "file");
        for name in ["pipe", "zero", "socket"] {
            for instruction in ["COPY", "ADD"] {
                let built = kitchen.build(&format!("FROM base\n{instruction} tree/{name} /x\n"), &[]);
                built.failed(4, &["neither a file nor a directory"]);
            }
        }
    });
}

#[test]
fn names_that_mean_deletions_in_layers_are_refused() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        kitchen.file("tree/.wh.sh", "").file(".wh..wh..opq", "");
        for copy in [
            "COPY tree /bin",
            "COPY .wh..wh..opq /bin/",
            "COPY tree/.wh.sh /bin/",
            "COPY Dockerfile /bin/.wh.sh",
        ] {
            kitchen.build(&format!("FROM base\n{copy}\n"), &[]).failed(4, &[".wh.", "mean deletions"]);
        }
        let tar = std::process::Command::new("tar")
            .arg("-cf")
            .arg(kitchen.path("t.tar"))
            .arg("-C")
            .arg(kitchen.path("tree"))
            .arg(".wh.sh")
            .status();
        assert!(tar.expect("tar runs").success());
        kitchen.build("FROM base\nADD t.tar /bin/\n", &[]).failed(4, &["mean deletions"]);
    });
}

#[test]
fn archives_that_climb_and_files_without_end_are_refused() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        kitchen.file("x", "data");
        let up = std::process::Command::new("tar")
            .args(["--transform", "s,x,../../up,", "-P", "-cf"])
            .arg(kitchen.path("up.tar"))
            .arg("-C")
            .arg(kitchen.path(""))
            .arg("x")
            .status();
        assert!(up.expect("tar runs").success());
        kitchen
            .build("FROM base\nADD up.tar /a/b/c/\n", &[])
            .failed(4, &["up.tar", "leads out of the archive"]);
        let huge = fs::File::create(kitchen.path("huge")).expect("a file");
        huge.set_len(1 << 40).expect("a hole");
        kitchen.build("FROM base\nCOPY huge /x\n", &[]).failed(4, &["bytes to copy"]);
        fs::remove_file(kitchen.path("huge")).expect("removed");
        let mut deep = kitchen.path("deep");
        for _ in 0..150 {
            deep.push("d");
        }
        fs::create_dir_all(&deep).expect("directories");
        kitchen.build("FROM base\nCOPY deep /x\n", &[]).failed(4, &["directories below each other"]);
        // The beginning of a name is not taken for that of a compressed file.
        fs::remove_dir_all(kitchen.path("deep")).expect("removed");
        fs::remove_file(kitchen.path("up.tar")).expect("removed");
        kitchen.file("BZh91AY", "data");
        make_executable(&kitchen.path("BZh91AY"));
        kitchen.cook("FROM base\nCOPY BZh91AY /\n");
        assert_eq!(kitchen.taste("stat -c '%a %s' /BZh91AY"), "755 4");
    });
}
