//! Counts answers, by the path of their route as the table has it, so that no client makes up a label.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::session::Sessions;

/// What the route of a request without one is called.
const NO_ROUTE: &str = "none";
/// What a method is called that no route takes: clients may make up any.
const OTHER_METHOD: &str = "other";

/// Counts the answer to a request, when its head is there.
pub(super) async fn count(State(sessions): State<Sessions>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known.to_owned(),
        _ => OTHER_METHOD.to_owned(),
    };
    let answer = next.run(request).await;
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    sessions.metrics().answered(&method, route, answer.status().as_u16());
    answer
}
