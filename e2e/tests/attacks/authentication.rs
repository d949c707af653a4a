//! Nobody without the key gets anything but the health of the daemon, and no web page gets anything with it.

use reqwest::Method;
use sandkasten_e2e::{API_KEY, RawApi, RawConnection, TestDaemon, status, with_daemon};

/// A bound on hangs.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// Every route of the contract.
fn routes(session: &str) -> Vec<(Method, String)> {
    let session = format!("/v1/sessions/{session}");
    [
        (Method::GET, "/v1/sessions".to_owned()),
        (Method::POST, "/v1/sessions".to_owned()),
        (Method::GET, session.clone()),
        (Method::DELETE, session.clone()),
        (Method::GET, format!("{session}/stats")),
        (Method::POST, format!("{session}/exec")),
        (Method::POST, format!("{session}/exec/stream")),
        (Method::POST, format!("{session}/fs/write")),
        (Method::GET, format!("{session}/fs/read?path=x")),
        (Method::POST, format!("{session}/fs/upload")),
        (Method::GET, "/v1/workspaces".to_owned()),
        (Method::DELETE, "/v1/workspaces/abc".to_owned()),
        (Method::GET, "/v1/workspaces/abc/fs".to_owned()),
        (Method::POST, "/v1/workspaces/abc/fs/write".to_owned()),
        (Method::GET, "/v1/nothing".to_owned()),
        (Method::GET, "/".to_owned()),
        (Method::GET, "/metrics".to_owned()),
        (Method::OPTIONS, "/v1/sessions".to_owned()),
        (Method::HEAD, "/v1/sessions".to_owned()),
    ]
    .to_vec()
}

/// Sends bytes and returns the status and the whole answer.
async fn exchange(daemon: &TestDaemon, request: &str) -> (u16, String) {
    let mut connection = RawConnection::open(daemon).await;
    assert!(connection.send(request).await, "sent");
    let answer = connection.rest(PATIENCE).await.expect("an answer and an end");
    (status(&answer), answer)
}

#[test]
fn every_route_refuses_absent_wrong_and_near_keys() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let near = [
            None,
            Some(String::new()),
            Some("x".to_owned()),
            Some(API_KEY[..API_KEY.len() - 1].to_owned()),
            Some(format!("{API_KEY}x")),
            Some(API_KEY.to_uppercase()),
            Some(format!("{API_KEY},{API_KEY}")),
            Some("0".repeat(API_KEY.len())),
        ];
        for key in &near {
            let api = RawApi::new(daemon.url(), key.as_deref());
            for (method, path) in routes(session.id.as_str()) {
                let answer = api
                    .request(method.clone(), &path)
                    .body("{\"cmd\":\"x\"}")
                    .send()
                    .await
                    .expect("an answer");
                assert_eq!(answer.status(), 401, "{method} {path} with {key:?}");
                assert!(!answer.headers().contains_key("access-control-allow-origin"));
                let body = answer.text().await.expect("a body");
                assert!(!body.contains(API_KEY) && !body.contains(session.id.as_str()), "{body}");
            }
        }
        assert_eq!(
            daemon.client().list_sessions().await.expect("a list").len(),
            1,
            "nothing was created or destroyed"
        );
    });
}

#[test]
fn the_key_counts_in_its_header_alone() {
    with_daemon(async |daemon| {
        let api = RawApi::new(daemon.url(), None);
        for path in [
            format!("/v1/sessions?api_key={API_KEY}"),
            format!("/v1/sessions?key={API_KEY}&token={API_KEY}&access_token={API_KEY}"),
        ] {
            assert_eq!(api.get(&path).await.status, 401, "{path}");
        }
        for (name, value) in [
            ("cookie", format!("api_key={API_KEY}; sandkasten={API_KEY}")),
            ("x-api-key", API_KEY.to_owned()),
            ("authorization", API_KEY.to_owned()),
            ("authorization", format!("Basic {API_KEY}")),
            ("authorization", format!("Token {API_KEY}")),
            ("authorization", format!("Bearer{API_KEY}")),
            ("authorization", format!("Bearer x {API_KEY}")),
            ("proxy-authorization", format!("Bearer {API_KEY}")),
        ] {
            let answer = api
                .request(Method::GET, "/v1/sessions")
                .header(name, &value)
                .send()
                .await
                .expect("an answer");
            assert_eq!(answer.status(), 401, "{name}: {value}");
        }
        let url = daemon.url();
        let host = url.strip_prefix("http://").expect("a TCP address");
        let twice = format!(
            "GET /v1/sessions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {API_KEY}\r\nAuthorization: Bearer x\r\n\
             Connection: close\r\n\r\n"
        );
        assert_eq!(exchange(daemon, &twice).await.0, 401);
        assert!(!daemon.log().contains(API_KEY), "the key is in the log");
    });
}

