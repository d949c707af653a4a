//! One check and what came of it.

use serde::Serialize;

/// What a check is part of, in the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The configuration, and the files that belong to it.
    Configuration,
    /// The host: its kernel, its settings, the data directory.
    Host,
    /// A running sandbox, as the kernel shows it from outside.
    Sandbox,
    /// What was tried against that sandbox.
    Attack,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Weaker than it could be.
    Warn,
    /// Not as promised, or not fit for hostile code.
    Fail,
    /// Not checked; the detail says why.
    Skip,
}

/// One check and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is part of.
    pub part: Part,
    /// What it is about; a few words.
    pub group: String,
    /// What was checked; unique within its part.
    pub name: String,
    /// How it ended.
    pub verdict: Verdict,
    /// What was found.
    pub detail: String,
    /// What to do about it; empty where nothing is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

impl Finding {
    pub(crate) fn ok(part: Part, group: &str, name: &str, detail: impl Into<String>) -> Self {
        Self::new(part, group, name, Verdict::Ok, detail, "")
    }

    pub(crate) fn warn(part: Part, group: &str, name: &str, detail: impl Into<String>, advice: &str) -> Self {
        Self::new(part, group, name, Verdict::Warn, detail, advice)
    }

    pub(crate) fn fail(part: Part, group: &str, name: &str, detail: impl Into<String>, advice: &str) -> Self {
        Self::new(part, group, name, Verdict::Fail, detail, advice)
    }

    pub(crate) fn new(
        part: Part,
        group: &str,
        name: &str,
        verdict: Verdict,
        detail: impl Into<String>,
        advice: &str,
    ) -> Self {
        Self {
            part,
            group: group.to_owned(),
            name: name.to_owned(),
            verdict,
            detail: detail.into(),
            advice: advice.to_owned(),
        }
    }
}
