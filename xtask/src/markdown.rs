//! The parts of a Markdown page that rules are about: its headings, its code spans and its links.

/// Returns the headings of this level, without the hashes. Code blocks have none.
pub(crate) fn headings(text: &str, level: usize) -> Vec<&str> {
    let hashes = format!("{} ", "#".repeat(level));
    prose(text).filter_map(|(_, line)| line.strip_prefix(&hashes).map(str::trim)).collect()
}

/// Returns the code spans in the text, each with its line counted from 1. Code blocks are left out.
pub(crate) fn code_spans(text: &str) -> Vec<(usize, &str)> {
    prose(text)
        .flat_map(|(number, line)| {
            line.split('`').skip(1).step_by(2).filter(|span| !span.is_empty()).map(move |span| (number, span))
        })
        .collect()
}

/// Returns the targets of links that lead to files of the repository, each with its line; anchors are cut off.
pub(crate) fn local_links(text: &str) -> Vec<(usize, &str)> {
    prose(text)
        .flat_map(|(number, line)| {
            line.split("](").skip(1).filter_map(move |rest| {
                let target = rest.split([')', ' ']).next()?;
                let file = target.split('#').next()?;
                (!file.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
                    .then_some((number, file))
            })
        })
        .collect()
}

/// Returns whether a code span names a path of the repository: it has a slash or the name of a file, and nothing that
/// makes it a command, a pattern, an address or a path inside a sandbox.
pub(crate) fn is_repository_path(span: &str) -> bool {
    const FILES: [&str; 5] = [".rs", ".md", ".toml", ".sql", ".yaml"];
    let plain = span.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_'));
    let path =
        span.contains('/') || FILES.iter().any(|ending| span.ends_with(ending) && span.len() > ending.len());
    plain && path && !span.starts_with('/')
}

/// The lines outside code blocks, counted from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_block = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        in_block ^= fence;
        (!in_block && !fence).then_some((index + 1, line))
    })
}

#[cfg(test)]
mod tests {
    use super::{code_spans, headings, is_repository_path, local_links};

    const PAGE: &str = "# Title\n## One\nSee `a/b.rs` and `c`, [d](e/f.md#g) or [h](https://example.org/i).\n```\n## Two\n`j`\n```\n## Three\n";

    #[test]
    fn code_blocks_are_no_prose() {
        assert_eq!(headings(PAGE, 2), ["One", "Three"]);
        assert_eq!(headings(PAGE, 1), ["Title"]);
        assert_eq!(code_spans(PAGE), [(3, "a/b.rs"), (3, "c")]);
        assert_eq!(local_links(PAGE), [(3, "e/f.md")]);
    }

    #[test]
    fn only_plain_paths_of_the_repository_are_paths() {
        for path in ["crates/api", "xtask/src/main.rs", "Cargo.toml", "crates/api/", ".ci/run"] {
            assert!(is_repository_path(path), "{path}");
        }
        for other in
            ["/workspace", "GET /healthz", "a::b", "run/s/<id>.sock", "crates/*", "exec", ".rs", "{a,b}/c"]
        {
            assert!(!is_repository_path(other), "{other}");
        }
    }
}
