//! bubblewrap, which leaves nothing behind by itself.

use std::process::Command;

use super::{PROGRAM, Peer, Place};

pub(super) struct Bubblewrap;

impl Peer for Bubblewrap {
    fn name(&self) -> &'static str {
        "bwrap"
    }

    fn run(&self, place: &Place, _name: &str) -> Command {
        let mut command = Command::new(self.name());
        command.args(["--unshare-all", "--die-with-parent", "--new-session", "--ro-bind"]).arg(&place.root);
        command.args(["/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", PROGRAM]);
        command
    }
}
