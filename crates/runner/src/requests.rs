//! What the daemon asks for, one request a connection.

use std::os::fd::AsFd;

use sandkasten_isolation::error_chain;
use sandkasten_protocol::{
    Attach, Captured, FindShell, Finished, Hearing, Input, JobPlan, MAX_NOTE_BYTES, Reply, Request,
    RunCommand, StartProcess, VERSION,
};

use crate::child::{Child, StartError, WaitingInput};
use crate::command::{Command, write_status};
use crate::connection::{Connection, Received};
use crate::event_loop::EventLoop;
use crate::job::{Job, Work};
use crate::jobs::MAX_PROCESSES;
use crate::named_shell::NamedShell;
use crate::outlet::{Origin, Outlet};
use crate::reader::Reader;
use crate::shell::ShellError;

/// Shells that a session can have at once.
const MAX_SHELLS: usize = 16;

impl EventLoop {
    pub(crate) fn serve(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let request = match connection.receive() {
            Received::Nothing => return,
            Received::Closed => {
                self.connections.remove(index);
                return;
            }
            Received::Request(request) => request,
        };
        let connection = self.connections.remove(index);
        match request {
            Request::Describe => self.describe(connection),
            Request::Shell(wanted) => self.find_shell(connection, wanted),
            Request::Run(command) => self.run_command(connection, &command),
            Request::Start(process) => self.start_process(connection, &process),
            Request::Attach(attach) => self.attach(connection, &attach),
            Request::Input(input) => self.give_input(connection, input),
            Request::Resize { job, size } => {
                let resized = match self.jobs.get(job) {
                    Some(Job { work: Work::Process(child), .. }) => child.resize(size).is_ok(),
                    _ => false,
                };
                self.finish(connection, if resized { &Reply::Done } else { &Reply::NoSuchJob });
            }
            Request::Note { job, note } => {
                let found = self.jobs.get_mut(job).filter(|_| note.len() <= MAX_NOTE_BYTES);
                let noted = found.map(|job| job.note = note).is_some();
                self.finish(connection, if noted { &Reply::Done } else { &Reply::NoSuchJob });
            }
        }
    }

    fn describe(&mut self, mut connection: Connection) {
        let (cwd, jobs) = (self.working_directory(), self.jobs.states());
        let description = Reply::Description { version: VERSION, cwd, jobs };
        if connection.hand_out(&description, self.entered.root.as_fd()).is_ok() {
            self.flush_last(connection);
        }
    }

    fn find_shell(&mut self, mut connection: Connection, wanted: FindShell) {
        let group = connection.take_attached();
        let found = self.shells.iter().position(|named| named.name == wanted.name);
        if found.is_none() && self.shells.len() == MAX_SHELLS {
            return self.finish(connection, &Reply::Busy);
        }
        let place = found.unwrap_or_else(|| {
            self.shells.push(NamedShell::new(wanted.name));
            self.shells.len() - 1
        });
        let Some(named) = self.shells.get_mut(place) else { return };
        let group = group.as_ref().map(AsFd::as_fd);
        if let Err(error) = named.ensure(&self.plan, &self.entered, wanted.directory.as_deref(), group) {
            if found.is_none() {
                // A name that never had a process takes no place from others.
                self.shells.truncate(place);
            }
            return self.finish(connection, &error.into());
        }
        let reply = Reply::Shell { generation: named.generation };
        if let Some(shell) = &named.shell
            && connection.hand_out(&reply, shell.descriptor()).is_ok()
        {
            self.flush_last(connection);
        }
    }

