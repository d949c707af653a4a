//! What can go wrong between this machine and a registry. Texts of registries are hostile: cut short, and escaped when
//! they are shown.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::StatusCode;
use sandkasten_image::Digest;

use crate::transport::cut;

/// Nothing was fetched, or not all.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The library for HTTP could not be set up: most often there are no certificates on this machine.
    #[error("set up TLS with the certificates of this machine: {problem}")]
    Setup {
        /// Why.
        problem: String,
    },
    /// An address is neither https nor that of a host that may do without.
    #[error("{url} is not encrypted, and its host is not in images.insecure_registries")]
    PlainHttp {
        /// The address.
        url: String,
    },
    /// The registry could not be asked, or its answer broke off.
    #[error("ask {url}")]
    Request {
        /// The address.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// An answer ended before it was all there.
    #[error("{url} sent {received} bytes of {expected} and ended")]
    Cut {
        /// The address.
        url: String,
        /// What came.
        received: u64,
        /// What there should be.
        expected: u64,
    },
    /// A document did not come in time.
    #[error("{url} took longer than {allowed:?}")]
    Slow {
        /// The address.
        url: String,
        /// The limit.
        allowed: Duration,
    },
    /// Redirects lead to redirects.
    #[error("{url} redirects more than {allowed} times")]
    Redirects {
        /// The address that was asked first.
        url: String,
        /// The limit.
        allowed: usize,
    },
    /// A redirect leads nowhere.
    #[error("{url} redirects to {location:?}, which is no address of the web")]
    Location {
        /// The address.
        url: String,
        /// Where to.
        location: String,
    },
    /// The registry has no such image, or hides it.
    #[error("{url} is not there{}", said(message))]
    NotFound {
        /// The address.
        url: String,
        /// What the registry says.
        message: Option<String>,
    },
    /// The registry does not let us.
    #[error("{url} is refused with {status}{}", said(message))]
    Denied {
        /// The address.
        url: String,
        /// 401 or 403.
        status: StatusCode,
        /// Somebody was named to it.
        with_credentials: bool,
        /// What the registry says.
        message: Option<String>,
    },
    /// The registry wants to know who we are in a way that this version does not know, or by an answer that is malformed.
    #[error("{url} asks for a kind of authentication that is not known: {challenge:?}")]
    Challenge {
        /// The address.
        url: String,
        /// What it asks for.
        challenge: String,
    },
    /// What should have been a token is none.
    #[error("{url} gives no usable token: {problem}")]
    Token {
        /// The address.
        url: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Any other status.
    #[error("{url} answers with {status}{}", said(message))]
    Status {
        /// The address.
        url: String,
        /// The status.
        status: StatusCode,
        /// What the registry says.
        message: Option<String>,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// There is more than was said, or than is allowed.
    #[error("{url} has more than {allowed} bytes")]
    TooLarge {
        /// The address.
        url: String,
        /// The limit.
        allowed: u64,
    },
    /// There is another number of bytes than was said.
    #[error("{url} has {found} bytes, not {expected}")]
    Size {
        /// The address.
        url: String,
        /// What was said.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// Something is not what it is named by.
    #[error("{url} has the digest {found}, not {expected}")]
    Digest {
        /// The address.
        url: String,
        /// The name.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// An answer has another part than was asked for.
    #[error("{url} sends another part than was asked for: {range:?}")]
    Range {
        /// The address.
        url: String,
        /// What it says that it sends.
        range: String,
    },
    /// A document is malformed.
    #[error("parse {url}: {problem}")]
    Parse {
        /// The address.
        url: String,
        /// What is wrong. It may quote the document, and is cut.
        problem: String,
    },
    /// A document is none of an image.
    #[error("{url} is of the type {media_type:?}, which is no image that can be pulled")]
    NoImage {
        /// The address.
        url: String,
        /// Its type.
        media_type: String,
    },
    /// None of the images runs on this machine.
    #[error("there is no image for {machine}; there is one for {}", platforms.join(", "))]
    Platform {
        /// This machine.
        machine: String,
        /// What there is.
        platforms: Vec<String>,
    },
    /// Indexes lead to indexes without end.
    #[error("more than {allowed} indexes lead to one another")]
    Nested {
        /// The limit.
        allowed: usize,
    },
    /// The configuration has not as many layers as the manifest.
    #[error("the configuration has {configured} layers, the manifest {stored}")]
    LayerCount {
        /// Of the configuration.
        configured: usize,
        /// Of the manifest.
        stored: usize,
    },
    /// There are too many layers to stack.
    #[error("the image has more than {allowed} layers")]
    TooManyLayers {
        /// The limit.
        allowed: usize,
    },
    /// All layers together are too large.
    #[error("the layers have more than {allowed} bytes together")]
    LayersTooLarge {
        /// The limit.
        allowed: u64,
    },
    /// The layers do not fit on the disk.
    #[error("the layers to fetch have {needed} bytes, and there is space for {available} at {path}")]
    Space {
        /// Where to.
        path: PathBuf,
        /// Of the layers as they come.
        needed: u64,
        /// What there is.
        available: u64,
    },
    /// The layers did not come in time.
    #[error("fetching the layers took longer than {allowed:?}")]
    Duration {
        /// The limit.
        allowed: Duration,
    },
    /// Nobody was asked.
    #[error("there is nobody to ask")]
    NoPlace,
    /// What another pull fetches could not be waited for or taken.
    #[error("share the layer {layer} with other pulls")]
    Share {
        /// The layer.
        layer: Digest,
        /// Why.
        source: io::Error,
    },
    /// It could not be told which layers are here already.
    #[error("look for the layers that are here already")]
    Present {
        /// Why.
        source: io::Error,
    },
    /// What was fetched could not be written.
    #[error("write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl FetchError {
    /// Says what happened and why. What the library for HTTP says in between says nothing to a user.
    #[must_use]
    pub fn with_root_cause(&self) -> String {
        self.source().map_or_else(|| self.to_string(), |cause| format!("{self}: {}", root_cause(cause)))
    }

    /// Says whether it may work the next time.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Request { source, .. } => !source.is_builder(),
            Self::Cut { .. } => true,
            Self::Status { status, .. } => matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// Says whether it is a matter of this host, so that no other registry helps.
    pub(crate) const fn is_ours(&self) -> bool {
        matches!(
            self,
            Self::Write { .. }
                | Self::Share { .. }
                | Self::Present { .. }
                | Self::Space { .. }
                | Self::Duration { .. }
        )
    }

    /// Says whether nobody was there to be asked.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Request { source, .. } if source.is_connect())
    }

    /// How long the registry wants to be left alone.
    pub(crate) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// What is behind an error that the library for HTTP gives.
pub(crate) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cut(&cause.to_string())
}

fn said(message: &Option<String>) -> String {
    message.as_ref().map(|message| format!(": {message:?}")).unwrap_or_default()
}
