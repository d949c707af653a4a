//! Image names: parsed once where they come in, safe as a file name ever after.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const LONGEST_NAME: usize = 128;
/// Keeps `<name>:<tag>.json` and the temporary name beside it below the 255 bytes a file name may have.
const LONGEST_TAG: usize = 64;
const HOST: &str = "host";

/// Names an image: 1 to 128 of `[a-z0-9._-]`, beginning with a letter or digit, and optionally `:` and a tag of 1 to
/// 64 of `[A-Za-z0-9_.-]`.
///
/// A name with a tag and the same name without are two images; nothing is implied for a missing tag. `host` is the
/// built-in image.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName(String);

/// A text that is no image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseImageNameError {
    /// The part before the colon is empty, too long, or has a character that is not allowed.
    #[error(
        "{text:?} is no image name: expected 1 to 128 of a-z, 0-9, dot, underscore and hyphen, the first a letter or digit"
    )]
    Name {
        /// What was given, cut to a printable length.
        text: String,
    },
    /// The part after the colon is empty, too long, or has a character that is not allowed.
    #[error(
        "{text:?} is no image name: expected 1 to 64 of A-Z, a-z, 0-9, underscore, dot and hyphen as its tag"
    )]
    Tag {
        /// What was given, cut to a printable length.
        text: String,
    },
}

impl ImageName {
    /// Returns the name of the built-in image.
    #[must_use]
    pub fn host() -> Self {
        Self(HOST.to_owned())
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Says whether this is the built-in image, or a tag of it; neither can be imported or removed.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.0.split(':').next() == Some(HOST)
    }

    pub(crate) fn manifest_file(&self) -> String {
        format!("{}.json", self.0)
    }
}

impl FromStr for ImageName {
    type Err = ParseImageNameError;

    fn from_str(text: &str) -> Result<Self, ParseImageNameError> {
        let (name, tag) = match text.split_once(':') {
            Some((name, tag)) => (name, Some(tag)),
            None => (text, None),
        };
        let name_allowed =
            name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'));
        let name_begins = name.starts_with(|first: char| first.is_ascii_alphanumeric());
        if !name_allowed || !name_begins || name.len() > LONGEST_NAME {
            return Err(ParseImageNameError::Name { text: printable(text) });
        }
        let tag_allowed = tag.is_none_or(|tag| {
            (1..=LONGEST_TAG).contains(&tag.len())
                && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
        });
        if !tag_allowed {
            return Err(ParseImageNameError::Tag { text: printable(text) });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ImageName {
    type Error = ParseImageNameError;

    fn try_from(text: String) -> Result<Self, ParseImageNameError> {
        text.parse()
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> Self {
        name.0
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn printable(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::ImageName;

    #[test]
    fn names_with_and_without_a_tag_parse() {
        for good in [
            "a",
            "debian",
            "debian-12",
            "my.image_2",
            "debian:12",
            "debian:Bookworm-slim_1.0",
            &"a".repeat(128),
        ] {
            assert!(good.parse::<ImageName>().is_ok(), "{good}");
        }
    }

    #[test]
    fn path_tricks_and_odd_characters_are_refused_with_the_value() {
        for bad in [
            "",
            ".",
            "..",
            "../a",
            "a/b",
            "/etc",
            "-a",
            ".a",
            "A",
            "a b",
            "a\0",
            "a\n",
            "a:",
            "a:b:c",
            "a:/x",
            "a:é",
            ":a",
            &"a".repeat(129),
            &format!("a:{}", "t".repeat(65)),
        ] {
            let error = bad.parse::<ImageName>().unwrap_err();
            assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
        }
    }

    #[test]
    fn only_host_and_its_tags_are_reserved() {
        assert!(ImageName::host().is_reserved());
        assert!("host:1".parse::<ImageName>().unwrap().is_reserved());
        assert!(!"hosts".parse::<ImageName>().unwrap().is_reserved());
    }
}
