//! Tokens: what a registry wants to see with each request, given out by an address that it names.

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use crate::credentials::Credentials;
use crate::error::FetchError;
use crate::transport::{Transport, broken, cut, shown};

/// Tokens have some thousand bytes.
const MOST_TOKEN_BYTES: usize = 256 * 1024;
/// What tells registries which program asks, as OAuth2 wants it.
const CLIENT: &str = "sandkasten";

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

/// Gets a token to pull from the repository. Redirects are not followed, since credentials go with the request, and none goes
/// out unencrypted unless the configuration says so of that host.
pub(crate) async fn fetch(
    transport: &Transport,
    registry: &Url,
    realm: &str,
    service: Option<&str>,
) -> Result<HeaderValue, FetchError> {
    let url = Url::parse(realm).ok().filter(Url::has_host);
    let mut url = url.ok_or_else(|| FetchError::Location { url: shown(registry), location: cut(realm) })?;
    transport.check_encrypted(&url)?;
    let scope = transport.scope.as_str();
    let request = match &transport.options.credentials {
        Credentials::IdentityToken(token) => {
            let form = [
                ("grant_type", "refresh_token"),
                ("client_id", CLIENT),
                ("service", service.unwrap_or_default()),
                ("scope", scope),
                ("refresh_token", token.expose()),
            ];
            transport.http.post(url.clone()).form(&form)
        }
        credentials => {
            if let Some(service) = service {
                url.query_pairs_mut().append_pair("service", service);
            }
            url.query_pairs_mut().append_pair("scope", scope);
            let request = transport.http.get(url.clone());
            match credentials.basic() {
                Some(value) => request.header(AUTHORIZATION, value),
                None => request,
            }
        }
    };
    let allowed = transport.options.patience.document;
    let answer = async {
        let mut response = request.send().await.map_err(|source| broken(&url, source))?;
        if response.status() != StatusCode::OK {
            return Err(transport.failure(&url, response, true).await);
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|source| broken(&url, source))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MOST_TOKEN_BYTES {
                return Err(FetchError::TooLarge { url: shown(&url), allowed: MOST_TOKEN_BYTES as u64 });
            }
        }
        Ok(bytes)
    };
    let answer = tokio::time::timeout(allowed, answer).await;
    let bytes = answer.map_err(|_| FetchError::Slow { url: shown(&url), allowed })??;
    let unusable = |problem| FetchError::Token { url: shown(&url), problem };
    // What is in it stays out of the message.
    let answer: Answer =
        serde_json::from_slice(&bytes).map_err(|_| unusable("the answer is no JSON of a token"))?;
    let token = answer.token.filter(|token| !token.is_empty()).or(answer.access_token);
    let token =
        token.filter(|token| !token.is_empty()).ok_or_else(|| unusable("there is none in the answer"))?;
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unusable("it has characters that no header may have"));
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| unusable("it has characters that no header may have"))?;
    value.set_sensitive(true);
    Ok(value)
}
