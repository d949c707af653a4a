//! The tests that the threat model names exist, and its checklist has no gap: a table of evidence must not rot.

use std::collections::BTreeSet;

use super::Finding;
use crate::markdown::code_spans;
use crate::rust_source::code_only;
use crate::tree::TextFile;

/// The page whose code spans `path::name` are names of tests.
const PAGE: &str = "docs/threat-model.md";
/// The heading that the checklist stands under, and how many rows it has.
const CHECKLIST: (&str, usize) = ("## Checklist", 71);

pub(super) fn check(documents: &[TextFile], sources: &[TextFile]) -> Vec<Finding> {
    let Some(page) = documents.iter().find(|document| document.path == PAGE) else {
        return vec![Finding::error(PAGE, 0, "is missing")];
    };
    let named = code_spans(&page.text).into_iter().filter_map(|(line, span)| Some((line, split(span)?)));
    let mut findings: Vec<Finding> = named
        .filter_map(|(line, (path, name))| {
            let Some(source) = sources.iter().find(|source| source.path == path) else {
                return Some(Finding::error(
                    PAGE,
                    line,
                    format!("names a test in {path}, which does not exist"),
                ));
            };
            let message = format!("names the test {name}, which is not in {path}");
            (!tests_of(&source.text).contains(name)).then(|| Finding::error(PAGE, line, message))
        })
        .collect();
    findings.extend(check_rows(&page.text));
    findings
}

/// Splits `path/to/file.rs::name`; other spans name no test.
fn split(span: &str) -> Option<(&str, &str)> {
    let (path, name) = span.split_once(".rs::")?;
    Some((span.get(..path.len() + ".rs".len())?, name))
}

/// Finds the functions that an attribute makes a test: `#[test]`, or one of a runtime such as `#[tokio::test]`.
fn tests_of(source: &str) -> BTreeSet<String> {
    let code = code_only(source);
    let mut tests = BTreeSet::new();
    let mut marked = false;
    for line in code.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("#[") {
            let attribute = line.trim_start_matches("#[").split(['(', ']']).next().unwrap_or_default();
            marked |= attribute == "test" || attribute.ends_with("::test");
            continue;
        }
        if let Some((_, rest)) = line.split_once("fn ")
            && marked
        {
            let name = rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default();
            tests.insert(name.to_owned());
        }
        marked = false;
    }
    tests
}

/// The rows are counted from 1 without a gap, and have no empty cell.
fn check_rows(text: &str) -> Vec<Finding> {
    let (heading, last) = CHECKLIST;
    let mut findings = Vec::new();
    let mut expected = 1;
    let lines = text.lines().enumerate().skip_while(|(_, line)| *line != heading).skip(1);
    for (index, line) in lines.take_while(|(_, line)| !line.starts_with("## ")) {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let Some(number) = cells.first().and_then(|cell| cell.parse::<usize>().ok()) else { continue };
        if number != expected {
            findings.push(Finding::error(
                PAGE,
                index + 1,
                format!("row {number} stands where {expected} is due"),
            ));
        }
        if cells.len() != 4 || cells.iter().any(|cell| cell.is_empty()) {
            findings.push(Finding::error(PAGE, index + 1, "a row has four cells, and none is empty"));
        }
        expected = number + 1;
    }
    if expected != last + 1 {
        findings.push(Finding::error(PAGE, 0, format!("the checklist ends before row {last}")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{PAGE, check, check_rows, tests_of};
    use crate::tree::TextFile;

    const SOURCE: &str = "\
//! About.
/// #[test] fn not_this() {}
#[test]
#[expect(clippy::x, reason = \"y\")]
fn holds() {}

#[tokio::test(start_paused = true)]
async fn waits() {}

fn helper() {}
";

    fn rows(count: usize) -> String {
        let rows: String = (1..=count).map(|row| format!("| {row} | a | b | c |\n")).collect();
        format!("# Page\n\n## Checklist\n\n| # | x | y | z |\n|---|---|---|---|\n{rows}")
    }

    fn findings(text: &str) -> Vec<String> {
        let page = TextFile { path: PAGE.to_owned(), text: text.to_owned() + &rows(71) };
        let source = TextFile { path: "a/b.rs".to_owned(), text: SOURCE.to_owned() };
        check(&[page], &[source]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_functions_with_the_attribute_are_tests() {
        assert_eq!(tests_of(SOURCE).into_iter().collect::<Vec<_>>(), ["holds", "waits"]);
    }

    #[test]
    fn a_test_that_is_not_there_is_an_error() {
        assert!(findings("`a/b.rs::holds`, `a/b.rs::waits`, `Error::Kind`\n").is_empty());
        for gone in
            ["a/b.rs::hold", "a/b.rs::helper", "a/b.rs::not_this", "a/b.rs::", "a/c.rs::holds", "b.rs::holds"]
        {
            assert_eq!(findings(&format!("`{gone}`\n")).len(), 1, "{gone}");
        }
    }

    #[test]
    fn the_checklist_is_whole() {
        assert!(check_rows(&rows(71)).is_empty());
        assert_eq!(check_rows(&rows(55)).len(), 1);
        assert_eq!(check_rows("").len(), 1);
        assert_eq!(check_rows(&rows(71).replace("| 7 |", "| 8 |")).len(), 2);
        assert_eq!(check_rows(&rows(71).replace("| 9 | a | b | c |", "| 9 | a | b |  |")).len(), 1);
        assert_eq!(check_rows(&rows(71).replace("| 9 | a | b | c |", "| 9 | a | b |")).len(), 1);
    }

    #[test]
    fn without_the_page_there_is_no_evidence() {
        assert_eq!(check(&[], &[]).len(), 1);
    }
}
