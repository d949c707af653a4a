//! The three seccomp profiles, and how they are written in the configuration.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names a system call filter, from none to the strictest.
///
/// The order is the order of strictness: everything a profile refuses, each later profile refuses too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeccompProfile {
    /// No filter; for debugging and compatibility checks only.
    Off,
    /// Refuses the calls known from kernel attacks: bpf, ptrace, mount, modules, keyrings and their like.
    Mvp,
    /// Refuses also every way into a new namespace, obsolete calls, and calls of future kernels.
    #[default]
    Strict,
}

impl SeccompProfile {
    /// All profiles, from the laxest to the strictest.
    pub const ALL: [Self; 3] = [Self::Off, Self::Mvp, Self::Strict];

    /// Returns the name used in the configuration and in session information.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Mvp => "mvp",
            Self::Strict => "strict",
        }
    }
}

impl fmt::Display for SeccompProfile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for SeccompProfile {
    type Err = ParseSeccompProfileError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.as_str() == value)
            .ok_or_else(|| ParseSeccompProfileError { value: value.to_owned() })
    }
}

/// Says that a text names no seccomp profile.
///
/// An unknown name is never read as a profile: a misspelt `strict` must not become `off`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read {value:?} as a seccomp profile, choose \"off\", \"mvp\" or \"strict\"")]
pub struct ParseSeccompProfileError {
    /// The text as it was given.
    pub value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_reads_back_from_its_name() {
        for profile in SeccompProfile::ALL {
            assert_eq!(profile.to_string().parse(), Ok(profile));
        }
    }

    #[test]
    fn the_default_is_the_strictest() {
        assert_eq!(SeccompProfile::ALL.into_iter().max(), Some(SeccompProfile::default()));
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_choices() {
        for value in ["Strict", "", " off", "none"] {
            let message = value.parse::<SeccompProfile>().unwrap_err().to_string();
            assert!(message.contains(&format!("{value:?}")), "{message}");
            for profile in SeccompProfile::ALL {
                assert!(message.contains(profile.as_str()), "{message}");
            }
        }
    }
}
