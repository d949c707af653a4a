//! A daemon that is this very process: requests are calls of its router, with everything of HTTP but a connection.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

pub use reqwest::Body;
use reqwest::{RequestBuilder, Response};

/// An answer that is being made. Dropping it is a client that goes away.
pub type Answer = Pin<Box<dyn Future<Output = http::Response<Body>> + Send>>;

/// What answers requests in this process.
pub trait InProcess: Debug + Send + Sync {
    /// Answers a request.
    fn answer(&self, request: http::Request<Body>) -> Answer;
}

/// Lets a daemon of this process answer a request.
pub(crate) async fn send(
    daemon: &dyn InProcess,
    request: RequestBuilder,
) -> Result<Response, reqwest::Error> {
    let request = http::Request::try_from(request.build()?)?;
    Ok(Response::from(daemon.answer(request).await))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Answer, Body, InProcess};
    use crate::{Client, RequestError};

    /// Says what it was asked, as a refusal that has a body.
    #[derive(Debug)]
    struct Echo;

    impl InProcess for Echo {
        fn answer(&self, request: http::Request<Body>) -> Answer {
            let asked = format!("{} {}", request.method(), request.uri().path());
            let (status, body) = match request.uri().path() {
                "/healthz" => (200, "{\"status\":\"ok\"}".to_owned()),
                _ => (404, format!("{{\"error_code\":\"SESSION_NOT_FOUND\",\"message\":\"{asked}\"}}")),
            };
            Box::pin(async move {
                let mut response = http::Response::new(Body::from(body));
                *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
                response
            })
        }
    }

    #[tokio::test]
    async fn requests_are_answered_without_a_connection() {
        let client = Client::in_process(Arc::new(Echo)).expect("a client");
        assert_eq!(client.healthz().await.expect("an answer").status, "ok");
        let id = "0123abcd-ef01".parse().expect("an id");
        match client.destroy_session(&id).await {
            Err(RequestError::Refused { status: 404, body }) => {
                assert_eq!(body.message, "DELETE /v1/sessions/0123abcd-ef01");
            }
            other => panic!("{other:?}"),
        }
    }
}
