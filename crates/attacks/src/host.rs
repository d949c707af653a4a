//! Processes and names of the host.

use std::fs;

use rustix::process::{Pid, test_kill_process};
use sandkasten_attacks::{Outcome, Target};

use crate::attack::Attack;

const GROUP: &str = "host";

pub(crate) fn attacks() -> Vec<Attack> {
    vec![
        Attack::once(GROUP, "see a process of the host", see),
        Attack::once(GROUP, "signal a process of the host", signal),
        Attack::once(GROUP, "learn the host's name", name),
    ]
}

/// The number may be a process of the sandbox's own; the name tells.
fn is_the_hosts(target: &Target) -> bool {
    let comm = format!("/proc/{}/comm", target.host.process);
    fs::read_to_string(comm).is_ok_and(|name| name.trim_end() == target.host.process_name)
}

fn see(target: &Target) -> Outcome {
    if is_the_hosts(target) {
        Outcome::Breach(format!("{} is there", target.host.process_name))
    } else {
        Outcome::Denied("it is not there".to_owned())
    }
}

fn signal(target: &Target) -> Outcome {
    match Pid::from_raw(target.host.process).map(test_kill_process) {
        Some(Ok(())) if is_the_hosts(target) => Outcome::Breach("it could be signalled".to_owned()),
        Some(Err(error)) => Outcome::Denied(error.to_string()),
        _ => Outcome::Denied("it is not there".to_owned()),
    }
}

fn name(target: &Target) -> Outcome {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    if name == target.host.hostname.as_str() {
        Outcome::Breach(format!("it is {name}"))
    } else {
        Outcome::Denied(format!("the sandbox is called {name}"))
    }
}
