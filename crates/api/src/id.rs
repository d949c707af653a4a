//! Identifiers that arrive from outside: parsed once at the edge, then carried as types.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names a session: `xxxxxxxx-xxxx` in lowercase hexadecimal, or a full lowercase UUID.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

/// Names a workspace: 2 to 64 of `[a-z0-9-]`, no hyphen at either end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkspaceId(String);

/// Names an exec or a process of a session: 16 lowercase hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExecId(u64);

/// A text that is no valid identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// Not a session id.
    #[error(
        "{text:?} is no session id: expected 8 and 4 lowercase hexadecimal digits joined by a hyphen, or a UUID"
    )]
    Session {
        /// What was given, cut to a printable length.
        text: String,
    },
    /// Not the id of an exec.
    #[error("{text:?} is no id of an exec or process: expected 16 lowercase hexadecimal digits")]
    Exec {
        /// What was given, cut to a printable length.
        text: String,
    },
    /// Not a workspace id.
    #[error(
        "{text:?} is no workspace id: expected 2 to 64 of a-z, 0-9 and hyphen, with no hyphen at either end"
    )]
    Workspace {
        /// What was given, cut to a printable length.
        text: String,
    },
}

impl SessionId {
    /// Builds an id in the short form from random bits.
    #[must_use]
    pub fn from_random(high: u32, low: u16) -> Self {
        Self(format!("{high:08x}-{low:04x}"))
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl WorkspaceId {
    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ExecId {
    /// Makes an id of a number, which is drawn at random.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl FromStr for ExecId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let digits = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match u64::from_str_radix(text, 16) {
            Ok(number) if digits => Ok(Self(number)),
            _ => Err(ParseIdError::Exec { text: text.chars().take(64).collect() }),
        }
    }
}

impl fmt::Display for ExecId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl TryFrom<String> for ExecId {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, ParseIdError> {
        text.parse()
    }
}

impl From<ExecId> for String {
    fn from(id: ExecId) -> String {
        id.to_string()
    }
}

impl FromStr for SessionId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let groups: Vec<usize> = text.split('-').map(str::len).collect();
        let hexadecimal = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'));
        if hexadecimal && matches!(groups.as_slice(), [8, 3 | 4] | [8, 4, 4, 4, 12]) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseIdError::Session { text: text.chars().take(64).collect() })
        }
    }
}

impl FromStr for WorkspaceId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let allowed = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'-'));
        if allowed && (2..=64).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-') {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseIdError::Workspace { text: text.chars().take(64).collect() })
        }
    }
}

macro_rules! text_conversions {
    ($id:ident) => {
        impl TryFrom<String> for $id {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, ParseIdError> {
                text.parse()
            }
        }

        impl From<$id> for String {
            fn from(id: $id) -> String {
                id.0
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

text_conversions!(SessionId);
text_conversions!(WorkspaceId);

#[cfg(test)]
mod tests {
    use super::{SessionId, WorkspaceId};

    #[test]
    fn session_ids_of_the_contract_parse_and_nothing_else() {
        for good in [
            "0123abcd-ef0",
            "0123abcd-ef01",
            "01234567-89ab-cdef-0123-456789abcdef",
            &SessionId::from_random(7, 1).to_string(),
        ] {
            assert!(good.parse::<SessionId>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "0123abcd",
            "0123ABCD-ef01",
            "0123abcd-ef",
            "0123abcd-ef012",
            "../../etc/passwd",
            "0123abcg-ef01",
            "--------",
        ] {
            assert!(bad.parse::<SessionId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn workspace_ids_of_the_contract_parse_and_nothing_else() {
        for good in ["ab", "user-1", &"a".repeat(64)] {
            assert!(good.parse::<WorkspaceId>().is_ok(), "{good}");
        }
        for bad in ["a", "-ab", "ab-", "Ab", "a_b", "a/b", "..", &"a".repeat(65)] {
            assert!(bad.parse::<WorkspaceId>().is_err(), "{bad}");
        }
    }
}
