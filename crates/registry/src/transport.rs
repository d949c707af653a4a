//! Requests to one registry: redirects followed with care, credentials given to nobody else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION, RANGE, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use tokio::sync::Mutex;

use crate::challenge::{self, Challenge};
use crate::error::{FetchError, root_cause};
use crate::options::{Patience, RegistryOptions};
use crate::reference::Reference;
use crate::token;

/// What a registry needs: from its address to the storage, and some to spare.
const MOST_REDIRECTS: usize = 5;
/// Of an answer that is an error, so much is read to find out why.
const MOST_ERROR_BYTES: usize = 64 * 1024;
/// How much of a text of a registry is shown.
const MOST_SHOWN: usize = 300;
/// The longest that a registry is left alone because it wants to be.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The way to one repository of one registry.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) http: Client,
    /// Why nobody can be spoken to with TLS, where that is so.
    no_tls: Option<String>,
    pub(crate) options: RegistryOptions,
    /// The registry as it was named, for whoever gives out tokens.
    pub(crate) scope: String,
    base: Url,
    /// Somebody has answered. Until then, a name may be mistyped as well as a network be down for a moment.
    pub(crate) reached: AtomicBool,
    /// What the registry has accepted, until it no longer does.
    authorization: Mutex<Option<HeaderValue>>,
}

/// What is asked for.
pub(crate) struct Get<'a> {
    pub(crate) url: &'a Url,
    pub(crate) accept: &'a str,
    /// From which byte on.
    pub(crate) from: u64,
}

impl Transport {
    pub(crate) fn new(reference: &Reference, options: RegistryOptions) -> Result<Self, FetchError> {
        let address = |scheme: &str| format!("{scheme}://{}/v2/{}/", reference.address(), reference.path());
        let no_address = |_| FetchError::Location { url: address("https"), location: reference.to_string() };
        let plain = Url::parse(&address("http")).map_err(no_address)?;
        let base = if options.plain_http.allow(&plain) {
            plain
        } else {
            Url::parse(&address("https")).map_err(no_address)?
        };
        let (http, no_tls) = client(&options.patience)?;
        let scope = format!("repository:{}:pull", reference.path());
        Ok(Self {
            http,
            no_tls,
            options,
            scope,
            base,
            reached: AtomicBool::new(false),
            authorization: Mutex::new(None),
        })
    }

    /// Returns the address of something in the repository. `rest` has no characters that mean something there.
    pub(crate) fn url(&self, rest: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{rest}", self.base.path()));
        url
    }

