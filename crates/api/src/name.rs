//! The name that a client gives a session: unique among live ones, and never to be mistaken for an id.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::SessionId;

/// The longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// Names a session for people: 1 to 64 of `[A-Za-z0-9._-]`, beginning with a letter or digit, and no session id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionName(String);

/// A text that is no name of a session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseNameError {
    /// It has characters that names do not have, or too many.
    #[error(
        "{text:?} is no name of a session: expected 1 to {MAX_NAME_BYTES} of A-Z, a-z, 0-9, dot, underscore and \
         hyphen, beginning with a letter or digit"
    )]
    Characters {
        /// What was given, cut to a printable length.
        text: String,
    },
    /// It would be taken for an id.
    #[error("{text:?} is no name of a session: it looks like the id of one; choose another")]
    Id {
        /// What was given.
        text: String,
    },
}

impl SessionName {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SessionName {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, ParseNameError> {
        let allowed = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        let begins = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if !allowed || !begins || text.len() > MAX_NAME_BYTES {
            return Err(ParseNameError::Characters { text: text.chars().take(64).collect() });
        }
        if text.parse::<SessionId>().is_ok() {
            return Err(ParseNameError::Id { text: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for SessionName {
    type Error = ParseNameError;

    fn try_from(text: String) -> Result<Self, ParseNameError> {
        text.parse()
    }
}

impl From<SessionName> for String {
    fn from(name: SessionName) -> Self {
        name.0
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{ParseNameError, SessionName};

    #[test]
    fn names_are_words_that_no_id_can_be() {
        for good in ["a", "7", "build-1", "My.Agent_2", "0123abcd", &"x".repeat(64)] {
            assert!(good.parse::<SessionName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "_a", "a b", "a/b", "a\n", "ä", "a=b", &"x".repeat(65)] {
            assert!(matches!(bad.parse::<SessionName>(), Err(ParseNameError::Characters { .. })), "{bad}");
        }
        for id in ["0123abcd-ef01", "0123abcd-ef0", "01234567-89ab-cdef-0123-456789abcdef"] {
            assert!(matches!(id.parse::<SessionName>(), Err(ParseNameError::Id { .. })), "{id}");
        }
    }
}
