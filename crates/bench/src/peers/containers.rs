//! docker and podman: container engines, with an image of our own that holds the program alone.

use std::process::Command;

use super::{PROGRAM, Peer, Place};

pub(super) struct Containers(pub(super) &'static str);

impl Containers {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.0);
        command.args(words);
        command
    }
}

impl Peer for Containers {
    fn name(&self) -> &'static str {
        self.0
    }

    fn prepare(&self, place: &Place) -> Result<Vec<Command>, String> {
        let archive = place.directory.join("root.tar");
        let mut pack = Command::new("tar");
        pack.arg("--create").arg("--file").arg(&archive).arg("--directory").arg(&place.root).arg(".");
        let mut import = self.command(&["import"]);
        import.arg(&archive).arg(&place.tag);
        Ok(vec![pack, import])
    }

    fn run(&self, place: &Place, name: &str) -> Command {
        self.command(&["run", "--rm", "--network", "none", "--name", name, &place.tag, PROGRAM])
    }

    fn undo(&self, _place: &Place, name: &str) -> Option<Command> {
        Some(self.command(&["rm", "--force", name]))
    }

    fn clear(&self, place: &Place) -> Option<Command> {
        Some(self.command(&["rmi", "--force", &place.tag]))
    }
}
