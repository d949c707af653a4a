//! The units, run by systemd itself with all their hardening: sessions outlive whatever it does to the daemon.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sandkasten_api::exec::ExecRequest;
use sandkasten_api::id::SessionId;
use sandkasten_client::{Client, Endpoint};
use sandkasten_e2e::{API_KEY, Leaks, binary, until};

use crate::repository;

const SYSTEMD: &str = "/lib/systemd/systemd";
const SERVICE: &str = "sandkasten.service";
const UNITS: [&str; 2] = ["sandkasten.socket", SERVICE];

/// A systemd of the test's own, with the units on directories and a port of its own.
struct Manager {
    directory: tempfile::TempDir,
    process: Child,
    endpoint: String,
}

impl Manager {
    fn start() -> Self {
        // Not in the directories for temporary files: the daemon has others there.
        let directory =
            tempfile::Builder::new().prefix("sandkasten-test-").tempdir_in("/var/lib").expect("a directory");
        let path = directory.path();
        for (name, mode) in [("units", 0o755), ("data", 0o700)] {
            fs::create_dir(path.join(name)).expect("made");
            fs::set_permissions(path.join(name), PermissionsExt::from_mode(mode)).expect("a mode");
        }
        fs::copy(binary(), path.join("sandkasten")).expect("copied");
        let free =
            std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let data = path.join("data").display().to_string();
        let config = format!("listen: \"{free}\"\napi_key: \"{API_KEY}\"\ndata_dir: \"{data}\"\n");
        fs::write(path.join("sandkasten.yaml"), config).expect("written");
        fs::set_permissions(path.join("sandkasten.yaml"), PermissionsExt::from_mode(0o600)).expect("a mode");
        for unit in UNITS {
            fs::write(path.join("units").join(unit), moved(unit, path, &free.to_string())).expect("written");
        }
        for target in ["nothing", "basic", "shutdown", "sockets", "exit"] {
            fs::write(path.join(format!("units/{target}.target")), "[Unit]\n").expect("written");
        }
        let process = Command::new("unshare")
            .args(["--mount", "--propagation", "private"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packaging/run_systemd"))
            .arg(path)
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts");
        Self { directory, process, endpoint: format!("http://{free}") }
    }

    /// A client without a connection to a daemon that may have ended.
    fn client(&self) -> Client {
        let endpoint: Endpoint = self.endpoint.parse().expect("a URL");
        Client::new(endpoint, Some(API_KEY)).expect("a client")
    }

    /// What belongs to its daemon.
    fn leaks(&self) -> Leaks {
        Leaks::find(&self.directory.path().join("data"), None)
    }

    fn systemctl(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("systemctl")
            .arg("--user")
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("XDG_RUNTIME_DIR", self.directory.path().join("runtime"))
            .output()
            .expect("systemctl starts");
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            Err(format!("{arguments:?}: {}\n{log}", String::from_utf8_lossy(&output.stderr)))
        }
    }

    fn does(&self, arguments: &[&str]) -> String {
        self.systemctl(arguments).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The daemon's process.
    fn daemon(&self) -> Pid {
        let pid = self.does(&["show", "--property=MainPID", "--value", SERVICE]);
        Pid::from_raw(pid.parse().expect("a number")).expect("it runs")
    }

    /// Waits until systemd has started the daemon anew so many times.
    async fn restarted(&self, times: &str) {
        until("a new daemon", async || {
            let shown = self.does(&["show", "--property=NRestarts,ActiveState", SERVICE]);
            shown.contains(&format!("NRestarts={times}\n")) && shown.contains("ActiveState=active")
                || shown.ends_with(&format!("NRestarts={times}")) && shown.contains("ActiveState=active")
        })
        .await;
    }

    async fn says(&self, session: &SessionId, cmd: &str) -> String {
        let request = ExecRequest { cmd: Some(cmd.to_owned()), ..ExecRequest::default() };
        self.client().exec(session, &request).await.expect("it runs").output
    }
}

/// A unit as the package has it, but for its places, which a user manager has elsewhere than a system's.
fn moved(unit: &str, place: &Path, address: &str) -> String {
    let text = fs::read_to_string(repository().join("packaging/systemd").join(unit)).expect("a unit");
    let place = place.display();
    let lines = text.lines().filter_map(|line| match line.split_once('=') {
        Some(("ListenStream", _)) => Some(format!("ListenStream={address}")),
        Some(("ConditionPathExists", _)) => Some(format!("ConditionPathExists={place}/sandkasten.yaml")),
        Some(("ExecStart", _)) => Some(format!(
            "ExecStart={place}/sandkasten daemon --config {place}/sandkasten.yaml\nStandardError=append:{place}/log"
        )),
        Some(("StateDirectory", _)) => Some(format!("ReadWritePaths={place} /run/sandkasten")),
        Some(("WatchdogSec", _)) => Some("WatchdogSec=3s".to_owned()),
        Some((key, _)) if key.ends_with("DirectoryMode") || key.starts_with("RuntimeDirectory") => None,
        Some(("ConfigurationDirectory", _)) => None,
        _ => Some(line.to_owned()),
    });
    lines.collect::<Vec<_>>().join("\n")
}

impl Drop for Manager {
    fn drop(&mut self) {
        for unit in UNITS {
            // The test has failed already where it cannot be stopped.
            self.systemctl(&["stop", unit]).ok();
        }
        // Nothing of a test that has passed.
        let leaks = self.leaks();
        for pid in leaks.processes.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            kill_process(pid, Signal::KILL).ok();
        }
        self.process.kill().ok();
        self.process.wait().ok();
        let name = self.directory.path().file_name().expect("a name");
        for hierarchy in ["", "systemd", "unified"] {
            let group = Path::new("/sys/fs/cgroup").join(hierarchy).join(name);
            Command::new("find")
                .arg(group)
                .args(["-depth", "-type", "d", "-delete"])
                .stderr(Stdio::null())
                .status()
                .ok();
        }
    }
}

#[tokio::test]
async fn sessions_outlive_restart_watchdog_kill_and_stop_under_the_hardened_unit() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIP: sandboxes need root");
        return;
    }
    if !Path::new(SYSTEMD).exists() {
        println!("SKIP: this host has no systemd, which runs units");
        return;
    }
    let manager = Manager::start();
    until("systemd answers", async || manager.systemctl(&["list-units"]).is_ok()).await;
    manager.does(&["start", "sandkasten.socket"]);
    // Who connects starts it.
    let session = manager.client().create_session(&Default::default()).await;
    let session =
        session.unwrap_or_else(|error| panic!("{error}: {:?}", manager.systemctl(&["status", SERVICE]))).id;
    let filters = "x=kept; echo hello > /workspace/file; grep -h Seccomp_filters /proc/self/status";
    assert_eq!(manager.says(&session, filters).await, "Seccomp_filters:\t1\n", "its own, and no other");

    manager.does(&["restart", SERVICE]);
    assert_eq!(manager.says(&session, "echo $x; cat file").await, "kept\nhello\n");
    kill_process(manager.daemon(), Signal::STOP).expect("it hangs");
    manager.restarted("1").await;
    assert_eq!(manager.says(&session, "echo $x").await, "kept\n", "after the watchdog");
    kill_process(manager.daemon(), Signal::KILL).expect("it dies");
    manager.restarted("2").await;
    assert_eq!(manager.says(&session, "echo $x").await, "kept\n", "after a crash");
    manager.does(&["stop", "sandkasten.socket", SERVICE]);
    assert!(manager.client().list_sessions().await.is_err(), "nobody listens any more");
    manager.does(&["start", "sandkasten.socket"]);
    assert_eq!(manager.says(&session, "echo $x").await, "kept\n", "after a stop");

    manager.client().destroy_session(&session).await.expect("it is destroyed");
    manager.does(&["stop", "sandkasten.socket", SERVICE]);
    let leaks = manager.leaks();
    assert!(leaks.is_empty(), "{leaks:?}");
}
