//! A daemon of the built binary, on a data directory and a port of its own.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use futures_util::FutureExt;
use rustix::process::{Pid, Signal, kill_process};
use sandkasten_api::session::CreateSessionRequest;
use sandkasten_client::{Client, Endpoint};

use crate::leaks::Leaks;
use crate::patience::patience;
use crate::raw_api::RawApi;
use crate::session::TestSession;
use crate::traces::Traces;

/// The key of every test daemon.
pub const API_KEY: &str = "sk-end-to-end-0123456789abcdef";
/// Bounds on hangs; nothing here is measured.
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);

/// A running daemon.
#[derive(Debug)]
pub struct TestDaemon {
    directory: tempfile::TempDir,
    child: Mutex<Child>,
    url: Mutex<String>,
    log: Arc<Mutex<String>>,
}

/// The binary under test: `SANDKASTEN_BIN`, or `bin/sandkasten` of the checkout.
#[must_use]
pub fn binary() -> PathBuf {
    env::var_os("SANDKASTEN_BIN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../bin/sandkasten"), PathBuf::from)
}

/// Runs a test against a daemon with the default configuration.
///
/// # Panics
/// Where the test fails, or leaves something behind.
pub fn with_daemon(body: impl AsyncFnOnce(&TestDaemon)) {
    with_config("", body);
}

/// Runs a test against a daemon with additional lines of configuration.
///
/// # Panics
/// Where the test fails, or leaves something behind.
pub fn with_config(lines: &str, body: impl AsyncFnOnce(&TestDaemon)) {
    run(&format!("api_key: \"{API_KEY}\"\n{lines}"), body);
}

/// Runs a test against a daemon without a key, which everybody on this host may speak to.
///
/// # Panics
/// Where the test fails, or leaves something behind.
pub fn with_open_daemon(body: impl AsyncFnOnce(&TestDaemon)) {
    run("", body);
}

fn run(lines: &str, body: impl AsyncFnOnce(&TestDaemon)) {
    as_root(async || {
        let daemon = TestDaemon::start(lines);
        let outcome = AssertUnwindSafe(body(&daemon)).catch_unwind().await;
        if outcome.is_err() {
            eprintln!("--- the daemon's log ---\n{}", daemon.log());
        }
        let leaks = daemon.stop().await;
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
        assert!(leaks.is_empty(), "the daemon left something behind: {leaks:#?}");
    });
}

/// Runs a test in a runtime of its own, or skips it where there is no root.
pub(crate) fn as_root(test: impl AsyncFnOnce()) {
    if !rustix::process::geteuid().is_root() {
        assert!(env::var_os("CI").is_none(), "an end-to-end test was skipped in CI: not root");
        eprintln!("SKIP: sandboxes need root");
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime starts");
    runtime.block_on(test());
}

/// Makes a directory with a data directory and a configuration of these lines in it.
pub(crate) fn make_directory(lines: &str) -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("sk-").tempdir().expect("a directory can be made");
    let data_dir = directory.path().join("data");
    fs::create_dir(&data_dir).expect("a data directory can be made");
    fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o700)).expect("a mode can be set");
    let config = format!("listen: \"127.0.0.1:0\"\ndata_dir: \"{}\"\n{lines}\n", data_dir.display());
    let path = directory.path().join("sandkasten.yaml");
    fs::write(&path, config).expect("a configuration can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode can be set");
    directory
}

impl TestDaemon {
    fn start(lines: &str) -> Self {
        let directory = make_directory(lines);
        let path = directory.path().join("sandkasten.yaml");
        let log = Arc::new(Mutex::new(String::new()));
        let (child, url) = spawn(&path, &log);
        Self { directory, child: Mutex::new(child), url: Mutex::new(url), log }
    }

