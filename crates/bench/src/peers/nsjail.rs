//! nsjail, which leaves nothing behind by itself.

use std::process::Command;

use super::{PROGRAM, Peer, Place};

pub(super) struct Nsjail;

impl Peer for Nsjail {
    fn name(&self) -> &'static str {
        "nsjail"
    }

    fn run(&self, place: &Place, _name: &str) -> Command {
        let mut command = Command::new(self.name());
        command.args(["-Mo", "--really_quiet", "--chroot"]).arg(&place.root);
        command.args(["--tmpfsmount", "/tmp", "--tmpfsmount", "/dev", "--", PROGRAM]);
        command
    }
}
