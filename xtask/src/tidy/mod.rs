//! `tidy`: the rules of the tree. Each check returns all it finds, so that one run shows everything.

mod dependencies;
mod documents;
mod fences;
mod named_tests;
mod source_files;
mod weakening;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::tree;

/// Something that breaks a rule, or nearly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    /// Counted from 1; 0 where the whole file is meant.
    line: usize,
    message: String,
    weight: Weight,
}

/// Whether a finding fails the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    Error,
    Warning,
}

impl Finding {
    fn error(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into(), weight: Weight::Error }
    }

    fn warning(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: 0, message: message.into(), weight: Weight::Warning }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = if self.weight == Weight::Error { "error" } else { "warning" };
        write!(formatter, "{weight}: {}", self.path)?;
        if self.line > 0 {
            write!(formatter, ":{}", self.line)?;
        }
        write!(formatter, ": {}", self.message)
    }
}

/// Checks everything, prints what is found, and fails where a rule is broken.
pub(crate) fn run(root: &Path) -> Result<ExitCode> {
    let sources = tree::read_all(root, "rs")?;
    let documents = tree::read_all(root, "md")?;
    let manifests = tree::read_all(root, "toml")?;
    let exists = |path: &str| root.join(path).exists();
    let findings: Vec<Finding> = [
        dependencies::check(&manifests),
        fences::check(&sources),
        source_files::check(&sources, &exists),
        documents::check(&documents, &exists),
        weakening::check(&manifests),
        named_tests::check(&documents, &sources),
    ]
    .concat();
    for finding in &findings {
        println!("{finding}");
    }
    let errors = findings.iter().filter(|finding| finding.weight == Weight::Error).count();
    let warnings = findings.len() - errors;
    println!(
        "tidy: {} sources, {} documents, {} manifests: {errors} errors, {warnings} warnings",
        sources.len(),
        documents.len(),
        manifests.len()
    );
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
