//! What a run has found, as programs read it. Field names are stable; new ones may come.

use serde::{Serialize, Serializer};

use crate::budget::{Circumstances, Judgement, Verdict, judge};
use crate::group::Group;
use crate::machine::Machine;
use crate::samples::Samples;
use crate::statistics::{Better, Statistics};
use crate::subject::Subject;
use crate::unit::Unit;

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The version of Sandkasten.
    pub version: &'static str,
    /// Where it ran.
    pub machine: Machine,
    /// The image of the sessions.
    pub image: String,
    /// What was measured, in a fixed order.
    pub rows: Vec<Row>,
    /// How it changes with the number of live sessions.
    pub density: Vec<DensityStep>,
    /// The same work by others.
    pub peers: Vec<PeerRow>,
}

/// Whether there is a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// There is.
    Measured,
    /// Every try failed.
    Failed,
    /// There is nothing to measure.
    NotMeasured,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What it is about.
    #[serde(rename = "name", serialize_with = "as_name")]
    pub subject: Subject,
    /// The same for people.
    pub title: &'static str,
    /// The group it is in.
    pub group: Group,
    /// What the figures count.
    pub unit: Unit,
    /// Whether there are any.
    pub status: Status,
    /// How many samples there are.
    pub samples: usize,
    /// How many tries failed.
    pub failures: usize,
    /// Why the first one failed, or why there is nothing to measure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The figures.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Statistics>,
    /// The median in relation to that of the floor, for times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor_ratio: Option<f64>,
    /// What was promised.
    pub budgets: Vec<Judgement>,
}

/// What it is like with so many live sessions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DensityStep {
    /// How many sessions live.
    pub sessions: usize,
    /// How long it takes to create one more, in milliseconds.
    pub create_ms: Option<Statistics>,
    /// How long a builtin takes in one of them, in milliseconds.
    pub exec_ms: Option<Statistics>,
    /// The proportional memory of a session, in bytes.
    pub session_bytes: f64,
    /// That of the daemon, in bytes.
    pub daemon_bytes: f64,
    /// What was promised where so many live.
    pub budgets: Vec<Judgement>,
    /// How many tries failed.
    pub failures: usize,
    /// Why the first one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Another sandbox: a program that ends at once, in a fresh one without a network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PeerRow {
    /// Its program.
    pub name: &'static str,
    /// What it says its version is.
    pub version: String,
    /// How many samples there are.
    pub samples: usize,
    /// How many tries failed.
    pub failures: usize,
    /// Why the first one failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The figures, in milliseconds.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Statistics>,
    /// The median in relation to that of the floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor_ratio: Option<f64>,
    /// The median in relation to that of our cycle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycle_ratio: Option<f64>,
}

impl Report {
    /// Finds the row about something.
    #[must_use]
    pub fn row(&self, subject: Subject) -> Option<&Row> {
        self.rows.iter().find(|row| row.subject == subject)
    }

    /// Finds the median of something.
    #[must_use]
    pub fn median(&self, subject: Subject) -> Option<f64> {
        Some(self.row(subject)?.statistics?.p50)
    }

    /// How many budgets were met, and how many missed.
    #[must_use]
    pub fn budgets(&self) -> (usize, usize) {
        let all = || {
            let rows = self.rows.iter().flat_map(|row| &row.budgets);
            rows.chain(self.density.iter().flat_map(|step| &step.budgets))
        };
        let met = all().filter(|budget| budget.verdict == Verdict::Met).count();
        (met, all().count() - met)
    }

    /// How many tries failed that were ours.
    #[must_use]
    pub fn failures(&self) -> usize {
        let rows = self.rows.iter().map(|row| row.failures);
        rows.chain(self.density.iter().map(|step| step.failures)).sum()
    }
}

impl Row {
    /// A row of samples.
    #[must_use]
    pub(crate) fn measured(subject: Subject, samples: &Samples, circumstances: &Circumstances) -> Self {
        let statistics = Statistics::of(samples.values(), subject.unit().better());
        let is_time = subject.unit() == Unit::Milliseconds;
        let floor = circumstances.floor.filter(|_| is_time);
        Self {
            status: if statistics.is_some() { Status::Measured } else { Status::Failed },
            samples: samples.values().len(),
            failures: samples.failures(),
            reason: samples.reason().map(str::to_owned),
            statistics,
            floor_ratio: statistics.zip(floor).map(|(statistics, floor)| statistics.p50 / floor),
            budgets: judge(subject, statistics.as_ref(), samples.failures(), circumstances),
            ..Self::not_measured(subject, "")
        }
    }

    /// A row without a figure, and why there is none.
    #[must_use]
    pub(crate) fn not_measured(subject: Subject, reason: &str) -> Self {
        Self {
            subject,
            title: subject.title(),
            group: subject.group(),
            unit: subject.unit(),
            status: Status::NotMeasured,
            samples: 0,
            failures: 0,
            reason: Some(reason.to_owned()),
            statistics: None,
            floor_ratio: None,
            budgets: Vec::new(),
        }
    }
}

