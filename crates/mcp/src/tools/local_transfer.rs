//! `upload` and `download` between the sandbox and the directory of this host that the user has named.

use std::io;

use futures_util::stream;
use rmcp::handler::server::tool::schema_for_output;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::service::RequestContext;
use rmcp::{RoleServer, tool, tool_router};
use sandkasten_api::file_tree::RawUploadQuery;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::file_content;
use crate::host_directory::{HostDirectory, MAX_COPY_BYTES};
use crate::server::SandboxServer;
use crate::tool_error::ToolError;

/// How much of a file is one piece of a request.
const PIECE_BYTES: usize = 256 << 10;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LocalUploadInput {
    /// The file of the user's host, below the directory that the server was started with: relative to it, or absolute.
    local_path: String,
    /// Where it goes in the sandbox, absolute below /workspace or relative to it; missing directories are made.
    path: String,
    /// The id or name of a sandbox; absent: the own one.
    session: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LocalDownloadInput {
    /// The file of the sandbox, absolute below /workspace or relative to it.
    path: String,
    /// Where it goes on the user's host, below the directory that the server was started with: relative to it, or absolute.
    local_path: String,
    /// Whether a file there is replaced.
    #[serde(default)]
    overwrite: bool,
    /// The id or name of a sandbox; absent: the own one.
    session: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LocalTransferOutput {
    /// The file of the user's host.
    local_path: String,
    /// The file of the sandbox.
    path: String,
    /// How many bytes it has.
    bytes: usize,
}

#[tool_router(router = local_transfer_tools, vis = "pub(crate)")]
impl SandboxServer {
    /// Copies a file of the user's host into the sandbox, at most 64 MiB. Replaces what was there.
    #[tool(
        name = "upload",
        title = "Upload a file",
        output_schema = schema_for_output::<LocalTransferOutput>(),
        annotations(read_only_hint = false, destructive_hint = true, idempotent_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn upload_local(
        &self,
        Parameters(input): Parameters<LocalUploadInput>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<LocalTransferOutput>, ToolError> {
        let (directory, local_path) = (self.directory()?, input.local_path.clone());
        let content = tokio::task::spawn_blocking(move || directory.read(&local_path)).await??;
        let target = self.target(input.session.as_deref(), &context).await?;
        let bytes = content.len();
        let pieces: Vec<io::Result<Vec<u8>>> =
            content.chunks(PIECE_BYTES).map(|piece| Ok(piece.to_vec())).collect();
        let query = RawUploadQuery { path: input.path.clone(), mode: None };
        match self.client.session_files(&target.id).write(&query, stream::iter(pieces)).await {
            Ok(_) => {
                let text = format!("copied {bytes} bytes of {} to {}", input.local_path, input.path);
                let value = LocalTransferOutput { local_path: input.local_path, path: input.path, bytes };
                Ok(Answer::new(text, value))
            }
            Err(error) => Err(self.explain(&target, error).await),
        }
    }

    /// Copies a file of the sandbox to the user's host, at most 64 MiB. Does not replace a file there unless that is said.
    #[tool(
        name = "download",
        title = "Download a file",
        output_schema = schema_for_output::<LocalTransferOutput>(),
        annotations(read_only_hint = false, destructive_hint = true, idempotent_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn download_local(
        &self,
        Parameters(input): Parameters<LocalDownloadInput>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<LocalTransferOutput>, ToolError> {
        let LocalDownloadInput { path, local_path, overwrite, session } = input;
        let directory = self.directory()?;
        let check = {
            let (directory, local_path) = (directory.clone(), local_path.clone());
            move || directory.check_target(&local_path, overwrite)
        };
        tokio::task::spawn_blocking(check).await??;
        let target = self.target(session.as_deref(), &context).await?;
        let limit = usize::try_from(MAX_COPY_BYTES).unwrap_or(usize::MAX);
        let read = file_content::read(&self.client.session_files(&target.id), &path, limit).await;
        let content = match read {
            Ok(content) if content.goes_on => {
                return Err(ToolError::TooLarge { path, limit: MAX_COPY_BYTES });
            }
            Ok(content) => content.bytes,
            Err(error) => return Err(self.explain(&target, error).await),
        };
        let bytes = content.len();
        let write = {
            let local_path = local_path.clone();
            move || directory.write(&local_path, &content, overwrite)
        };
        tokio::task::spawn_blocking(write).await??;
        let text = format!("copied {bytes} bytes of {path} to {local_path}");
        Ok(Answer::new(text, LocalTransferOutput { local_path, path, bytes }))
    }

    fn directory(&self) -> Result<HostDirectory, ToolError> {
        let missing = || ToolError::Argument("the server was started without --directory".to_owned());
        self.host.clone().ok_or_else(missing)
    }
}
