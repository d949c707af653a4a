//! runc and crun: OCI runtimes, with a bundle of our own and their state in our directory.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::{PROGRAM, Peer, Place};

pub(super) struct Runtime(pub(super) &'static str);

impl Runtime {
    /// A command on state of its own, so that nobody else's containers are seen.
    fn command(&self, place: &Place) -> Command {
        let mut command = Command::new(self.0);
        command.arg("--root").arg(place.directory.join(format!("{}-state", self.0)));
        command
    }
}

impl Peer for Runtime {
    fn name(&self) -> &'static str {
        self.0
    }

    fn prepare(&self, place: &Place) -> Result<Vec<Command>, String> {
        let config = place.directory.join("config.json");
        fs::write(&config, configuration(place).to_string())
            .map_err(|error| format!("{}: {error}", config.display()))?;
        Ok(Vec::new())
    }

    fn run(&self, place: &Place, name: &str) -> Command {
        let mut command = self.command(place);
        command.arg("run").arg("--bundle").arg(&place.directory).arg(name);
        command
    }

    fn undo(&self, place: &Place, name: &str) -> Option<Command> {
        let mut command = self.command(place);
        command.args(["delete", "--force", name]);
        Some(command)
    }
}

/// A container in the namespaces that everybody uses: without one of users, which runtimes do not use unless they are told to.
/// Its cgroup is named after it.
fn configuration(place: &Place) -> Value {
    let mount = |kind: &str, target: &str, options: &[&str]| json!({"type": kind, "source": kind, "destination": target, "options": options});
    let namespaces: Vec<Value> =
        ["pid", "ipc", "uts", "mount", "network"].iter().map(|kind| json!({ "type": kind })).collect();
    json!({
        "ociVersion": "1.0.2",
        "root": {"path": place.root, "readonly": true},
        "hostname": "bench",
        "process": {
            "args": [PROGRAM],
            "cwd": "/",
            "user": {"uid": 0, "gid": 0},
            "noNewPrivileges": true,
        },
        "mounts": [
            mount("proc", "/proc", &[]),
            mount("tmpfs", "/dev", &["nosuid", "mode=755", "size=64k"]),
            mount("devpts", "/dev/pts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
            mount("tmpfs", "/tmp", &["nosuid", "nodev", "mode=1777"]),
        ],
        "linux": {"namespaces": namespaces},
    })
}
