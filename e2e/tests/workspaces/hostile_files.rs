//! What code in a session leaves in its workspace for the daemon to trip over.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use sandkasten_e2e::{patience, with_config};
use serde_json::json;

use crate::ENABLED;
use crate::calls::Calls;

/// How long each part of the race is run.
const RACE: Duration = Duration::from_secs(4);
/// And at most, on a machine that has something else to do or is emulated.
const SLOW_RACE: Duration = Duration::from_secs(60);

/// A file of the host that anybody may change who gets there, and everything beside it.
struct Outside(tempfile::TempDir);

impl Outside {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("e2e-outside-").tempdir().expect("a directory");
        fs::write(directory.path().join("x"), "secret").expect("written");
        for path in [directory.path().join("x"), directory.path().to_owned()] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("a mode");
        }
        Self(directory)
    }

    fn path(&self) -> String {
        self.0.path().to_string_lossy().into_owned()
    }

    fn assert_untouched(&self) {
        assert_eq!(fs::read_to_string(self.0.path().join("x")).expect("there"), "secret");
        assert_eq!(fs::read_dir(self.0.path()).expect("listed").count(), 1);
    }
}

#[test]
fn links_of_all_kinds_lead_out_of_no_workspace() {
    with_config(ENABLED, async |daemon| {
        let (raw, outside) = (daemon.raw(), Outside::new());
        let session = daemon.session_on("user-1").await;
        daemon.session_on("other").await.output("echo secret > x").await;
        let target = outside.path();
        session
            .output(&format!(
                "ln -s {target} absolute; ln -s ../../../../../../../..{target} climbing; ln -s ../other sibling; \
                 ln -s /proc/1/root{target} supervisor; ln -s /proc/self/cwd magic; ln -s / root; ln -s .. up; \
                 ln -s ../.locks locks; ln -s loop loop; ln -s {target}/x file; ln -s ../other/x neighbour"
            ))
            .await;
        let links = ["absolute", "climbing", "sibling", "supervisor", "magic", "root", "up", "locks", "loop"];
        let below = [
            format!("root{target}/x"),
            format!("up/..{target}/x"),
            "up/other/x".to_owned(),
            "magic/../x".to_owned(),
        ];
        let paths = links
            .iter()
            .map(|link| format!("{link}/x"))
            .chain(below)
            .chain(["file".into(), "neighbour".into()]);
        for path in paths {
            let read = raw.get(&format!("/v1/workspaces/user-1/fs/read?path={path}")).await;
            // Where a link leads inside, an earlier write may have made a file.
            let inside = read.status == 200 && read.json()["content_base64"] == "Y2hhbmdlZA==";
            assert!(inside || (400..500).contains(&read.status), "{path}: {}", read.text);
            let written =
                raw.post("/v1/workspaces/user-1/fs/write", &json!({"path": path, "text": "changed"})).await;
            assert!(written.status < 500, "{path}: {}", written.text);
            outside.assert_untouched();
        }
        let calls = Calls::of(daemon, "user-1");
        for link in links {
            through(&calls, link, &outside).await;
            let listed = raw.get(&format!("/v1/workspaces/user-1/fs?path={link}")).await;
            assert!(!listed.text.contains("user-1") && listed.status < 500, "{link}: {}", listed.text);
        }
        let neighbour = daemon.data_dir().join("workspaces/other");
        assert_eq!(fs::read_to_string(neighbour.join("x")).expect("there"), "secret\n");
        assert_eq!(fs::read_dir(neighbour).expect("listed").count(), 1);
        session.destroy().await;
        assert_eq!(raw.delete("/v1/workspaces/user-1").await.status, 200);
        outside.assert_untouched();
    });
}

