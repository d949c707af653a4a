//! The configuration of the security guide, to the letter.

use std::fs;

use sandkasten_api::session::CreateSessionRequest;
use sandkasten_client::Client;
use sandkasten_e2e::{DetachedDaemon, RawApi, RootArchive, TestSession, with_detached};

use crate::outcome::Outcome;

pub(crate) const GUIDE: &str = include_str!("security_guide.yaml");
/// The key that the guide shows.
const KEY: &str = "sk-replace-with-long-random-secret";

/// A command with the guide's file and everything in it that is a place moved elsewhere.
fn of_guide(daemon: &DetachedDaemon, words: &[&str], listen: &str) -> Outcome {
    let mut command = daemon.command(words);
    command
        .env("SANDKASTEN_DATA_DIR", daemon.data_dir())
        .env("SANDKASTEN_DB_PATH", daemon.data_dir().join("sandkasten.db"))
        .env("SANDKASTEN_LISTEN", listen);
    command.into()
}

#[test]
fn the_configuration_of_the_security_guide_works_as_written() {
    with_detached("", async |daemon| {
        let own = fs::read_to_string(daemon.config()).expect("read");
        daemon.configure(Some(GUIDE));
        let checked = Outcome::from(daemon.run(&["config", "check"]));
        assert_eq!(checked.code, Some(0), "{checked:?}");
        assert!(checked.stderr.contains("example of the security guide"), "{checked:?}");

        let archive = RootArchive::of_programs(&["cat", "touch"]);
        let path = archive.path().to_string_lossy().into_owned();
        let imported =
            of_guide(daemon, &["image", "import", "--name", "python", "--tar", &path], "127.0.0.1:0");
        assert_eq!(imported.code, Some(0), "{imported:?}");
        let started = of_guide(daemon, &["daemon", "--detach"], "127.0.0.1:0");
        assert_eq!(started.code, Some(0), "{started:?}");
        for said in [&started.stderr, &daemon.log()] {
            assert!(said.contains("example of the security guide") && !said.contains(KEY), "{said}");
        }
        // From here on, what looks for the daemon looks where it is.
        daemon.configure(Some(&own.replace(sandkasten_e2e::API_KEY, KEY)));
        let url = daemon.url();
        assert_eq!(RawApi::new(url.clone(), None).get("/v1/sessions").await.status, 401);
        let client = Client::new(url.parse().expect("a URL"), Some(KEY)).expect("a client");
        let session = client.create_session(&CreateSessionRequest::default()).await.expect("a session");
        assert_eq!(session.image, "python");
        let session = client.get_session(&session.id).await.expect("a session");
        assert!(session.isolation.as_ref().is_some_and(|found| found.readonly_rootfs), "{session:?}");
        let stats = client.session_stats(&session.id).await.expect("stats");
        assert_eq!((stats.memory_limit, stats.cpu_limit_millis, stats.pids_limit), (512 << 20, 1000, 256));
        let session = TestSession { id: session.id, client: client.clone() };
        assert_eq!(session.output("cat /etc/made-for-a-test").await, "yes");
        assert_ne!(session.exec("touch /etc/new").await.exit_code, 0);
        session.destroy().await;
        // What is not in allowed_images is refused.
        let other =
            CreateSessionRequest { image: Some("host".to_owned()), ..CreateSessionRequest::default() };
        assert!(client.create_session(&other).await.is_err());
        assert_eq!(Outcome::from(daemon.run(&["stop"])).code, Some(0));
    });
}

#[test]
fn no_daemon_opens_to_other_hosts_with_the_key_of_the_guide() {
    with_detached("", async |daemon| {
        daemon.configure(Some(GUIDE));
        for words in [&["daemon"][..], &["daemon", "-d"], &["config", "check"]] {
            let refused = of_guide(daemon, words, "0.0.0.0:0");
            refused.failed(2, &["security guide", "openssl rand"]);
            assert!(!refused.stderr.contains(KEY), "{refused:?}");
        }
    });
}
