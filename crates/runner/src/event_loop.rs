//! The runner's loop: waits for the daemon, the shell and ended children, and never for a clock.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::SocketFlags;
use sandkasten_isolation::enter::{ChildSignals, Entered, reap_child};
use sandkasten_isolation::error_chain;
use sandkasten_isolation::plan::SandboxPlan;
use sandkasten_protocol::{Finished, Reply, Request, RunCommand, VERSION};

use crate::connection::{Connection, Received};
use crate::exec::{Exec, write_status};
use crate::shell::Shell;

/// How many FIFOs of ended commands are still read from, so that what they left in the background can write on. The
/// oldest is closed when there are more.
const MAX_BACKGROUND_OUTPUTS: usize = 128;
const BUFFER_BYTES: usize = 64 * 1024;

/// Everything the runner keeps between two events.
pub(crate) struct EventLoop {
    entered: Entered,
    plan: SandboxPlan,
    signals: ChildSignals,
    listener: OwnedFd,
    /// None while no shell could be started; each request tries again.
    shell: Option<Shell>,
    generation: u64,
    commands: u64,
    /// The status of the shell's last command, which the next one finds in `$?`.
    last_status: i32,
    cwd: String,
    exec: Option<Exec>,
    connections: Vec<Connection>,
    /// Connections with a last reply that the socket had no room for yet.
    closing: Vec<Connection>,
    background_outputs: Vec<OwnedFd>,
    buffer: Vec<u8>,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Output,
    Report,
    Consumption,
    Children,
    ExecConnection,
    Connection(usize),
    Closing(usize),
    Background(usize),
    Listener,
}

impl EventLoop {
    /// Takes over a sandbox that stands.
    ///
    /// # Errors
    /// The kernel's, where the listener cannot be made non-blocking.
    pub(crate) fn new(
        entered: Entered,
        plan: SandboxPlan,
        shell: Shell,
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
            shell: Some(shell),
            generation: 1,
            commands: 0,
            last_status: 0,
            cwd,
            exec: None,
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
        let mut watched = Vec::with_capacity(8);
        if let Some(exec) = &self.exec
            && exec.wants_output()
        {
            watched.push((Source::Output, exec.output_descriptor(), PollFlags::IN));
        }
        if let Some(shell) = &self.shell {
            watched.push((Source::Report, shell.report_descriptor(), PollFlags::IN));
            watched.push((Source::Consumption, shell.consumption_descriptor(), PollFlags::IN));
        }
        watched.push((Source::Children, self.signals.as_fd(), PollFlags::IN));
        if let Some(connection) = self.exec.as_ref().and_then(|exec| exec.connection.as_ref()) {
            let room = if connection.is_congested() { PollFlags::OUT } else { PollFlags::empty() };
            watched.push((Source::ExecConnection, connection.descriptor(), PollFlags::RDHUP | room));
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
        watched.push((Source::Listener, self.listener.as_fd(), PollFlags::IN));
        watched
    }

    fn handle(&mut self, source: Source, events: PollFlags) {
        match source {
            Source::Output => {
                if let Some(exec) = &mut self.exec {
                    exec.pump(&mut self.buffer, &self.entered.control);
                    if exec.output_ended() {
                        self.look_for_missing_report();
                    }
                }
            }
            Source::Report => self.take_report(),
            Source::Consumption => self.look_for_missing_report(),
            Source::Children => self.reap(),
            Source::ExecConnection => self.serve_exec_connection(events),
            Source::Connection(index) => self.serve(index),
            Source::Closing(index) => self.close(index),
            Source::Background(index) => self.drain_background(index),
            Source::Listener => self.accept(),
        }
    }

    fn take_report(&mut self) {
        let Some(shell) = &self.shell else { return };
        while let Ok(Some(report)) = shell.receive_report() {
            if let Some(exec) = &mut self.exec
                && exec.secrets.nonce == report.nonce
            {
                if exec.was_read(&self.entered.control) {
                    exec.end(report.status);
                } else {
                    // Something has taken or disabled the line that runs commands. The shell's end, which this brings
                    // about, makes the daemon offer the command to the next one.
                    shell.close_input().ok();
                }
            }
        }
    }

    /// The shell has read the line behind the report's, and nothing writes to the output any more: a report that is not
    /// there now never comes by itself. A command has taken our lines, or defined something over them; ask once in a way
    /// that nothing can be defined over, then give the shell up. As long as something writes, the command may be reading
    /// those lines itself, and the timeout decides.
    fn look_for_missing_report(&mut self) {
        let all_read = self.shell.as_ref().is_some_and(|shell| shell.has_read_all().unwrap_or(false));
        if !all_read {
            return;
        }
        self.take_report();
        let (Some(shell), Some(exec)) = (&self.shell, &mut self.exec) else { return };
        if exec.is_ending() || !exec.output_ended() {
            return;
        }
        let asked = if exec.asked_again { shell.close_input() } else { shell.ask_again(exec.secrets) };
        exec.asked_again = true;
        // A shell that takes no more input is about to end, which ends the command as well.
        asked.ok();
    }

    fn reap(&mut self) {
        self.signals.clear().ok();
        while let Ok(Some(child)) = reap_child() {
            if self.shell.as_ref().is_some_and(|shell| shell.pid() == child.pid) {
                self.take_report();
                self.shell = None;
                if let Some(exec) = &mut self.exec {
                    exec.end(child.status);
                }
                self.restart_shell().ok();
            }
        }
    }

    /// Starts a new shell in the directory of the last one, whose working directory the runner shares.
    fn restart_shell(&mut self) -> Result<(), String> {
        if self.shell.is_none() {
            self.shell = Some(Shell::start(&self.plan, &self.entered).map_err(|error| error_chain(&error))?);
            self.generation += 1;
            self.last_status = 0;
        }
        Ok(())
    }

    fn serve_exec_connection(&mut self, events: PollFlags) {
        let Some(exec) = &mut self.exec else { return };
        if events.intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR) {
            exec.connection = None;
        } else {
            exec.flush();
        }
    }

