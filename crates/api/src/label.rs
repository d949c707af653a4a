//! Labels: what clients write on their sessions, to find them again. Bounded in number and size.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The most labels of one session.
pub const MAX_LABELS: usize = 32;
/// The longest key, in bytes.
pub const MAX_LABEL_KEY_BYTES: usize = 128;
/// The longest value, in bytes.
pub const MAX_LABEL_VALUE_BYTES: usize = 256;
/// What keys of clients do not begin with: labels of our own do.
const RESERVED: &str = "sandkasten.";

/// The labels of one session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Labels(BTreeMap<String, String>);

/// What is to be different about labels: a value sets a label, none removes it, what is not named stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LabelChanges(pub BTreeMap<String, Option<String>>);

/// Labels that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabels {
    /// More than there may be.
    #[error("{count} labels are too many; a session has at most {MAX_LABELS}")]
    TooMany {
        /// How many there would be.
        count: usize,
    },
    /// A key has characters that keys do not have, or too many.
    #[error(
        "{key:?} is no key of a label: expected 1 to {MAX_LABEL_KEY_BYTES} of A-Z, a-z, 0-9, dot, underscore, hyphen \
         and slash, with a letter or digit at both ends"
    )]
    Key {
        /// What was given, cut to a printable length.
        key: String,
    },
    /// A key is not for clients.
    #[error("the label {key:?} is not for clients: keys that begin with \"{RESERVED}\" are reserved")]
    Reserved {
        /// Which key.
        key: String,
    },
    /// A value is too long, or has characters that cannot be shown.
    #[error(
        "the label {key:?} has no fit value: expected at most {MAX_LABEL_VALUE_BYTES} bytes without control characters"
    )]
    Value {
        /// The key that it belongs to.
        key: String,
    },
}

impl Labels {
    /// Returns the value of a label.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Returns keys and values, in order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Returns these labels with changes made to them.
    ///
    /// # Errors
    /// [`InvalidLabels`], for what the changes name, or for how many there would be.
    pub fn with(&self, changes: LabelChanges) -> Result<Self, InvalidLabels> {
        let mut labels = self.0.clone();
        for (key, value) in changes.0 {
            check_key(&key)?;
            match value {
                Some(value) => drop(labels.insert(key, value)),
                None => drop(labels.remove(&key)),
            }
        }
        Self::try_from(labels)
    }
}

impl TryFrom<BTreeMap<String, String>> for Labels {
    type Error = InvalidLabels;

    fn try_from(labels: BTreeMap<String, String>) -> Result<Self, InvalidLabels> {
        if labels.len() > MAX_LABELS {
            return Err(InvalidLabels::TooMany { count: labels.len() });
        }
        for (key, value) in &labels {
            check_key(key)?;
            if value.len() > MAX_LABEL_VALUE_BYTES || value.chars().any(char::is_control) {
                return Err(InvalidLabels::Value { key: key.clone() });
            }
        }
        Ok(Self(labels))
    }
}

impl From<Labels> for BTreeMap<String, String> {
    fn from(labels: Labels) -> Self {
        labels.0
    }
}

/// Checks the key of a label that a client names.
///
/// # Errors
/// [`InvalidLabels::Key`] or [`InvalidLabels::Reserved`].
pub fn check_key(key: &str) -> Result<(), InvalidLabels> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/');
    let ends = [key.bytes().next(), key.bytes().next_back()];
    let sound = ends.iter().all(|end| end.is_some_and(|b| b.is_ascii_alphanumeric()));
    if !sound || key.len() > MAX_LABEL_KEY_BYTES || !key.bytes().all(inner) {
        return Err(InvalidLabels::Key { key: key.chars().take(64).collect() });
    }
    if key.starts_with(RESERVED) {
        return Err(InvalidLabels::Reserved { key: key.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{InvalidLabels, LabelChanges, Labels, MAX_LABELS};

    fn labels(pairs: &[(&str, &str)]) -> Result<Labels, InvalidLabels> {
        let pairs: BTreeMap<_, _> =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Labels::try_from(pairs)
    }

    #[test]
    fn keys_and_values_are_bounded() {
        let long = "k".repeat(128);
        for good in
            [("a", ""), ("team", "core data = ü"), ("example.com/owner", "x"), (&long, &"v".repeat(256))]
        {
            assert!(labels(&[good]).is_ok(), "{good:?}");
        }
        for bad in ["", "-a", "a-", "a b", "a=b", "ä", "a\n", &"k".repeat(129), "/a", "a."] {
            assert!(matches!(labels(&[(bad, "")]), Err(InvalidLabels::Key { .. })), "{bad}");
        }
        assert!(matches!(labels(&[("sandkasten.a", "")]), Err(InvalidLabels::Reserved { .. })));
        for bad in ["a\nb", "\u{1b}[2J", "\u{85}", &"v".repeat(257)] {
            assert!(matches!(labels(&[("a", bad)]), Err(InvalidLabels::Value { .. })), "{bad:?}");
        }
    }

    #[test]
    fn changes_set_and_remove_and_leave_the_rest() {
        let before = labels(&[("a", "1"), ("b", "2")]).expect("sound");
        let changes: LabelChanges = serde_json::from_str(r#"{"b":null,"c":"3","d":null}"#).expect("JSON");
        assert_eq!(before.with(changes).expect("sound"), labels(&[("a", "1"), ("c", "3")]).expect("sound"));
        let full: BTreeMap<String, String> =
            (0..MAX_LABELS).map(|number| (format!("k{number}"), String::new())).collect();
        let full = Labels::try_from(full).expect("as many as there may be");
        let one = |key: &str, value: Option<&str>| {
            LabelChanges([(key.to_owned(), value.map(str::to_owned))].into())
        };
        assert!(full.with(one("k0", Some("other"))).is_ok());
        assert_eq!(full.with(one("more", Some(""))), Err(InvalidLabels::TooMany { count: MAX_LABELS + 1 }));
        // Not a quiet no-op: somebody means something by it.
        assert!(matches!(full.with(one("a=b", None)), Err(InvalidLabels::Key { .. })));
    }
}
