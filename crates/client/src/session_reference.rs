//! A session as people and agents name it: by its id, or by the name that it was given.

use std::fmt;
use std::str::FromStr;

use crate::client::Client;
use crate::request_error::RequestError;
use crate::session_filter::SessionFilter;
use sandkasten_api::error::{ErrorBody, ErrorCode};
use sandkasten_api::id::SessionId;
use sandkasten_api::name::{ParseNameError, SessionName};

/// An id or a name; nothing is both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionReference {
    /// By its id.
    Id(SessionId),
    /// By its name.
    Name(SessionName),
}

impl FromStr for SessionReference {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, ParseNameError> {
        match text.parse() {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) => text.parse().map(Self::Name),
        }
    }
}

impl fmt::Display for SessionReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(formatter),
            Self::Name(name) => name.fmt(formatter),
        }
    }
}

impl SessionReference {
    /// Returns the id; asks the daemon for the one that a name stands for.
    ///
    /// # Errors
    /// As every request; `Refused` with `SESSION_NOT_FOUND` where no live session has the name.
    pub async fn resolve(&self, client: &Client) -> Result<SessionId, RequestError> {
        let name = match self {
            Self::Id(id) => return Ok(id.clone()),
            Self::Name(name) => name,
        };
        let filter = SessionFilter { name: Some(name.clone()), ..SessionFilter::default() };
        // A daemon that does not know the filter would list others.
        let found = client.find_sessions(&filter).await?.into_iter();
        let found =
            found.filter(|session| session.name.as_ref() == Some(name)).map(|session| session.id).next();
        found.ok_or_else(|| RequestError::Refused {
            status: ErrorCode::SessionNotFound.status(),
            body: ErrorBody {
                error_code: ErrorCode::SessionNotFound,
                message: format!("no live session is called {name}"),
                details: None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::SessionReference;

    #[test]
    fn what_looks_like_an_id_is_one() {
        assert!(matches!("0123abcd-ef01".parse(), Ok(SessionReference::Id(_))));
        assert!(matches!("0123abcd".parse(), Ok(SessionReference::Name(_))));
        assert!("../x".parse::<SessionReference>().is_err());
    }
}