impl PeerRow {
    /// A row of times, beside the medians of the floor and of our cycle.
    #[must_use]
    pub(crate) fn measured(
        name: &'static str,
        version: String,
        samples: &Samples,
        floor: Option<f64>,
        cycle: Option<f64>,
    ) -> Self {
        let statistics = Statistics::of(samples.values(), Better::Lower);
        let ratio = |to: Option<f64>| statistics.zip(to).map(|(statistics, to)| statistics.p50 / to);
        Self {
            name,
            version,
            samples: samples.values().len(),
            failures: samples.failures(),
            reason: samples.reason().map(str::to_owned),
            statistics,
            floor_ratio: ratio(floor),
            cycle_ratio: ratio(cycle),
        }
    }
}

fn as_name<S: Serializer>(subject: &Subject, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(subject.name())
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::{DensityStep, PeerRow, Report, Row};
    use crate::budget::Circumstances;
    use crate::machine::Machine;
    use crate::samples::Samples;
    use crate::statistics::{Better, Statistics};
    use crate::subject::Subject;

    /// A report with a row of each kind.
    pub(crate) fn example() -> Report {
        let circumstances = Circumstances { floor: Some(1.0), memory_sessions: 0, sessions: 0 };
        let measured = |subject, values: &[f64]| {
            Row::measured(subject, &values.iter().copied().collect(), &circumstances)
        };
        let mut refused = Samples::from_iter([7.0]);
        refused.fail("cannot <connect>\u{1b}[2J");
        let of = |value: f64| Statistics::of(&[value], Better::Lower);
        let step = |sessions: usize, create: f64| DensityStep {
            sessions,
            create_ms: of(create),
            exec_ms: of(0.4),
            session_bytes: 1e6,
            daemon_bytes: 2e7,
            budgets: Vec::new(),
            failures: 0,
            reason: None,
        };
        Report {
            version: "0.1.0",
            machine: Machine {
                kernel: "6.18".to_owned(),
                processor: "A <processor>".to_owned(),
                processors: 2,
                load: 0.5,
            },
            image: "host".to_owned(),
            rows: vec![
                measured(Subject::Floor, &[1.0, 1.2]),
                measured(Subject::ColdCreate, &[3.0, 13.0]),
                Row::not_measured(Subject::PooledCreate, "the daemon with a pool did not start"),
                Row::measured(Subject::Destroy, &Samples::failed("no <daemon>"), &circumstances),
                measured(Subject::StreamIn, &[600.0]),
            ],
            density: vec![step(1, 3.0), step(100, 4.0)],
            peers: vec![
                PeerRow::measured(
                    "bwrap",
                    "0.8".to_owned(),
                    &Samples::from_iter([4.0]),
                    Some(1.0),
                    Some(8.0),
                ),
                PeerRow::measured("docker", "20".to_owned(), &refused, Some(1.0), Some(8.0)),
            ],
        }
    }

    #[test]
    fn rows_have_stable_names() {
        let json = serde_json::to_value(example()).expect("JSON");
        let create = &json["rows"][1];
        assert_eq!(create["name"], "cold_create");
        assert_eq!((&create["group"], &create["unit"]), (&json!("sessions"), &json!("ms")));
        assert_eq!((&create["status"], &create["samples"]), (&json!("measured"), &json!(2)));
        assert_eq!(
            (&create["p50"], &create["p99"], &create["worst"]),
            (&json!(3.0), &json!(13.0), &json!(13.0))
        );
        assert_eq!(create["floor_ratio"], 3.0);
        assert_eq!(
            create["budgets"][1],
            json!({"measure": "p99", "promise": "≤ 12 x floor = 12.0 ms", "limit": 12.0, "value": 13.0,
                "verdict": "missed"})
        );
        assert_eq!(json["density"][1]["create_ms"]["p50"], 4.0);
        assert_eq!(json["peers"][1]["failures"], 1);
        assert_eq!(json["peers"][0]["cycle_ratio"], 0.5);
    }

    #[test]
    fn what_has_no_figure_says_why_and_shows_none() {
        let json = serde_json::to_value(example()).expect("JSON");
        let pooled = &json["rows"][2];
        assert_eq!((&pooled["status"], &pooled["p50"]), (&json!("not_measured"), &json!(null)));
        assert_eq!(pooled["reason"], "the daemon with a pool did not start");
        let failed = &json["rows"][3];
        assert_eq!((&failed["status"], &failed["failures"]), (&json!("failed"), &json!(1)));
        assert_eq!(failed["reason"], "no <daemon>");
    }

    #[test]
    fn budgets_and_failures_are_counted() {
        let report = example();
        // Of the create one of two, of the destroy the failures, of the stream its one.
        assert_eq!(report.budgets(), (2, 2));
        assert_eq!(report.failures(), 1);
        assert_eq!(report.median(Subject::Floor), Some(1.0));
        assert_eq!(report.median(Subject::PooledCreate), None);
    }

    #[test]
    fn only_times_are_put_in_relation_to_the_floor() {
        let report = example();
        assert_eq!(report.row(Subject::StreamIn).and_then(|row| row.floor_ratio), None);
    }
}
