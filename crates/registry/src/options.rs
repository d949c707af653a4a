//! How a registry is spoken to.

use std::time::Duration;

use reqwest::Url;
use sandkasten_image::UnpackLimits;

use crate::credentials::Credentials;
use crate::mirror::Mirror;

/// What a puller may do, and for how long.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// Who one is to this registry.
    pub credentials: Credentials,
    /// Who is asked before it, in this order.
    pub mirrors: Vec<MirrorOptions>,
    /// Which hosts may be spoken to without TLS.
    pub plain_http: PlainHttpHosts,
    /// Bounds on what is fetched: all layers together have at most `max_bytes`, compressed as they come, and fetching them
    /// takes at most `max_duration`.
    pub limits: UnpackLimits,
    /// How long is waited for whom.
    pub patience: Patience,
}

/// A mirror, and who one is to it.
#[derive(Debug, Clone)]
pub struct MirrorOptions {
    /// The mirror.
    pub mirror: Mirror,
    /// Those of the registry itself are never sent there.
    pub credentials: Credentials,
}

/// How long is waited, and how often something is tried.
#[derive(Debug, Clone)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For an answer to begin, and between two pieces of it.
    pub stall: Duration,
    /// For a manifest, a configuration or a token as a whole.
    pub document: Duration,
    /// Before the second attempt; each further one waits twice as long. A registry may ask for up to 30 seconds.
    pub pause: Duration,
    /// How often one thing is tried without getting any further.
    pub attempts: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            document: Duration::from_secs(60),
            pause: Duration::from_millis(500),
            attempts: 5,
        }
    }
}

/// The hosts that may be spoken to without TLS: those that the configuration names, and no other, not even this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlainHttpHosts(Vec<String>);

impl PlainHttpHosts {
    /// Takes `host` or `host:port`; the former means port 80.
    pub fn new(hosts: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let with_port = |host: &str| match host.rsplit_once(':') {
            Some((_, port)) if !port.contains(']') => host.to_ascii_lowercase(),
            _ => format!("{}:80", host.to_ascii_lowercase()),
        };
        Self(hosts.into_iter().map(|host| with_port(host.as_ref())).collect())
    }

    /// Says whether this address may be spoken to without TLS.
    pub(crate) fn allow(&self, url: &Url) -> bool {
        let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0));
        self.0.contains(&format!("{host}:{port}"))
    }
}

#[cfg(test)]
mod tests {
    use reqwest::Url;

    use super::PlainHttpHosts;

    #[test]
    fn a_host_is_allowed_with_its_port_alone() {
        let hosts = PlainHttpHosts::new(["Plain.example", "localhost:5000", "[::1]:5000", "[::2]"]);
        for (url, allowed) in [
            ("http://plain.example/v2/", true),
            ("http://plain.example:80/v2/", true),
            ("http://plain.example:5000/v2/", false),
            ("http://localhost:5000/", true),
            ("http://localhost/", false),
            ("http://localhost:50001/", false),
            ("http://127.0.0.1:5000/", false),
            ("http://[::1]:5000/", true),
            ("http://[::2]/", true),
            ("http://sub.plain.example/", false),
            ("http://plain.example@evil.example/", false),
        ] {
            assert_eq!(hosts.allow(&Url::parse(url).unwrap()), allowed, "{url}");
        }
        assert!(!PlainHttpHosts::default().allow(&Url::parse("http://localhost/").unwrap()));
    }
}
