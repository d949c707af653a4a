//! `fs/archive`: directories as tar, both ways.

use reqwest::Method;
use sandkasten_e2e::{Answer, TestDaemon, TestSession, with_daemon};
use tar::{Builder, EntryType, Header};

fn route(session: &TestSession, query: &str) -> String {
    format!("/v1/sessions/{}/fs/archive?path={query}", session.id)
}

async fn get(daemon: &TestDaemon, session: &TestSession, query: &str) -> Vec<u8> {
    let response = daemon.raw().request(Method::GET, &route(session, query)).send().await.expect("sent");
    assert_eq!(response.status(), 200);
    response.bytes().await.expect("whole").to_vec()
}

async fn put(daemon: &TestDaemon, session: &TestSession, query: &str, archive: Vec<u8>) -> Answer {
    Answer::to(daemon.raw().request(Method::PUT, &route(session, query)).body(archive)).await
}

/// An archive of entries whose names are taken as they are.
fn archive(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, name, content) in entries {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o4755);
        let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
        if is_link {
            header.set_link_name_literal(content).expect("a short target");
        }
        header.set_size(if is_link { 0 } else { content.len() as u64 });
        header.set_cksum();
        builder.append(&header, if is_link { &b""[..] } else { content.as_bytes() }).expect("appended");
    }
    builder.into_inner().expect("finished")
}

#[test]
fn a_directory_comes_back_as_it_went() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let long = "n".repeat(150);
        session
            .output(&format!(
                "mkdir -p a/b/{long} a/closed; echo one > a/b/one; chmod 750 a/b/one; echo deep > a/b/{long}/{long}; \
                 ln -s /etc/passwd a/link; mkfifo a/fifo; head -c 3000000 /dev/urandom > a/random; touch -d 2024-01-02 a/b/one; chmod 500 a/closed"
            ))
            .await;
        for format in ["tar", "tar.zst"] {
            let archive = get(daemon, &session, &format!("a&format={format}")).await;
            let answer =
                put(daemon, &session, &format!("new/{format}&format={format}"), archive).await.ok(200);
            assert_eq!((&answer["entries"], &answer["bytes"]), (&7.into(), &3_000_009.into()));
            let compared = format!(
                "rm -f a/fifo; diff -r --no-dereference a new/{format}; stat -c '%a %u' new/{format}/b/one new/{format}/closed; readlink new/{format}/link"
            );
            assert_eq!(session.output(&compared).await, "750 1000\n500 1000\n/etc/passwd");
        }
        let plain = get(daemon, &session, "a").await;
        session.client.write_file(&session.id, "a.tar", &plain).await.expect("written");
        assert_eq!(
            session.output("tar -tvf a.tar | grep one | tr -s ' ' | cut -d ' ' -f 1-5").await,
            "-rwxr-x--- 1000/1000 4 2024-01-02 00:00"
        );
    });
}

#[test]
fn hostile_archives_are_refused_and_reach_nothing() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session
            .output("mkdir in out; echo kept > out/file; ln -s ../out in/there; ln -s ../out/file in/alias")
            .await;
        let file = EntryType::Regular;
        for (entries, status, code) in [
            (vec![(file, "../out/new", "x")], 400, "INVALID_REQUEST"),
            (vec![(file, "a/../../out/new", "x")], 400, "INVALID_REQUEST"),
            (vec![(EntryType::Char, "null", "")], 400, "INVALID_REQUEST"),
            (vec![(EntryType::Fifo, "pipe", "")], 400, "INVALID_REQUEST"),
            (vec![(EntryType::Link, "hard", "/etc/passwd")], 400, "INVALID_REQUEST"),
            (vec![(file, "there/new", "x")], 409, "NOT_DIRECTORY"),
            (vec![(EntryType::Directory, "there", "")], 409, "NOT_DIRECTORY"),
            (vec![(file, "alias", "x")], 409, "NOT_REGULAR_FILE"),
            (vec![(EntryType::Symlink, "up", "../out"), (file, "up/new", "x")], 409, "NOT_DIRECTORY"),
            (vec![], 400, "INVALID_REQUEST"),
        ] {
            let answer = put(daemon, &session, "in", archive(&entries)).await;
            assert!(!answer.message(status, code).is_empty());
        }
        // An absolute name is one below the directory, and no bit but those of permission is taken.
        assert_eq!(put(daemon, &session, "in", archive(&[(file, "/tmp/abs", "x")])).await.status, 200);
        assert_eq!(
            session.output("stat -c %a in/tmp/abs; ls /tmp; ls out; cat out/file").await,
            "755\nfile\nkept"
        );
        for bytes in
            [b"no archive at all".repeat(100), archive(&[(file, "a", &"x".repeat(5_000))])[..2_000].to_vec()]
        {
            assert!(!put(daemon, &session, "cut", bytes).await.message(400, "INVALID_REQUEST").is_empty());
        }
        assert_eq!(session.output("ls -A cut").await, "");
        for (query, status, code) in [
            ("none", 404, "FILE_NOT_FOUND"),
            ("out/file", 409, "NOT_DIRECTORY"),
            ("out&format=zip", 400, "INVALID_REQUEST"),
            ("/etc", 400, "INVALID_REQUEST"),
        ] {
            assert!(
                !daemon.raw().get(&route(&session, query)).await.message(status, code).is_empty(),
                "{query}"
            );
        }
    });
}

#[test]
fn a_bomb_ends_where_the_workspace_is_full() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.output("mkdir zeros; head -c 30000000 /dev/zero > zeros/0").await;
        let bomb = get(daemon, &session, "zeros&format=tar.zst").await;
        assert!(bomb.len() < 100_000, "{} bytes", bomb.len());
        let mut status = 200;
        for round in 0..100 {
            let answer = put(daemon, &session, &format!("to/{round}&format=tar.zst"), bomb.clone()).await;
            status = answer.status;
            if status != 200 {
                assert!(!answer.message(507, "NO_SPACE").is_empty());
                break;
            }
        }
        assert_eq!(status, 507);
        assert_eq!(
            session.output("find to -size -30000000c -type f").await,
            "",
            "no half of a file is there"
        );
    });
}
