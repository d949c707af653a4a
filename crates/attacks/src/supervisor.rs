//! The process that supervises the sandbox: reading it, changing it, ending it.

use std::fs::{self, OpenOptions};
use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, kill_process, pidfd_open, prlimit, setpriority_process,
};
use sandkasten_attacks::{Outcome, Target};

use crate::attack::Attack;

const GROUP: &str = "supervisor";

/// How long a signal may take to end it; where it does not, nothing is waited for that could come.
const END: Duration = Duration::from_millis(200);

pub(crate) fn attacks() -> Vec<Attack> {
    let readable = ["environ", "maps", "mem", "stack", "syscall", "auxv", "io"].map(|file| {
        Attack::once(GROUP, format!("read {file} of the supervisor"), move |target| {
            let opened = fs::File::open(path(target, file)).and_then(|mut opened| {
                // What is empty, or ends at address 0, was still opened.
                io::Read::read(&mut opened, &mut [0; 1]).or(Ok(0))
            });
            outcome(opened, "opened it")
        })
    });
    let links = ["exe", "root", "cwd"].map(|link| {
        Attack::once(GROUP, format!("follow {link} of the supervisor"), move |target| {
            outcome(fs::read_link(path(target, link)), "followed it")
        })
    });
    let mut attacks: Vec<Attack> = readable.into_iter().chain(links).collect();
    attacks.extend([
        Attack::once(GROUP, "write the memory of the supervisor", |target| {
            outcome(OpenOptions::new().write(true).open(path(target, "mem")), "opened it for writing")
        }),
        Attack::once(GROUP, "list the descriptors of the supervisor", |target| {
            outcome(fs::read_dir(path(target, "fd")), "listed them")
        }),
        Attack::once(GROUP, "limit the supervisor", |target| {
            outcome(
                with_pid(target, |pid| {
                    prlimit(Some(pid), Resource::Nofile, Rlimit { current: Some(3), maximum: Some(3) })
                        .map(drop)
                }),
                "changed its limits",
            )
        }),
        Attack::once(GROUP, "slow the supervisor down", |target| {
            outcome(with_pid(target, |pid| setpriority_process(Some(pid), 19)), "changed its priority")
        }),
    ]);
    attacks
}

/// Comes after everything else: where it succeeds, there is nothing left to attack.
pub(crate) fn last() -> Attack {
    Attack::once(GROUP, "end the supervisor", end)
}

fn path(target: &Target, file: &str) -> String {
    format!("/proc/{}/{file}", target.supervisor)
}

fn outcome<T>(result: io::Result<T>, breach: &str) -> Outcome {
    match result {
        Ok(_) => Outcome::Breach(breach.to_owned()),
        Err(error) => Outcome::Denied(error.to_string()),
    }
}

fn with_pid<T>(target: &Target, act: impl FnOnce(Pid) -> rustix::io::Result<T>) -> io::Result<T> {
    let pid = Pid::from_raw(target.supervisor).ok_or_else(|| io::Error::other("there is no such process"))?;
    Ok(act(pid)?)
}

/// Sends every signal that ends a process by default. The kernel lets them be sent, and lets none of them have an effect.
fn end(target: &Target) -> Outcome {
    let ended = with_pid(target, |pid| {
        let descriptor = pidfd_open(pid, PidfdFlags::empty())?;
        for signal in (1..=31).filter_map(Signal::from_named_raw) {
            match kill_process(pid, signal) {
                Ok(()) | Err(rustix::io::Errno::PERM | rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error),
            }
        }
        let patience = END.try_into().unwrap_or_default();
        poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&patience))
    });
    match ended {
        Ok(0) => Outcome::Denied("31 signals had no effect".to_owned()),
        Ok(_) => Outcome::Breach("it has ended".to_owned()),
        Err(error) => Outcome::Denied(error.to_string()),
    }
}
