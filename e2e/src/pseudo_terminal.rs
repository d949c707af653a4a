//! A program on a terminal of its own, with somebody who types and reads.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::wait::{until, until_some};

/// A program on a terminal.
#[derive(Debug)]
pub struct PseudoTerminal {
    terminal: File,
    /// The program's end stays open, so that its modes can be looked at afterwards.
    theirs: File,
    child: Child,
    heard: Arc<Mutex<Vec<u8>>>,
    seen: usize,
}

impl PseudoTerminal {
    /// Starts a program on a terminal of 24 lines and 80 columns, which is its controlling one.
    ///
    /// # Panics
    /// Where the kernel refuses.
    #[must_use]
    pub fn start(program: &Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let terminal = openpt(flags).expect("a terminal");
        unlockpt(&terminal).expect("unlocked");
        let theirs = File::from(ioctl_tiocgptpeer(&terminal, flags).expect("its other end"));
        let terminal = File::from(terminal);
        let end = || Stdio::from(theirs.try_clone().expect("a copy"));
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.get_program()).args(program.get_args());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(directory) = program.get_current_dir() {
            command.current_dir(directory);
        }
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("setsid of util-linux");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (mut source, sink) = (terminal.try_clone().expect("a copy"), Arc::clone(&heard));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = source.read(&mut buffer)
                && count > 0
            {
                sink.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..count]);
            }
        });
        let mut started = Self { terminal, theirs, child, heard, seen: 0 };
        started.resize(24, 80);
        started
    }

    /// Types.
    ///
    /// # Panics
    /// Where the terminal has gone.
    pub fn give(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).expect("the terminal takes it");
    }

    /// Gives the window another size.
    ///
    /// # Panics
    /// Where the kernel refuses.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.terminal, size).expect("a size");
    }

    /// Waits until a text has been shown behind the last one that was waited for.
    ///
    /// # Panics
    /// Where it does not come.
    pub async fn shows(&mut self, text: &str) {
        let (heard, seen) = (Arc::clone(&self.heard), self.seen);
        let what = format!("{text:?} is shown");
        let found = until_some(&what, async || {
            let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard[seen..].windows(text.len()).position(|window| window == text.as_bytes())
        });
        self.seen = seen + found.await + text.len();
    }

    /// Waits until each key goes to the program at once.
    pub async fn is_raw(&self) {
        until("the terminal is raw", async || !self.modes().contains(LocalModes::ICANON)).await;
    }

    /// Sends a signal to the program.
    ///
    /// # Panics
    /// Where it has ended.
    pub fn signal(&self, signal: Signal) {
        // setsid forks only where it leads a process group; it has become the program.
        let program = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("an id");
        kill_process(program, signal).expect("it runs");
    }

    /// Waits for the end and returns the exit status. The terminal has to be as it was.
    ///
    /// # Panics
    /// Where keys are not echoed any more.
    pub async fn ends(&mut self) -> Option<i32> {
        let child = &mut self.child;
        let status = until_some("the program ends", async || child.try_wait().expect("a child"));
        let code = status.await.code();
        let usual = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        assert!(self.modes().contains(usual), "the terminal was left in raw mode");
        code
    }

    /// Everything that was shown.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.all()).into_owned()
    }

    fn modes(&self) -> LocalModes {
        tcgetattr(&self.theirs).expect("modes").local_modes
    }

    fn all(&self) -> MutexGuard<'_, Vec<u8>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PseudoTerminal {
    fn drop(&mut self) {
        // Of a test that failed.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
