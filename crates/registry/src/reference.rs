//! References: where an image is, as people write it. Parsed once where they come in.

use std::fmt;
use std::str::FromStr;

use sandkasten_image::Digest;

const DOCKER_HUB: &str = "docker.io";
/// The host that answers for Docker Hub.
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";
/// Where Docker Hub keeps the images that have no owner in their name.
const DOCKER_HUB_LIBRARY: &str = "library";
const USUAL_TAG: &str = "latest";
const LONGEST_PATH: usize = 255;
const LONGEST_TAG: usize = 128;

/// An image in a registry: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`.
///
/// Without a host it is one of Docker Hub. With a tag and a digest, the digest is what counts. Without either it is the
/// tag `latest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    registry: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text that is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no reference to an image: {problem}")]
pub struct ParseReferenceError {
    /// What was given, cut to a printable length.
    pub text: String,
    /// What is wrong with it.
    pub problem: ReferenceProblem,
}

/// What is wrong with a text that should be a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceProblem {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// It begins as an address of the web or of another tool does.
    #[error("leave {scheme:?} out, and begin with the registry or the name")]
    Scheme {
        /// What it begins with.
        scheme: String,
    },
    /// The registry is no host with a port.
    #[error("{registry:?} is no host, or no host and a port from 1 to 65535")]
    Registry {
        /// The part in question.
        registry: String,
    },
    /// There is a registry and nothing behind it.
    #[error("no name follows the registry {registry:?}")]
    NoPath {
        /// The registry.
        registry: String,
    },
    /// A part of the name has characters that it may not have.
    #[error(
        "expected a-z and 0-9, with single dots, one or two underscores or hyphens between them, as the part {part:?} of \
         the name"
    )]
    Path {
        /// The part in question.
        part: String,
    },
    /// The name is too long.
    #[error("its name has more than {LONGEST_PATH} characters")]
    LongPath,
    /// The tag is empty, too long, or has characters that it may not have.
    #[error(
        "expected 1 to {LONGEST_TAG} of A-Z, a-z, 0-9, underscore, dot and hyphen as its tag, the first no dot or hyphen, \
         but it is {tag:?}"
    )]
    Tag {
        /// The tag.
        tag: String,
    },
    /// The digest is none.
    #[error("expected sha256: and 64 of 0-9 and a-f as its digest, but it is {digest:?}")]
    Digest {
        /// What is behind the `@`.
        digest: String,
    },
}

impl Reference {
    /// Returns the registry as it was named, with its port if one was given.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the host and port that answer for the registry.
    pub(crate) fn address(&self) -> &str {
        if self.is_docker_hub() { DOCKER_HUB_HOST } else { &self.registry }
    }

    /// Says whether it is an image of Docker Hub, which has several names.
    pub(crate) fn is_docker_hub(&self) -> bool {
        self.registry == DOCKER_HUB
    }

    /// Returns the name within the registry.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Takes a registry and a name within it, of which the former is one even where it could be a part of a name.
    pub(crate) fn of_registry(registry: &str, path: &str) -> Result<Self, ReferenceProblem> {
        within(registry.to_ascii_lowercase(), path, None)
    }

    /// Returns the same image at another registry, below a path of it.
    pub(crate) fn moved(&self, registry: &str, below: Option<&str>) -> Self {
        let path = below.map_or_else(|| self.path.clone(), |below| format!("{below}/{}", self.path));
        Self { registry: registry.to_owned(), path, tag: self.tag.clone(), digest: self.digest }
    }

    /// Returns the digest, where it has one.
    #[must_use]
    pub const fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Returns by what the registry finds the manifest: the digest, or else the tag.
    pub(crate) fn manifest(&self) -> String {
        let tag = || self.tag.clone().unwrap_or_else(|| USUAL_TAG.to_owned());
        self.digest.map_or_else(tag, |digest| digest.to_string())
    }