    /// Asks once. Returns the answer where it is 200, or 206 if only a part was asked for.
    pub(crate) async fn get(&self, get: &Get<'_>) -> Result<Response, FetchError> {
        let mut url = get.url.clone();
        let mut authorization = self.authorization.lock().await.clone();
        let (mut redirects, mut answered) = (0, false);
        loop {
            self.check_encrypted(&url)?;
            let ours = url.origin() == self.base.origin();
            let mut request = self.http.get(url.clone()).header(ACCEPT, get.accept);
            if let Some(value) = authorization.as_ref().filter(|_| ours) {
                request = request.header(AUTHORIZATION, value);
            }
            if get.from > 0 {
                request = request.header(RANGE, format!("bytes={}-", get.from));
            }
            let response = request.send().await.map_err(|source| broken(&url, source))?;
            self.reached.store(true, Ordering::Relaxed);
            let status = response.status();
            if status == StatusCode::UNAUTHORIZED && ours && !answered {
                // Of another host it would be a way to have our password sent to where that host likes.
                answered = true;
                authorization = Some(self.authorize(&url, &response, authorization.as_ref()).await?);
            } else if matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                redirects += 1;
                if redirects > MOST_REDIRECTS {
                    return Err(FetchError::Redirects { url: shown(get.url), allowed: MOST_REDIRECTS });
                }
                url = target(&url, &response)?;
            } else if status == StatusCode::OK || (status == StatusCode::PARTIAL_CONTENT && get.from > 0) {
                return Ok(response);
            } else {
                return Err(self.failure(&url, response, authorization.is_some()).await);
            }
        }
    }

    /// Refuses what others on the way could read or change.
    pub(crate) fn check_encrypted(&self, url: &Url) -> Result<(), FetchError> {
        match url.scheme() {
            "https" => match &self.no_tls {
                None => Ok(()),
                Some(problem) => Err(FetchError::Setup { problem: problem.clone() }),
            },
            "http" if self.options.plain_http.allow(url) => Ok(()),
            _ => Err(FetchError::PlainHttp { url: shown(url) }),
        }
    }

    /// Does what the registry asks for. Of several requests that are asked at once, one gets a token for all.
    async fn authorize(
        &self,
        url: &Url,
        response: &Response,
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue, FetchError> {
        let mut current = self.authorization.lock().await;
        if let Some(value) = current.as_ref().filter(|value| Some(*value) != refused) {
            return Ok(value.clone());
        }
        let headers = || response.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenges: Vec<Challenge> =
            headers().filter_map(|header| header.to_str().ok()).flat_map(challenge::parse).collect();
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service } => Some((realm, service)),
            Challenge::Basic => None,
        });
        let value = match bearer {
            Some((realm, service)) => token::fetch(self, url, realm, service.as_deref()).await?,
            None if challenges.contains(&Challenge::Basic) => {
                self.options.credentials.basic().ok_or_else(|| FetchError::Denied {
                    url: shown(url),
                    status: response.status(),
                    with_credentials: false,
                    message: None,
                })?
            }
            None => {
                let challenge =
                    headers().next().map(|header| cut(&String::from_utf8_lossy(header.as_bytes())));
                return Err(FetchError::Challenge {
                    url: shown(url),
                    challenge: challenge.unwrap_or_default(),
                });
            }
        };
        *current = Some(value.clone());
        Ok(value)
    }

    /// Says what a status that is none of success means.
    pub(crate) async fn failure(&self, url: &Url, response: Response, authorized: bool) -> FetchError {
        let (url, status) = (shown(url), response.status());
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(|seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE));
        let message = tokio::time::timeout(self.options.patience.stall, message(response));
        let message = message.await.ok().flatten();
        match status {
            StatusCode::NOT_FOUND => FetchError::NotFound { url, message },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let with_credentials = authorized && !self.options.credentials.is_anonymous();
                FetchError::Denied { url, status, with_credentials, message }
            }
            _ => FetchError::Status { url, status, message, retry_after },
        }
    }
}

/// Makes a client, and says why it can speak to nobody with TLS where it cannot.
fn client(patience: &Patience) -> Result<(Client, Option<String>), FetchError> {
    let builder = || {
        Client::builder()
            // Each is looked at first: where it leads, and who learns what.
            .redirect(redirect::Policy::none())
            .connect_timeout(patience.connect)
            .read_timeout(patience.stall)
            .referer(false)
            .user_agent(concat!("sandkasten/", env!("CARGO_PKG_VERSION")))
    };
    match builder().build() {
        Ok(client) => Ok((client, None)),
        // A host without certificates may still speak to registries that do without TLS.
        Err(error) => match builder().tls_certs_only([]).build() {
            Ok(client) => Ok((client, Some(root_cause(&error)))),
            Err(_) => Err(FetchError::Setup { problem: root_cause(&error) }),
        },
    }
}

/// What an attempt broke with; the address in it may be one that lets everybody in, so it is left out.
pub(crate) fn broken(url: &Url, source: reqwest::Error) -> FetchError {
    FetchError::Request { url: shown(url), source: source.without_url() }
}

/// Shows an address without what may be secret in it.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    without_user(&mut url);
    cut(url.as_str())
}

fn without_user(url: &mut Url) {
    // Both fail only for addresses that cannot have a user.
    url.set_username("").ok();
    url.set_password(None).ok();
}

fn target(url: &Url, response: &Response) -> Result<Url, FetchError> {
    let location = response.headers().get(LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let location = location.unwrap_or_default();
    let bad = || FetchError::Location { url: shown(url), location: cut(&location) };
    let mut target = url.join(&location).map_err(|_| bad())?;
    if location.is_empty() || !target.has_host() {
        return Err(bad());
    }
    without_user(&mut target);
    Ok(target)
}

/// Reads why something was refused: registries say it in JSON.
async fn message(mut response: Response) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Errors {
        #[serde(default)]
        errors: Vec<Error>,
        details: Option<String>,
    }
    #[derive(serde::Deserialize)]
    struct Error {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MOST_ERROR_BYTES {
            return None;
        }
    }
    let parsed: Errors = serde_json::from_slice(&bytes).ok()?;
    let first = parsed.errors.into_iter().next();
    let first = first.map(|error| format!("{}: {}", error.code, error.message));
    first.or(parsed.details).map(|text| cut(&text))
}

pub(crate) fn cut(text: &str) -> String {
    text.chars().take(MOST_SHOWN).collect()
}
