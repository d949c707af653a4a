//! A second sandbox, with a workspace that outlives it, where the configuration has workspaces: what is in force on its mount,
//! and whether links in it lead out.

use std::process;

use sandkasten_api::id::WorkspaceId;
use sandkasten_api::session::CreateSessionRequest;
use sandkasten_client::{Client, RequestError};

use super::{Canary, CanaryError};
use crate::Finding;

impl Canary<'_> {
    /// Starts a session with a workspace beside the canary, looks at it, and removes both.
    pub(super) async fn look_at_workspace(&self) -> Result<Vec<Finding>, CanaryError> {
        if !self.config.workspace.enabled {
            return Ok(Vec::new());
        }
        let workspace = own_name()?;
        let request = CreateSessionRequest {
            image: Some(self.session.image.clone()),
            workspace_id: Some(workspace.to_string()),
            ..CreateSessionRequest::default()
        };
        let failed = |source| CanaryError::Request { what: "create a session with a workspace", source };
        let session = self.client.create_session(&request).await.map_err(failed)?;
        let canary = Canary { session, ..*self };
        let findings = canary.look_within(&workspace).await;
        let destroyed = self
            .client
            .destroy_session(&canary.session.id)
            .await
            .map_err(|source| CanaryError::Request { what: "destroy a session with a workspace", source });
        let findings = findings?;
        destroyed?;
        remove(self.client).await?;
        Ok(findings)
    }

    async fn look_within(&self, workspace: &WorkspaceId) -> Result<Vec<Finding>, CanaryError> {
        self.put_program_in().await?;
        // Its findings are those of the canary, but for what is mounted.
        let mut findings: Vec<Finding> = self
            .read_back()
            .await?
            .into_iter()
            .filter(|finding| finding.group == "mounts")
            .map(|finding| Finding {
                group: "mounts with a workspace".to_owned(),
                name: format!("{}, with a workspace", finding.name),
                ..finding
            })
            .collect();
        findings.extend(self.abuse_links_of_workspace(workspace).await?);
        Ok(findings)
    }
}

/// Removes the workspace of this process's canary, where there is one. Nobody may use it any more.
pub(super) async fn remove(client: &Client) -> Result<(), CanaryError> {
    match client.delete_workspace(&own_name()?).await {
        Ok(()) | Err(RequestError::Refused { status: 404, .. }) => Ok(()),
        Err(source) => Err(CanaryError::Request { what: "remove the canary's workspace", source }),
    }
}

/// A name that no other canary has, and hardly anybody else.
fn own_name() -> Result<WorkspaceId, CanaryError> {
    let name = format!("sandkasten-security-canary-{}", process::id());
    name.parse().map_err(|source| CanaryError::Workspace { source })
}
