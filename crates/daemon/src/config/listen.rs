//! Where the API listens: a TCP address or a unix socket.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

/// The longest path of a unix socket in bytes: `sun_path` has 108 with the NUL (unix(7)).
const MAX_SOCKET_PATH_BYTES: usize = 107;

/// An address that the API listens on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum ListenAddress {
    /// `host:port`; the host is an IP address or `localhost`.
    Tcp(SocketAddr),
    /// `unix:/path`.
    Unix(PathBuf),
}

/// A text that names no address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseListenAddressError {
    /// Neither an IP address with a port nor `localhost` with one.
    #[error("is no IP address with a port")]
    Tcp,
    /// The path of the socket is relative.
    #[error("names a socket by a relative path")]
    RelativeSocket,
    /// The path of the socket does not fit into a socket address.
    #[error("names a socket by a path of more than {MAX_SOCKET_PATH_BYTES} bytes")]
    LongSocket,
}

impl ListenAddress {
    /// Tells whether only processes of this host can reach the address. A unix socket counts as local.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// Builds the address of a unix socket.
    ///
    /// # Errors
    /// `RelativeSocket` and `LongSocket`, as for text.
    pub fn unix(path: &Path) -> Result<Self, ParseListenAddressError> {
        if !path.is_absolute() {
            return Err(ParseListenAddressError::RelativeSocket);
        }
        if path.as_os_str().len() > MAX_SOCKET_PATH_BYTES {
            return Err(ParseListenAddressError::LongSocket);
        }
        Ok(Self::Unix(path.to_owned()))
    }
}

impl Default for ListenAddress {
    fn default() -> Self {
        Self::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080))
    }
}

impl FromStr for ListenAddress {
    type Err = ParseListenAddressError;

    fn from_str(text: &str) -> Result<Self, ParseListenAddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::unix(Path::new(path));
        }
        // The one name that is taken: a resolver could turn any other into an address nobody meant to open.
        let address = match text.strip_prefix("localhost:") {
            Some(port) => {
                port.parse().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)).ok()
            }
            None => text.parse().ok(),
        };
        address.map(Self::Tcp).ok_or(ParseListenAddressError::Tcp)
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = ParseListenAddressError;

    fn try_from(text: String) -> Result<Self, ParseListenAddressError> {
        text.parse()
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ListenAddress;

    #[test]
    fn addresses_survive_printing() {
        for text in ["127.0.0.1:8080", "[::1]:80", "0.0.0.0:1", "unix:/run/sandkasten.sock"] {
            assert_eq!(text.parse::<ListenAddress>().expect(text).to_string(), text);
        }
        assert_eq!("localhost:80".parse::<ListenAddress>().expect("localhost").to_string(), "127.0.0.1:80");
    }

    #[test]
    fn what_names_no_address_is_refused() {
        for text in
            ["", "8080", ":8080", "example.org:80", "127.0.0.1", "127.0.0.1:99999", "unix:", "unix:run/s"]
        {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
        assert!(format!("unix:/{}", "a".repeat(107)).parse::<ListenAddress>().is_err());
    }

    #[test]
    fn only_loopback_and_sockets_are_local() {
        for (text, local) in [
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("unix:/s", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("192.168.0.1:1", false),
        ] {
            assert_eq!(text.parse::<ListenAddress>().expect(text).is_local(), local, "{text}");
        }
    }
}
