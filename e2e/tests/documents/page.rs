//! A page of the documentation as a reader sees it who copies its commands: blocks of shell, each with commands and what they print.

use std::fs;
use std::path::Path;

/// What marks a block that is not for copying, with the reason.
const NOT_RUN: &str = "<!-- not run: ";

/// Commands, and the lines that the page shows as the output of the last of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// Where it begins, counted from 1.
    pub(crate) line: usize,
    pub(crate) commands: String,
    pub(crate) output: Vec<String>,
}

/// A block of shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) steps: Vec<Step>,
    /// Why nobody runs it here, where the page says so.
    pub(crate) not_run: Option<String>,
}

/// The blocks of a page, in order.
pub(crate) fn blocks(page: &Path) -> Vec<Block> {
    parse(&fs::read_to_string(page).expect("a page"))
}

fn parse(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut lines, mut before) = (text.lines().enumerate(), "");
    while let Some((_, line)) = lines.next() {
        if line.trim() != "```sh" {
            before = line;
            continue;
        }
        let not_run = before
            .trim()
            .strip_prefix(NOT_RUN)
            .map(|reason| reason.trim_end_matches("-->").trim().to_owned());
        let body: Vec<_> = lines.by_ref().take_while(|(_, line)| line.trim() != "```").collect();
        blocks.push(Block { steps: steps(&body), not_run });
        before = "";
    }
    blocks
}

/// A comment right below a command is what that prints; any other comment is prose. What stands in a here-document belongs to its command,
/// whatever it looks like.
fn steps(body: &[(usize, &str)]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut is_after_command, mut document) = (false, None);
    for (number, line) in body {
        if let (Some(end), Some(step)) = (document, steps.last_mut()) {
            step.commands.push_str(&format!("{line}\n"));
            document = document.filter(|_| *line != end);
            continue;
        }
        match (line.strip_prefix("# "), steps.last_mut()) {
            (Some(output), Some(step)) if is_after_command => step.output.push(output.to_owned()),
            (Some(_), _) => {}
            (None, _) if line.trim().is_empty() => is_after_command = false,
            (None, Some(step)) if is_after_command && step.output.is_empty() => {
                step.commands.push_str(&format!("{line}\n"));
            }
            (None, _) => {
                steps.push(Step { line: number + 1, commands: format!("{line}\n"), output: Vec::new() });
                is_after_command = true;
            }
        }
        document = line.split_once("<<'").and_then(|(_, word)| word.split('\'').next());
    }
    steps
}

/// Whether what was printed is what the page shows, in which `…` stands for anything. Empty lines do not count.
pub(crate) fn is_as_shown(shown: &[String], printed: &str) -> bool {
    let whole = |lines: &mut dyn Iterator<Item = &str>| {
        lines.map(str::trim_end).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    };
    let shown = whole(&mut shown.iter().map(String::as_str));
    let printed = whole(&mut printed.lines());
    let mut parts = shown.split('…');
    let Some(mut rest) = parts.next().and_then(|first| printed.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::{is_as_shown, parse};

    #[test]
    fn commands_outputs_and_prose_are_told_apart() {
        let text = "a\n```sh\n# Prose.\none\ntwo    # aside\n# printed\n# too\nthree\n\n# More prose.\nfour\n```\n<!-- not run: no -->\n```sh\nfive\n```\n";
        let blocks = parse(text);
        assert_eq!(blocks.len(), 2);
        let steps: Vec<_> = blocks[0]
            .steps
            .iter()
            .map(|step| (step.line, step.commands.as_str(), step.output.len()))
            .collect();
        assert_eq!(steps, [(4, "one\ntwo    # aside\n", 2), (8, "three\n", 0), (11, "four\n", 0)]);
        assert_eq!((blocks[0].not_run.clone(), blocks[1].not_run.as_deref()), (None, Some("no")));
    }

    #[test]
    fn a_here_document_is_one_with_its_command() {
        let blocks = parse("```sh\ncat > a <<'END'\n# no output\n\nEND\nrun a\n# 1\n```\n");
        assert_eq!(blocks[0].steps.len(), 1);
        assert_eq!(blocks[0].steps[0].output, ["1"]);
    }

    #[test]
    fn an_ellipsis_stands_for_anything_and_nothing_else_does() {
        let as_shown = |shown: &str, printed: &str| is_as_shown(&[shown.to_owned()], printed);
        assert!(as_shown("{\"id\":\"…\",\"ok\":true}", "{\"id\":\"a-b\",\"ok\":true}\n"));
        assert!(as_shown("…", "what\never") && as_shown("a…c…e", "abcde") && as_shown("42", "\n42\n\n"));
        assert!(
            !as_shown("42", "43")
                && !as_shown("42", "421")
                && !as_shown("a…c", "abcd")
                && !as_shown("x…", "y")
        );
        assert!(!as_shown("a…b…c", "ac"));
    }
}
