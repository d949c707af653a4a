//! The end of jobs and of connections: what is said last, and what is still read from behind it.

use std::collections::VecDeque;

use sandkasten_protocol::{Finished, Reply};

use crate::command::remove_files;
use crate::connection::Connection;
use crate::event_loop::EventLoop;
use crate::job::{Job, Work};
use crate::outlet::Outlet;
use crate::shell::Shell;

/// How many outputs of ended jobs are still read from, so that what they left in the background can write on. The oldest
/// is closed when there are more.
const MAX_BACKGROUND_OUTPUTS: usize = 128;

impl EventLoop {
    /// Ends the jobs whose status and output are complete.
    pub(crate) fn conclude(&mut self) {
        let complete = |job: &&Job| job.is_over() && job.is_complete();
        let complete: Vec<u64> = self.jobs.running().filter(complete).map(|job| job.id).collect();
        for id in complete {
            self.conclude_one(id);
        }
    }

    fn conclude_one(&mut self, id: u64) {
        let cwd = self.working_directory();
        let Some(job) = self.jobs.get_mut(id) else { return };
        job.outlets.iter_mut().for_each(Outlet::conclude);
        let written = job.written();
        let mut unread = VecDeque::new();
        let mut carried_out = None;
        let finished = match &mut job.work {
            Work::Command(command) => {
                let status = command.status.unwrap_or_default();
                let was_read = command.was_read(&self.entered.control);
                carried_out = Some(command.number());
                let Some(named) = self.shells.get_mut(command.shell) else { return };
                named.job = None;
                if let Some(words) = named.shell.as_mut().and_then(Shell::last_words_mut) {
                    words.forget(&mut self.buffer);
                }
                if command.generation == named.generation {
                    named.last_status = status;
                }
                let generation = named.generation + u64::from(named.shell.is_none());
                let cwd = named.is_main().then_some(cwd);
                was_read.then_some(Finished { status, signal: None, cwd, written, generation })
            }
            Work::Process(child) => {
                let (status, signal) = child.exit.unwrap_or_default();
                unread = std::mem::take(&mut child.waiting);
                Some(Finished { status, signal, written, ..Finished::default() })
            }
            Work::Ended(_) => return,
        };
        self.background_outputs.extend(job.outlets.iter_mut().filter_map(Outlet::retire));
        let surplus = self.background_outputs.len().saturating_sub(MAX_BACKGROUND_OUTPUTS);
        self.background_outputs.drain(..surplus);
        for waiting in unread {
            self.closing.extend(waiting.connection.finish(&Reply::NoSuchJob));
        }
        match finished {
            Some(finished) => {
                job.work = Work::Ended(finished);
                self.feed(id);
                self.jobs.forget_oldest();
            }
            // Nothing ran, so there is nothing to remember.
            None => {
                for reader in self.jobs.remove(id).into_iter().flat_map(|job| job.readers) {
                    self.finish(reader.connection, &Reply::ShellChanged);
                }
            }
        }
        // The daemon need not wait for this.
        if let Some(number) = carried_out {
            remove_files(&self.entered.control, number);
        }
    }

    pub(crate) fn finish(&mut self, connection: Connection, reply: &Reply) {
        self.closing.extend(connection.finish(reply));
    }

    /// Closes a connection once what was said last is on its way.
    pub(crate) fn flush_last(&mut self, connection: Connection) {
        if connection.is_congested() {
            self.closing.push(connection);
        }
    }

    /// Sends more of a last reply, and closes the connection behind its end or where the daemon has gone.
    pub(crate) fn close(&mut self, index: usize) {
        let Some(connection) = self.closing.get_mut(index) else { return };
        if connection.flush().is_err() || !connection.is_congested() {
            self.closing.remove(index);
        }
    }

    pub(crate) fn drain_background(&mut self, index: usize) {
        let Some(output) = self.background_outputs.get(index) else { return };
        match rustix::io::read(output, &mut *self.buffer) {
            Ok(count) if count > 0 => {}
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            _ => {
                self.background_outputs.remove(index);
            }
        }
    }
}
