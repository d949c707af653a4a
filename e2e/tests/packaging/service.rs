//! What a service manager hands to the daemon and hears of it.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sandkasten_api::exec::ExecRequest;
use sandkasten_client::{Client, Endpoint};
use sandkasten_e2e::{API_KEY, DetachedDaemon, with_detached};

use crate::fake_manager::{FakeManager, stop};

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// Holds the write lock of the database that is its first argument, until its standard input ends.
const LOCK_DATABASE: &str = "import sqlite3, sys\n\
     database = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
     database.execute('BEGIN IMMEDIATE')\n\
     print('locked', flush=True)\n\
     sys.stdin.read()\n";

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a port")
}

fn passed(listener: &TcpListener) -> OwnedFd {
    listener.try_clone().expect("a descriptor").into()
}

/// The configuration of the test without its key.
fn open_api(daemon: &DetachedDaemon) {
    let text = fs::read_to_string(daemon.config()).expect("a configuration");
    let open: Vec<&str> = text.lines().filter(|line| !line.starts_with("api_key")).collect();
    daemon.configure(Some(&open.join("\n")));
}

async fn run(client: &Client, session: &sandkasten_api::id::SessionId, cmd: &str) -> String {
    let request = ExecRequest { cmd: Some(cmd.to_owned()), ..ExecRequest::default() };
    client.exec(session, &request).await.expect("it runs").output
}

#[test]
fn a_socket_that_was_handed_over_outlives_daemons_and_their_sessions_do_too() {
    with_detached("", async |daemon| {
        let manager = FakeManager::of(daemon);
        let listener = listener();
        let address = listener.local_addr().expect("an address").to_string();
        // Before there is a daemon: who connects is answered when there is one.
        let mut early = TcpStream::connect(&address).expect("the socket listens");
        early.write_all(HEALTH).expect("it takes a request");
        let child = manager.start(passed(&listener), &[], &["daemon"]);
        let ready = manager.await_line("READY=1");
        assert!(ready.contains(&format!("STATUS=listening on {address}")), "{ready}");
        let mut answer = String::new();
        early.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

        // The configuration says another address. Commands find the daemon all the same, and are told.
        assert_eq!(daemon.status()["address"], address.as_str());
        let shown = daemon.run(&["config", "show", "--json"]);
        let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
        let listen = shown.as_array().expect("a list").iter().find(|setting| setting["key"] == "listen");
        let listen = listen.expect("the key");
        assert_eq!(listen["value"], address.as_str());
        assert_eq!(listen["source"], format!("the socket passed to process {}", child.id()));
        assert!(manager.log().contains("`listen` does not count"), "{}", manager.log());
        let client = daemon.client();
        let session = client.create_session(&Default::default()).await.expect("a session").id;
        run(&client, &session, "x=kept; cd /tmp").await;
        let listed = daemon.run(&["ps", "-q"]);
        assert_eq!(String::from_utf8_lossy(&listed.stdout).trim(), session.to_string());

        assert_eq!(stop(child), Some(0));
        manager.await_line("STOPPING=1");
        // Nobody is refused in between.
        let mut waiting = TcpStream::connect(&address).expect("the socket listens still");
        waiting.write_all(HEALTH).expect("it takes a request");
        let child = manager.start(passed(&listener), &[], &["daemon"]);
        manager.await_line("READY=1");
        waiting.read_to_string(&mut answer).expect("an answer");
        assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
        assert_eq!(run(&daemon.client(), &session, "echo $x $PWD").await, "kept /tmp\n");
        daemon.client().destroy_session(&session).await.expect("it is destroyed");
        assert_eq!(stop(child), Some(0));
    });
}

#[test]
fn the_watchdog_hears_of_a_daemon_that_works_and_nothing_of_one_that_cannot_write() {
    with_detached("", async |daemon| {
        let manager = FakeManager::of(daemon);
        let child = manager.start(passed(&listener()), &[("WATCHDOG_USEC", "400000")], &["daemon"]);
        manager.await_line("READY=1");
        for _ in 0..3 {
            manager.await_line("WATCHDOG=1");
        }
        let mut python = Command::new("python3")
            .args(["-c", LOCK_DATABASE])
            .arg(daemon.data_dir().join("sandkasten.db"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut said = [0; 7];
        python.stdout.take().expect("a pipe").read_exact(&mut said).expect("it has the lock");
        // A beat that was on its way may still come.
        std::thread::sleep(Duration::from_millis(400));
        manager.forget();
        let deadline = Instant::now() + Duration::from_secs(1);
        while Instant::now() < deadline {
            assert_eq!(manager.hear(), None);
        }
        assert!(manager.log().contains("the watchdog is not told"), "{}", manager.log());
        drop(python.stdin.take());
        python.wait().expect("it ends");
        manager.await_line("WATCHDOG=1");
        assert_eq!(stop(child), Some(0));
    });
}

#[test]
fn without_a_key_only_a_socket_that_root_alone_reaches_is_served() {
    with_detached("", async |daemon| {
        open_api(daemon);
        let manager = FakeManager::of(daemon);
        let refused = |socket: OwnedFd, arguments: &[&str], why: &str| {
            let status = manager.start(socket, &[], arguments).wait().expect("it ends");
            assert_eq!(status.code(), Some(2), "{}", manager.log());
            assert!(manager.log().contains(why), "{why}: {}", manager.log());
            fs::remove_file(manager.log_path()).expect("removed");
        };
        refused(
            TcpListener::bind("0.0.0.0:0").expect("a port").into(),
            &["daemon"],
            "every host that reaches it",
        );
        refused(
            UdpSocket::bind("127.0.0.1:0").expect("a port").into(),
            &["daemon"],
            "no listening stream socket",
        );
        refused(fs::File::open("/dev/null").expect("a file").into(), &["daemon"], "should be a socket");
        refused(passed(&listener()), &["daemon", "--detach"], "has handed over a socket");

        let path = daemon.directory().join("api.sock");
        let unix = UnixListener::bind(&path).expect("a socket");
        fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("a mode");
        let socket = || OwnedFd::from(unix.try_clone().expect("a descriptor"));
        refused(socket(), &["daemon"], "every user of this host could run commands");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("a mode");
        let child = manager.start(socket(), &[], &["daemon"]);
        manager.await_line("READY=1");
        let mut stream = UnixStream::connect(&path).expect("it listens");
        stream.write_all(b"GET /v1/sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(stop(child), Some(0));
        assert!(path.exists(), "the socket is whose who made it");
    });
}

#[test]
fn more_sockets_than_one_are_refused_and_the_key_holds_on_any() {
    with_detached("", async |daemon| {
        let manager = FakeManager::of(daemon);
        let mut child = manager.start(passed(&listener()), &[("LISTEN_FDS", "2")], &["daemon"]);
        assert_eq!(child.wait().expect("it ends").code(), Some(2));
        assert!(manager.log().contains("there are 2 of them"), "{}", manager.log());

        let everywhere = TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = everywhere.local_addr().expect("an address").port();
        let child = manager.start(everywhere.into(), &[], &["daemon"]);
        manager.await_line("READY=1");
        let endpoint = || -> Endpoint { format!("http://127.0.0.1:{port}").parse().expect("a URL") };
        let keyless = Client::new(endpoint(), None).expect("a client");
        assert!(keyless.list_sessions().await.is_err());
        let keyed = Client::new(endpoint(), Some(API_KEY)).expect("a client");
        assert!(keyed.list_sessions().await.expect("a list").is_empty());
        assert_eq!(stop(child), Some(0));
    });
}
