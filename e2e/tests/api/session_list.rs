//! `GET /v1/sessions` with conditions and in pages; names and labels of sessions.

use std::collections::BTreeMap;

use sandkasten_client::SessionFilter;
use sandkasten_e2e::{TestDaemon, with_config, with_daemon};
use serde_json::{Value, json};

#[test]
fn a_session_shows_its_name_and_labels_and_is_found_by_them() {
    with_config("workspace:\n  enabled: true", async |daemon| {
        let create = async |body: Value| id(&daemon.raw().post("/v1/sessions", &body).await.ok(201));
        let odd = "a=b&c d%20ü";
        let builder = create(json!({"name": "builder", "labels": {"team": "core", "x.y/z": odd}})).await;
        let web = create(json!({"name": "web", "labels": {"team": "web"}, "workspace_id": "shared"})).await;
        let plain = create(json!({})).await;
        let shown = daemon.raw().get(&format!("/v1/sessions/{builder}")).await.ok(200);
        assert_eq!(
            (&shown["name"], &shown["labels"]),
            (&json!("builder"), &json!({"team": "core", "x.y/z": odd}))
        );
        let listed = daemon.raw().get("/v1/sessions").await.ok(200);
        assert_eq!((&listed[2]["labels"], listed[2].get("name")), (&json!({}), None));
        for (query, expected) in [
            ("", vec![&builder, &web, &plain]),
            ("?label=team", vec![&builder, &web]),
            ("?label=team%3Dcore", vec![&builder]),
            ("?label=team=core&label=x.y/z", vec![&builder]),
            ("?label=team=core&label=team=web", vec![]),
            ("?label=x.y/z=a%3Db%26c%20d%2520%C3%BC", vec![&builder]),
            ("?label=team=", vec![]),
            ("?name=web", vec![&web]),
            ("?name=none", vec![]),
            ("?workspace_id=shared", vec![&web]),
            ("?image=host&label=team", vec![&builder, &web]),
            ("?image=other", vec![]),
            ("?status=running", vec![&builder, &web, &plain]),
            ("?status=destroyed&status=crashed", vec![]),
        ] {
            let found = daemon.raw().get(&format!("/v1/sessions{query}")).await;
            assert_eq!(ids(&found.ok(200)).iter().collect::<Vec<_>>(), expected, "{query}");
            assert!(found.headers.get("link").is_none(), "{query}");
        }
        assert_eq!(daemon.raw().delete(&format!("/v1/sessions/{web}")).await.status, 200);
        for (query, expected) in [
            ("?label=team", vec![&builder]),
            ("?status=destroyed", vec![&web]),
            ("?status=all", vec![&builder, &web, &plain]),
            ("?status=all&label=team&name=web", vec![&web]),
        ] {
            let found = ids(&daemon.raw().get(&format!("/v1/sessions{query}")).await.ok(200));
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
        }
    });
}

#[test]
fn pages_are_whole_and_without_repetition_while_sessions_come_and_go() {
    with_daemon(async |daemon| {
        let mut all = Vec::new();
        for _ in 0..7 {
            all.push(daemon.session().await.id.to_string());
        }
        for ended in [1, 4] {
            assert_eq!(daemon.raw().delete(&format!("/v1/sessions/{}", all[ended])).await.status, 200);
        }
        let pages = pages(daemon, "/v1/sessions?status=all&limit=3", async || ()).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
        assert_eq!(pages.concat(), all);
        // What the first page showed ends, and more come: the rest is what it was.
        let mut made = Vec::new();
        let live: Vec<String> = [0, 2, 3, 5, 6].map(|index| all[index].clone()).to_vec();
        let seen = {
            let made = &mut made;
            self::pages(daemon, "/v1/sessions?limit=2", async || {
                if made.is_empty() {
                    assert_eq!(daemon.raw().delete(&format!("/v1/sessions/{}", all[2])).await.status, 200);
                    made.push(daemon.session().await.id.to_string());
                }
            })
            .await
            .concat()
        };
        assert_eq!(seen, [live, made].concat());
        let filter = SessionFilter { page: Some(2), ..SessionFilter::default() };
        assert_eq!(daemon.client().find_sessions(&filter).await.expect("a list").len(), 5);
    });
}

