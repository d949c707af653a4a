//! Links that code in the sandbox makes for the daemon to follow, when it reads and writes files on a client's behalf.

use std::fs;

use sandkasten_api::id::{SessionId, WorkspaceId};
use sandkasten_client::Client;

use super::attacks::judged;
use super::bait::SECRET;
use super::{Canary, CanaryError};
use crate::Finding;

/// Whose files the API is asked for.
#[derive(Clone, Copy)]
enum Files<'a> {
    Session(&'a SessionId),
    Workspace(&'a WorkspaceId),
}

impl Files<'_> {
    fn group(self) -> &'static str {
        match self {
            Self::Session(_) => "files by the API",
            Self::Workspace(_) => "files of a workspace by the API",
        }
    }

    /// What is added to the names of findings, of which each must be another.
    fn suffix(self) -> &'static str {
        match self {
            Self::Session(_) => "",
            Self::Workspace(_) => " in a workspace",
        }
    }

    async fn read(self, client: &Client, path: &str) -> Option<Vec<u8>> {
        let read = match self {
            Self::Session(id) => client.read_file(id, path, None).await,
            Self::Workspace(id) => client.read_workspace_file(id, path, None).await,
        };
        read.ok().map(|(content, _)| content)
    }

    /// Where the path leads inside, a file may well come to be there.
    async fn overwrite(self, client: &Client, path: &str) {
        drop(match self {
            Self::Session(id) => client.write_file(id, path, b"overwritten").await,
            Self::Workspace(id) => client.write_workspace_file(id, path, b"overwritten").await,
        });
    }
}

impl Canary<'_> {
    /// Makes links of several kinds, and has the API follow them.
    pub(super) async fn abuse_links(&self) -> Result<Vec<Finding>, CanaryError> {
        self.abuse_links_of(Files::Session(&self.session.id)).await
    }

    /// The same in a session with a workspace, by way of the workspace.
    pub(super) async fn abuse_links_of_workspace(
        &self,
        workspace: &WorkspaceId,
    ) -> Result<Vec<Finding>, CanaryError> {
        self.abuse_links_of(Files::Workspace(workspace)).await
    }

    async fn abuse_links_of(&self, files: Files<'_>) -> Result<Vec<Finding>, CanaryError> {
        let file = self.baits.bait.file.display().to_string();
        let directory =
            self.baits.bait.file.parent().map_or_else(String::new, |path| path.display().to_string());
        let name = self.baits.bait.abstract_socket.clone();
        let made = self
            .exec(format!(
                "cd /workspace && ln -s '{file}' absolute && ln -s '../../../../../..{file}' climbing && \
                 ln -s '{directory}' directory && ln -s /proc/1/root{file} supervisor && ln -s /proc/self/fd/0 magic && \
                 ln -s / root && cd /"
            ))
            .await?;
        if made.0 != 0 {
            let detail = format!("the image has no ln: {}", made.1.trim());
            return Ok(vec![Finding::new(
                crate::Part::Attack,
                files.group(),
                &format!("have links followed{}", files.suffix()),
                crate::Verdict::Skip,
                detail,
                "",
            )]);
        }
        let mut findings = Vec::new();
        for (what, path) in [
            ("an absolute link", "absolute".to_owned()),
            ("a link that climbs", "climbing".to_owned()),
            ("a linked directory", format!("directory/{name}")),
            ("a link into the supervisor", "supervisor".to_owned()),
            ("a link of the kernel", "magic".to_owned()),
            ("a link to the root", format!("root{file}")),
        ] {
            let read = files.read(self.client, &path).await;
            let leaked = read.is_some_and(|content| content == SECRET.as_bytes());
            let breach = leaked.then(|| format!("{path} read a file of the host"));
            findings.push(judged(
                files.group(),
                &format!("read through {what}{}", files.suffix()),
                breach,
                "nothing of the host was read",
            ));
        }
        for (what, path) in [
            ("an absolute link", "absolute".to_owned()),
            ("a linked directory", format!("directory/{name}")),
            ("a link into the supervisor", "supervisor".to_owned()),
        ] {
            files.overwrite(self.client, &path).await;
            let content = fs::read(&self.baits.bait.file).map_err(|source| CanaryError::Read { source })?;
            let breach =
                (content != SECRET.as_bytes()).then(|| format!("{path} wrote to a file of the host"));
            findings.push(judged(
                files.group(),
                &format!("write through {what}{}", files.suffix()),
                breach,
                "nothing of the host was written",
            ));
        }
        Ok(findings)
    }
}