    /// Returns what an image of this machine would be called: the last part of the name, and the tag if it is not the
    /// usual one. It need not be a name that this machine allows.
    #[must_use]
    pub fn short_name(&self) -> String {
        let last = self.path.rsplit('/').next().unwrap_or_default();
        match self.tag.as_deref() {
            Some(tag) if tag != USUAL_TAG => format!("{last}:{tag}"),
            _ => last.to_owned(),
        }
    }
}

impl FromStr for Reference {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|problem| problem.of(text))
    }
}

impl ReferenceProblem {
    pub(crate) fn of(self, text: &str) -> ParseReferenceError {
        ParseReferenceError { text: printable(text), problem: self }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.path)?;
        match (&self.tag, self.digest) {
            (Some(tag), _) => write!(formatter, ":{tag}")?,
            (None, None) => write!(formatter, ":{USUAL_TAG}")?,
            (None, Some(_)) => {}
        }
        self.digest.map_or(Ok(()), |digest| write!(formatter, "@{digest}"))
    }
}

fn parse(text: &str) -> Result<Reference, ReferenceProblem> {
    if text.is_empty() {
        return Err(ReferenceProblem::Empty);
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(ReferenceProblem::Scheme { scheme: printable(&format!("{scheme}://")) });
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => {
            let parsed =
                digest.parse().map_err(|_| ReferenceProblem::Digest { digest: printable(digest) })?;
            (rest, Some(parsed))
        }
        None => (text, None),
    };
    let (registry, rest) = match rest.split_once('/') {
        Some((first, rest)) if is_registry(first) => (first.to_ascii_lowercase(), rest),
        _ => (DOCKER_HUB.to_owned(), rest),
    };
    within(registry, rest, digest)
}

/// Takes a reference apart behind its registry.
fn within(registry: String, rest: &str, digest: Option<Digest>) -> Result<Reference, ReferenceProblem> {
    if !is_address(&registry) {
        return Err(ReferenceProblem::Registry { registry: printable(&registry) });
    }
    let registry = match registry.as_str() {
        "index.docker.io" | DOCKER_HUB_HOST => DOCKER_HUB.to_owned(),
        _ => registry,
    };
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    if path.is_empty() {
        return Err(ReferenceProblem::NoPath { registry });
    }
    if let Some(part) = path.split('/').find(|part| !is_path_part(part)) {
        return Err(ReferenceProblem::Path { part: printable(part) });
    }
    if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
        return Err(ReferenceProblem::Tag { tag: printable(tag) });
    }
    let path = match path.contains('/') || registry != DOCKER_HUB {
        true => path.to_owned(),
        false => format!("{DOCKER_HUB_LIBRARY}/{path}"),
    };
    if path.len() > LONGEST_PATH {
        return Err(ReferenceProblem::LongPath);
    }
    Ok(Reference { registry, path, tag: tag.map(str::to_owned), digest })
}

/// Says whether a first part names a registry and is no part of the name: by what no name may have.
fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':', '['])
}

