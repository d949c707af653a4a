//! firejail, on the root of the host: it takes no other without a configuration of the whole system.

use std::process::Command;

use super::{Peer, Place};

pub(super) struct Firejail;

impl Peer for Firejail {
    fn name(&self) -> &'static str {
        "firejail"
    }

    fn run(&self, _place: &Place, name: &str) -> Command {
        let mut command = Command::new(self.name());
        command.args(["--quiet", "--noprofile", "--net=none", "--private-dev", "--private-tmp"]);
        command.args(["--caps.drop=all", "--nonewprivs", "--seccomp"]).arg(format!("--name={name}"));
        command.arg("/bin/true");
        command
    }
}
