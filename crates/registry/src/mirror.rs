//! Mirrors: registries that have the images of another one.

use std::fmt;
use std::str::FromStr;

use crate::reference::{ParseReferenceError, Reference};

/// A registry that has the images of another one, below a path of it where it has one: `HOST[:PORT][/PATH]`. It is spoken to as any
/// registry is, with TLS unless its host is listed as one that does without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    registry: String,
    path: Option<String>,
}

impl Mirror {
    /// Returns its host, with its port where it has one.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns where an image of the registry is here.
    #[must_use]
    pub fn reference(&self, original: &Reference) -> Reference {
        original.moved(&self.registry, self.path.as_deref())
    }
}

impl FromStr for Mirror {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A name within it has to make a reference, and must not be one of Docker Hub for lack of a host.
        let (host, path) = match text.split_once('/') {
            Some((host, path)) => (host, Some(path)),
            None => (text, None),
        };
        let within = path.map_or_else(|| "image".to_owned(), |path| format!("{path}/image"));
        let parsed = Reference::of_registry(host, &within).map_err(|problem| problem.of(text))?;
        Ok(Self { registry: parsed.registry().to_owned(), path: path.map(str::to_owned) })
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.registry)?;
        self.path.as_ref().map_or(Ok(()), |path| write!(formatter, "/{path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Mirror, Reference};

    #[test]
    fn an_image_has_the_same_name_below_the_path_of_a_mirror() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (mirror, image, expected) in [
            ("mirror.example", "python:3", "mirror.example/library/python:3".to_owned()),
            ("localhost:5000/hub", "me/app", "localhost:5000/hub/me/app:latest".to_owned()),
            ("m", "r.example:443/a:1", "m/a:1".to_owned()),
            ("[::1]:5000/a/b", "x@DIGEST", format!("[::1]:5000/a/b/library/x@{digest}")),
        ] {
            let image: Reference = image.replace("DIGEST", &digest).parse().expect(image);
            let mirror: Mirror = mirror.parse().expect(mirror);
            assert_eq!(mirror.reference(&image).to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_host_with_a_path_is_no_mirror() {
        for text in [
            "",
            "/",
            "https://m.example",
            "m.example/",
            "m.example/A",
            "m.example:0",
            "m.example:x",
            "a b",
            "m@x",
            "u:p@m.example",
            "m.example/a:1",
            "m.example/../a",
            "m.example//a",
            "m.example/a?b",
        ] {
            assert!(text.parse::<Mirror>().is_err(), "{text}");
        }
        assert_eq!("M.example:5000/a".parse::<Mirror>().expect("a mirror").to_string(), "m.example:5000/a");
    }
}
