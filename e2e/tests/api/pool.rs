//! Sessions out of the pool: nobody can tell them from others, and what is idle is nobody's.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use sandkasten_api::session::{AcquireSource, CreateSessionRequest, Session, SessionIsolation, SessionStats};
use sandkasten_e2e::{
    Answer, EventReader, LayerArchive, LayeredImage, RootArchive, TestDaemon, TestSession, until, with_config,
};
use serde_json::{Value, json};

/// So many of the host's image, whatever is asked for.
fn pool_of(count: u32) -> String {
    format!("pool: {{enabled: true, images: {{host: {count}}}, max: 0}}\n")
}

/// What a command sees of its world.
const WORLD: &str = r#"
env | sort
pwd; umask; ulimit -a; set -o; id; hostname; cat /etc/hostname /etc/hosts
grep -E '^(Cap|NoNewPrivs|Seccomp|Uid|Gid|Groups|CoreDumping)' /proc/self/status
cat /proc/self/cgroup
cut -d' ' -f3- /proc/self/mountinfo
ls -la /workspace /tmp /run /home /dev /dev/shm
ls -l /proc/self/fd | wc -l
processes=(/proc/[0-9]*); echo ${#processes[@]}; unset processes
declare -p OLDPWD PWD SHLVL BASHPID 2>&1 | sed 's/BASHPID=.*//'
jobs; trap; alias
"#;

/// A world without what differs between any two sessions: ids, device numbers and times.
async fn world(daemon: &TestDaemon, session: &Session) -> (String, SessionIsolation, SessionStats) {
    let client = daemon.client();
    let inside = TestSession { id: session.id.clone(), client: client.clone() };
    let seen = inside.output(WORLD).await.replace(session.id.as_str(), "<id>");
    let seen = seen.lines().map(|line| {
        let device = line.split(' ').next().filter(|first| first.split_once(':').is_some_and(is_device));
        let line = device.map_or(line, |device| line.strip_prefix(device).unwrap_or(line));
        let words = line.split(' ').filter(|word| !is_time(word));
        words.collect::<Vec<_>>().join(" ")
    });
    let mut seen = seen.collect::<Vec<_>>().join("\n");
    let described = client.get_session(&session.id).await.expect("a session");
    let isolation = described.isolation.expect("it is told");
    // Mounts show their owners by the host's ids.
    for id in [0, 5, 1_000] {
        seen = seen.replace(&(isolation.uid_base + id).to_string(), &format!("<{id}>"));
    }
    let isolation = SessionIsolation { uid_base: 0, ..isolation };
    let stats = client.session_stats(&session.id).await.expect("stats");
    let used = SessionStats { memory_bytes: 0, memory_peak_bytes: 0, cpu_usage_usec: 0, ..stats };
    (seen, isolation, used)
}

fn is_device((major, minor): (&str, &str)) -> bool {
    [major, minor].iter().all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `12:34`, as `ls` has it.
fn is_time(word: &str) -> bool {
    word.len() == 5 && word.split_once(':').is_some_and(is_device)
}

#[test]
fn a_pooled_session_is_as_a_cold_one() {
    let workspaces = "workspace: {enabled: true, min_free_mb: 0}\n";
    with_config(&format!("{}{workspaces}", pool_of(1)), async |daemon| {
        let request = CreateSessionRequest::default();
        let pooled = daemon.session_by(AcquireSource::Pool, &request).await;
        // Nobody has been there before.
        let client = daemon.client();
        let processes = daemon.raw().get(&format!("/v1/sessions/{}/processes", pooled.id)).await.ok(200);
        assert_eq!(processes["processes"], json!([]), "{processes}");
        let cold = daemon.session_by(AcquireSource::Cold, &request).await;
        let (of_pooled, of_cold) = (world(daemon, &pooled).await, world(daemon, &cold).await);
        assert_eq!(of_pooled.0, of_cold.0);
        assert_eq!((of_pooled.1, of_pooled.2), (of_cold.1, of_cold.2));
        assert!(of_cold.0.contains("/workspace"), "something was compared: {}", of_cold.0);
        client.write_file(&pooled.id, "a", b"x").await.expect("written");
        assert_eq!(client.read_file(&pooled.id, "a", None).await.expect("read").0, b"x");
    });
}

#[test]
fn a_pooled_session_is_what_its_request_asks_for_from_its_hand_out_on() {
    with_config(&pool_of(1), async |daemon| {
        daemon.idle_until(1).await;
        let begun = Timestamp::now();
        let request = CreateSessionRequest {
            ttl_seconds: Some(77),
            name: Some("builder".parse().expect("a name")),
            labels: Some(serde_json::from_value(json!({"team": "core"})).expect("labels")),
            ..CreateSessionRequest::default()
        };
        let made = daemon.session_by(AcquireSource::Pool, &request).await;
        assert!(made.created_at >= begun - SignedDuration::from_millis(1), "{made:?}");
        assert_eq!(made.expires_at, made.created_at + SignedDuration::from_secs(77));
        assert_eq!((&made.name, &made.labels), (&request.name, &request.labels.expect("labels")));
        let client = daemon.client();
        let shown = client.get_session(&made.id).await.expect("a session");
        assert_eq!((shown.acquire_source, shown.created_at), (AcquireSource::Pool, made.created_at));
        assert_eq!(client.list_sessions().await.expect("a list"), std::slice::from_ref(&made));
        client.destroy_session(&made.id).await.expect("destroyed");
        let ended = client.get_session(&made.id).await.expect("it is remembered");
        assert_eq!(ended.acquire_source, AcquireSource::Pool);
    });
}

#[test]
fn a_create_that_is_sent_twice_takes_one_sandbox() {
    with_config(&pool_of(2), async |daemon| {
        daemon.idle_until(2).await;
        let send = async || {
            let request = daemon.raw().request(Method::POST, "/v1/sessions").header("Idempotency-Key", "k");
            Answer::to(request.json(&json!({}))).await.ok(201)
        };
        let (first, again) = (send().await, send().await);
        assert_eq!((&first["id"], &first["acquire_source"]), (&again["id"], &json!("pool")));
        assert_eq!(daemon.client().list_sessions().await.expect("a list").len(), 1);
    });
}

#[test]
fn what_is_idle_is_nobodys() {
    with_config(&pool_of(2), async |daemon| {
        let mut events = EventReader::open(daemon.raw().request(Method::GET, "/v1/events")).await;
        let idle = daemon.idle_until(2).await;
        let raw = daemon.raw();
        assert_eq!(raw.get("/v1/sessions").await.ok(200), json!([]));
        for id in &idle {
            let base = format!("/v1/sessions/{id}");
            raw.get(&base).await.refused(404, "SESSION_NOT_FOUND");
            raw.get(&format!("{base}/stats")).await.refused(404, "SESSION_NOT_FOUND");
            raw.post(&format!("{base}/exec"), &json!({"cmd": "true"}))
                .await
                .refused(404, "SESSION_NOT_FOUND");
            raw.post(&format!("{base}/fs/write"), &json!({"path": "a", "text": ""}))
                .await
                .refused(404, "SESSION_NOT_FOUND");
            raw.delete(&base).await.refused(404, "SESSION_NOT_FOUND");
        }
        let session = daemon.session_by(AcquireSource::Pool, &CreateSessionRequest::default()).await;
        assert!(idle.contains(session.id.as_str()), "{} is none of {idle:?}", session.id);
        let (of, state, _) = events.state().await;
        assert_eq!((of.as_str(), state.as_str()), (session.id.as_str(), "running"), "the first that is told");
    });
}

#[test]
fn two_creates_never_get_the_same_sandbox() {
    with_config(&pool_of(12), async |daemon| {
        daemon.idle_until(12).await;
        let creates = (0..50).map(|_| {
            let client = daemon.client();
            tokio::spawn(async move {
                let session =
                    client.create_session(&CreateSessionRequest::default()).await.expect("a session");
                let inside = TestSession { id: session.id.clone(), client };
                assert_eq!(
                    inside.output("hostname; echo mine > /tmp/mine; ls /tmp").await,
                    format!("{}\nmine", session.id)
                );
                session
            })
        });
        let creates: Vec<_> = creates.collect();
        let (mut ids, mut pooled) = (BTreeSet::new(), 0);
        for create in creates {
            let session = create.await.expect("it is its own");
            pooled += usize::from(session.acquire_source == AcquireSource::Pool);
            assert!(ids.insert(session.id.to_string()), "{} was handed out twice", session.id);
        }
        assert!(pooled >= 12, "{pooled} of 50 came out of the pool");
    });
}

#[test]
fn a_dead_entry_is_not_handed_out() {
    with_config(&pool_of(2), async |daemon| {
        for _ in 0..5 {
            let idle = daemon.idle_until(2).await;
            let dead: Vec<_> = idle.iter().map(|id| daemon.traces(id)).collect();
            // The daemon hears of it and of the create in any order.
            stop(daemon, Signal::STOP);
            dead.iter().for_each(|traces| signal(traces.first_process(), Signal::KILL));
            let client = daemon.client();
            let create =
                tokio::spawn(async move { client.create_session(&CreateSessionRequest::default()).await });
            let gone = async || dead.iter().all(|traces| is_over(traces.first_process()));
            until("both have ended", gone).await;
            stop(daemon, Signal::CONT);
            let session = create.await.expect("an answer").expect("a session");
            assert!(!idle.contains(session.id.as_str()), "{} was dead", session.id);
            let inside = TestSession { id: session.id, client: daemon.client() };
            assert_eq!(inside.output("echo alive").await, "alive");
            for id in &idle {
                until("nothing of it is left", async || daemon.leaks(Some(id)).is_empty()).await;
            }
            inside.destroy().await;
        }
        daemon.idle_until(2).await;
    });
}

fn stop(daemon: &TestDaemon, with: Signal) {
    signal(i32::try_from(daemon.pid()).expect("a process id"), with);
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a process id"), signal).expect("it can be signalled");
}

/// Whether a process has ended, reaped or not.
fn is_over(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

/// Imports an image called `small` that says which it is.
fn import(daemon: &TestDaemon, content: &str) {
    let base = fs::read(RootArchive::of_programs(&["cat", "hostname"]).path()).expect("an archive");
    let directory = tempfile::tempdir().expect("a directory");
    let image = LayeredImage::new(base, [LayerArchive::default().file("content", content.as_bytes())]);
    image.write_layout(directory.path());
    let path = directory.path().to_string_lossy().into_owned();
    let output = daemon.command(&["image", "import", "--name", "small", "--tar", &path]).output();
    let output = output.expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn small() -> CreateSessionRequest {
    CreateSessionRequest { image: Some("small".to_owned()), ..CreateSessionRequest::default() }
}

async fn content(daemon: &TestDaemon, session: Session) -> String {
    let inside = TestSession { id: session.id, client: daemon.client() };
    let content = inside.output("cat /content").await;
    inside.destroy().await;
    content
}

#[test]
fn an_image_that_changes_replaces_its_entries() {
    with_config("pool: {enabled: true, images: {small: 1}, max: 0}\n", async |daemon| {
        until("it is said that there is none", async || daemon.log().contains("is not present")).await;
        import(daemon, "one");
        let first = daemon.idle_until(1).await;
        let old = daemon.session_by(AcquireSource::Pool, &small()).await;
        assert_eq!(content(daemon, old).await, "one");
        daemon.idle_until(1).await;
        import(daemon, "two");
        // At once, whether the daemon has noticed or not.
        let next = daemon.client().create_session(&small()).await.expect("a session");
        assert_eq!(content(daemon, next).await, "two");
        let pooled = daemon.session_by(AcquireSource::Pool, &small()).await;
        assert_eq!(content(daemon, pooled).await, "two");
        for id in first {
            until("nothing of it is left", async || daemon.leaks(Some(&id)).is_empty()).await;
        }
        daemon.idle_until(1).await;
    });
}

#[test]
fn an_image_that_only_the_pool_uses_can_be_removed() {
    with_config("pool: {enabled: true, images: {small: 1}, max: 0}\n", async |daemon| {
        let layers = || fs::read_dir(daemon.data_dir().join("layers")).expect("a directory").count();
        let before = layers();
        import(daemon, "one");
        let idle = daemon.idle_until(1).await;
        daemon.raw().delete("/v1/images/small").await.ok(200);
        assert_eq!(layers(), before, "nothing stood on its layers any more");
        assert!(idle.iter().all(|id| daemon.leaks(Some(id)).is_empty()));
        import(daemon, "two");
        daemon.idle_until(1).await;
        let removed = daemon.command(&["image", "rm", "small"]).output().expect("the binary runs");
        assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
        daemon.idle_until(0).await;
        daemon.raw().post("/v1/sessions", &json!({"image": "small"})).await.refused(400, "INVALID_IMAGE");
    });
}

#[test]
fn where_only_some_sessions_have_a_workspace_those_are_made_for_it() {
    let workspaces = "workspace: {enabled: true, min_free_mb: 0}\n";
    with_config(&format!("{}{workspaces}", pool_of(1)), async |daemon| {
        daemon.idle_until(1).await;
        let answer = daemon.raw().post("/v1/sessions", &json!({"workspace_id": "user-1"})).await.ok(201);
        assert_eq!((&answer["acquire_source"], &answer["workspace_id"]), (&json!("cold"), &json!("user-1")));
        assert_eq!(daemon.idle_sandboxes().await.len(), 1, "it is still there for others");
    });
}

const EVERYWHERE: &str = "workspace: {enabled: true, persist_by_default: true, min_free_mb: 0}\n";

fn on(workspace: &str) -> CreateSessionRequest {
    CreateSessionRequest { workspace_id: Some(workspace.to_owned()), ..CreateSessionRequest::default() }
}

/// What is below the directory of workspaces.
fn kept(daemon: &TestDaemon, place: &str) -> Vec<String> {
    let directory = daemon.data_dir().join("workspaces").join(place);
    let entries = fs::read_dir(directory).expect("listed").map(|entry| entry.expect("an entry").file_name());
    entries.map(|name| name.to_string_lossy().into_owned()).collect()
}

#[test]
fn where_every_session_has_a_workspace_the_pool_has_one_for_each() {
    with_config(&format!("{}{EVERYWHERE}", pool_of(1)), async |daemon| {
        daemon.idle_until(1).await;
        let raw = daemon.raw();
        assert_eq!(raw.get("/v1/workspaces").await.ok(200)["workspaces"], json!([]), "it has no name yet");
        let request = CreateSessionRequest::default();
        let pooled = daemon.session_by(AcquireSource::Pool, &request).await;
        assert_eq!(pooled.workspace_id.as_ref().map(ToString::to_string), Some(pooled.id.to_string()));
        let cold = daemon.session_by(AcquireSource::Cold, &request).await;
        let ids = |seen: String, session: &Session| seen.replace(session.id.as_str(), "<id>");
        let (of_pooled, of_cold) = (world(daemon, &pooled).await, world(daemon, &cold).await);
        assert_eq!(ids(of_pooled.0, &pooled), ids(of_cold.0, &cold), "mounts included");
        let inside = TestSession { id: pooled.id.clone(), client: daemon.client() };
        inside.exec("echo kept > file").await;
        let path = format!("/v1/workspaces/{}", pooled.id);
        raw.delete(&path).await.refused(409, "WORKSPACE_IN_USE");
        inside.destroy().await;
        let next = daemon.client().create_session(&on(pooled.id.as_str())).await.expect("a session");
        assert_eq!(next.acquire_source, AcquireSource::Cold, "that workspace is there already");
        let next = TestSession { id: next.id, client: daemon.client() };
        assert_eq!(next.output("cat file").await, "kept");
        next.destroy().await;
        raw.delete(&path).await.ok(200);
    });
}

#[test]
fn a_workspace_of_the_pool_gets_any_name_that_is_free_and_only_one_session_makes_it() {
    with_config(&format!("{}{EVERYWHERE}", pool_of(4)), async |daemon| {
        daemon.idle_until(4).await;
        for round in 0..5 {
            let name = format!("user-{round}");
            let creates: Vec<_> = (0..4)
                .map(|_| {
                    let (client, request) = (daemon.client(), on(&name));
                    tokio::spawn(async move { client.create_session(&request).await.expect("a session") })
                })
                .collect();
            let mut sessions = Vec::new();
            for create in creates {
                let session = create.await.expect("an answer");
                assert_eq!(session.workspace_id.as_ref().map(ToString::to_string), Some(name.clone()));
                sessions.push(TestSession { id: session.id, client: daemon.client() });
            }
            for session in &sessions {
                session.exec(&format!("echo {} >> all", session.id)).await;
            }
            assert_eq!(sessions[0].output("wc -l < all").await, "4", "all of them share it");
            for session in sessions {
                session.destroy().await;
            }
            daemon.idle_until(4).await;
        }
        let idle = daemon.idle_until(4).await;
        daemon.kill_and_restart();
        assert_eq!(daemon.idle_until(4).await, idle, "with their workspaces");
        until("only theirs are there", async || kept(daemon, ".idle").len() == 4).await;
        let pooled = daemon.session_by(AcquireSource::Pool, &on("user-9")).await;
        assert!(idle.contains(pooled.id.as_str()));
        daemon.idle_until(4).await;
        daemon.terminate();
        assert_eq!(kept(daemon, ".idle"), [""; 0]);
        assert!(kept(daemon, ".locks").iter().all(|name| !name.starts_with('.')));
        daemon.start_again();
    });
}

#[test]
fn the_pool_takes_no_place_from_sessions() {
    with_config(&format!("{}max_sessions: 2\n", pool_of(2)), async |daemon| {
        daemon.idle_until(2).await;
        import(daemon, "one");
        // Of an image that is not in the pool: the places of idle ones are free for it.
        let other = daemon.client().create_session(&small()).await.expect("a session");
        assert_eq!(other.acquire_source, AcquireSource::Cold);
        assert!(daemon.idle_sandboxes().await.len() <= 1, "there are no more than two in all");
        daemon.session_by(AcquireSource::Pool, &CreateSessionRequest::default()).await;
        daemon.raw().post("/v1/sessions", &json!({})).await.refused(429, "LIMIT_EXCEEDED");
        daemon.idle_until(0).await;
        daemon.client().destroy_session(&other.id).await.expect("destroyed");
        daemon.idle_until(1).await;
    });
}

#[test]
fn more_are_kept_ready_where_more_are_asked_for() {
    with_config("pool: {enabled: true, images: {host: 1}, max: 3}\n", async |daemon| {
        daemon.idle_until(1).await;
        let mut cold = 0;
        for _ in 0..40 {
            let session = daemon.client().create_session(&CreateSessionRequest::default()).await;
            let session = session.expect("a session");
            cold += u32::from(session.acquire_source == AcquireSource::Cold);
            daemon.client().destroy_session(&session.id).await.expect("destroyed");
            if cold >= 2 {
                break;
            }
        }
        assert_eq!(cold, 2, "a pool of one cannot keep up");
        daemon.idle_until(3).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(daemon.idle_sandboxes().await.len(), 3, "no more than the bound");
    });
}

#[test]
fn what_runs_in_one_session_reaches_no_idle_sandbox() {
    with_config(&pool_of(2), async |daemon| {
        let idle = daemon.idle_until(2).await;
        let hostile = daemon.session_by(AcquireSource::Pool, &CreateSessionRequest::default()).await;
        let inside = TestSession { id: hostile.id, client: daemon.client() };
        let seen: Value = serde_json::from_str(
            &inside
                .python(
                    r#"
import json, os, socket
names = open('/proc/net/unix').read()
mounts = open('/proc/self/mountinfo').read()
pids = [p for p in os.listdir('/proc') if p.isdigit()]
hosts = [open(f'/proc/{p}/cmdline').read() for p in pids]
print(json.dumps([names, mounts, ' '.join(os.listdir('/run')), ' '.join(hosts)]))"#,
                )
                .await,
        )
        .expect("JSON");
        for id in idle.iter().filter(|id| id.as_str() != inside.id.as_str()) {
            assert!(!seen.to_string().contains(id.as_str()), "{id} is to be seen: {seen}");
        }
        inside.exec("kill -9 -1; kill -9 1; for i in $(seq 2 5000); do kill -9 $i; done").await;
        inside.exec("head -c 600M /dev/zero | tail").await;
        let next = daemon.session_by(AcquireSource::Pool, &CreateSessionRequest::default()).await;
        assert!(idle.contains(next.id.as_str()), "the other one is as it was");
        let next = TestSession { id: next.id, client: daemon.client() };
        assert_eq!(next.output("ls -A /tmp /workspace; echo alive").await, "/tmp:\n\n/workspace:\nalive");
    });
}
