//! Whether a run is worse than one that was accepted before, where the two can be compared at all.
//!
//! What is compared is the sample that 10 of 100 are no worse than: other programs of the host disturb most of the samples where they
//! disturb any, and hardly ever nine of ten. Times and rates are put in relation to the floor of their own run, which moves with the machine and its load as they do. Sizes and
//! ratios stand for themselves. The floor is the kernel's, and others are others': neither is compared.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::accepted::Accepted;
use crate::group::Group;
use crate::report::Report;
use crate::statistics::Better;
use crate::subject::Subject;
use crate::unit::Unit;

/// How many times worse a time or a rate may be: less than twice, and more than what noise makes of it.
const TIME_TOLERANCE: f64 = 1.6;
/// The same of streams, which take both processors of a small machine whole and feel every other program.
const STREAM_TOLERANCE: f64 = 2.0;
/// The same of a few samples beside many sessions.
const STEP_TOLERANCE: f64 = 1.8;
/// The same of what hardly changes from run to run.
const SIZE_TOLERANCE: f64 = 1.25;

/// A run beside an accepted one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The version whose figures were accepted.
    pub version: String,
    /// What is not the same as it was then, so that even ratios say less; empty where nothing is.
    pub differences: Vec<String>,
    /// Figure by figure.
    pub figures: Vec<ComparedFigure>,
}

/// What is known of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is worse than the tolerance allows.
    Worse,
    /// It is better by more than that.
    Better,
    /// Neither.
    Same,
    /// It was not accepted yet.
    New,
    /// It was accepted, and there is none now.
    Lost,
}

/// One figure of both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedFigure {
    /// What it is about: the name of a row, or of what a step of the density is about.
    pub name: String,
    /// The group that it was measured in.
    pub group: Group,
    /// What the numbers count.
    pub measure: Scale,
    /// What it was.
    pub accepted: Option<f64>,
    /// What it is.
    pub now: Option<f64>,
    /// How many times worse it is: 1 is the same, and less is better.
    pub times_worse: Option<f64>,
    /// How many times worse it may be.
    pub tolerance: f64,
    /// What follows.
    pub change: Change,
    /// Why there is no figure, or the first failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What the numbers of a comparison count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Times the floor of the same run.
    Floors,
    /// So much while one floor passes.
    PerFloor,
    /// Bytes.
    Bytes,
    /// One speed in relation to another.
    Ratio,
    /// Tries that failed.
    Failures,
}

/// A figure of one run, with how it is held against another.
#[derive(Debug, Clone, PartialEq)]
struct Figure {
    name: String,
    group: Group,
    measure: Scale,
    tolerance: f64,
    /// None where there is none, with the reason.
    value: Option<f64>,
    reason: Option<String>,
}

/// Holds a run against an accepted one. Groups that were not measured now are left out.
#[must_use]
pub fn compare(report: &Report, accepted: &Accepted, groups: &BTreeSet<Group>) -> Comparison {
    let now = Accepted::of(report);
    let (before, after) = (figures(accepted), figures(&now));
    let mut compared: Vec<ComparedFigure> = Vec::new();
    for figure in &after {
        let earlier = before.iter().find(|earlier| earlier.is_about_the_same(figure));
        compared.extend(figure.beside(earlier));
    }
    // How far the density goes is asked for anew each time; where it breaks off, there are failures.
    let lost = before.iter().filter(|earlier| {
        let is_there = after.iter().any(|figure| figure.is_about_the_same(earlier));
        let is_wanted = groups.contains(&earlier.group) && earlier.group != Group::Density;
        !is_there && is_wanted && earlier.measure != Scale::Failures
    });
    compared.extend(lost.filter(|earlier| earlier.value.is_some()).map(Figure::lost));
    Comparison {
        version: accepted.version.clone(),
        differences: differences(accepted, &now),
        figures: compared,
    }
}

fn differences(accepted: &Accepted, now: &Accepted) -> Vec<String> {
    let (then, this) = (&accepted.machine, &now.machine);
    [
        ("the kernel", &then.kernel, &this.kernel),
        ("the processor", &then.processor, &this.processor),
        ("the number of processors", &then.processors.to_string(), &this.processors.to_string()),
        ("the image", &accepted.image, &now.image),
    ]
    .into_iter()
    .filter(|(_, then, this)| then != this)
    .map(|(what, then, this)| format!("{what} was {then}, and is {this}"))
    .collect()
}

/// Finds what can be compared in a report. Without a floor, times and rates cannot.
fn figures(report: &Accepted) -> Vec<Figure> {
    let row = |subject: Subject| report.rows.iter().find(|row| row.name == subject.name());
    let floor = row(Subject::Floor).and_then(|row| row.p10).filter(|floor| *floor > 0.0);
    let mut figures = Vec::new();
    for subject in Subject::ALL.into_iter().filter(|subject| subject.group() != Group::Floor) {
        let Some(row) = row(subject) else { continue };
        // The end of more sessions takes longer.
        let name = if subject == Subject::Teardown {
            format!("{} of {}", subject.name(), row.samples)
        } else {
            subject.name().to_owned()
        };
        let figure = Figure {
            name,
            group: subject.group(),
            measure: scale(subject.unit()),
            tolerance: tolerance(subject.unit()),
            value: row.p10.and_then(|sample| relate(sample, subject.unit(), floor)),
            reason: row.reason.clone(),
        };
        figures.push(figure.failures(row.failures));
        figures.push(figure);
    }
    for step in &report.density {
        let figure = |what: &str, measure, tolerance, value| Figure {
            name: format!("{what} beside {} sessions", step.sessions),
            group: Group::Density,
            measure,
            tolerance,
            value,
            reason: step.reason.clone(),
        };
        let floors = |ms: Option<f64>| Some(ms? / floor?);
        let create = floors(step.create_ms.map(|times| times.p10));
        figures.push(figure("create", Scale::Floors, STEP_TOLERANCE, create).failures(step.failures));
        figures.push(figure("create", Scale::Floors, STEP_TOLERANCE, create));
        let exec = floors(step.exec_ms.map(|times| times.p10));
        figures.push(figure("exec", Scale::Floors, STEP_TOLERANCE, exec));
        figures.push(figure("memory of each", Scale::Bytes, SIZE_TOLERANCE, Some(step.session_bytes)));
    }
    figures
}

