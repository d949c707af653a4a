//! The pages of `/docs`: for everybody who names the daemon, whole, and from nowhere else.

use reqwest::{Method, header};
use sandkasten_e2e::{Answer, RawApi, TestDaemon, with_daemon};

fn without_key(daemon: &TestDaemon) -> RawApi {
    daemon.raw().with_key(None)
}

#[test]
fn the_pages_ask_for_no_key_and_all_they_need_is_there() {
    with_daemon(async |daemon| {
        let raw = without_key(daemon);
        let page = raw.get("/docs").await;
        assert_eq!(page.status, 200, "it leads to /docs/");
        let quoted = page
            .text
            .split('"')
            .filter(|word| word.ends_with(".js") || word.ends_with(".css") || word.ends_with(".png"));
        let files: Vec<_> = quoted.collect();
        assert!(files.len() >= 5, "{files:?}");
        for file in files {
            let answer = raw.get(&format!("/docs/{}", file.trim_start_matches("./"))).await;
            assert_eq!(answer.status, 200, "{file}");
            let policy = answer.headers["content-security-policy"].to_str().expect("text");
            assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{file}: {policy}");
        }
        let script = raw.get("/docs/swagger-initializer.js").await.text;
        assert!(script.contains("\"/docs/openapi.json\""), "{script}");
        assert!(!page.text.contains("//") && !script.contains("http"), "they name no other host");
        let shown = raw.get("/docs/openapi.json").await;
        assert_eq!(shown.ok(200), daemon.raw().get("/openapi.json").await.ok(200));
    });
}

#[test]
fn nothing_else_is_open_beside_the_pages() {
    with_daemon(async |daemon| {
        let raw = without_key(daemon);
        for path in ["/docsx", "/docs%2f..%2fv1/sessions", "/%64ocs/", "//docs/", "/openapi.json", "/metrics"]
        {
            raw.get(path).await.refused(401, "UNAUTHORIZED");
        }
        for path in [
            "/docs/../v1/sessions",
            "/docs/%2e%2e/v1/sessions",
            "/docs/v1/sessions",
            "/docs/..%2f..%2fetc%2fpasswd",
        ] {
            let answer = raw.get(path).await;
            assert!(
                answer.status == 404 || answer.status == 401,
                "{path}: {} {}",
                answer.status,
                answer.text
            );
        }
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let answer = Answer::to(raw.request(method.clone(), "/docs/")).await;
            assert_eq!(answer.status, 405, "{method}");
        }
        let foreign = raw.request(Method::GET, "/docs/").header(header::HOST, "evil.example");
        assert!(Answer::to(foreign).await.message(400, "INVALID_REQUEST").contains("evil.example"));
    });
}
