//! PID 1 of every sandbox: builds it from inside, keeps its shell, runs commands, reaps what is orphaned.
//!
//! Started by the daemon from a sealed memory file; it has no arguments, no environment and no configuration but the
//! plan. It is single-threaded, never sleeps, and once the sandbox of a session stands it has no capability left.
#![forbid(unsafe_code)]

mod child;
mod command;
mod conclusion;
mod connection;
mod dialect;
mod event_loop;
mod fifo;
mod job;
mod jobs;
mod last_words;
mod named_shell;
mod outlet;
mod reader;
mod report;
mod requests;
mod shell;
mod supply;
mod waiting_place;

use std::error::Error;
use std::os::fd::{AsFd, BorrowedFd};

use sandkasten_isolation::enter::{self, ChildSignals, Handover};
use sandkasten_isolation::error_chain;
use sandkasten_isolation::plan::{Identity, SetupReply};

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() {
    // Before anything else: as PID 1 it must not be taken off guard by a signal.
    let outcome = ChildSignals::new().map_err(Into::into).and_then(run);
    // Reached only after a failure: the answer has been given, and a PID 1 without its sandbox has no purpose.
    sandkasten_isolation::exit_now(i32::from(outcome.is_err()));
}

fn run(signals: ChildSignals) -> Result<(), Box<dyn Error>> {
    let Handover { plan, files, setup, listener } = enter::receive()?;
    let built = enter::enter(&plan, files)
        .map_err(|error| SetupReply::Failed { reason: error_chain(&error) })
        .and_then(|mut entered| {
            let shell = match &plan.identity {
                Identity::Sandbox => shell::Shell::spawn(&plan, &entered, shell::Place::Main).map(Some),
                // It runs one program of its own.
                Identity::Builder(_) => Ok(None),
            };
            let shell = match shell {
                Ok(shell) => shell,
                // Such an image still has programs and files.
                Err(shell::ShellError::Missing { .. }) => None,
                Err(error) => return Err(SetupReply::UnusableImage { reason: error_chain(&error) }),
            };
            match entered.seal() {
                Ok(()) => Ok((entered, shell)),
                Err(error) => Err(SetupReply::Failed { reason: error_chain(&error) }),
            }
        });
    let (entered, shell) = match built {
        Ok(built) => built,
        Err(failure) => return Ok(enter::answer_failed(setup.as_fd(), &failure)?),
    };
    let descriptor = shell.as_ref().map(shell::Shell::descriptor);
    enter::answer_ready(setup.as_fd(), entered.landlock_abi, entered.root.as_fd(), descriptor)?;
    let shell = shell.and_then(|shell| first_line(shell, setup.as_fd()));
    drop(setup);
    event_loop::EventLoop::new(entered, plan, shell, signals, listener)?.run()?;
    Ok(())
}

/// Waits until the shell takes commands, and says so. The sandbox stands by now, and the daemon may count on it already: neither
/// a shell that takes none nor a daemon that has gone ends it.
fn first_line(shell: shell::Shell, setup: BorrowedFd<'_>) -> Option<shell::Shell> {
    match shell.await_first_line() {
        Ok(()) => {
            enter::answer_shell_ready(setup).ok();
            Some(shell)
        }
        Err(error) => {
            enter::answer_failed(setup, &SetupReply::UnusableImage { reason: error_chain(&error) }).ok();
            None
        }
    }
}