/// Sends every call by way of a link, as the path itself and as a directory above it. What they answer does not matter where
/// nothing is told of the outside and nothing has happened there.
async fn through(calls: &Calls, link: &str, outside: &Outside) {
    let inside = format!("{link}/x");
    let mut answers = Vec::new();
    for path in [link, &inside] {
        for call in ["list", "stat", "raw", "archive"] {
            answers.push(calls.get(&format!("{call}?path={path}")).await);
        }
        answers.push(calls.post("search", json!({"path": path, "literal": "e"})).await);
        answers.push(calls.post("copy", json!({"from": path, "to": "copied", "overwrite": true})).await);
        answers.push(calls.get("raw?path=copied").await);
        answers.push(calls.post("copy", json!({"from": "made", "to": path})).await);
        answers.push(calls.post("chmod", json!({"path": path, "mode": "0711"})).await);
        let edit = json!({"path": path, "edits": [{"old": "secret", "new": "changed"}]});
        answers.push(calls.post("edit", edit).await);
        answers.push(calls.post("mkdir", json!({"path": format!("{path}/made"), "parents": true})).await);
        answers.push(calls.put(&format!("archive?path={path}"), crate::archive(&[("made", "made")])).await);
        answers.push(calls.put(&format!("raw?path={path}/made"), "made").await);
        outside.assert_untouched();
    }
    answers.push(calls.remove(&inside).await);
    for answer in answers {
        assert!(answer.status < 500 && !answer.text.contains("secret"), "{link}: {}", answer.text);
    }
    outside.assert_untouched();
}

#[test]
fn what_is_no_file_is_answered_at_once_and_hard_links_are_no_way_into_another_file() {
    with_config(ENABLED, async |daemon| {
        let raw = daemon.raw();
        let session = daemon.session_on("user-1").await;
        session
            .output(
                "mkfifo fifo; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")'; mkdir d; \
                 echo old > one; ln one two; truncate -s 1T sparse; echo x > closed; chmod 000 closed",
            )
            .await;
        let begun = Instant::now();
        for name in ["fifo", "socket", "d", "closed"] {
            let read = raw.get(&format!("/v1/workspaces/user-1/fs/read?path={name}")).await;
            assert!(!read.message(400, "INVALID_REQUEST").is_empty(), "{name}");
        }
        for name in ["fifo", "socket", "d"] {
            let body = json!({"path": name, "text": "x"});
            let written = raw.post("/v1/workspaces/user-1/fs/write", &body).await;
            assert!(!written.message(400, "INVALID_REQUEST").is_empty(), "{name}");
        }
        let calls = Calls::of(daemon, "user-1");
        for name in ["fifo", "socket"] {
            assert!(
                !calls.get(&format!("raw?path={name}")).await.message(409, "NOT_REGULAR_FILE").is_empty()
            );
            let written = calls.put(&format!("raw?path={name}"), "x").await;
            assert!(!written.message(409, "NOT_REGULAR_FILE").is_empty());
            let copied = calls.post("copy", json!({"from": name, "to": "copy"})).await;
            assert!(!copied.message(409, "NOT_REGULAR_FILE").is_empty());
            assert_eq!(calls.get(&format!("stat?path={name}")).await.ok(200)["type"], name);
        }
        assert!(!calls.get("raw?path=closed").await.message(403, "PERMISSION_DENIED").is_empty());
        assert_eq!(calls.post("search", json!({"literal": "nowhere"})).await.ok(200)["matches"], json!([]));
        let part = raw.get("/v1/workspaces/user-1/fs/read?path=sparse&max_bytes=9").await.ok(200);
        assert_eq!(part["truncated"], true);
        let listed = raw.get("/v1/workspaces").await.ok(200);
        assert!(
            listed["workspaces"][0]["size_bytes"].as_u64().is_some_and(|bytes| bytes < 1 << 20),
            "{listed}"
        );
        assert!(begun.elapsed() < Duration::from_secs(5));
        let body = json!({"path": "one", "text": "new"});
        assert_eq!(raw.post("/v1/workspaces/user-1/fs/write", &body).await.status, 200);
        assert_eq!(session.output("cat one two").await, "newold");
    });
}