    /// Where the API is.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The daemon's data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The daemon's configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.directory.path().join("sandkasten.yaml")
    }

    /// What the daemon has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The daemon's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// A client with the key.
    #[must_use]
    pub fn client(&self) -> Client {
        let endpoint: Endpoint = self.url().parse().expect("the daemon's own URL is sound");
        Client::new(endpoint, Some(API_KEY)).expect("a client can be made")
    }

    /// The API as bytes, with the key.
    ///
    /// # Panics
    /// Where no client can be made.
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
        let session = client
            .create_session(&CreateSessionRequest::default())
            .await
            .unwrap_or_else(|error| panic!("no session: {error}\n{}", self.log()));
        TestSession { id: session.id, client }
    }

    /// Makes a session of the default image with a workspace.
    ///
    /// # Panics
    /// Where the daemon refuses.
    pub async fn session_on(&self, workspace: &str) -> TestSession {
        let client = self.client();
        let request = CreateSessionRequest {
            workspace_id: Some(workspace.to_owned()),
            ..CreateSessionRequest::default()
        };
        let session = client
            .create_session(&request)
            .await
            .unwrap_or_else(|error| panic!("no session on {workspace}: {error}\n{}", self.log()));
        assert_eq!(session.workspace_id.as_ref().map(ToString::to_string).as_deref(), Some(workspace));
        TestSession { id: session.id, client }
    }

    /// Runs a command of the binary against this daemon.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("SANDKASTEN_URL", self.url())
            .env("SANDKASTEN_API_KEY", API_KEY)
            .env("SANDKASTEN_DATA_DIR", self.data_dir())
            .stdin(Stdio::null());
        command
    }

    /// Kills the daemon without any warning and starts it again on the same data directory.
    ///
    /// # Panics
    /// Where it does not come back.
    pub fn kill_and_restart(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.kill().expect("a daemon can be killed");
        child.wait().expect("a killed daemon ends");
        let (next, url) = spawn(&self.config(), &self.log);
        *child = next;
        *self.url.lock().unwrap_or_else(PoisonError::into_inner) = url;
    }

    /// Kills the daemon without any warning.
    ///
    /// # Panics
    /// Where it cannot be killed.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.kill().expect("a daemon can be killed");
        child.wait().expect("a killed daemon ends");
    }

    /// Asks the daemon to end, and waits until it has.
    ///
    /// # Panics
    /// Where it does not end.
    pub fn terminate(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process has an id");
        kill_process(pid, Signal::TERM).expect("a daemon can be asked to end");
        let deadline = Instant::now() + patience(STOP);
        while child.try_wait().expect("a child can be waited for").is_none() {
            assert!(Instant::now() < deadline, "the daemon did not end after SIGTERM");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts the daemon again, after it was killed or has ended.
    ///
    /// # Panics
    /// Where it does not come up.
    pub fn start_again(&self) {
        let (next, url) = spawn(&self.config(), &self.log);
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = next;
        *self.url.lock().unwrap_or_else(PoisonError::into_inner) = url;
    }

    /// Everything that a live session consists of, to look for it when the session has gone.
    #[must_use]
    pub fn traces(&self, session: &str) -> Traces {
        Traces::of(&self.data_dir(), session)
    }

    /// What is left of one session, or of the daemon.
    #[must_use]
    pub fn leaks(&self, session: Option<&str>) -> Leaks {
        match session {
            None => Leaks::beside_next_place(&self.data_dir()),
            session => Leaks::find(&self.data_dir(), session),
        }
    }

    /// Destroys every session, ends the daemon and returns what is left.
    async fn stop(self) -> Leaks {
        let client = self.client();
        for session in client.list_sessions().await.unwrap_or_default() {
            if let Err(error) = client.destroy_session(&session.id).await {
                eprintln!("a session could not be destroyed: {error}");
            }
        }
        drop(client);
        let data_dir = self.data_dir();
        let Self { directory, child, .. } = self;
        let mut child = child.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            // A daemon that has died already is reported by its leaks.
            kill_process(pid, Signal::TERM).ok();
        }
        let deadline = Instant::now() + patience(STOP);
        while child.try_wait().is_ok_and(|status| status.is_none()) {
            if Instant::now() > deadline {
                eprintln!("the daemon did not end; killing it");
                child.kill().ok();
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        child.wait().expect("a daemon ends");
        let leaks = Leaks::find(&data_dir, None);
        leaks.end();
        Leaks::of_all_private(&data_dir).end();
        drop(directory);
        leaks
    }
}

/// Starts the daemon and waits until it says where it listens.
fn spawn(config: &Path, log: &Arc<Mutex<String>>) -> (Child, String) {
    let mut child = Command::new(binary())
        .args(["daemon", "--config"])
        .arg(config)
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{} does not start: {error}; run `make build` first", binary().display())
        });
    let stderr = child.stderr.take().expect("standard error is piped");
    let (ready, address) = mpsc::channel();
    let log = Arc::clone(log);
    let sink = Arc::clone(&log);
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some(address) = ready_address(&line) {
                // Only the first one is waited for.
                ready.send(address).ok();
            }
            let mut log = sink.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
        }
    });
    match address.recv_timeout(patience(START)) {
        Ok(address) => (child, format!("http://{address}")),
        Err(_) => {
            child.kill().ok();
            child.wait().ok();
            panic!("the daemon is not ready:\n{}", log.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

fn ready_address(line: &str) -> Option<String> {
    let entry: serde_json::Value = serde_json::from_str(line).ok()?;
    (entry.get("message")? == "ready").then(|| entry.get("address")?.as_str().map(str::to_owned))?
}
