//! One attempt in a process of its own: started, waited for, and read.

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use sandkasten_attacks::{Attempted, Outcome, Target};
use sandkasten_isolation::seccomp::Way;

use crate::attack::{Act, Attack, all, way_word};
use crate::calls;

/// Only a bound on a hang: everything that is tried ends by itself, in milliseconds or a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// Carries an attack out and says what came of it.
pub(crate) fn attempt(attack: &Attack, path: &str) -> Attempted {
    let outcome = match &attack.act {
        Act::Call(call) => {
            let outcomes = Way::ALL.map(|way| (way, run(path, &trial_name(call, way), Death::of(way))));
            calls::merge(&outcomes)
        }
        Act::Once(_) => run(path, &attack.name, Death::Never),
        Act::Killed(_) => run(path, &attack.name, Death::Killed),
    };
    Attempted { group: attack.group.to_owned(), name: attack.name.clone(), outcome }
}

/// Runs in the process of one attempt: acts, and prints the outcome.
pub(crate) fn carry_out(target: &Target, name: &str) -> io::Result<ExitCode> {
    // No terminal that a call could cut off, and a process group that can be ended as a whole.
    rustix::process::setsid()?;
    let outcome =
        find(target, name).ok_or_else(|| io::Error::other(format!("no attack is called {name}")))?;
    let line = serde_json::to_string(&outcome).map_err(io::Error::other)?;
    writeln!(io::stdout(), "{line}")?;
    Ok(ExitCode::SUCCESS)
}

fn find(target: &Target, name: &str) -> Option<Outcome> {
    all(target).iter().find_map(|attack| match &attack.act {
        Act::Call(call) => {
            let way = Way::ALL.into_iter().find(|way| trial_name(call, *way) == name)?;
            Some(calls::carry_out(target, call, way))
        }
        Act::Once(act) | Act::Killed(act) => (attack.name == name).then(|| act(target)),
    })
}

fn trial_name(call: &str, way: Way) -> String {
    format!("{call} by {}", way_word(way))
}

/// Which death of the process is a refusal and not a fault of ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Death {
    Never,
    /// `SIGKILL`: the out-of-memory killer.
    Killed,
    /// `SIGSEGV`, `SIGSYS`: the kernel has no such way in, or a filter kills.
    NoWay,
}

impl Death {
    fn of(way: Way) -> Self {
        if way == Way::Compatible { Self::NoWay } else { Self::Never }
    }

    fn denies(self, signal: Signal) -> bool {
        match self {
            Self::Never => false,
            Self::Killed => signal == Signal::KILL,
            Self::NoWay => signal == Signal::SEGV || signal == Signal::SYS,
        }
    }
}

/// Fails closed: whatever ends without an answer counts as a breach.
fn run(path: &str, name: &str, death: Death) -> Outcome {
    match try_run(path, name, death) {
        Ok(outcome) => outcome,
        Err(error) => Outcome::Breach(format!("could not be tried: {error}")),
    }
}

fn try_run(path: &str, name: &str, death: Death) -> io::Result<Outcome> {
    let mut child = Command::new("/proc/self/exe")
        .args([path, name])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let status = wait(&mut child)?;
    let mut answer = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        // The answer is a line; who still holds the pipe has been ended.
        stdout.read_to_string(&mut answer)?;
    }
    if let Ok(outcome) = serde_json::from_str(&answer) {
        return Ok(outcome);
    }
    let signal = status.signal().and_then(Signal::from_named_raw);
    Ok(match signal.filter(|signal| death.denies(*signal)) {
        Some(Signal::KILL) => Outcome::Denied("the kernel ended the process: out of memory".to_owned()),
        Some(_) => Outcome::Denied("the kernel has no such way in".to_owned()),
        None => Outcome::Breach(format!("the attempt ended without an answer: {status}")),
    })
}

/// Waits for the process, and ends whatever it leaves behind.
fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("a process without an id"))?;
    let descriptor = pidfd_open(pid, PidfdFlags::empty())?;
    let patience = PATIENCE.try_into().map_err(io::Error::other)?;
    let mut ended = [PollFd::new(&descriptor, PollFlags::IN)];
    if poll(&mut ended, Some(&patience))? == 0 {
        child.kill()?;
    }
    // Its group has its id; that nothing is left of the group is the rule.
    match kill_process_group(pid, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH | rustix::io::Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    child.wait()
}
