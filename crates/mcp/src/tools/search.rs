//! `search_files`.

use rmcp::handler::server::tool::schema_for_output;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::service::RequestContext;
use rmcp::{RoleServer, tool, tool_router};
use sandkasten_api::file_search::{SearchMatch, SearchRequest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::server::SandboxServer;
use crate::tool_error::ToolError;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchFilesInput {
    /// A text to look for. Either this or regex.
    literal: Option<String>,
    /// A regular expression without look-around and back-references.
    regex: Option<String>,
    /// A directory or one file, absolute below /workspace or relative to it; absent: /workspace.
    path: Option<String>,
    /// Which files: *, ?, [...], and ** across directories.
    glob: Option<String>,
    /// Whether upper and lower case are the same.
    #[serde(default)]
    ignore_case: bool,
    /// The most matches, at most 1000; absent: 100.
    max_matches: Option<usize>,
    /// How many lines to show before and after each match, at most 20.
    context: Option<usize>,
    /// The id or name of a sandbox; absent: the own one.
    session: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FoundLine {
    /// The file, absolute.
    path: String,
    /// The line, from 1 on.
    line: u64,
    /// The character that the match begins with, from 1 on.
    column: usize,
    /// The line.
    text: String,
    /// Lines before it.
    before: Vec<String>,
    /// Lines after it.
    after: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SearchFilesOutput {
    /// Lines with a match, by path and line.
    matches: Vec<FoundLine>,
    /// How many files were searched.
    files_searched: u64,
    /// How many were not: binary, too large, or not readable.
    files_skipped: u64,
    /// Whether a limit ended the search.
    truncated: bool,
}

#[tool_router(router = search_tools, vis = "pub(crate)")]
impl SandboxServer {
    /// Looks for a text or a regular expression in the files of the sandbox, as grep does.
    #[tool(
        title = "Search files",
        output_schema = schema_for_output::<SearchFilesOutput>(),
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn search_files(
        &self,
        Parameters(input): Parameters<SearchFilesInput>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<SearchFilesOutput>, ToolError> {
        let target = self.target(input.session.as_deref(), &context).await?;
        let request = SearchRequest {
            path: input.path,
            glob: input.glob,
            literal: input.literal,
            regex: input.regex,
            ignore_case: input.ignore_case,
            max_matches: input.max_matches,
            context: input.context,
        };
        let found = match self.client.session_files(&target.id).search(&request).await {
            Ok(found) => found,
            Err(error) => return Err(self.explain(&target, error).await),
        };
        let mut text: String = found.matches.iter().map(lines).collect();
        let end = if found.truncated { "; there may be more" } else { "" };
        text.push_str(&format!("[{} matches in {} files{end}]", found.matches.len(), found.files_searched));
        let value = SearchFilesOutput {
            matches: found.matches.into_iter().map(describe).collect(),
            files_searched: found.files_searched,
            files_skipped: found.files_skipped,
            truncated: found.truncated,
        };
        Ok(Answer::new(text, value))
    }
}

/// A match as grep prints it.
fn lines(found: &SearchMatch) -> String {
    let mut text = String::new();
    let first = found.line.saturating_sub(found.before.len() as u64);
    for (number, line) in (first..).zip(&found.before) {
        text.push_str(&format!("{}-{number}-{line}\n", found.path));
    }
    text.push_str(&format!("{}:{}:{}\n", found.path, found.line, found.text));
    for (number, line) in (found.line + 1..).zip(&found.after) {
        text.push_str(&format!("{}-{number}-{line}\n", found.path));
    }
    text
}

fn describe(found: SearchMatch) -> FoundLine {
    FoundLine {
        path: found.path,
        line: found.line,
        column: found.column,
        text: found.text,
        before: found.before,
        after: found.after,
    }
}

#[cfg(test)]
mod tests {
    use sandkasten_api::file_search::SearchMatch;

    use super::lines;

    #[test]
    fn lines_around_a_match_have_their_numbers() {
        let found = SearchMatch {
            path: "/workspace/a".to_owned(),
            line: 3,
            column: 1,
            text: "three".to_owned(),
            before: vec!["one".to_owned(), "two".to_owned()],
            after: vec!["four".to_owned()],
        };
        assert_eq!(
            lines(&found),
            "/workspace/a-1-one\n/workspace/a-2-two\n/workspace/a:3:three\n/workspace/a-4-four\n"
        );
    }
}
