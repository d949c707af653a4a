//! `/docs`: the API in a browser, to read and to try, from files that are inside of the binary.
//!
//! The pages hold nothing of this host, so they ask for no key: a browser could not send one for a page. What is tried from them needs
//! the key, which the user types in and the page keeps to itself.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::{HeaderName, HeaderValue, header};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::routes::document;

const PAGE: &str = "/docs";
/// The document where the pages find it: `/openapi.json` is for those who have the key.
const DOCUMENT: &str = "/docs/openapi.json";

/// The pages run their own scripts and speak to this daemon, and nothing else; no other page may frame them.
const HEADERS: [(HeaderName, &str); 3] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// Makes the routes of the pages.
pub(super) fn pages<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let config = Config::from(DOCUMENT)
        .use_base_layout()
        .deep_linking(true)
        .display_request_duration(true)
        .default_models_expand_depth(0)
        .validator_url("none");
    let pages: Router<S> = SwaggerUi::new(PAGE).config(config).into();
    pages.route(DOCUMENT, axum::routing::get(document::show)).layer(from_fn(confine))
}

/// Whether a path is one of the pages.
pub(super) fn is_page(path: &str) -> bool {
    path.strip_prefix(PAGE).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

async fn confine(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    for (name, value) in HEADERS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::is_page;

    #[test]
    fn nothing_beside_the_pages_is_one() {
        for path in ["/docs", "/docs/", "/docs/index.html", "/docs/../v1/sessions", "/docs/openapi.json"] {
            assert!(is_page(path), "{path}");
        }
        for path in
            ["/", "", "/doc", "/docsx", "/v1/docs", "//docs", "/Docs/", "/v1/sessions", "/openapi.json"]
        {
            assert!(!is_page(path), "{path}");
        }
    }
}
