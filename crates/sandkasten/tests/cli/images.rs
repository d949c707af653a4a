//! What exports do to files that are there already.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::{sandkasten, text};

#[test]
fn an_export_that_fails_leaves_what_was_at_its_path() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIP: needs root to open the store");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    fs::write(path("backup.tar"), "precious").expect("written");
    symlink("backup.tar", path("link.tar")).expect("a link");
    for (image, file) in
        [("typo", "backup.tar"), ("typo", "link.tar"), ("host", "backup.tar"), ("typo", "new.tar")]
    {
        let output = sandkasten(&["image", "export", image, "--tar", &path(file).display().to_string()])
            .env("SANDKASTEN_DATA_DIR", path("data"))
            .output()
            .expect("runs");
        assert!(!output.status.success() && text(&output.stderr).contains(image), "{output:?}");
    }
    assert_eq!(fs::read_to_string(path("backup.tar")).expect("still there"), "precious");
    assert!(path("link.tar").is_symlink() && !path("new.tar").exists());
}
