//! A service manager as small as the protocol allows: it makes the socket, starts the daemon with it, and hears what it is told.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sandkasten_e2e::{DetachedDaemon, binary, patience};

/// A bound on hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// The socket comes in as standard input, because a shell can give it the number that the protocol wants. The shell's number is
/// the daemon's.
const EXEC: &str = "exec 3<&0 4<&0 </dev/null; LISTEN_PID=$$ WATCHDOG_PID=$$ exec \"$0\" \"$@\"";

pub(crate) struct FakeManager<'a> {
    daemon: &'a DetachedDaemon,
    notified: UnixDatagram,
}

impl<'a> FakeManager<'a> {
    pub(crate) fn of(daemon: &'a DetachedDaemon) -> Self {
        let notified = UnixDatagram::bind(daemon.directory().join("notify")).expect("a socket");
        notified.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        Self { daemon, notified }
    }

    /// Where the daemon logs to.
    pub(crate) fn log_path(&self) -> PathBuf {
        self.daemon.directory().join("journal")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Starts the binary with a socket, and variables in addition to those of a service.
    pub(crate) fn start(&self, socket: OwnedFd, variables: &[(&str, &str)], arguments: &[&str]) -> Child {
        let journal = File::options().create(true).append(true).open(self.log_path()).expect("a log");
        Command::new("sh")
            .args(["-c", EXEC])
            .arg(binary())
            .args(arguments)
            .current_dir(self.daemon.directory())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LISTEN_FDS", "1")
            .env("NOTIFY_SOCKET", self.daemon.directory().join("notify"))
            .envs(variables.iter().copied())
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null())
            .stderr(journal)
            .spawn()
            .expect("a shell starts")
    }

    /// The next message, if one comes soon.
    pub(crate) fn hear(&self) -> Option<String> {
        let mut message = [0; 4096];
        match self.notified.recv(&mut message) {
            Ok(length) => Some(String::from_utf8_lossy(&message[..length]).into_owned()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => None,
            Err(error) => panic!("nothing can be heard: {error}"),
        }
    }

    /// Waits for a message with this line.
    pub(crate) fn await_line(&self, line: &str) -> String {
        let deadline = Instant::now() + patience(PATIENCE);
        loop {
            if let Some(message) = self.hear().filter(|message| message.lines().any(|said| said == line)) {
                return message;
            }
            assert!(Instant::now() < deadline, "waited in vain for {line}:\n{}", self.log());
        }
    }

    /// Forgets what was said until now.
    pub(crate) fn forget(&self) {
        while self.hear().is_some() {}
    }
}

/// Asks the daemon to end as `systemctl stop` does, and returns its exit status.
pub(crate) fn stop(mut child: Child) -> Option<i32> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process has an id");
    kill_process(pid, Signal::TERM).expect("it can be asked to end");
    child.wait().expect("it ends").code()
}