#[test]
fn no_spelling_of_a_path_opens_it_without_the_key() {
    with_daemon(async |daemon| {
        daemon.session().await;
        let url = daemon.url();
        let host = url.strip_prefix("http://").expect("a TCP address").to_owned();
        let mut paths: Vec<String> = [
            "/v1/sessions/",
            "//v1/sessions",
            "/./v1/sessions",
            "/healthz/../v1/sessions",
            "/healthz/%2e%2e/v1/sessions",
            "/healthz%2f..%2fv1/sessions",
            "/healthz;/v1/sessions",
            "/healthz?/../v1/sessions",
            "/healthz#/v1/sessions",
            "/%76%31/sessions",
            "/v1/sessions%00",
            "/v1/sessions%20",
            "/v1%2fsessions",
            "/V1/SESSIONS",
            "\\v1\\sessions",
            "/static/../v1/sessions",
            "/assets/..%2f..%2fv1/sessions",
            "/dashboard/../v1/sessions",
            "*",
        ]
        .map(str::to_owned)
        .to_vec();
        for suffix in ["js", "css", "png", "ico", "svg", "html", "map", "woff2", "txt", "json"] {
            paths.push(format!("/v1/sessions/x.{suffix}"));
            paths.push(format!("/v1/sessions?.{suffix}"));
            paths.push(format!("/v1/sessions/.{suffix}"));
        }
        paths.push(format!("http://{host}/v1/sessions"));
        paths.push(format!("http://{host}@evil.example/v1/sessions"));
        for path in paths {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            let (status, answer) = exchange(daemon, &request).await;
            let health = path.starts_with("/healthz") && answer.ends_with("{\"status\":\"ok\"}");
            assert!(health || (400..500).contains(&status), "{path}: {answer}");
            assert!(!answer.contains("created_at"), "{path}: {answer}");
        }
    });
}

#[test]
fn health_is_open_and_tells_nothing_else() {
    with_daemon(async |daemon| {
        let answer = RawApi::new(daemon.url(), None).get("/healthz").await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "{\"status\":\"ok\"}"));
        for header in ["server", "set-cookie", "access-control-allow-origin"] {
            assert!(!answer.headers.contains_key(header), "{header}");
        }
    });
}

#[test]
fn a_web_page_is_refused_with_a_valid_key_too() {
    with_daemon(async |daemon| {
        let api = daemon.raw();
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:80",
            "169.254.169.254",
            "0.0.0.0",
            "",
        ] {
            let answer = api
                .request(Method::GET, "/v1/sessions")
                .header("host", host)
                .send()
                .await
                .expect("an answer");
            assert!(answer.status().is_client_error(), "Host {host:?}: {}", answer.status());
        }
        for origin in [
            "http://evil.example",
            "null",
            "https://localhost.evil.example",
            "file://",
            "http://127.0.0.1.evil.example",
        ] {
            for method in [Method::GET, Method::POST, Method::OPTIONS] {
                let request = api.request(method.clone(), "/v1/sessions").header("origin", origin);
                let answer = request.send().await.expect("an answer");
                assert!(answer.status().is_client_error(), "{method} from {origin}: {}", answer.status());
                assert!(!answer.headers().contains_key("access-control-allow-origin"), "{origin}");
            }
        }
        for host in ["localhost", "127.0.0.1:1", "[::1]:8080"] {
            let answer = api
                .request(Method::GET, "/v1/sessions")
                .header("host", host)
                .send()
                .await
                .expect("an answer");
            assert_eq!(answer.status(), 200, "{host}");
        }
        assert!(daemon.client().list_sessions().await.expect("a list").is_empty());
    });
}