    fn run_command(&mut self, connection: Connection, command: &RunCommand) {
        let Some(place) = self.shells.iter().position(|named| named.name == command.shell) else {
            return self.finish(connection, &Reply::ShellChanged);
        };
        let Some(named) = self.shells.get(place) else { return };
        if named.job.is_some() || self.jobs.get(command.plan.job).is_some() {
            return self.finish(connection, &Reply::Busy);
        }
        let Some(shell) = named.shell.as_ref().filter(|_| command.generation == named.generation) else {
            return self.finish(connection, &Reply::ShellChanged);
        };
        self.commands += 1;
        let number = self.commands;
        // Without the file the command would not run; with it, `$?` is right.
        let status = write_status(&self.entered.control, named.last_status).map_or(0, |()| named.last_status);
        let prepared =
            Command::prepare(number, status, place, shell.dialect(), command, &self.entered.control);
        let (prepared, outputs) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return self.finish(connection, &Reply::Failed { reason: error_chain(&error) }),
        };
        prepared.give(shell);
        let captured = || Captured::new(command.plan.capture);
        let outlet = |source| Outlet::new(source, Origin::Pipe, captured(), true);
        let outlets = outputs.into_iter().map(outlet).collect();
        if let Some(named) = self.shells.get_mut(place) {
            named.job = Some(command.plan.job);
        }
        self.add(&command.plan, Work::Command(prepared), outlets, connection);
    }

    fn start_process(&mut self, mut connection: Connection, process: &StartProcess) {
        let running = self.jobs.running().filter(|job| matches!(job.work, Work::Process(_))).count();
        if running >= MAX_PROCESSES || self.jobs.get(process.plan.job).is_some() {
            return self.finish(connection, &Reply::Busy);
        }
        let Some(group) = connection.take_attached() else {
            let reason = "got no process group with the request".to_owned();
            return self.finish(connection, &Reply::Failed { reason });
        };
        let captured = || Captured::new(process.plan.capture);
        match Child::start(&self.plan, &self.entered, process, group.as_fd()) {
            Ok((child, outputs)) => {
                // A daemon that has gone misses it; the next one finds the process in the description.
                connection.say(&Reply::Started).ok();
                let outlets = outputs
                    .into_iter()
                    .map(|(source, origin)| Outlet::new(source, origin, captured(), false))
                    .collect();
                self.add(&process.plan, Work::Process(child), outlets, connection);
            }
            Err(error) => self.refuse_process(connection, process, &error),
        }
    }

    /// A program that is not there ends as it would in a shell: with a word and a status. Anything else is a failure.
    fn refuse_process(&mut self, mut connection: Connection, process: &StartProcess, error: &StartError) {
        let Some((text, status)) = error.as_exit() else {
            let reply = match error {
                StartError::Shell(ShellError::Missing { tried }) => Reply::NoShell { tried: tried.clone() },
                error => Reply::Failed { reason: error_chain(error) },
            };
            return self.finish(connection, &reply);
        };
        connection.say(&Reply::Started).ok();
        let saying = |text: &str| Outlet::saying(Captured::new(process.plan.capture), text);
        let length = text.len() as u64;
        let (outlets, written) = if process.plan.separate {
            (vec![saying(""), saying(&text)], [0, length])
        } else {
            (vec![saying(&text)], [length, 0])
        };
        let finished = Finished { status, written, ..Finished::default() };
        self.add(&process.plan, Work::Ended(finished), outlets, connection);
        self.feed(process.plan.job);
        self.jobs.forget_oldest();
    }

    fn add(&mut self, plan: &JobPlan, work: Work, outlets: Vec<Outlet>, connection: Connection) {
        self.readers += 1;
        let reader = Reader::new(self.readers, connection, [0, 0], plan.hearing);
        let (id, mut note) = (plan.job, plan.note.clone());
        note.truncate(MAX_NOTE_BYTES);
        let awaited = plan.hearing == Hearing::Awaited;
        self.jobs.insert(Job { id, note, work, outlets, readers: vec![reader], awaited });
    }

    fn attach(&mut self, mut connection: Connection, attach: &Attach) {
        self.readers += 1;
        let Some(job) = self.jobs.get_mut(attach.job) else {
            return self.finish(connection, &Reply::NoSuchJob);
        };
        if attach.follow && attach.hearing != Hearing::EndOnly {
            // A daemon that has gone is noticed when it is fed.
            connection.say(&Reply::Attached { written: job.written() }).ok();
            job.awaited = false;
        }
        let mut reader = Reader::new(self.readers, connection, attach.from, attach.hearing);
        if !attach.follow {
            reader = reader.ending_at(job.written());
        }
        job.readers.push(reader);
        self.feed(attach.job);
    }

    fn give_input(&mut self, connection: Connection, input: Input) {
        let job = input.job;
        match self.jobs.get_mut(job) {
            Some(Job { work: Work::Process(child), .. }) if input.wait => {
                self.readers += 1;
                let number = self.readers;
                child.waiting.push_back(WaitingInput { number, connection, input });
                self.serve_waiting(job);
            }
            Some(Job { work: Work::Process(child), .. }) => {
                let reply = child.give(&input.bytes, input.close);
                self.finish(connection, &reply);
            }
            _ => self.finish(connection, &Reply::NoSuchJob),
        }
    }

    /// Gives a process what waited for room, in order, as far as there is room now.
    pub(crate) fn serve_waiting(&mut self, job: u64) {
        while let Some(Job { work: Work::Process(child), .. }) = self.jobs.get_mut(job)
            && let Some(waiting) = child.waiting.pop_front()
        {
            match child.give(&waiting.input.bytes, waiting.input.close) {
                Reply::Full => return child.waiting.push_front(waiting),
                reply => self.finish(waiting.connection, &reply),
            }
        }
    }
}