#[test]
fn a_directory_that_is_swapped_for_a_link_leads_nowhere() {
    with_config(ENABLED, async |daemon| {
        let outside = Outside::new();
        let session = daemon.session_on("user-1").await;
        let program = "\
import ctypes, os, sys
libc = ctypes.CDLL(None)
os.makedirs('d')
open('d/x', 'w').write('inside')
os.symlink(sys.argv[1], 'l')
os.symlink('../../../../../..' + sys.argv[1], 'c')
open('ready', 'w').close()
flips = 0
while True:
    for other in (b'l', b'c'):
        flips += libc.renameat2(-100, b'd', -100, other, 2) == 0
        flips += libc.renameat2(-100, b'd', -100, other, 2) == 0
    if flips % 1000 == 0: open('count', 'w').write(str(flips))";
        session.client.write_file(&session.id, "swap.py", program.as_bytes()).await.expect("written");
        let calls = Calls::of(daemon, "user-1");
        let _swapping = session.stream(&format!("python3 swap.py {}", outside.path())).await;
        let raw = daemon.raw();
        let ready = Instant::now() + patience(Duration::from_secs(30));
        while raw.get("/v1/workspaces/user-1/fs/read?path=ready").await.status != 200 {
            assert!(Instant::now() < ready, "the race did not begin");
        }
        let is_over =
            |began: Instant, is_enough| began.elapsed() >= if is_enough { RACE } else { patience(SLOW_RACE) };
        let (mut read, mut written, began) = (0, 0, Instant::now());
        while !is_over(began, read > 20 && written > 20) {
            for path in ["d/x", "l/x", "c/x"] {
                let answer = raw.get(&format!("/v1/workspaces/user-1/fs/read?path={path}")).await;
                assert!(answer.status < 500, "{}", answer.text);
                if answer.status == 200 {
                    let content = answer.json()["content_base64"].clone();
                    assert!(
                        ["aW5zaWRl", "d3JpdHRlbg=="].contains(&content.as_str().unwrap_or_default()),
                        "{content}"
                    );
                    read += 1;
                }
                for path in [path.to_owned(), path.replace('x', "new/y")] {
                    let body = json!({"path": path, "text": "written"});
                    let answer = raw.post("/v1/workspaces/user-1/fs/write", &body).await;
                    assert!(answer.status < 500, "{}", answer.text);
                    written += u32::from(answer.status == 200);
                }
                let answer = raw.get("/v1/workspaces/user-1/fs?path=d").await;
                assert!(answer.status < 500 && !answer.text.contains("secret"), "{}", answer.text);
            }
        }
        let (mut done, began) = (0, Instant::now());
        while !is_over(began, done > 20) {
            for answer in [
                calls
                    .put("archive?path=d/new", crate::archive(&[("a/y", "written"), ("x", "written")]))
                    .await,
                calls.put("raw?path=d/new/x", "written").await,
                calls.post("search", json!({"path": "d", "literal": "secret"})).await,
                calls.post("copy", json!({"from": "d/x", "to": "d/z", "overwrite": true})).await,
                calls.post("chmod", json!({"path": "d/x", "mode": "0777"})).await,
                calls.remove("d/new").await,
            ] {
                assert!(answer.status < 500, "{}", answer.text);
                assert!(!answer.text.contains("\"line\""), "the secret is outside: {}", answer.text);
                done += u32::from(answer.status == 200);
            }
        }
        let listed = raw.get("/v1/workspaces").await;
        assert_eq!(listed.status, 200);
        outside.assert_untouched();
        let flips = session.client.read_file(&session.id, "count", None).await.expect("a count").0;
        println!(
            "{read} reads, {written} writes and {done} other calls against {} swaps",
            String::from_utf8_lossy(&flips)
        );
        assert!(read > 20 && written > 20 && done > 20);
    });
}
