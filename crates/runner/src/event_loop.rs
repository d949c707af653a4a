//! The runner's loop: waits for the daemon, the shells, the processes and their output, and never for a clock.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::SocketFlags;
use sandkasten_isolation::enter::{ChildExit, ChildSignals, Entered, reap_child};
use sandkasten_isolation::plan::SandboxPlan;
use sandkasten_protocol::Stream;

use crate::connection::Connection;
use crate::job::{Job, Work};
use crate::jobs::Jobs;
use crate::last_words::LastWords;
use crate::named_shell::NamedShell;
use crate::outlet::Outlet;
use crate::shell::Shell;

const BUFFER_BYTES: usize = 64 * 1024;
/// Connections at once; more wait. Without a bound the runner would come to the end of its descriptors, and then find the
/// listener ready again and again.
const MAX_CONNECTIONS: usize = 448;

/// Everything the runner keeps between two events.
pub(crate) struct EventLoop {
    pub(crate) entered: Entered,
    pub(crate) plan: SandboxPlan,
    signals: ChildSignals,
    listener: OwnedFd,
    /// The main one first; none is ever removed.
    pub(crate) shells: Vec<NamedShell>,
    pub(crate) jobs: Jobs,
    /// Counts commands, for the names of their files.
    pub(crate) commands: u64,
    /// Counts readers, and input that waits.
    pub(crate) readers: u64,
    cwd: String,
    pub(crate) connections: Vec<Connection>,
    /// Connections with a last reply that the socket had no room for yet.
    pub(crate) closing: Vec<Connection>,
    pub(crate) background_outputs: Vec<OwnedFd>,
    pub(crate) buffer: Vec<u8>,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Output(u64, Stream),
    Report(usize),
    Consumption(usize),
    LastWords(usize),
    Children,
    Supply(u64),
    WaitingInput(u64, u64),
    Reader(u64, u64),
    Connection(usize),
    Closing(usize),
    Background(usize),
    Listener,
}

