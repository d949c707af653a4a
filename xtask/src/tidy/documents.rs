//! Rules about documents: paths and links in them exist, and decisions have the form of decisions.

use std::collections::BTreeMap;

use super::Finding;
use crate::markdown::{code_spans, headings, is_repository_path, local_links};
use crate::tree::TextFile;

/// Where decisions are.
const DECISIONS: &str = "docs/adr/";
/// What a decision says, in this order.
const PARTS: [&str; 4] = ["Context", "Choice", "Rejected", "Consequences"];
/// A page, about.
const MOST_DECISION_LINES: usize = 80;
/// Documents whose code spans are checked as paths. Others also name files that only exist on a user's host.
const MAPS: [&str; 4] = ["ARCHITECTURE.md", "SECURITY.md", "docs/threat-model.md", "docs/kernel-features.md"];

pub(super) fn check(documents: &[TextFile], exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        documents.iter().flat_map(|document| check_one(document, exists)).collect();
    findings.extend(check_numbers(documents));
    findings
}

fn check_one(document: &TextFile, exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let path = document.path.as_str();
    let mut findings = Vec::new();
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    for (line, link) in local_links(&document.text) {
        if !exists(&resolve(directory, link)) {
            findings.push(Finding::error(path, line, format!("links to {link}, which does not exist")));
        }
    }
    if MAPS.contains(&path) {
        for (line, span) in code_spans(&document.text) {
            if is_repository_path(span) && !exists(span) {
                findings.push(Finding::error(path, line, format!("names {span}, which does not exist")));
            }
        }
    }
    if path.starts_with(DECISIONS) && !path.ends_with("/README.md") {
        let found = headings(&document.text, 2);
        if found != PARTS {
            let message = format!("has the headings {found:?}; a decision has {PARTS:?}");
            findings.push(Finding::error(path, 0, message));
        }
        let lines = document.text.lines().count();
        if lines > MOST_DECISION_LINES {
            let message = format!("has {lines} lines; a decision fits on a page of {MOST_DECISION_LINES}");
            findings.push(Finding::error(path, 0, message));
        }
    }
    findings
}

/// Decisions are counted from 0001, without gaps and without two of one number.
fn check_numbers(documents: &[TextFile]) -> Vec<Finding> {
    let decisions = documents
        .iter()
        .filter_map(|document| Some((document.path.as_str(), document.path.strip_prefix(DECISIONS)?)))
        .filter(|(_, name)| *name != "README.md");
    let mut findings = Vec::new();
    let mut numbers: BTreeMap<usize, &str> = BTreeMap::new();
    for (path, name) in decisions {
        match name.split_once('-').filter(|(number, _)| number.len() == 4).map(|(number, _)| number.parse()) {
            Some(Ok(number)) => {
                if let Some(other) = numbers.insert(number, path) {
                    findings.push(Finding::error(path, 0, format!("has the number of {other}")));
                }
            }
            _ => findings.push(Finding::error(path, 0, "is not called NNNN-title.md")),
        }
    }
    for (expected, (number, path)) in (1..).zip(&numbers) {
        if expected != *number {
            findings.push(Finding::error(path, 0, format!("comes where number {expected:04} is missing")));
            break;
        }
    }
    findings
}

/// Resolves a link relative to the directory of its page.
fn resolve(directory: &str, link: &str) -> String {
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tree::TextFile;

    const DECISION: &str = "# Title\n## Context\n## Choice\n## Rejected\n## Consequences\n";

    fn findings(pages: &[(&str, &str)]) -> Vec<String> {
        let documents: Vec<TextFile> = pages
            .iter()
            .map(|(path, text)| TextFile { path: (*path).to_owned(), text: (*text).to_owned() })
            .collect();
        check(&documents, &|path| path == "crates/api" || path == "docs/b.md")
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn paths_of_the_map_exist() {
        assert!(findings(&[("ARCHITECTURE.md", "`crates/api` and `/workspace`")]).is_empty());
        assert_eq!(findings(&[("ARCHITECTURE.md", "`crates/gone`")]).len(), 1);
        assert!(findings(&[("README.md", "`crates/gone`")]).is_empty());
    }

    #[test]
    fn links_are_relative_to_their_page() {
        assert!(findings(&[("docs/a.md", "[b](b.md#x) [c](../crates/api)")]).is_empty());
        assert_eq!(findings(&[("docs/a.md", "[b](docs/b.md)")]).len(), 1);
    }

    #[test]
    fn a_decision_has_four_parts_and_a_number_of_its_own() {
        assert!(findings(&[("docs/adr/0001-a.md", DECISION), ("docs/adr/0002-b.md", DECISION)]).is_empty());
        assert_eq!(findings(&[("docs/adr/0001-a.md", "# Title\n## Context\n")]).len(), 1);
        assert_eq!(findings(&[("docs/adr/0001-a.md", DECISION), ("docs/adr/0001-b.md", DECISION)]).len(), 1);
        assert_eq!(findings(&[("docs/adr/0002-a.md", DECISION)]).len(), 1);
        assert_eq!(findings(&[("docs/adr/a.md", DECISION)]).len(), 1);
    }
}