#[test]
fn a_query_that_cannot_be_meant_is_refused_by_name() {
    with_daemon(async |daemon| {
        for (query, named) in [
            ("lable=a", "lable"),
            ("limit=0", "limit"),
            ("limit=1001", "1001"),
            ("limit=-1", "limit"),
            ("status=dead", "dead"),
            ("label==x", "label"),
            ("label=sandkasten.x", "reserved"),
            ("name=a%20b", "name"),
            ("cursor=x", "cursor"),
            ("cursor=%00", "cursor"),
            ("name=a&name=b", "twice"),
        ] {
            let message =
                daemon.raw().get(&format!("/v1/sessions?{query}")).await.message(400, "INVALID_REQUEST");
            assert!(message.contains(named), "{query}: {message}");
        }
        let workspace = daemon.raw().get("/v1/sessions?workspace_id=A").await;
        assert!(!workspace.message(400, "INVALID_WORKSPACE").is_empty());
    });
}

#[test]
fn names_are_unique_among_live_sessions_and_free_again_behind_them() {
    with_daemon(async |daemon| {
        let raw = daemon.raw();
        let create = async || raw.post("/v1/sessions", &json!({"name": "one"})).await;
        let first = id(&create().await.ok(201));
        let message = create().await.message(409, "SESSION_EXISTS");
        assert!(message.contains(&first) && message.contains("one"), "{message}");
        assert_eq!(raw.delete(&format!("/v1/sessions/{first}")).await.status, 200);
        // Of many at once, one gets it, and nothing of the others is left.
        let mut creates = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let raw = daemon.raw();
            creates.spawn(async move { raw.post("/v1/sessions", &json!({"name": "one"})).await.status });
        }
        let mut statuses = creates.join_all().await;
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
        assert_eq!(ids(&raw.get("/v1/sessions").await.ok(200)).len(), 1);
        assert_eq!(daemon.leaks(None).sockets.len(), 1);
    });
}

#[test]
fn names_and_labels_beyond_their_bounds_are_refused() {
    with_daemon(async |daemon| {
        let many: BTreeMap<String, &str> = (0..33).map(|number| (format!("k{number}"), "")).collect();
        for (body, named) in [
            (json!({"name": ""}), "name"),
            (json!({"name": "a b"}), "a b"),
            (json!({"name": "0123abcd-ef01"}), "id"),
            (json!({"name": "x".repeat(65)}), "64"),
            (json!({"name": 7}), "name"),
            (json!({"labels": {"": "x"}}), "key"),
            (json!({"labels": {"a=b": "x"}}), "a=b"),
            (json!({"labels": {"sandkasten.a": "x"}}), "reserved"),
            (json!({"labels": {"a": "\u{1b}[2J"}}), "control"),
            (json!({"labels": {"a": "x".repeat(257)}}), "256"),
            (json!({"labels": {"a": null}}), "labels.a"),
            (json!({"labels": ["a"]}), "labels"),
            (json!({ "labels": many }), "32"),
        ] {
            let message = daemon.raw().post("/v1/sessions", &body).await.message(400, "INVALID_REQUEST");
            assert!(message.contains(named), "{body}: {message}");
        }
        assert_eq!(daemon.raw().get("/v1/sessions?status=all").await.ok(200), json!([]));
    });
}

/// Follows the links from page to page, doing something after each.
async fn pages(daemon: &TestDaemon, first: &str, mut then: impl AsyncFnMut()) -> Vec<Vec<String>> {
    let (mut pages, mut path) = (Vec::new(), first.to_owned());
    loop {
        let answer = daemon.raw().get(&path).await;
        pages.push(ids(&answer.ok(200)));
        then().await;
        let Some(link) = answer.headers.get("link") else { return pages };
        let link = link.to_str().expect("text");
        let address = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
        address.unwrap_or_else(|| panic!("{link}")).clone_into(&mut path);
    }
}

fn id(session: &Value) -> String {
    session["id"].as_str().expect("an id").to_owned()
}

fn ids(list: &Value) -> Vec<String> {
    list.as_array().expect("a bare array").iter().map(id).collect()
}
