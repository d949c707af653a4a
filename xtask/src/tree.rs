//! The files of the repository that rules apply to: sources and documents, without what is built.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Directories that hold no sources.
const LEFT_OUT: [&str; 3] = ["target", "bin", "node_modules"];

/// A text file, with its path relative to the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextFile {
    /// With slashes, as messages show it.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Reads every file with this extension, sorted by path. Hidden directories are left out.
pub(crate) fn read_all(root: &Path, extension: &str) -> Result<Vec<TextFile>> {
    let mut paths = Vec::new();
    collect(root, extension, &mut paths)?;
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let relative = path.strip_prefix(root).unwrap_or(&path);
            Ok(TextFile { path: relative.to_string_lossy().into_owned(), text })
        })
        .collect()
}

fn collect(directory: &Path, extension: &str, paths: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| format!("listing {}", directory.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("listing {}", directory.display()))?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let kind = entry.file_type().with_context(|| format!("looking at {}", path.display()))?;
        if kind.is_dir() && !name.starts_with('.') && !LEFT_OUT.contains(&name.as_str()) {
            collect(&path, extension, paths)?;
        } else if kind.is_file() && path.extension().is_some_and(|found| found == extension) {
            paths.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::read_all;

    #[test]
    fn built_and_hidden_directories_are_left_out() {
        let directory = tempfile::tempdir().expect("a directory");
        for path in ["a/b.rs", "target/c.rs", ".git/d.rs", "e.md"] {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, "text").expect("written");
        }
        let found = read_all(directory.path(), "rs").expect("read");
        assert_eq!(found.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a/b.rs"]);
    }
}
