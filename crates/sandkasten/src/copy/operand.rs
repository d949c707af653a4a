//! The two ends of a copy, as they are written on the command line.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::{OsStringValueParser, TypedValueParser};

/// One end: `-`, a path of this host, or `OWNER:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operand<R> {
    /// Standard input or output.
    Standard,
    /// On this host.
    Local(LocalPath),
    /// Inside of a session or a workspace.
    Inside(R, RemotePath),
}

/// A path of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalPath(PathBuf);

/// A path inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemotePath {
    text: String,
    /// Its last part; absent where it is that of the owner of the files itself.
    name: Option<String>,
    ending: Ending,
}

/// What the end of a path says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Nothing.
    Plain,
    /// It ends with a slash: it is a directory.
    Directory,
    /// It ends with a dot: what is in the directory is meant, not the directory by its name.
    Contents,
}

impl<R> Operand<R>
where
    R: FromStr + Clone + Send + Sync + 'static,
    R::Err: fmt::Display,
{
    /// Parses an operand for the command line.
    pub(crate) fn parser() -> impl TypedValueParser<Value = Self> {
        OsStringValueParser::new().try_map(|text| Self::parse(text))
    }

    /// What has a colon before any slash, and no dot in front, is inside; `./a:b` is a file of this host.
    fn parse(text: OsString) -> Result<Self, String> {
        let bytes = text.as_bytes();
        if bytes == b"-" {
            return Ok(Self::Standard);
        }
        if bytes.is_empty() {
            return Err("a path is empty".to_owned());
        }
        let end = bytes.iter().position(|byte| matches!(byte, b':' | b'/'));
        let Some(colon) = end.filter(|end| bytes.get(*end) == Some(&b':') && !bytes.starts_with(b".")) else {
            return Ok(Self::Local(LocalPath(text.into())));
        };
        let text = text.to_str().ok_or("a path inside is no UTF-8, which the API does not take")?;
        let (owner, path) =
            (text.get(..colon).unwrap_or_default(), text.get(colon + 1..).unwrap_or_default());
        let owner = owner
            .parse()
            .map_err(|error| format!("{error}; a file of this host with a colon in its name is ./{text}"))?;
        Ok(Self::Inside(owner, RemotePath::new(path)))
    }
}

impl LocalPath {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The name that it has in another directory; none where what is in the directory is meant.
    pub(super) fn name(&self) -> Option<&OsStr> {
        match self.ending() {
            Ending::Contents => None,
            Ending::Plain | Ending::Directory => self.0.file_name(),
        }
    }

    pub(super) fn has_slash(&self) -> bool {
        self.ending() == Ending::Directory
    }

    fn ending(&self) -> Ending {
        Ending::of(self.0.as_os_str().as_bytes())
    }

    /// The same in this directory.
    pub(super) fn join(&self, name: &OsStr) -> Self {
        Self(self.0.join(name))
    }
}

impl fmt::Display for LocalPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(formatter)
    }
}

impl RemotePath {
    fn new(path: &str) -> Self {
        let ending = Ending::of(path.as_bytes());
        let mut parts: Vec<&str> = if path.starts_with('/') { Vec::new() } else { vec!["workspace"] };
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let name = if parts.len() > 1 { parts.last() } else { None };
        let text = if path.is_empty() { "." } else { path };
        Self { text: text.to_owned(), name: name.map(|name| (*name).to_owned()), ending }
    }

    /// The path as the API takes it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn has_slash(&self) -> bool {
        self.ending == Ending::Directory
    }

    /// Whether what is in the directory is meant.
    pub(super) fn is_contents(&self) -> bool {
        self.ending == Ending::Contents
    }

    /// The last part of the path, if there is one below the owner's own directory.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The path of a name in this directory.
    pub(super) fn join(&self, name: &OsStr) -> Result<String, OsString> {
        let name = String::from_utf8(name.to_owned().into_vec()).map_err(|_| name.to_owned())?;
        Ok(format!("{}/{name}", self.text.trim_end_matches('/')))
    }
}

impl Ending {
    fn of(path: &[u8]) -> Self {
        match path.rsplit(|byte| *byte == b'/').next() {
            Some(b"") if !path.is_empty() => Self::Directory,
            Some(b"." | b"..") => Self::Contents,
            _ => Self::Plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use sandkasten_api::id::WorkspaceId;

    use super::Operand;
    use sandkasten_client::SessionReference;

    fn parse(text: &str) -> Result<Operand<SessionReference>, String> {
        Operand::parse(text.into())
    }

    #[test]
    fn what_has_a_colon_before_any_slash_is_inside() {
        for text in ["file", "./a:b", "dir/a:b", "/a:b", ".a:b", "../a:b"] {
            let Ok(Operand::Local(path)) = parse(text) else { panic!("{text}") };
            assert_eq!(path.to_string(), text);
        }
        assert_eq!(parse("-"), Ok(Operand::Standard));
        for (text, path) in [
            ("0123abcd-ef01:a/b", "a/b"),
            ("builder:/workspace/a", "/workspace/a"),
            ("builder:", "."),
            ("builder:a:b", "a:b"),
        ] {
            let Ok(Operand::Inside(_, inside)) = parse(text) else { panic!("{text}") };
            assert_eq!(inside.text(), path);
        }
        assert!(parse("").is_err());
        assert!(parse("no id:x").expect_err("no name").contains("./no id:x"));
        assert!(Operand::<WorkspaceId>::parse("Upper:x".into()).is_err());
    }

    #[test]
    fn the_end_of_a_path_says_what_it_is_called_elsewhere() {
        for (text, name, slash, contents) in [
            ("a", Some("a"), false, false),
            ("a/b/", Some("b"), true, false),
            ("/workspace/a/../b", Some("b"), false, false),
            ("", None, false, false),
            (".", None, false, true),
            ("/workspace", None, false, false),
            ("a/.", Some("a"), false, true),
            ("a/..", None, false, true),
        ] {
            let Ok(Operand::Inside(_, path)) = parse(&format!("x:{text}")) else { panic!("{text}") };
            assert_eq!(
                (path.name(), path.has_slash(), path.is_contents()),
                (name, slash, contents),
                "{text}"
            );
        }
        for (text, name) in
            [("a/b", Some("b")), ("a/b/", Some("b")), ("a/.", None), (".", None), ("..", None), ("/", None)]
        {
            let Ok(Operand::Local(path)) = parse(text) else { panic!("{text}") };
            assert_eq!(path.name().and_then(|name| name.to_str()), name, "{text}");
        }
    }
}