    fn accept(&mut self) {
        while let Ok(socket) =
            rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
        {
            self.connections.push(Connection::new(socket));
            // The request is usually there already.
            self.serve(self.connections.len() - 1);
        }
    }

    fn serve(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        match connection.receive(&mut self.buffer) {
            Received::Nothing => {}
            Received::Closed => {
                self.connections.remove(index);
            }
            Received::Request(Request::Describe) => {
                let connection = self.connections.remove(index);
                self.describe(connection);
            }
            Received::Request(Request::Follow) => {
                let connection = self.connections.remove(index);
                self.follow(connection);
            }
            Received::Request(Request::Run(command)) => {
                let connection = self.connections.remove(index);
                self.start(connection, &command);
            }
        }
    }

    fn describe(&mut self, connection: Connection) {
        if let Err(reason) = self.restart_shell() {
            return self.finish(connection, &Reply::Failed { reason });
        }
        let description = Reply::Description {
            version: VERSION,
            generation: self.generation,
            cwd: self.working_directory(),
        };
        if let Some(shell) = &self.shell {
            connection.hand_out(&description, &[self.entered.root.as_fd(), shell.descriptor()]);
        }
    }

    /// Gives a command whose daemon has gone to the next one.
    fn follow(&mut self, connection: Connection) {
        match &mut self.exec {
            Some(exec) if exec.connection.is_none() => exec.connection = Some(connection),
            Some(_) => self.finish(connection, &Reply::Busy),
            None => self.finish(connection, &Reply::NothingRuns),
        }
    }

    fn start(&mut self, connection: Connection, command: &RunCommand) {
        if self.exec.is_some() {
            return self.finish(connection, &Reply::Busy);
        }
        if self.shell.is_none() || command.generation != self.generation {
            return self.finish(connection, &Reply::ShellChanged);
        }
        self.commands += 1;
        let number = self.commands;
        let control = &self.entered.control;
        let prepared = Exec::prepare(number, command, connection, control);
        let exec = match prepared {
            Ok(exec) => exec,
            Err((error, connection)) => {
                return self.finish(connection, &Reply::Failed { reason: error_chain(&error) });
            }
        };
        // A shell that takes no input is about to end; its end will be the command's.
        if let Some(shell) = &self.shell {
            // Without the file the command would not run; with it, `$?` is right.
            let status =
                write_status(&self.entered.control, self.last_status).map_or(0, |()| self.last_status);
            shell.run(number, status, exec.secrets).ok();
        }
        self.exec = Some(exec);
    }

    /// Ends the command whose status and output are complete.
    fn conclude(&mut self) {
        let Some(status) = self.exec.as_ref().and_then(Exec::ended) else { return };
        let Some(mut exec) = self.exec.take() else { return };
        if exec.generation == self.generation {
            self.last_status = status;
        }
        let was_read = exec.was_read(&self.entered.control);
        let truncated = exec.truncated();
        let (connection, output) = exec.dismantle(&self.entered.control);
        self.background_outputs.extend(output);
        if self.background_outputs.len() > MAX_BACKGROUND_OUTPUTS {
            self.background_outputs.remove(0);
        }
        let cwd = self.working_directory();
        if let Some(connection) = connection {
            let reply = if was_read {
                Reply::Finished(Finished { status, cwd, truncated, generation: self.generation })
            } else {
                Reply::ShellChanged
            };
            self.finish(connection, &reply);
        }
    }

    fn finish(&mut self, connection: Connection, reply: &Reply) {
        self.closing.extend(connection.finish(reply));
    }

    /// Sends more of a last reply, and closes the connection behind its end or where the daemon has gone.
    fn close(&mut self, index: usize) {
        let Some(connection) = self.closing.get_mut(index) else { return };
        if connection.flush().is_err() || !connection.is_congested() {
            self.closing.remove(index);
        }
    }

    fn drain_background(&mut self, index: usize) {
        let Some(output) = self.background_outputs.get(index) else { return };
        match rustix::io::read(output, &mut *self.buffer) {
            Ok(count) if count > 0 => {}
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            _ => {
                self.background_outputs.remove(index);
            }
        }
    }

    /// The shell's working directory, which is the runner's own (`CLONE_FS`). Where it has been removed, the last one
    /// that was there.
    fn working_directory(&mut self) -> String {
        if let Ok(path) = rustix::process::getcwd(Vec::new()) {
            let path = path.to_string_lossy();
            if path.starts_with('/') {
                self.cwd = path.into_owned();
            }
        }
        self.cwd.clone()
    }
}
