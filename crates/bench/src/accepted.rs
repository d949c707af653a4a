//! A report that was accepted, as far as later ones are held against it.

use serde::Deserialize;

use crate::report::Report;

/// What `bench --json` printed once: the fields that a comparison needs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Accepted {
    pub(crate) version: String,
    pub(crate) machine: AcceptedMachine,
    pub(crate) image: String,
    pub(crate) rows: Vec<AcceptedRow>,
    pub(crate) density: Vec<AcceptedStep>,
}

/// Where it was measured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct AcceptedMachine {
    pub(crate) kernel: String,
    pub(crate) processor: String,
    pub(crate) processors: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct AcceptedRow {
    pub(crate) name: String,
    pub(crate) samples: usize,
    pub(crate) failures: usize,
    pub(crate) reason: Option<String>,
    /// None where there was no figure.
    pub(crate) p10: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct AcceptedStep {
    pub(crate) sessions: usize,
    pub(crate) create_ms: Option<AcceptedTimes>,
    pub(crate) exec_ms: Option<AcceptedTimes>,
    pub(crate) session_bytes: f64,
    pub(crate) failures: usize,
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(crate) struct AcceptedTimes {
    pub(crate) p10: f64,
}

impl Accepted {
    /// Reads what `bench --json` has printed.
    ///
    /// # Errors
    /// Where it is no such report.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// Looks at a report as if it had been accepted, so that both sides of a comparison are read in one way.
    pub(crate) fn of(report: &Report) -> Self {
        let value = serde_json::to_value(report).expect("a report is JSON");
        serde_json::from_value(value).expect("a report has the fields of one")
    }
}
