//! The `security` section: kernel-side hardening that can be traded for compatibility.

use garde::Validate;
use schemars::JsonSchema;
use serde::Deserialize;

use super::rules::keyword_enum;

/// The `security` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct SecurityConfig {
    /// Which system calls a session's processes may make.
    #[garde(skip)]
    pub seccomp: SeccompProfile,
}

impl Default for SecurityConfig {
    fn default() -> Self {
        Self { seccomp: SeccompProfile::Strict }
    }
}

keyword_enum! {
    /// Which system calls a session's processes may make.
    pub enum SeccompProfile {
        /// All of them: for debugging only.
        Off = "off",
        /// All but those that kernel attacks are made of.
        Mvp = "mvp",
        /// Those of `mvp` less the ones that change namespaces.
        Strict = "strict",
    }
}

impl From<SeccompProfile> for sandkasten_isolation::seccomp::SeccompProfile {
    fn from(profile: SeccompProfile) -> Self {
        match profile {
            SeccompProfile::Off => Self::Off,
            SeccompProfile::Mvp => Self::Mvp,
            SeccompProfile::Strict => Self::Strict,
        }
    }
}