/// Says whether a text is a host name or address, perhaps with a port.
fn is_address(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            match port.strip_prefix(':') {
                None if !port.is_empty() => return false,
                port => (None, port),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(text), None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.is_none_or(|host| host.split('.').all(label))
        && port.is_none_or(|port| {
            port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
}

/// As the distribution specification of OCI has it: words of a-z and 0-9, and one separator between two of them.
fn is_path_part(part: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    is_word(first)
        && is_word(last)
        && bytes.split(is_word).all(|separator| {
            matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-')
        })
}

fn is_tag(tag: &str) -> bool {
    (1..=LONGEST_TAG).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

fn printable(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::{Reference, ReferenceProblem};

    fn parsed(text: &str) -> Reference {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn what_people_write_becomes_what_registries_have() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, address, path, manifest, short) in [
            ("python:3.12-slim", "registry-1.docker.io", "library/python", "3.12-slim", "python:3.12-slim"),
            ("python", "registry-1.docker.io", "library/python", "latest", "python"),
            ("grafana/loki:3", "registry-1.docker.io", "grafana/loki", "3", "loki:3"),
            ("docker.io/python", "registry-1.docker.io", "library/python", "latest", "python"),
            ("index.docker.io/library/python", "registry-1.docker.io", "library/python", "latest", "python"),
            ("localhost/x", "localhost", "x", "latest", "x"),
            ("localhost:5000/a/b/c:Tag_1", "localhost:5000", "a/b/c", "Tag_1", "c:Tag_1"),
            ("ghcr.example/o/n:latest", "ghcr.example", "o/n", "latest", "n"),
            ("Quay.Example/o/n", "quay.example", "o/n", "latest", "n"),
            ("127.0.0.1:5000/n", "127.0.0.1:5000", "n", "latest", "n"),
            ("[::1]:5000/n", "[::1]:5000", "n", "latest", "n"),
            ("my-host:80/a__b/c--d.e_f:1", "my-host:80", "a__b/c--d.e_f", "1", "c--d.e_f:1"),
            (&format!("python@{digest}"), "registry-1.docker.io", "library/python", &digest, "python"),
            (&format!("r.example/n:1@{digest}"), "r.example", "n", &digest, "n:1"),
        ] {
            let reference = parsed(text);
            let found = (reference.address(), reference.path(), reference.manifest(), reference.short_name());
            assert_eq!(found, (address, path, manifest.to_owned(), short.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_shown_parses_to_the_same() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for text in
            ["python", "python:3", "localhost:5000/a/b", &format!("a@{digest}"), &format!("a:b@{digest}")]
        {
            let reference = parsed(text);
            assert_eq!(parsed(&reference.to_string()).manifest(), reference.manifest());
            assert_eq!(parsed(&reference.to_string()).path(), reference.path());
        }
    }

    #[test]
    fn an_error_says_what_is_wrong() {
        use ReferenceProblem as Problem;
        type Expected = fn(&Problem) -> bool;
        let cases: &[(&str, Expected)] = &[
            ("", |problem| matches!(problem, Problem::Empty)),
            ("docker://python", |problem| matches!(problem, Problem::Scheme { .. })),
            ("https://r.example/python", |problem| matches!(problem, Problem::Scheme { .. })),
            ("r.example:0/x", |problem| matches!(problem, Problem::Registry { .. })),
            ("r.example:65536/x", |problem| matches!(problem, Problem::Registry { .. })),
            ("r.example:+80/x", |problem| matches!(problem, Problem::Registry { .. })),
            ("r..example/x", |problem| matches!(problem, Problem::Registry { .. })),
            ("../x", |problem| matches!(problem, Problem::Registry { .. })),
            ("[::1/x", |problem| matches!(problem, Problem::Registry { .. })),
            ("[::1]80/x", |problem| matches!(problem, Problem::Registry { .. })),
            ("user:secret@r.example/x", |problem| matches!(problem, Problem::Digest { .. })),
            ("r.example/", |problem| matches!(problem, Problem::NoPath { .. })),
            (":tag", |problem| matches!(problem, Problem::NoPath { .. })),
            ("Python", |problem| matches!(problem, Problem::Path { .. })),
            ("a/../b", |problem| matches!(problem, Problem::Path { .. })),
            ("a//b", |problem| matches!(problem, Problem::Path { .. })),
            ("a/b?x=1", |problem| matches!(problem, Problem::Path { .. })),
            ("a/b%2f", |problem| matches!(problem, Problem::Path { .. })),
            ("a___b", |problem| matches!(problem, Problem::Path { .. })),
            ("-a", |problem| matches!(problem, Problem::Path { .. })),
            ("a:", |problem| matches!(problem, Problem::Tag { .. })),
            ("a:.b", |problem| matches!(problem, Problem::Tag { .. })),
            ("a:b/c", |problem| matches!(problem, Problem::Registry { .. })),
            ("a@sha512:00", |problem| matches!(problem, Problem::Digest { .. })),
            ("a@", |problem| matches!(problem, Problem::Digest { .. })),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Reference>().unwrap_err();
            assert!(expected(&error.problem), "{text}: {error}");
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
        let long = "a/".repeat(127) + "aa";
        assert_eq!(long.parse::<Reference>().unwrap_err().problem, ReferenceProblem::LongPath);
    }
}
