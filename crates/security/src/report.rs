//! All findings, and what they come to.

use serde::Serialize;

use crate::{Finding, Part, Verdict};

/// All findings of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SecurityReport {
    /// What was checked, part by part.
    pub findings: Vec<Finding>,
}

impl SecurityReport {
    /// Adds findings.
    pub fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }

    /// Whether nothing failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.findings.iter().all(|finding| finding.verdict != Verdict::Fail)
    }

    /// Counts the findings of a part that ended in a certain way.
    #[must_use]
    pub fn count(&self, part: Part, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| (finding.part, finding.verdict) == (part, verdict)).count()
    }
}
