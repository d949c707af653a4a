//! Names of entries: normalised once, below the root by construction.

use super::error::NameProblem;

const LONGEST_COMPONENT: usize = 255;
const LONGEST_PATH: usize = 4095;
const WHITEOUT: &[u8] = b".wh.";
/// Of files by which aufs, and so old layers, keep their own books.
const BOOKKEEPING: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What an entry of a layer is about, told by its name: the image specification of OCI, "Whiteouts".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LayerName {
    /// Something that is there.
    Present(EntryPath),
    /// Something that lower layers have and this one has deleted.
    Deleted(EntryPath),
    /// A directory of which nothing of lower layers is left.
    Opaque(EntryPath),
    /// Nothing of the image.
    Bookkeeping,
}

/// A relative path without `.`, `..` and empty components. Empty for the root itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EntryPath(Vec<u8>);

impl EntryPath {
    /// Normalises a name: leading slashes and `.` components go, as tar(1) does it; what could climb is refused.
    pub(crate) fn parse(name: &[u8]) -> Result<Self, NameProblem> {
        let mut path = Vec::with_capacity(name.len());
        if name.contains(&0) {
            return Err(NameProblem::Nul);
        }
        for component in name.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(NameProblem::ParentComponent),
                _ if component.len() > LONGEST_COMPONENT => return Err(NameProblem::LongComponent),
                _ if component.starts_with(WHITEOUT) => return Err(NameProblem::Whiteout),
                _ => {}
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(component);
        }
        if path.len() > LONGEST_PATH { Err(NameProblem::LongPath) } else { Ok(Self(path)) }
    }

    /// The path of something in this one, if it is a directory.
    pub(crate) fn join(&self, name: &[u8]) -> Self {
        let path: &[&[u8]] = if self.is_root() { &[name] } else { &[&self.0, name] };
        Self(path.join(&b'/'))
    }

    /// The directory it is in. Of the root, the root.
    pub(crate) fn parent(&self) -> Self {
        Self(self.split().0.to_vec())
    }

    /// The root itself.
    pub(crate) const fn root() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn depth(&self) -> usize {
        if self.is_root() { 0 } else { self.0.split(|byte| *byte == b'/').count() }
    }

    /// Splits into the directory and the name in it. Of the root, both are empty.
    pub(crate) fn split(&self) -> (&[u8], &[u8]) {
        match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&self.0[..slash], &self.0[slash + 1..]),
            None => (&[], &self.0),
        }
    }

    /// Says whether this path is `other` or lies below it.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        is_within(&self.0, &other.0)
    }
}

impl LayerName {
    /// Normalises a name in a layer.
    pub(super) fn parse(name: &[u8]) -> Result<Self, NameProblem> {
        let end = name.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let start = name[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let (directory, last) = (&name[..start], &name[start..end]);
        // All that aufs kept was in the root of a layer.
        let first = name.split(|byte| *byte == b'/').find(|part| !matches!(*part, b"" | b"."));
        if first.is_some_and(|first| first.starts_with(BOOKKEEPING) && first != OPAQUE) {
            return Ok(Self::Bookkeeping);
        }
        if last == OPAQUE {
            return EntryPath::parse(directory).map(Self::Opaque);
        }
        match last.strip_prefix(WHITEOUT) {
            None => EntryPath::parse(name).map(Self::Present),
            Some(b"" | b"." | b"..") => Err(NameProblem::Whiteout),
            Some(deleted) => {
                let path = EntryPath::parse(&[directory, deleted].concat())?;
                Ok(Self::Deleted(path))
            }
        }
    }
}

/// Says whether a normalised path is `other` or lies below it.
pub(crate) fn is_within(path: &[u8], other: &[u8]) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || other.is_empty())
}

/// Cuts a name from an archive to a length that can be printed.
pub(crate) fn printable(name: &[u8]) -> String {
    String::from_utf8_lossy(&name[..name.len().min(300)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{EntryPath, LayerName, NameProblem};

    #[test]
    fn names_are_normalised_below_the_root() {
        for (name, path) in [
            ("./", ""),
            ("/", ""),
            ("", ""),
            ("./a//b/./c/", "a/b/c"),
            ("///etc/passwd", "etc/passwd"),
            ("...", "..."),
        ] {
            assert_eq!(EntryPath::parse(name.as_bytes()).unwrap().as_bytes(), path.as_bytes(), "{name}");
        }
    }

    #[test]
    fn names_that_climb_or_cannot_be_are_refused() {
        for (name, problem) in [
            ("..", NameProblem::ParentComponent),
            ("a/../../b", NameProblem::ParentComponent),
            ("a/..", NameProblem::ParentComponent),
            ("/../etc", NameProblem::ParentComponent),
            ("a\0b", NameProblem::Nul),
            ("a/.wh.b", NameProblem::Whiteout),
            (".wh..wh..opq", NameProblem::Whiteout),
            (&"n".repeat(256), NameProblem::LongComponent),
            (&"nn/".repeat(2000), NameProblem::LongPath),
        ] {
            assert_eq!(EntryPath::parse(name.as_bytes()), Err(problem), "{name}");
        }
    }

    #[test]
    fn within_is_by_component() {
        let path = |name: &str| EntryPath::parse(name.as_bytes()).unwrap();
        assert!(path("a/b").is_within(&path("a")));
        assert!(path("a").is_within(&path("a")));
        assert!(path("a").is_within(&path("")));
        assert!(!path("ab").is_within(&path("a")));
        assert_eq!(path("a/b/c").split(), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(path("c").split(), (&b""[..], &b"c"[..]));
        assert_eq!(path("a/b/c").depth(), 3);
    }

    #[test]
    fn names_of_deletions_are_read_and_nothing_else_may_look_like_one() {
        let path = |name: &str| EntryPath::parse(name.as_bytes()).unwrap();
        for (name, expected) in [
            ("a/b", LayerName::Present(path("a/b"))),
            ("./", LayerName::Present(path(""))),
            ("/a/.wh.b", LayerName::Deleted(path("a/b"))),
            (".wh.b", LayerName::Deleted(path("b"))),
            (".wh.b/", LayerName::Deleted(path("b"))),
            ("a/.wh..wh..opq", LayerName::Opaque(path("a"))),
            (".wh..wh..opq", LayerName::Opaque(path(""))),
            (".wh..wh.plnk/1.2", LayerName::Bookkeeping),
            ("./.wh..wh.aufs", LayerName::Bookkeeping),
        ] {
            assert_eq!(LayerName::parse(name.as_bytes()), Ok(expected), "{name}");
        }
        for bad in [
            ".wh.",
            "a/.wh.",
            ".wh..",
            ".wh...",
            "a/.wh.b/c",
            ".wh..wh..opq/x",
            "a/.wh..wh.b",
            "a/.wh..wh.b/c",
        ] {
            assert_eq!(LayerName::parse(bad.as_bytes()), Err(NameProblem::Whiteout), "{bad}");
        }
        assert_eq!(LayerName::parse(b"../.wh.b"), Err(NameProblem::ParentComponent));
    }
}
