//! A daemon in the background, started and ended by the commands of the binary themselves.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs};

use futures_util::FutureExt;
use rustix::process::{Pid, Signal, kill_process};
use sandkasten_client::{Client, Endpoint};
use serde_json::Value;

use crate::leaks::Leaks;
use crate::raw_api::RawApi;
use crate::session::TestSession;
use crate::test_daemon::{API_KEY, as_root, binary, make_directory};

/// A directory with a data directory and a `sandkasten.yaml`, where a daemon may or may not run.
#[derive(Debug)]
pub struct DetachedDaemon {
    directory: tempfile::TempDir,
    /// The configuration that it began with.
    text: String,
}

/// Runs a test where a daemon can be started in the background, with additional lines of configuration; ends the daemon
/// afterwards.
///
/// # Panics
/// Where the test fails, or leaves something behind.
pub fn with_detached(lines: &str, body: impl AsyncFnOnce(&DetachedDaemon)) {
    as_root(async || {
        let directory = make_directory(&format!("api_key: \"{API_KEY}\"\n{lines}"));
        let text = fs::read_to_string(directory.path().join("sandkasten.yaml")).expect("a configuration");
        let daemon = DetachedDaemon { directory, text };
        let outcome = AssertUnwindSafe(body(&daemon)).catch_unwind().await;
        if outcome.is_err() {
            eprintln!("--- the daemon's log ---\n{}", daemon.log());
        }
        let left = daemon.stop().await;
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
        assert!(left.is_empty(), "the daemon left something behind: {left:#?}");
    });
}

impl DetachedDaemon {
    /// Where everything of this test is; commands run here and find their configuration by that.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.directory().join("data")
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.directory().join("sandkasten.yaml")
    }

    /// Writes the configuration anew: the one that it began with, where nothing else is named.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn configure(&self, text: Option<&str>) {
        fs::write(self.config(), text.unwrap_or(&self.text)).expect("a configuration can be written");
    }

    /// The log of a daemon in the background.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.data_dir().join("run/sandkasten.log")
    }

    /// What is in the log.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    /// The file with the process id.
    #[must_use]
    pub fn pid_file(&self) -> PathBuf {
        self.data_dir().join("run/sandkasten.pid")
    }

    /// A command of the binary, in the directory.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .current_dir(self.directory())
            .stdin(Stdio::null());
        command
    }

    /// Starts the daemon in the background, and returns what the command printed.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start(&self, arguments: &[&str]) -> String {
        let output = self.run(&[&["daemon", "--detach"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}\n{}", output.status, self.log());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// Where it does not run.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap_or_else(|error| {
            panic!("{} does not start: {error}; run `make build` first", binary().display())
        })
    }

    /// What `status` says.
    ///
    /// # Panics
    /// Where it is no JSON.
    #[must_use]
    pub fn status(&self) -> Value {
        let output = self.run(&["status", "--json"]);
        let said = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// The process of the daemon that runs.
    ///
    /// # Panics
    /// Where none runs.
    #[must_use]
    pub fn pid(&self) -> i32 {
        let pid = self.status()["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        pid.expect("a daemon runs")
    }

    /// Where the API of the daemon that runs is.
    ///
    /// # Panics
    /// Where none is ready.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.status()["address"].as_str().expect("a daemon is ready"))
    }

    /// A client of the daemon that runs, with the key.
    ///
    /// # Panics
    /// Where none is ready.
    #[must_use]
    pub fn client(&self) -> Client {
        let endpoint: Endpoint = self.url().parse().expect("the daemon's own URL is sound");
        Client::new(endpoint, Some(API_KEY)).expect("a client can be made")
    }

    /// The API as bytes, with the key.
    ///
    /// # Panics
    /// Where no daemon is ready.
    #[must_use]
    pub fn raw(&self) -> RawApi {
        RawApi::new(self.url(), Some(API_KEY))
    }

    /// Makes a session of the default image.
    ///
    /// # Panics
    /// Where the daemon refuses.
    pub async fn session(&self) -> TestSession {
        let client = self.client();
        let session = client.create_session(&Default::default()).await;
        let session = session.unwrap_or_else(|error| panic!("no session: {error}\n{}", self.log()));
        TestSession { id: session.id, client }
    }

    /// Kills the daemon without any warning, and waits until it has ended.
    ///
    /// # Panics
    /// Where none runs.
    pub fn kill(&self) {
        let pid = Pid::from_raw(self.pid()).expect("a process id");
        let process =
            rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).expect("it runs");
        rustix::process::pidfd_send_signal(&process, Signal::KILL).expect("it can be killed");
        let mut ended = [rustix::event::PollFd::new(&process, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut ended, None).expect("it can be waited for");
    }

    /// Destroys every session and ends the daemon, and returns what is left, in words.
    async fn stop(self) -> Vec<String> {
        let mut left = Vec::new();
        self.configure(None);
        if self.status()["ready"] == true {
            let client = self.client();
            for session in client.list_sessions().await.unwrap_or_default() {
                if let Err(error) = client.destroy_session(&session.id).await {
                    eprintln!("a session could not be destroyed: {error}");
                }
            }
        }
        let stopped = self.run(&["stop"]);
        if !stopped.status.success() {
            left.push(format!("the daemon: {}", String::from_utf8_lossy(&stopped.stderr)));
        }
        for pid in users_of(self.directory()) {
            left.push(format!("process {pid}"));
            kill_process(pid, Signal::KILL).ok();
        }
        let leaks = Leaks::find(&self.data_dir(), None);
        if !leaks.is_empty() {
            left.push(format!("{leaks:?}"));
            leaks.end();
        }
        for name in ["sandkasten.pid", "daemon.json"] {
            if self.data_dir().join("run").join(name).exists() && stopped_a_daemon(&stopped) {
                left.push(name.to_owned());
            }
        }
        left
    }
}

/// Whether there was one to stop; one that was killed before leaves its files to the next.
fn stopped_a_daemon(output: &Output) -> bool {
    String::from_utf8_lossy(&output.stdout).contains("has ended")
}

/// Processes that have a file below a directory open, this one and its own children apart.
fn users_of(directory: &Path) -> Vec<Pid> {
    let mut users = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = process.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        let Some(pid) = pid.filter(|pid| *pid != rustix::process::getpid()) else { continue };
        let descriptors = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let mut targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
        if targets.any(|target| target.starts_with(directory)) {
            users.push(pid);
        }
    }
    users
}