impl EventLoop {
    /// Takes over a sandbox that stands, with its shell where the image has one.
    ///
    /// # Errors
    /// The kernel's, where the listener cannot be made non-blocking.
    pub(crate) fn new(
        entered: Entered,
        plan: SandboxPlan,
        shell: Option<Shell>,
        signals: ChildSignals,
        listener: OwnedFd,
    ) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&listener, true)?;
        let cwd = plan.working_directory.clone();
        Ok(Self {
            entered,
            plan,
            signals,
            listener,
            shells: vec![NamedShell::main(shell)],
            jobs: Jobs::default(),
            commands: 0,
            readers: 0,
            cwd,
            connections: Vec::new(),
            closing: Vec::new(),
            background_outputs: Vec::new(),
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// Serves until the sandbox is killed.
    ///
    /// # Errors
    /// The kernel's, where waiting itself fails.
    pub(crate) fn run(mut self) -> io::Result<()> {
        loop {
            // Sources are handled in this order: output before the report that ends it, a report before the
            // conclusion that it is missing, connections by falling index because handling removes them.
            for (source, events) in self.wait()? {
                self.handle(source, events);
                self.conclude();
            }
        }
    }

    fn wait(&self) -> io::Result<Vec<(Source, PollFlags)>> {
        let watched = self.watched();
        let mut polled: Vec<PollFd<'_>> = watched
            .iter()
            .map(|(_, descriptor, events)| PollFd::from_borrowed_fd(*descriptor, *events))
            .collect();
        match poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = watched.iter().zip(&polled).filter(|(_, polled)| !polled.revents().is_empty());
        Ok(ready.map(|((source, ..), polled)| (*source, polled.revents())).collect())
    }

    fn watched(&self) -> Vec<(Source, BorrowedFd<'_>, PollFlags)> {
        let mut watched = Vec::with_capacity(16);
        for job in self.jobs.running() {
            for (stream, outlet) in [Stream::Output, Stream::Error].into_iter().zip(&job.outlets) {
                if let Some(descriptor) = outlet.descriptor()
                    && job.wants(stream, BUFFER_BYTES)
                {
                    watched.push((Source::Output(job.id, stream), descriptor, PollFlags::IN));
                }
            }
        }
        for (place, named) in self.shells.iter().enumerate() {
            if let Some(shell) = &named.shell {
                watched.push((Source::Report(place), shell.report_descriptor(), PollFlags::IN));
                watched.push((Source::Consumption(place), shell.consumption_descriptor(), PollFlags::IN));
                let words = shell.last_words().into_iter().flat_map(LastWords::descriptors);
                watched.extend(words.map(|descriptor| (Source::LastWords(place), descriptor, PollFlags::IN)));
            }
        }
        watched.push((Source::Children, self.signals.as_fd(), PollFlags::IN));
        for job in self.jobs.iter() {
            if let Work::Process(child) = &job.work
                && let Some(sink) = child.supply.as_ref().and_then(|supply| supply.wants_room())
            {
                watched.push((Source::Supply(job.id), sink, PollFlags::OUT));
            }
            if let Work::Process(child) = &job.work {
                for waiting in &child.waiting {
                    let source = Source::WaitingInput(job.id, waiting.number);
                    watched.push((source, waiting.connection.descriptor(), PollFlags::RDHUP));
                }
            }
            for reader in &job.readers {
                let room = if reader.connection.is_congested() { PollFlags::OUT } else { PollFlags::empty() };
                let source = Source::Reader(job.id, reader.number);
                watched.push((source, reader.connection.descriptor(), PollFlags::RDHUP | room));
            }
        }
        for (index, connection) in self.connections.iter().enumerate().rev() {
            watched.push((Source::Connection(index), connection.descriptor(), PollFlags::IN));
        }
        for (index, connection) in self.closing.iter().enumerate().rev() {
            watched.push((Source::Closing(index), connection.descriptor(), PollFlags::OUT));
        }
        for (index, output) in self.background_outputs.iter().enumerate().rev() {
            watched.push((Source::Background(index), output.as_fd(), PollFlags::IN));
        }
        if self.open_connections() < MAX_CONNECTIONS {
            watched.push((Source::Listener, self.listener.as_fd(), PollFlags::IN));
        }
        watched
    }

    fn handle(&mut self, source: Source, events: PollFlags) {
        match source {
            Source::Output(job, stream) => self.pump(job, stream),
            Source::Report(place) => self.take_report(place),
            Source::Consumption(place) => self.look_for_missing_report(place),
            Source::LastWords(place) => self.hear_last_words(place),
            Source::Children => self.reap(),
            Source::Supply(job) => {
                if let Some(Job { work: Work::Process(child), .. }) = self.jobs.get_mut(job)
                    && let Some(supply) = &mut child.supply
                {
                    supply.write();
                }
                self.serve_waiting(job);
            }
            Source::WaitingInput(job, number) => self.forget_waiting(job, number),
            Source::Reader(job, reader) => self.serve_reader(job, reader, events),
            Source::Connection(index) => self.serve(index),
            Source::Closing(index) => self.close(index),
            Source::Background(index) => self.drain_background(index),
            Source::Listener => self.accept(),
        }
    }

    fn pump(&mut self, id: u64, stream: Stream) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        let Some(outlet) = job.outlets.get_mut(stream.index()) else { return };
        outlet.pump(&mut self.buffer);
        let ended = job.output_ended();
        let Work::Command(command) = &mut job.work else { return self.feed(id) };
        if job.outlets.iter().any(Outlet::holds)
            && (job.outlets.iter().any(Outlet::holds_too_much) || command.was_read(&self.entered.control))
        {
            job.outlets.iter_mut().for_each(Outlet::release);
        }
        let place = command.shell;
        self.feed(id);
        if ended {
            self.look_for_missing_report(place);
        }
    }

    pub(crate) fn feed(&mut self, id: u64) {
        if let Some(job) = self.jobs.get_mut(id) {
            self.closing.extend(job.feed());
        }
    }

    fn take_report(&mut self, place: usize) {
        let Some(named) = self.shells.get(place) else { return };
        let Some(shell) = &named.shell else { return };
        while let Ok(Some(report)) = shell.receive_report() {
            let Some(job) = named.job.and_then(|id| self.jobs.get_mut(id)) else { continue };
            let Work::Command(command) = &mut job.work else { continue };
            if command.secrets.nonce != report.nonce {
                continue;
            }
            if command.was_read(&self.entered.control) {
                command.status.get_or_insert(report.status);
                job.close_outlets();
                continue;
            }
            // Something has taken or disabled the line that runs commands.
            match command.give_again(shell, &self.entered.control) {
                Some(ends) => {
                    job.outlets.iter_mut().zip(ends).for_each(|(outlet, end)| outlet.begin_again(end));
                }
                // The shell's end, which this brings about, makes the daemon offer the command to the next one.
                None => shell.close_input().unwrap_or_default(),
            }
        }
    }

    /// The shell has read the line behind the report's, and nothing writes to the output any more: a report that is not
    /// there now never comes by itself. A command has taken our lines, or defined something over them; ask once in a way
    /// that nothing can be defined over, then give the shell up. As long as something writes, the command may be reading
    /// those lines itself, and the timeout decides.
    fn look_for_missing_report(&mut self, place: usize) {
        let all_read = |named: &NamedShell| {
            named.shell.as_ref().is_some_and(|shell| shell.has_read_all().unwrap_or(false))
        };
        if !self.shells.get(place).is_some_and(all_read) {
            return;
        }
        self.take_report(place);
        let Some(NamedShell { shell: Some(shell), job: Some(id), .. }) = self.shells.get(place) else {
            return;
        };
        let Some(job) = self.jobs.get_mut(*id) else { return };
        let output_ended = job.output_ended();
        let Work::Command(command) = &mut job.work else { return };
        if command.status.is_some() || !output_ended {
            return;
        }
        let asked = if command.asked_again { shell.close_input() } else { shell.ask_again(command.secrets) };
        command.asked_again = true;
        // A shell that takes no more input is about to end, which ends the command as well.
        asked.ok();
    }

    fn hear_last_words(&mut self, place: usize) {
        let Some(named) = self.shells.get_mut(place) else { return };
        let Some(words) = named.shell.as_mut().and_then(Shell::last_words_mut) else { return };
        if named.job.is_some() {
            words.pump(&mut self.buffer);
        } else {
            words.forget(&mut self.buffer);
        }
    }

    fn reap(&mut self) {
        self.signals.clear().ok();
        while let Ok(Some(child)) = reap_child() {
            match self.shells.iter().position(|named| named.is_process(child.pid)) {
                Some(place) => self.end_shell(place, child),
                None => self.end_process(child),
            }
        }
    }

    fn end_shell(&mut self, place: usize, child: ChildExit) {
        self.take_report(place);
        let Some(named) = self.shells.get_mut(place) else { return };
        let mut ended = named.shell.take();
        if let Some(job) = named.job.and_then(|id| self.jobs.get_mut(id)) {
            if let Work::Command(command) = &mut job.work {
                command.status.get_or_insert(child.status);
                if let Some(words) = ended.as_mut().and_then(Shell::last_words_mut) {
                    let said = words.take(command.number, &mut self.buffer);
                    job.outlets.iter_mut().zip(said).for_each(|(outlet, said)| outlet.add_last(said));
                    self.background_outputs.extend(words.readers());
                }
            }
            job.close_outlets();
        }
        drop(ended);
        if named.is_main() {
            // Where that fails, the next request tries again and says why.
            named.ensure(&self.plan, &self.entered, None, None).ok();
        }
    }

    fn end_process(&mut self, child: ChildExit) {
        let ended = self.jobs.iter_mut().find_map(|job| match &mut job.work {
            Work::Process(process) if process.pid == child.pid && process.exit.is_none() => {
                process.exit = Some((child.status, child.signal));
                Some(job)
            }
            _ => None,
        });
        if let Some(job) = ended {
            job.close_outlets();
        }
    }

    fn serve_reader(&mut self, id: u64, number: u64, events: PollFlags) {
        if events.intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR)
            && let Some(job) = self.jobs.get_mut(id)
        {
            job.readers.retain(|reader| reader.number != number);
        }
        self.feed(id);
    }

    /// Drops input whose sender has gone: it is not to keep a connection for as long as a process does not read.
    fn forget_waiting(&mut self, job: u64, number: u64) {
        if let Some(Job { work: Work::Process(child), .. }) = self.jobs.get_mut(job) {
            child.waiting.retain(|waiting| waiting.number != number);
        }
    }

    fn open_connections(&self) -> usize {
        let of_jobs: usize = self.jobs.iter().map(Job::connections).sum();
        self.connections.len() + self.closing.len() + of_jobs
    }

    fn accept(&mut self) {
        while self.open_connections() < MAX_CONNECTIONS
            && let Ok(socket) =
                rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
        {
            self.connections.push(Connection::new(socket));
            // The request is usually there already.
            self.serve(self.connections.len() - 1);
        }
    }

    /// The main shell's working directory, which is the runner's own (`CLONE_FS`). Where it has been removed, the last one
    /// that was there.
    pub(crate) fn working_directory(&mut self) -> String {
        if let Ok(path) = rustix::process::getcwd(Vec::new()) {
            let path = path.to_string_lossy();
            if path.starts_with('/') {
                self.cwd = path.into_owned();
            }
        }
        self.cwd.clone()
    }
}
