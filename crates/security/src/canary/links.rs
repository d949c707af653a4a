//! Links that code in the sandbox makes for the daemon to follow, when it reads and writes files on a client's behalf.

use std::fs;

use super::attacks::judged;
use super::bait::SECRET;
use super::{Canary, CanaryError};
use crate::Finding;

const GROUP: &str = "files by the API";

impl Canary<'_> {
    /// Makes links of several kinds, and has the API follow them.
    pub(super) async fn abuse_links(&self) -> Result<Vec<Finding>, CanaryError> {
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
                GROUP,
                "have links followed",
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
            let read = self.client.read_file(&self.session.id, &path, None).await;
            let leaked = read.is_ok_and(|(content, _)| content == SECRET.as_bytes());
            let breach = leaked.then(|| format!("{path} read a file of the host"));
            findings.push(judged(
                GROUP,
                &format!("read through {what}"),
                breach,
                "nothing of the host was read",
            ));
        }
        for (what, path) in [
            ("an absolute link", "absolute".to_owned()),
            ("a linked directory", format!("directory/{name}")),
            ("a link into the supervisor", "supervisor".to_owned()),
        ] {
            // Where the path leads inside, a file may well come to be there.
            drop(self.client.write_file(&self.session.id, &path, b"overwritten").await);
            let content = fs::read(&self.baits.bait.file).map_err(|source| CanaryError::Read { source })?;
            let breach =
                (content != SECRET.as_bytes()).then(|| format!("{path} wrote to a file of the host"));
            findings.push(judged(
                GROUP,
                &format!("write through {what}"),
                breach,
                "nothing of the host was written",
            ));
        }
        Ok(findings)
    }
}
