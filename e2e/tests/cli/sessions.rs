//! `create`, `ps`, `stats`, `rm`.

use sandkasten_e2e::with_daemon;
use serde_json::Value;

use crate::outcome::Outcome;

#[test]
fn a_session_is_made_listed_measured_and_destroyed() {
    with_daemon(async |daemon| {
        assert_eq!(Outcome::output(daemon, &["ps", "-q"]), "");
        assert_eq!(json(&Outcome::output(daemon, &["ps", "--json"])), serde_json::json!([]));
        let id = Outcome::output(daemon, &["create"]);
        assert!(id.parse::<sandkasten_api::id::SessionId>().is_ok(), "only the id: {id}");
        let other = json(&Outcome::output(daemon, &["create", "--json", "--ttl", "60", "--image", "host"]));
        let other = other["id"].as_str().expect("an id");
        assert_eq!(Outcome::output(daemon, &["ps", "-q"]), format!("{id}\n{other}"));
        let listed = json(&Outcome::output(daemon, &["ps", "--json"]));
        assert_eq!(listed[1]["id"], other);
        let table = Outcome::output(daemon, &["ps"]);
        assert!(table.lines().count() == 3 && table.contains(&id) && table.contains("running"), "{table}");
        assert!(!table.contains('\u{1b}'), "no colour without a terminal: {table}");

        let one = json(&Outcome::output(daemon, &["stats", &id, "--json"]));
        assert_eq!((&one["id"], &one["memory_limit"]), (&Value::from(id.as_str()), &Value::from(512 << 20)));
        let all = json(&Outcome::output(daemon, &["stats", "--json"]));
        assert_eq!(all.as_array().map(Vec::len), Some(2));
        assert_eq!(Outcome::output(daemon, &["stats", "-q"]), format!("{id}\n{other}"));
        assert!(Outcome::output(daemon, &["stats", &id]).contains("MiB"));

        assert_eq!(Outcome::output(daemon, &["rm", &id, other]), format!("{id}\n{other}"));
        assert_eq!(Outcome::output(daemon, &["ps", "-q"]), "");
        Outcome::of(daemon, &["rm", &id]).failed(4, &[&id, "why:", "try:"]);
        Outcome::of(daemon, &["stats", "0123abcd-ef01"]).failed(4, &["0123abcd-ef01"]);
    });
}

#[test]
fn refusals_are_told_apart_by_their_exit_status() {
    with_daemon(async |daemon| {
        for words in
            [&["frobnicate"][..], &["rm"], &["rm", "no id"], &["ps", "--nonsense"], &["create", "--ttl", "0"]]
        {
            Outcome::of(daemon, words).failed(2, &[]);
        }
        Outcome::of(daemon, &["ps", "--url", "http://127.0.0.1:1"])
            .failed(3, &["127.0.0.1:1", "why:", "try:"]);
        Outcome::of(daemon, &["ps", "--url", "unix:/nowhere.sock"]).failed(3, &["/nowhere.sock"]);
        Outcome::of(daemon, &["ps", "--api-key", "wrong"]).failed(4, &["key", "try:"]);
        let missing = Outcome::of(daemon, &["create", "--image", "no-such-image"]);
        missing.failed(4, &["no-such-image", "image list"]);
        // Without an address it is found by the configuration.
        let config = daemon.config().to_string_lossy().into_owned();
        let port = daemon.url().rsplit(':').next().unwrap_or_default().to_owned();
        let mut by_file = daemon.command(&["ps", "-q", "--config", &config]);
        by_file.env_remove("SANDKASTEN_URL").env_remove("SANDKASTEN_API_KEY");
        by_file.env("SANDKASTEN_LISTEN", format!("127.0.0.1:{port}"));
        let outcome = Outcome::from(by_file);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    });
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn sessions_are_called_by_name_and_found_by_label() {
    with_daemon(async |daemon| {
        let builder = Outcome::output(daemon, &["create", "--name", "builder", "-l", "team=core", "-l", "x"]);
        let web = Outcome::output(daemon, &["create", "--label", "team=web"]);
        assert_eq!(Outcome::output(daemon, &["exec", "builder", "--", "echo", "hello"]), "hello");
        assert_eq!(json(&Outcome::output(daemon, &["stats", "builder", "--json"]))["id"], builder.as_str());
        Outcome::of(daemon, &["create", "--name", "builder"]).failed(4, &["builder", &builder]);
        for (words, expected) in [
            (&["--label", "team"][..], format!("{builder}\n{web}")),
            (&["--label", "team=web"], web.clone()),
            (&["--label", "team", "--label", "x"], builder.clone()),
            (&["--filter", "name=builder"], builder.clone()),
            (&["--filter", "image=host", "--filter", "status=running"], format!("{builder}\n{web}")),
            (&["--filter", "status=crashed"], String::new()),
        ] {
            assert_eq!(Outcome::output(daemon, &[&["ps", "-q"], words].concat()), expected, "{words:?}");
        }
        assert!(Outcome::output(daemon, &["ps"]).contains("builder"));
        // A name is free again behind its session.
        let run = ["run", "--name", "brief", "--label", "team=run", "--", "echo", "ran"];
        assert_eq!(Outcome::output(daemon, &run), "ran");
        assert_eq!(Outcome::output(daemon, &run), "ran");
        assert_eq!(Outcome::output(daemon, &["rm", "builder"]), "builder");
        for words in [&["rm", "builder"][..], &["exec", "builder", "--", "true"], &["stats", "builder"]] {
            Outcome::of(daemon, words).failed(4, &["builder", "try:"]);
        }
        assert_eq!(Outcome::output(daemon, &["ps", "-q"]), web);
        let ended = Outcome::output(daemon, &["ps", "--all"]);
        assert_eq!(ended.lines().filter(|line| line.contains("destroyed")).count(), 3, "{ended}");
    });
}
