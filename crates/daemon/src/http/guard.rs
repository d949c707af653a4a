//! Who may speak to the API: `Host` and `Origin` against web pages, the key against everybody else.
//!
//! Default deny: it stands in front of the whole router. Only `/healthz` passes, and the pages of `/docs` without a key.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, header};
use sandkasten_api::error::ErrorCode;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::api_error::{ApiError, quoted};
use super::{reference, swerex};
use crate::config::{Config, ListenAddress};

/// What a request must show.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    /// The digest of the key, so that neither its length nor its text stays in memory here.
    key: Option<[u8; 32]>,
    /// None on a unix socket, which no web page reaches.
    hosts: Option<Hosts>,
}

#[derive(Debug, Clone)]
struct Hosts {
    names: Vec<String>,
    /// On an address that others reach, any address literal names the listener; a rebound name never is one.
    any_address: bool,
}

impl Guard {
    pub(super) fn new(config: &Config) -> Self {
        let hosts = match &config.listen {
            ListenAddress::Unix(_) => None,
            ListenAddress::Tcp(address) => {
                let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
                names.push(address.ip().to_string());
                names.extend(config.allowed_hosts.iter().map(|host| host.to_ascii_lowercase()));
                Some(Hosts { names, any_address: !address.ip().is_loopback() })
            }
        };
        let key = config.api_key.as_ref().map(|key| Sha256::digest(key.expose()).into());
        Self { key, hosts }
    }

    /// Whether the API is open to everybody who reaches it.
    pub(super) fn is_open(&self) -> bool {
        self.key.is_none()
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        self.check_hosts(headers)?;
        self.check_key(header_text(headers, &header::AUTHORIZATION).and_then(bearer))
    }

    /// For clients that have the key in a header of their own.
    fn check_with_key_in(&self, name: &HeaderName, headers: &HeaderMap) -> Result<(), ApiError> {
        self.check_hosts(headers)?;
        if headers.contains_key(name) {
            return self.check_key(header_text(headers, name));
        }
        self.check_key(header_text(headers, &header::AUTHORIZATION).and_then(bearer))
    }

    fn check_hosts(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        if let Some(hosts) = &self.hosts {
            let host = header_text(headers, &header::HOST)
                .ok_or_else(|| ApiError::invalid("the request has no Host header"))?;
            hosts.admit("Host", host)?;
            if headers.contains_key(header::ORIGIN) {
                let origin = header_text(headers, &header::ORIGIN).unwrap_or_default();
                hosts.admit("Origin", origin.split_once("://").map_or(origin, |(_, host)| host))?;
            }
        }
        Ok(())
    }

    fn check_key(&self, presented: Option<&str>) -> Result<(), ApiError> {
        let Some(key) = &self.key else { return Ok(()) };
        let digest: [u8; 32] = Sha256::digest(presented.unwrap_or_default()).into();
        if bool::from(digest.ct_eq(key)) {
            Ok(())
        } else {
            Err(ApiError::new(
                ErrorCode::Unauthorized,
                "the API key is missing or wrong; send it as `Authorization: Bearer <api_key>`",
            ))
        }
    }
}

impl Hosts {
    fn admit(&self, what: &str, host: &str) -> Result<(), ApiError> {
        let known = |name: &str| self.names.iter().any(|known| known.eq_ignore_ascii_case(name));
        let address = |name: &str| self.any_address && name.parse::<IpAddr>().is_ok();
        if without_port(host).is_some_and(|name| known(name) || address(name)) {
            return Ok(());
        }
        let shown = quoted(host, 100);
        Err(ApiError::invalid(format!(
            "the {what} {shown} does not name this daemon; add it to allowed_hosts if it should"
        )))
    }
}

fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    // Two of them are one too many to trust either.
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// Returns the name of `name`, `name:port`, `[address]` and `[address]:port`; none of anything else, which is no host.
fn without_port(host: &str) -> Option<&str> {
    let (name, rest) = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port = if rest.is_empty() { "" } else { rest.strip_prefix(':')? };
    port.bytes().all(|byte| byte.is_ascii_digit()).then_some(name)
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Lets a request through, or refuses it before anything of its body is read.
pub(super) async fn admit(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let (path, headers) = (request.uri().path(), request.headers());
    let checked = match path {
        "/healthz" => Ok(()),
        path if reference::is_page(path) => guard.check_hosts(headers),
        path if swerex::is_call(path) => guard.check_with_key_in(&swerex::KEY_HEADER, headers),
        _ => guard.check(headers),
    };
    match checked {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::Guard;
    use crate::config::{ApiKey, Config};

    const KEY: &str = "sk-0123456789abcdef";

    fn check(config: &Config, headers: &[(header::HeaderName, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.clone(), HeaderValue::from_str(value).expect("a header"));
        }
        Guard::new(config).check(&map).is_ok()
    }

    fn closed() -> Config {
        let mut config = Config::default();
        config.api_key = Some(ApiKey::new(KEY.into()));
        config
    }

    #[test]
    fn only_the_exact_key_passes() {
        let host = (header::HOST, "127.0.0.1:8080");
        let bearer = format!("Bearer {KEY}");
        assert!(check(&closed(), &[host.clone(), (header::AUTHORIZATION, &bearer)]));
        assert!(check(
            &closed(),
            &[host.clone(), (header::AUTHORIZATION, &bearer.replace("Bearer", "bearer"))]
        ));
        let near = [
            String::new(),
            "Bearer".into(),
            "Bearer ".into(),
            KEY.into(),
            format!("Basic {KEY}"),
            format!("{bearer}x"),
            bearer[..bearer.len() - 1].to_owned(),
            bearer.to_uppercase(),
        ];
        for value in &near {
            assert!(!check(&closed(), &[host.clone(), (header::AUTHORIZATION, value)]), "{value:?}");
        }
        assert!(!check(
            &closed(),
            &[host.clone(), (header::AUTHORIZATION, &bearer), (header::AUTHORIZATION, &bearer)]
        ));
        assert!(!check(&closed(), &[host]));
    }

    #[test]
    fn a_foreign_host_or_origin_is_refused_with_a_valid_key() {
        let key = (header::AUTHORIZATION, "Bearer sk-0123456789abcdef");
        for host in ["localhost:8080", "LOCALHOST", "[::1]:8080", "127.0.0.1"] {
            assert!(check(&closed(), &[(header::HOST, host), key.clone()]), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:80",
            "10.0.0.1",
            "",
            "[::1]evil.example",
            "[::1",
            "::1",
            "[localhost]:80:80",
            "localhost:evil.example",
            "localhost:80:80",
            "localhost:80@evil.example",
            "localhost@evil.example",
            "evil.example#localhost",
        ] {
            assert!(!check(&closed(), &[(header::HOST, host), key.clone()]), "{host}");
        }
        let host = (header::HOST, "localhost");
        assert!(check(&closed(), &[host.clone(), key.clone(), (header::ORIGIN, "http://localhost:3000")]));
        for origin in ["http://evil.example", "null", "https://localhost.evil.example"] {
            assert!(!check(&closed(), &[host.clone(), key.clone(), (header::ORIGIN, origin)]), "{origin}");
        }
    }

    #[test]
    fn a_listener_that_others_reach_takes_addresses_and_named_hosts() {
        let mut config = closed();
        config.listen = "0.0.0.0:8080".parse().expect("an address");
        config.allowed_hosts = vec!["box.example".into()];
        let key = (header::AUTHORIZATION, "Bearer sk-0123456789abcdef");
        assert!(check(&config, &[(header::HOST, "192.168.1.7:8080"), key.clone()]));
        assert!(check(&config, &[(header::HOST, "box.example"), key.clone()]));
        assert!(!check(&config, &[(header::HOST, "evil.example"), key]));
    }
}
