//! Who one is to a registry. Never shown.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;

/// Who one is to a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody.
    #[default]
    Anonymous,
    /// A user with a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// What `docker login` has got in exchange for a password.
    IdentityToken(Secret),
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl Credentials {
    /// Says whether one is nobody.
    #[must_use]
    pub const fn is_anonymous(&self) -> bool {
        matches!(self, Self::Anonymous)
    }

    /// Returns the header of HTTP's basic authentication; none where there is no password.
    pub(crate) fn basic(&self) -> Option<HeaderValue> {
        let Self::Password { user, password } = self else { return None };
        let text = STANDARD.encode(format!("{user}:{}", password.expose()));
        let mut value = HeaderValue::from_str(&format!("Basic {text}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::{Credentials, Secret};

    #[test]
    fn a_password_is_sent_and_not_shown() {
        let credentials = Credentials::Password { user: "u".to_owned(), password: Secret::new("p\u{e9}:w") };
        assert_eq!(credentials.basic().unwrap(), "Basic dTpww6k6dw==");
        assert!(!format!("{credentials:?} {:?}", credentials.basic()).contains("p\u{e9}"));
        assert!(!format!("{:?}", credentials.basic()).contains("dTpw"));
        assert!(Credentials::Anonymous.basic().is_none());
    }
}
