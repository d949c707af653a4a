//! Why a request did not get its answer.

use std::error::Error;

use sandkasten_api::error::ErrorBody;

/// A client that cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildClientError {
    /// The key cannot travel in a header.
    #[error("send the API key: it has characters that no HTTP header can carry")]
    Key,
    /// The transport cannot be set up.
    #[error("set up the HTTP transport")]
    Transport {
        /// Why.
        source: reqwest::Error,
    },
}

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The daemon cannot be reached, or the connection broke before the answer was whole.
    #[error("reach the daemon at {url}")]
    Unreachable {
        /// The endpoint.
        url: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The daemon refused the request.
    #[error("{}", body.message)]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What the daemon says about it.
        body: ErrorBody,
    },
    /// Whatever answers there does not speak the contract.
    #[error("understand the answer of {url}: {reason}")]
    Protocol {
        /// The endpoint.
        url: String,
        /// What was odd about the answer.
        reason: String,
    },
}
