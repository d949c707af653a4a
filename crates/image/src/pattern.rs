//! Patterns that name images by what they are called and by what is in them.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::digest::Digest;
use crate::image::Image;
use crate::name::ImageName;

/// Stands in a pattern for any characters, none included.
const ANYTHING: char = '*';

/// Names images: by a name in which `*` stands for any characters, `debian:*`; by a digest, `sha256:…`; or by both,
/// `debian@sha256:…`. A name without `*` is that name alone: `debian` is not `debian:12`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ImagePattern {
    /// Of any name where absent.
    name: Option<String>,
    /// As images have it: `sha256:` and a hash in lowercase hexadecimal.
    digest: Option<String>,
}

/// A text that is no pattern of images.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseImagePatternError {
    /// The name is none, whatever stands for `*`.
    #[error("is no image name")]
    Name,
    /// What follows the name, or stands for it, is no digest.
    #[error("has no digest of the form sha256: and 64 hexadecimal digits")]
    Digest,
}

impl ImagePattern {
    /// Tells whether images of this name can be meant; where there is a digest, one content alone.
    #[must_use]
    pub fn matches_name(&self, name: &str) -> bool {
        self.name.as_ref().is_none_or(|pattern| matches(pattern, name))
    }

    /// Tells whether this image is meant.
    #[must_use]
    pub fn matches(&self, image: &Image) -> bool {
        self.matches_content(image.name.as_str(), &image.digest)
    }

    /// Tells whether an image of this name and digest is meant.
    #[must_use]
    pub fn matches_content(&self, name: &str, digest: &str) -> bool {
        self.matches_name(name) && self.digest.as_ref().is_none_or(|own| own == digest)
    }

    /// Tells whether one content alone is meant.
    #[must_use]
    pub fn has_digest(&self) -> bool {
        self.digest.is_some()
    }

    /// Tells whether every image is meant.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.digest.is_none()
            && self.name.as_ref().is_some_and(|name| name.chars().all(|character| character == ANYTHING))
    }
}

impl FromStr for ImagePattern {
    type Err = ParseImagePatternError;

    fn from_str(text: &str) -> Result<Self, ParseImagePatternError> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (Some(name), Some(digest)),
            None if text.starts_with("sha256:") => (None, Some(text)),
            None => (Some(text), None),
        };
        // A letter is allowed wherever a character is.
        if name.is_some_and(|name| name.replace(ANYTHING, "a").parse::<ImageName>().is_err()) {
            return Err(ParseImagePatternError::Name);
        }
        if digest.is_some_and(|digest| digest.parse::<Digest>().is_err()) {
            return Err(ParseImagePatternError::Digest);
        }
        Ok(Self { name: name.map(str::to_owned), digest: digest.map(str::to_owned) })
    }
}

impl TryFrom<String> for ImagePattern {
    type Error = ParseImagePatternError;

    fn try_from(text: String) -> Result<Self, ParseImagePatternError> {
        text.parse()
    }
}

impl fmt::Display for ImagePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, &self.digest) {
            (Some(name), Some(digest)) => write!(formatter, "{name}@{digest}"),
            (name, digest) => {
                formatter.write_str(name.as_ref().or(digest.as_ref()).map_or("", String::as_str))
            }
        }
    }
}

/// Linear in both, for there is one way to look: what comes first is taken first.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split(ANYTHING);
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::{ImagePattern, ParseImagePatternError, matches};

    #[test]
    fn an_asterisk_stands_for_any_characters_and_everything_else_for_itself() {
        for (pattern, name) in [
            ("debian", "debian"),
            ("debian*", "debian:12"),
            ("debian*", "debian"),
            ("*:12", "debian:12"),
            ("d*n:*2", "debian:12"),
            ("*a*b*", "xaxbx"),
            ("*ab", "aab"),
            ("**", "x"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("debian", "debian:12"),
            ("debian:12", "debian"),
            ("debian:*", "debian"),
            ("*:12", "debian:123"),
            ("a*a", "a"),
            ("*a*b*", "xbxax"),
            ("d.bian", "debian"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn patterns_are_shown_as_they_were_written() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        for text in
            ["debian", "debian:*", "*", &digest, &format!("debian:12@{digest}"), &format!("*@{digest}")]
        {
            let pattern: ImagePattern = text.parse().unwrap();
            assert_eq!(pattern.to_string(), text);
            assert_eq!(pattern.is_everything(), text == "*", "{text}");
        }
    }

    #[test]
    fn what_can_match_no_image_is_refused() {
        for text in ["", "a b", "Debian", "a/b", "debian:", "@", "de?ian", "[ab]"] {
            assert_eq!(text.parse::<ImagePattern>(), Err(ParseImagePatternError::Name), "{text}");
        }
        for text in ["debian@", "debian@sha256:12", "sha256:xyz", "debian@0f"] {
            assert_eq!(text.parse::<ImagePattern>(), Err(ParseImagePatternError::Digest), "{text}");
        }
    }
}
