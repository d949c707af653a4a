//! `list_files`.

use rmcp::handler::server::tool::schema_for_output;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::service::RequestContext;
use rmcp::{RoleServer, tool, tool_router};
use sandkasten_api::file_tree::{FileEntry, FileType, ListFilesQuery};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::server::SandboxServer;
use crate::tool_error::ToolError;

/// The most entries of one call.
const MAX_ENTRIES: usize = 1_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListFilesInput {
    /// The directory, absolute below /workspace or relative to it; absent: /workspace.
    path: Option<String>,
    /// How many levels, at most 100; absent: one, or all where a glob is given.
    depth: Option<usize>,
    /// Which entries: *, ?, [...], and ** across directories. Without a slash it is about names.
    glob: Option<String>,
    /// The id or name of a sandbox; absent: the own one.
    session: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ListedFile {
    /// The path, absolute.
    path: String,
    /// file, directory, symlink, fifo, socket or device.
    #[serde(rename = "type")]
    kind: String,
    /// The size in bytes.
    size: u64,
    /// When the content last changed.
    modified: String,
    /// Where a link leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ListFilesOutput {
    /// The directory, absolute.
    path: String,
    /// What is in it, by name.
    entries: Vec<ListedFile>,
    /// Whether there is more than is listed.
    truncated: bool,
}

#[tool_router(router = listing_tools, vis = "pub(crate)")]
impl SandboxServer {
    /// Lists files and directories of the sandbox, at most 1000 of them.
    #[tool(
        title = "List files",
        output_schema = schema_for_output::<ListFilesOutput>(),
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn list_files(
        &self,
        Parameters(input): Parameters<ListFilesInput>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<ListFilesOutput>, ToolError> {
        let target = self.target(input.session.as_deref(), &context).await?;
        let query = ListFilesQuery { path: input.path, depth: input.depth, glob: input.glob };
        let listing = match self.client.session_files(&target.id).list(&query).await {
            Ok(listing) => listing,
            Err(error) => return Err(self.explain(&target, error).await),
        };
        let truncated = listing.truncated || listing.entries.len() > MAX_ENTRIES;
        let mut text: String = listing.entries.iter().take(MAX_ENTRIES).map(line).collect();
        if listing.entries.is_empty() {
            text.push_str("[nothing]\n");
        }
        if truncated {
            text.push_str("[there is more; list a directory below, or give a glob]\n");
        }
        let entries = listing.entries.into_iter().take(MAX_ENTRIES).map(describe).collect();
        Ok(Answer::new(text, ListFilesOutput { path: listing.path, entries, truncated }))
    }
}

fn line(entry: &FileEntry) -> String {
    match entry.file_type {
        FileType::File => format!("{} ({} bytes)\n", entry.path, entry.size),
        FileType::Directory => format!("{}/\n", entry.path),
        FileType::Symlink => {
            format!("{} -> {}\n", entry.path, entry.target.as_deref().unwrap_or_default())
        }
        other => format!("{} ({})\n", entry.path, name(other)),
    }
}

fn describe(entry: FileEntry) -> ListedFile {
    ListedFile {
        path: entry.path,
        kind: name(entry.file_type).to_owned(),
        size: entry.size,
        modified: entry.mtime.to_string(),
        target: entry.target,
    }
}

const fn name(kind: FileType) -> &'static str {
    match kind {
        FileType::File => "file",
        FileType::Directory => "directory",
        FileType::Symlink => "symlink",
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::Device => "device",
    }
}