const fn scale(unit: Unit) -> Scale {
    match unit {
        Unit::Milliseconds => Scale::Floors,
        Unit::MegabytesPerSecond | Unit::PerSecond => Scale::PerFloor,
        Unit::Bytes => Scale::Bytes,
        Unit::Ratio => Scale::Ratio,
    }
}

const fn tolerance(unit: Unit) -> f64 {
    match unit {
        Unit::Milliseconds | Unit::PerSecond => TIME_TOLERANCE,
        Unit::MegabytesPerSecond => STREAM_TOLERANCE,
        Unit::Bytes | Unit::Ratio => SIZE_TOLERANCE,
    }
}

fn relate(sample: f64, unit: Unit, floor: Option<f64>) -> Option<f64> {
    match unit {
        Unit::Milliseconds => Some(sample / floor?),
        // A rate is by the second, the floor in milliseconds.
        Unit::MegabytesPerSecond | Unit::PerSecond => Some(sample * floor? / 1_000.0),
        Unit::Bytes | Unit::Ratio => Some(sample),
    }
}

impl Scale {
    /// Which end is the good one.
    const fn better(self) -> Better {
        match self {
            Self::Floors | Self::Bytes | Self::Failures => Better::Lower,
            Self::PerFloor | Self::Ratio => Better::Higher,
        }
    }
}

impl Figure {
    /// How often the same failed.
    fn failures(&self, failures: usize) -> Self {
        let value = Some(u32::try_from(failures).map_or(f64::MAX, f64::from));
        Self { measure: Scale::Failures, tolerance: 1.0, value, ..self.clone() }
    }

    fn is_about_the_same(&self, other: &Self) -> bool {
        (&self.name, self.measure) == (&other.name, other.measure)
    }

    fn compared(&self, accepted: Option<f64>, now: Option<f64>, change: Change) -> ComparedFigure {
        ComparedFigure {
            name: self.name.clone(),
            group: self.group,
            measure: self.measure,
            accepted,
            now,
            times_worse: None,
            tolerance: self.tolerance,
            change,
            reason: self.reason.clone(),
        }
    }

    fn lost(&self) -> ComparedFigure {
        self.compared(self.value, None, Change::Lost)
    }

    /// Says nothing of what neither run has, and of failures only where there are more.
    fn beside(&self, earlier: Option<&Self>) -> Option<ComparedFigure> {
        let accepted = earlier.and_then(|earlier| earlier.value);
        if self.measure == Scale::Failures {
            let is_worse = self.value > accepted.or(Some(0.0));
            return is_worse.then(|| self.compared(accepted, self.value, Change::Worse));
        }
        Some(match (accepted, self.value) {
            (None, None) => return None,
            (None, now) => self.compared(None, now, Change::New),
            (accepted, None) => self.compared(accepted, None, Change::Lost),
            (Some(accepted), Some(now)) => {
                let times_worse = match self.measure.better() {
                    Better::Lower => now / accepted,
                    Better::Higher => accepted / now,
                };
                let change = if times_worse <= 1.0 / self.tolerance {
                    Change::Better
                } else if times_worse <= self.tolerance {
                    Change::Same
                } else {
                    // What cannot be said is no better either.
                    Change::Worse
                };
                let reason = None;
                let times_worse = Some(times_worse);
                ComparedFigure { times_worse, reason, ..self.compared(Some(accepted), Some(now), change) }
            }
        })
    }
}

impl Comparison {
    /// The figures that are worse, or were lost.
    pub fn worse(&self) -> impl Iterator<Item = &ComparedFigure> {
        self.figures.iter().filter(|figure| matches!(figure.change, Change::Worse | Change::Lost))
    }

    /// The groups in which a figure is worse that another measurement may show to be none: noise passes, a slower program stays.
    /// Failures stay failures.
    #[must_use]
    pub fn doubtful(&self) -> BTreeSet<Group> {
        let figures = self.figures.iter().filter(|figure| figure.is_doubtful());
        figures.map(|figure| figure.group).collect()
    }

    /// Takes what another measurement of the same program shows of doubtful figures, where it is better.
    pub fn take_better(&mut self, again: &Self) {
        for figure in self.figures.iter_mut().filter(|figure| figure.is_doubtful()) {
            let other = again.figures.iter().find(|other| {
                (&other.name, other.measure) == (&figure.name, figure.measure) && other.times_worse.is_some()
            });
            if let Some(other) = other.filter(|other| other.times_worse < figure.times_worse) {
                *figure = other.clone();
            }
        }
        let failures = again.figures.iter().filter(|figure| figure.measure == Scale::Failures);
        self.figures.extend(failures.cloned());
    }
}

impl ComparedFigure {
    fn is_doubtful(&self) -> bool {
        self.change == Change::Worse && self.measure != Scale::Failures
    }
}

#[cfg(test)]
mod tests;
