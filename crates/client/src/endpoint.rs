//! Where a daemon is: a URL or a unix socket.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The address of a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `http://host:port`, perhaps with a path in front of `/v1`; without a slash at the end.
    Http(String),
    /// A unix socket.
    Unix(PathBuf),
}

/// A text that names no daemon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseEndpointError {
    /// Neither a URL nor a socket.
    #[error("{text:?} names no daemon: expected http://host:port, host:port or unix:/path")]
    Unknown {
        /// What was given.
        text: String,
    },
    /// TLS is not built in.
    #[error(
        "{text:?} needs TLS, which is not built in: use http:// to a local port, a tunnel or a unix socket"
    )]
    Tls {
        /// What was given.
        text: String,
    },
}

impl Endpoint {
    /// Returns the URL that paths of the API are appended to.
    pub(crate) fn base_url(&self) -> &str {
        match self {
            Self::Http(base) => base,
            // Only the `Host` header is made of it; the daemon takes loopback names there.
            Self::Unix(_) => "http://localhost",
        }
    }

    pub(crate) fn socket(&self) -> Option<&Path> {
        match self {
            Self::Http(_) => None,
            Self::Unix(path) => Some(path),
        }
    }
}

impl FromStr for Endpoint {
    type Err = ParseEndpointError;

    fn from_str(text: &str) -> Result<Self, ParseEndpointError> {
        let unknown = || ParseEndpointError::Unknown { text: text.to_owned() };
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix:///path` is the same socket in the form of a URL.
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.starts_with('/') { Ok(Self::Unix(PathBuf::from(path))) } else { Err(unknown()) };
        }
        if text.starts_with("https:") {
            return Err(ParseEndpointError::Tls { text: text.to_owned() });
        }
        let rest = match text.split_once("://") {
            Some(("http", rest)) => rest,
            Some(_) => return Err(unknown()),
            None if text.contains(':') => text,
            None => return Err(unknown()),
        };
        let base = format!("http://{}", rest.trim_end_matches('/'));
        let url = reqwest::Url::parse(&base).map_err(|_| unknown())?;
        if !url.has_host() || !url.username().is_empty() || url.query().is_some() || url.fragment().is_some()
        {
            return Err(unknown());
        }
        Ok(Self::Http(base))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(base) => formatter.write_str(base),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, ParseEndpointError};

    #[test]
    fn urls_addresses_and_sockets_are_endpoints() {
        for (text, shown) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:80/box/", "http://[::1]:80/box"),
            ("localhost:8080", "http://localhost:8080"),
            ("unix:/run/s.sock", "unix:/run/s.sock"),
            ("unix:///run/s.sock", "unix:/run/s.sock"),
        ] {
            assert_eq!(text.parse::<Endpoint>().expect(text).to_string(), shown);
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in
            ["", "localhost", "ftp://x", "unix:s", "http://", "http://u:p@h", "http://h?x", "http://h#x"]
        {
            assert!(matches!(text.parse::<Endpoint>(), Err(ParseEndpointError::Unknown { .. })), "{text}");
        }
        assert!(matches!("https://h".parse::<Endpoint>(), Err(ParseEndpointError::Tls { .. })));
    }
}
