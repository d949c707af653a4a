//! The API key as a type that cannot be printed by accident.

use std::fmt;
use std::io;

use serde::Deserialize;

/// Keys with fewer characters than this are guessable; the daemon warns about them.
pub(super) const SHORT_KEY_CHARS: usize = 16;
/// Keys that stand in published configurations, for readers to replace.
const PUBLISHED_KEYS: [&str; 1] = ["sk-replace-with-long-random-secret"];

/// The secret that opens the API. `Debug` and `Display` never show it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ApiKey(String);

impl ApiKey {
    /// Wraps a key.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// Draws a key of 32 random bytes.
    ///
    /// # Errors
    /// Where the kernel gives no random bytes.
    pub fn draw() -> io::Result<Self> {
        let mut bytes = [0_u8; 32];
        // So few come all at once: getrandom(2).
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(format!("sk-{digits}")))
    }

    /// Returns the key itself: for comparing and for sending, never for printing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Tells whether the key is short enough to be guessed.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.0.chars().count() < SHORT_KEY_CHARS
    }

    /// Tells whether the key is one of a published example, which everybody knows.
    #[must_use]
    pub fn is_published(&self) -> bool {
        PUBLISHED_KEYS.contains(&self.0.as_str())
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiKey(********)")
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Always eight, so that the length stays secret too.
        formatter.write_str("********")
    }
}

#[cfg(test)]
mod tests {
    use super::ApiKey;

    #[test]
    fn no_formatting_shows_the_key() {
        let key = ApiKey::new("sk-very-secret".to_owned());
        for shown in [format!("{key}"), format!("{key:?}"), format!("{key:#?}"), format!("{:?}", Some(&key))]
        {
            assert!(!shown.contains("very-secret"), "{shown}");
        }
    }
}
