//! The API without a client of ours in between: requests as they are written here, answers as they come.

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// A way to the API that adds nothing but the key.
#[derive(Debug, Clone)]
pub struct RawApi {
    http: reqwest::Client,
    url: String,
    key: Option<String>,
}

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl RawApi {
    /// Speaks to the daemon at this URL.
    ///
    /// # Panics
    /// Where no client can be made.
    #[must_use]
    pub fn new(url: String, key: Option<&str>) -> Self {
        // No endpoint is https, and the host of a test may have no certificates.
        let http =
            reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client can be made");
        Self { http, url, key: key.map(str::to_owned) }
    }

    /// The same daemon with another key, or none.
    #[must_use]
    pub fn with_key(&self, key: Option<&str>) -> Self {
        Self { key: key.map(str::to_owned), ..self.clone() }
    }

    /// Begins a request; the path is taken as it is.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::DELETE, path)).await
    }

    /// `POST` of a JSON document.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(body)).await
    }

    /// `POST` of bytes as curl sends them, with its default content type.
    pub async fn post_as_curl(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        let request = self.request(Method::POST, path);
        Answer::to(request.header("content-type", "application/x-www-form-urlencoded").body(body.into()))
            .await
    }
}

impl Answer {
    /// Sends a request and waits for its whole answer.
    ///
    /// # Panics
    /// Where there is none.
    pub async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.expect("a whole answer") }
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Where it is none, or is not called so.
    #[must_use]
    pub fn json(&self) -> Value {
        let kind = self.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        assert!(kind.starts_with("application/json"), "{} {kind:?}: {:.300}", self.status, self.text);
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {:.300}", self.text))
    }

    /// The body of a success.
    ///
    /// # Panics
    /// Where it is another status.
    #[allow(clippy::must_use_candidate, reason = "a test may only want to know that it is so")]
    pub fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{:.500}", self.text);
        self.json()
    }

    /// The error body of a refusal, after checking that it has the form of the contract.
    ///
    /// # Panics
    /// Where it is no such refusal.
    #[allow(clippy::must_use_candidate, reason = "a test may only want to know that it is so")]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{:.500}", self.text);
        let body = self.json();
        assert_eq!(body["error_code"], code, "{body}");
        let message = body["message"].as_str().expect("a message");
        assert!(!message.is_empty());
        let known = ["error_code", "message", "details"];
        for field in body.as_object().expect("an object").keys() {
            assert!(known.contains(&field.as_str()), "{body}");
        }
        body
    }

    /// The message of a refusal.
    ///
    /// # Panics
    /// As [`refused`](Self::refused).
    #[must_use]
    pub fn message(&self, status: u16, code: &str) -> String {
        self.refused(status, code)["message"].as_str().unwrap_or_default().to_owned()
    }
}
