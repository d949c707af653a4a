//! `upload` and `download` where contents travel in messages: nothing of the server's own host is touched.

use rmcp::handler::server::tool::schema_for_output;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ContentBlock, ResourceContents};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::file_content;
use crate::resources;
use crate::server::SandboxServer;
use crate::tool_error::ToolError;
use crate::tools::files::decode;

/// The largest file that is downloaded in a message.
const MAX_DOWNLOAD_BYTES: usize = 10 << 20;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadInput {
    /// Where it goes, absolute below /workspace or relative to it; missing directories are made.
    path: String,
    /// The content in base64.
    content_base64: String,
    /// The id or name of a sandbox; absent: the own one.
    session: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DownloadInput {
    /// The file, absolute below /workspace or relative to it.
    path: String,
    /// The id or name of a sandbox; absent: the own one.
    session: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TransferOutput {
    /// The file of the sandbox.
    path: String,
    /// How many bytes it has.
    bytes: usize,
}

#[tool_router(router = transfer_tools, vis = "pub(crate)")]
impl SandboxServer {
    /// Puts bytes into a file of the sandbox. Replaces what was there.
    #[tool(
        title = "Upload a file",
        output_schema = schema_for_output::<TransferOutput>(),
        annotations(read_only_hint = false, destructive_hint = true, idempotent_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn upload(
        &self,
        Parameters(input): Parameters<UploadInput>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<TransferOutput>, ToolError> {
        let content = decode(&input.content_base64)?;
        let target = self.target(input.session.as_deref(), &context).await?;
        match self.client.write_file(&target.id, &input.path, &content).await {
            Ok(()) => {
                let text = format!("wrote {} bytes to {}", content.len(), input.path);
                Ok(Answer::new(text, TransferOutput { path: input.path, bytes: content.len() }))
            }
            Err(error) => Err(self.explain(&target, error).await),
        }
    }

    /// Returns a whole file of the sandbox as an embedded resource, at most 10 MiB.
    #[tool(
        title = "Download a file",
        output_schema = schema_for_output::<TransferOutput>(),
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn download(
        &self,
        Parameters(input): Parameters<DownloadInput>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<TransferOutput>, ToolError> {
        let target = self.target(input.session.as_deref(), &context).await?;
        let files = self.client.session_files(&target.id);
        let read = async {
            let entry = files.stat(&input.path).await?;
            Ok((entry.path, file_content::read(&files, &input.path, MAX_DOWNLOAD_BYTES).await?))
        };
        let (path, content) = match read.await {
            Ok(read) => read,
            Err::<_, sandkasten_client::RequestError>(error) => {
                return Err(self.explain(&target, error).await);
            }
        };
        if content.goes_on {
            return Err(ToolError::Argument(format!(
                "{path:?} has more than {MAX_DOWNLOAD_BYTES} bytes; make it smaller, or take it over the HTTP API"
            )));
        }
        let uri = resources::uri(&target.id, &path);
        let kind = content.image_type().unwrap_or("application/octet-stream");
        let resource = ResourceContents::blob(content.base64(), uri).with_mime_type(kind);
        let value = TransferOutput { path, bytes: content.bytes.len() };
        Ok(Answer::with_content(ContentBlock::resource(resource), value))
    }
}
