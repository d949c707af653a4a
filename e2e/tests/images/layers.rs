//! Sessions on images of several layers: what is seen is what all layers together have, and nothing that any of them has
//! said is obeyed by anybody but the kernel's overlay, in the way that it should be.

use std::fs;

use sandkasten_api::session::CreateSessionRequest;
use sandkasten_e2e::{
    LayerArchive, LayeredImage, RootArchive, TestDaemon, TestSession, with_config, with_daemon,
};
use serde_json::json;
use tar::EntryType;

use crate::whole_way::import;

/// `cap_dac_override=ep`, as capabilities(7) has it on files.
const CAPABILITY: &[u8] = b"\x01\0\0\x02\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn base() -> Vec<u8> {
    let programs = ["cat", "ls", "stat", "find", "id", "mkdir", "rm", "sort", "grep"];
    fs::read(RootArchive::of_programs(&programs).path()).expect("an archive")
}

async fn session(daemon: &TestDaemon, image: &LayeredImage) -> TestSession {
    let directory = tempfile::tempdir().expect("a directory");
    image.write_layout(directory.path());
    import(daemon, "layered", directory.path());
    let client = daemon.client();
    let request =
        CreateSessionRequest { image: Some("layered".to_owned()), ..CreateSessionRequest::default() };
    TestSession { id: client.create_session(&request).await.expect("a session").id, client }
}

fn layers() -> LayeredImage {
    let lower = LayerArchive::default()
        .directory("odd")
        .file("odd/deleted", b"1")
        .file("odd/kept", b"1")
        .entry(EntryType::Directory, "odd/emptied", "", 0o2750, 1000, b"")
        .file("odd/emptied/old", b"1")
        .directory("odd/replaced")
        .file("odd/replaced/old", b"1")
        .directory("odd/gone")
        .file("odd/gone/f", b"1")
        .symlink("odd/link", "emptied")
        .file("odd/linked", b"shared");
    let upper = LayerArchive::default()
        .file("odd/.wh.deleted", b"")
        .file("odd/.wh.gone", b"")
        .file("odd/emptied/.wh..wh..opq", b"")
        .file("odd/link/through", b"2")
        .file("odd/.wh.replaced", b"")
        .directory("odd/replaced")
        .file("odd/replaced/new", b"2")
        .hardlink("odd/other", "odd/linked");
    LayeredImage::new(base(), [lower, upper])
}

#[test]
fn a_session_sees_what_all_layers_together_have() {
    with_daemon(async |daemon| {
        let session = session(daemon, &layers()).await;
        let listed = session.output("cd /odd; find . | sort").await;
        let expected = "./emptied ./emptied/through ./kept ./link ./linked ./other ./replaced ./replaced/new";
        assert_eq!(listed.split('\n').collect::<Vec<_>>().join(" "), format!(". {expected}"));
        assert_eq!(session.output("stat -c '%a %u:%g' /odd/emptied").await, "2750 1000:1000");
        assert_eq!(session.output("stat -c '%h' /odd/linked /odd/other").await, "2\n2");
        assert_eq!(session.output("ls /odd/gone /odd/deleted 2>&1 | grep -c 'No such file'").await, "2");
    });
}

#[test]
fn a_writable_root_takes_changes_where_layers_have_deleted() {
    with_config("defaults: {readonly_rootfs: false}\n", async |daemon| {
        let upper = LayerArchive::default()
            .entry(EntryType::Directory, "mine", "", 0o755, 1000, b"")
            .entry(EntryType::Regular, "mine/f", "", 0o644, 1000, b"1")
            .records(&[("SCHILY.xattr.security.capability", CAPABILITY), ("SCHILY.xattr.user.mark", b"x")])
            .entry(EntryType::Regular, "mine/capable", "", 0o755, 1000, b"1");
        let top = LayerArchive::default().file("mine/.wh.f", b"");
        let session = session(daemon, &LayeredImage::new(base(), [upper, top])).await;
        let said = session
            .output("cd /mine; ls; echo new > f; cat f; rm f; mkdir f; ls f; echo changed >> capable; cat capable")
            .await;
        assert_eq!(said, "capable\nnew\n1changed");
    });
}

#[test]
fn set_user_id_and_capabilities_of_files_give_nothing() {
    with_daemon(async |daemon| {
        let program = |name| fs::read(format!("/usr/bin/{name}")).expect("a program of this host");
        let upper = LayerArchive::default()
            .entry(EntryType::Regular, "bin/rootid", "", 0o6755, 0, &program("id"))
            .records(&[("SCHILY.xattr.security.capability", CAPABILITY)])
            .entry(EntryType::Regular, "bin/capable", "", 0o755, 0, &program("cat"))
            .entry(EntryType::Regular, "secret", "", 0o600, 0, b"read");
        let session = session(daemon, &LayeredImage::new(base(), [upper])).await;
        assert_eq!(
            session.output("stat -c '%a' /bin/rootid; rootid -u; rootid -g").await,
            "6755\n1000\n1000"
        );
        assert!(session.output("capable /secret 2>&1 || true").await.contains("Permission denied"));
    });
}

#[test]
fn marks_and_devices_of_an_archive_are_not_there() {
    with_daemon(async |daemon| {
        let lower = LayerArchive::default()
            .directory("odd")
            .file("odd/f", b"1")
            .directory("odd/d")
            .file("odd/d/g", b"1");
        let upper = LayerArchive::default()
            .entry(EntryType::Char, "odd/f", "", 0o666, 0, b"")
            .entry(EntryType::Block, "odd/disk", "", 0o666, 0, b"")
            .records(&[
                ("SCHILY.xattr.user.overlay.opaque", b"y"),
                ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ])
            .directory("odd/d");
        let session = session(daemon, &LayeredImage::new(base(), [lower, upper])).await;
        assert_eq!(
            session.output("cd /odd; find . -printf '%y %p\\n' | sort").await,
            "d .\nd ./d\nf ./d/g\nf ./f"
        );
    });
}

#[test]
fn an_image_of_docker_save_comes_by_standard_input() {
    with_daemon(async |daemon| {
        let archive = layers().with_config(json!({"Env": ["COLOUR=blue"]})).docker_archive("odd:1");
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("saved.tar");
        fs::write(&path, archive).expect("written");
        let output = daemon
            .command(&["image", "import", "--name", "saved", "--ref", "odd:1", "-"])
            .stdin(fs::File::open(&path).expect("an archive"))
            .output()
            .expect("the binary runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let client = daemon.client();
        let request =
            CreateSessionRequest { image: Some("saved".to_owned()), ..CreateSessionRequest::default() };
        let session =
            TestSession { id: client.create_session(&request).await.expect("a session").id, client };
        assert_eq!(session.output("echo $COLOUR; cat /odd/other; pwd").await, "blue\nshared/workspace");
    });
}
