//! The binary without a daemon: on a data directory of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use sandkasten_e2e::{Leaks, binary};

/// A directory of a test's own. Where the test fails, what its commands left running ends with it.
pub(crate) struct PrivateDirectory(tempfile::TempDir);

impl PrivateDirectory {
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let data = self.path().join("data");
            Leaks::of_all_private(&data).end();
            Leaks::find(&data, None).end();
        }
    }
}

/// A fresh data directory, which does not exist yet.
pub(crate) fn private_directory() -> PrivateDirectory {
    let directory = tempfile::Builder::new().prefix("sk-").tempdir().expect("a directory can be made");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).expect("a mode can be set");
    PrivateDirectory(directory)
}

/// A command of the binary that knows no daemon.
pub(crate) fn alone(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("SANDKASTEN_LISTEN", format!("unix:{}/api.sock", directory.display()))
        .env("SANDKASTEN_DATA_DIR", directory.join("data"))
        .current_dir(directory)
        .stdin(Stdio::null());
    command
}

/// Looks for what commands that ran alone may have left.
pub(crate) fn nothing_is_left(directory: &Path) {
    let data = directory.join("data");
    let leaks = Leaks::find(&data, None);
    assert!(leaks.is_empty(), "{leaks:?}");
    let names = |path: &Path| -> Vec<String> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let run = names(&data.join("run"));
    assert!(!run.iter().any(|name| name.starts_with("private-")), "{run:?}");
    assert_eq!(names(&data.join("sessions")), [""; 0]);
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ours = directory.to_string_lossy().into_owned();
    let left: Vec<_> = processes
        .filter(|process| {
            let environment = fs::read(process.path().join("environ")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(&ours)
        })
        .map(|process| process.file_name())
        .collect();
    assert!(left.is_empty(), "processes that are left: {left:?}");
}
