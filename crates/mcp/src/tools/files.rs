//! `read_file`, `write_file` and `edit_file`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rmcp::handler::server::tool::schema_for_output;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::ContentBlock;
use rmcp::service::RequestContext;
use rmcp::{RoleServer, tool, tool_router};
use sandkasten_api::file_edit::{EditFileRequest, StringEdit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::file_content::{self, MAX_SCANNED_BYTES, ReadContent, window};
use crate::server::SandboxServer;
use crate::tool_error::ToolError;

/// How many lines are returned where the call does not say.
const DEFAULT_LINES: usize = 2_000;
/// The most text of one call, in bytes.
const MAX_TEXT_BYTES: usize = 256 << 10;
/// The largest picture that is shown, and the most other bytes that are returned.
const MAX_BINARY_BYTES: usize = 3 << 20;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadFileInput {
    /// The file, absolute below /workspace or relative to it.
    path: String,
    /// The first line to return, from 1 on; absent: 1. Of text alone.
    offset: Option<usize>,
    /// How many lines to return; absent: 2000. Of text alone.
    limit: Option<usize>,
    /// The id or name of a sandbox; absent: the own one.
    session: Option<String>,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct ReadFileOutput {
    /// The file as it was named.
    path: String,
    /// Lines of a text file.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The first of these lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_line: Option<usize>,
    /// How many lines these are.
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<usize>,
    /// The type of a picture, which is the content of the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<String>,
    /// What is neither text nor a picture, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_base64: Option<String>,
    /// Whether the file goes on behind what is returned.
    truncated: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteFileInput {
    /// The file, absolute below /workspace or relative to it; missing directories are made.
    path: String,
    /// Its whole new content as text. Either this or content_base64.
    text: Option<String>,
    /// Its whole new content in base64.
    content_base64: Option<String>,
    /// Whether it can be run as a program; absent: as it was.
    executable: Option<bool>,
    /// The id or name of a sandbox; absent: the own one.
    session: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WriteFileOutput {
    /// The file as it was named.
    path: String,
    /// How many bytes it has now.
    bytes: usize,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replacement {
    /// What is there, exactly: in one place of the file, unless all are replaced.
    old: String,
    /// What takes its place.
    new: String,
    /// Whether every occurrence is replaced.
    #[serde(default)]
    replace_all: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditFileInput {
    /// The file, absolute below /workspace or relative to it.
    path: String,
    /// Strings to replace, one after the other. Either these or patch.
    edits: Option<Vec<Replacement>>,
    /// A unified diff of this file.
    patch: Option<String>,
    /// The SHA-256 that the file must have, so that nobody else's change is lost.
    expect_sha256: Option<String>,
    /// The id or name of a sandbox; absent: the own one.
    session: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EditFileOutput {
    /// The file, absolute.
    path: String,
    /// How many strings were replaced, or hunks applied.
    changes: usize,
    /// How many bytes it has now.
    bytes: u64,
    /// The SHA-256 of its new content.
    sha256: String,
}

#[tool_router(router = file_tools, vis = "pub(crate)")]
impl SandboxServer {
    /// Reads a file of the sandbox: lines of a text, a PNG, JPEG, GIF or WebP picture as a picture, anything else as base64.
    #[tool(
        title = "Read a file",
        output_schema = schema_for_output::<ReadFileOutput>(),
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn read_file(
        &self,
        Parameters(input): Parameters<ReadFileInput>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<ReadFileOutput>, ToolError> {
        let target = self.target(input.session.as_deref(), &context).await?;
        let files = self.client.session_files(&target.id);
        match file_content::read(&files, &input.path, MAX_SCANNED_BYTES).await {
            Ok(content) => show(&content, input),
            Err(error) => Err(self.explain(&target, error).await),
        }
    }

    /// Writes a file of the sandbox, whole or not at all. Replaces what was there.
    #[tool(
        title = "Write a file",
        output_schema = schema_for_output::<WriteFileOutput>(),
        annotations(read_only_hint = false, destructive_hint = true, idempotent_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn write_file(
        &self,
        Parameters(input): Parameters<WriteFileInput>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<WriteFileOutput>, ToolError> {
        let content = match (input.text, input.content_base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(encoded)) => decode(&encoded)?,
            _ => return Err(ToolError::Argument("give either text or content_base64".to_owned())),
        };
        let target = self.target(input.session.as_deref(), &context).await?;
        let mode = input.executable.map(|executable| if executable { "0755" } else { "0644" });
        let written = self.client.write_file_with_mode(&target.id, &input.path, &content, mode).await;
        match written {
            Ok(()) => {
                let text = format!("wrote {} bytes to {}", content.len(), input.path);
                Ok(Answer::new(text, WriteFileOutput { path: input.path, bytes: content.len() }))
            }
            Err(error) => Err(self.explain(&target, error).await),
        }
    }

    /// Changes parts of a file of the sandbox, all of them or none: by replacing strings that occur once, or by a unified diff.
    #[tool(
        title = "Edit a file",
        output_schema = schema_for_output::<EditFileOutput>(),
        annotations(read_only_hint = false, destructive_hint = true, idempotent_hint = false, open_world_hint = false)
    )]
    pub(crate) async fn edit_file(
        &self,
        Parameters(input): Parameters<EditFileInput>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<EditFileOutput>, ToolError> {
        let target = self.target(input.session.as_deref(), &context).await?;
        let strings =
            |edit: Replacement| StringEdit { old: edit.old, new: edit.new, replace_all: edit.replace_all };
        let request = EditFileRequest {
            path: input.path,
            edits: input.edits.map(|edits| edits.into_iter().map(strings).collect()),
            patch: input.patch,
            expect_sha256: input.expect_sha256,
        };
        match self.client.session_files(&target.id).edit(&request).await {
            Ok(edited) => {
                let text = format!("made {} changes to {}", edited.changes, edited.path);
                let value = EditFileOutput {
                    path: edited.path,
                    changes: edited.changes,
                    bytes: edited.bytes,
                    sha256: edited.sha256,
                };
                Ok(Answer::new(text, value))
            }
            Err(error) => Err(self.explain(&target, error).await),
        }
    }
}

/// Reads base64 as clients write it.
pub(super) fn decode(encoded: &str) -> Result<Vec<u8>, ToolError> {
    STANDARD
        .decode(encoded)
        .map_err(|error| ToolError::Argument(format!("content_base64 is no standard base64: {error}")))
}

fn show(content: &ReadContent, input: ReadFileInput) -> Result<Answer<ReadFileOutput>, ToolError> {
    if let Some(text) = content.text() {
        return Ok(show_lines(text, content.goes_on, input));
    }
    if content.goes_on || content.bytes.len() > MAX_BINARY_BYTES {
        return Err(ToolError::Argument(format!(
            "{:?} is no text and has more than {MAX_BINARY_BYTES} bytes; look at it with exec",
            input.path
        )));
    }
    let output = ReadFileOutput { path: input.path, ..ReadFileOutput::default() };
    Ok(match content.image_type() {
        Some(kind) => {
            let picture = ContentBlock::image(content.base64(), kind);
            Answer::with_content(picture, ReadFileOutput { mime_type: Some(kind.to_owned()), ..output })
        }
        None => {
            let text = format!("{} bytes that are no text, in base64 in content_base64", content.bytes.len());
            Answer::new(text, ReadFileOutput { content_base64: Some(content.base64()), ..output })
        }
    })
}

fn show_lines(text: &str, goes_on: bool, input: ReadFileInput) -> Answer<ReadFileOutput> {
    let first = input.offset.unwrap_or(1).max(1);
    let seen = window(text, first, input.limit.unwrap_or(DEFAULT_LINES), MAX_TEXT_BYTES);
    let truncated = seen.goes_on || goes_on;
    let note = match (seen.lines, truncated) {
        (0, _) if first > 1 => format!("\n[there is no line {first} in what was read]"),
        (_, false) => String::new(),
        // There is no next line to ask for: this one is too long, or lies behind what is read of a file.
        (lines, true) if !seen.goes_on || seen.text.len() == MAX_TEXT_BYTES && lines == 1 => {
            "\n[the file goes on, farther than this tool reads; look at the rest with exec]".to_owned()
        }
        (lines, true) => format!("\n[the file goes on; continue with offset {}]", first + lines),
    };
    let shown = format!("{}{note}", seen.text);
    let output = ReadFileOutput {
        path: input.path,
        text: Some(seen.text.to_owned()),
        first_line: Some(seen.first_line),
        lines: Some(seen.lines),
        truncated,
        ..ReadFileOutput::default()
    };
    Answer::new(shown, output)
}
