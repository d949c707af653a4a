//! Rules about single source files: what they open with, how long they are, what they and their tests are called.

use super::Finding;
use crate::rust_source::{code_only, net_lines};
use crate::tree::TextFile;

const MOST_LINES: usize = 600;
const MANY_NET_LINES: usize = 400;
/// Names that say nothing about what is in a file.
const EMPTY_NAMES: [&str; 6] = ["utils.rs", "util.rs", "helpers.rs", "common.rs", "imp.rs", "types.rs"];

pub(super) fn check(sources: &[TextFile], exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    sources.iter().flat_map(|file| check_one(file, exists)).collect()
}

fn check_one(file: &TextFile, exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let path = file.path.as_str();
    let mut findings = Vec::new();
    if !file.text.starts_with("//! ") {
        findings.push(Finding::error(path, 1, "opens without `//!`: say what the file owns"));
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    if EMPTY_NAMES.contains(&name) {
        findings.push(Finding::error(path, 0, format!("{name:?} says nothing; name the thing in it")));
    }
    let code = code_only(&file.text);
    let (lines, net) = (file.text.lines().count(), net_lines(&code));
    if lines > MOST_LINES {
        findings.push(Finding::error(path, 0, format!("has {lines} lines, more than {MOST_LINES}")));
    } else if net > MANY_NET_LINES {
        findings.push(Finding::warning(path, format!("has {net} lines of code, more than {MANY_NET_LINES}")));
    }
    for (index, line) in code.lines().enumerate() {
        if line.contains("fn test_") {
            let message = "a test is named after its claim, without `test_`";
            findings.push(Finding::error(path, index + 1, message));
        }
    }
    for (index, line) in file.text.lines().enumerate() {
        for named in pages_named_in(line).filter(|page| !exists(page)) {
            findings.push(Finding::error(path, index + 1, format!("names {named}, which does not exist")));
        }
    }
    findings
}

/// Finds pages of the documentation that a line of comment names.
fn pages_named_in(line: &str) -> impl Iterator<Item = &str> {
    let comment = if line.trim_start().starts_with("//") { line } else { "" };
    comment.match_indices("docs/").filter_map(move |(start, _)| {
        let rest = comment.get(start..)?;
        let end = rest.find(".md")? + ".md".len();
        let page = rest.get(..end)?;
        page.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.')).then_some(page)
    })
}

#[cfg(test)]
mod tests {
    use super::{check, pages_named_in};
    use crate::tree::TextFile;

    fn messages(path: &str, text: &str) -> Vec<String> {
        let file = TextFile { path: path.to_owned(), text: text.to_owned() };
        check(&[file], &|page| page == "docs/here.md").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_sound_file_passes() {
        assert!(messages("a/b.rs", "//! About. See docs/here.md.\nfn f() {}\n").is_empty());
    }

    #[test]
    fn each_rule_is_seen() {
        for (path, text) in [
            ("a/b.rs", "fn f() {}\n".to_owned()),
            ("a/utils.rs", "//! About.\n".to_owned()),
            ("a/b.rs", format!("//! About.\n{}", "\n".repeat(600))),
            ("a/b.rs", format!("//! About.\n{}", "x\n".repeat(401))),
            ("a/b.rs", "//! About.\n#[test]\nfn test_it() {}\n".to_owned()),
            ("a/b.rs", "//! See docs/gone.md.\n".to_owned()),
        ] {
            assert_eq!(messages(path, &text).len(), 1, "{path}: {text:.60}");
        }
    }

    #[test]
    fn only_comments_name_pages() {
        assert_eq!(pages_named_in("write(\"docs/a.md\");").count(), 0);
        let line = "    // docs/b.md, and docs/c/d-e.md";
        assert_eq!(pages_named_in(line).collect::<Vec<_>>(), ["docs/b.md", "docs/c/d-e.md"]);
    }
}
