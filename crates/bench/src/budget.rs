//! What we promise, row by row, and whether a run kept it.

use serde::Serialize;

use crate::statistics::Statistics;
use crate::subject::Subject;
use crate::unit::{Unit, digits};

/// Which figure of a row a budget is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// The median.
    P50,
    /// No worse were 99 of 100.
    P99,
    /// The worst sample.
    Worst,
    /// How many tries failed.
    Failures,
}

/// How good it has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    Most(f64),
    Least(f64),
    /// At most so many times the median of the floor in the same run.
    Floors(f64),
    /// At most so much, and so much more for each live session.
    WithSessions {
        fixed: f64,
        per_session: f64,
    },
    /// At most so much where a thousand sessions live or more; of fewer nothing is promised.
    WhereDense(f64),
}

/// Whether a budget was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It was.
    Met,
    /// It was not.
    Missed,
}

/// A budget beside what it is about.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// Which figure.
    pub measure: Measure,
    /// What was promised, for people: `≤ 4 x floor`.
    pub promise: String,
    /// The same as a number, in the unit of the row, or of failures.
    pub limit: f64,
    /// The figure.
    pub value: f64,
    /// Whether it is within.
    pub verdict: Verdict,
}

/// What a run has found beside the row in question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Circumstances {
    /// The median of the floor, in milliseconds; without it, nothing can be said of its multiples.
    pub(crate) floor: Option<f64>,
    /// How many sessions lived while memory was measured.
    pub(crate) memory_sessions: usize,
    /// Up to how many sessions the density goes.
    pub(crate) sessions: usize,
}

/// From how many live sessions on something is promised of them.
const DENSE: usize = 1_000;
const MIB: f64 = 1_048_576.0;

const BUDGETS: &[(Subject, Measure, Bound)] = &[
    (Subject::ColdCreate, Measure::P50, Bound::Floors(4.0)),
    (Subject::ColdCreate, Measure::P99, Bound::Floors(12.0)),
    (Subject::PooledCreate, Measure::P50, Bound::Most(1.0)),
    (Subject::ExecBuiltin, Measure::P50, Bound::Most(0.5)),
    (Subject::ExecBuiltin, Measure::P99, Bound::Most(3.0)),
    (Subject::ExecProgram, Measure::P50, Bound::Most(2.0)),
    (Subject::StreamFirstByte, Measure::P99, Bound::Most(5.0)),
    (Subject::Destroy, Measure::P50, Bound::Most(5.0)),
    (Subject::Destroy, Measure::Failures, Bound::Most(0.0)),
    (Subject::ParallelCycles, Measure::P50, Bound::Least(100.0)),
    (Subject::ParallelCycles, Measure::Failures, Bound::Most(0.0)),
    (Subject::Burst, Measure::Worst, Bound::Most(2_000.0)),
    (Subject::Burst, Measure::Failures, Bound::Most(0.0)),
    (Subject::SessionMemory, Measure::P50, Bound::Most(2.0 * MIB)),
    (
        Subject::DaemonMemory,
        Measure::P50,
        Bound::WithSessions { fixed: 40.0 * MIB, per_session: 20.0 * 1024.0 },
    ),
    (Subject::FileWrite, Measure::P50, Bound::Most(1.0)),
    (Subject::FileRead, Measure::P50, Bound::Most(1.0)),
    (Subject::StreamIn, Measure::P50, Bound::Least(500.0)),
    (Subject::StreamOut, Measure::P50, Bound::Least(500.0)),
    (Subject::CpuBound, Measure::P50, Bound::Least(0.98)),
    (Subject::SystemCalls, Measure::P50, Bound::Least(0.9)),
    (Subject::Teardown, Measure::Worst, Bound::WhereDense(30_000.0)),
    (Subject::Teardown, Measure::Failures, Bound::Most(0.0)),
];

/// Compares a row with what was promised of it.
#[must_use]
pub(crate) fn judge(
    subject: Subject,
    statistics: Option<&Statistics>,
    failures: usize,
    circumstances: &Circumstances,
) -> Vec<Judgement> {
    let budgets = BUDGETS.iter().filter(|(of, ..)| *of == subject);
    budgets
        .filter_map(|(_, measure, bound)| {
            let value = match (measure, statistics) {
                (Measure::Failures, _) => count(failures),
                (Measure::P50, Some(statistics)) => statistics.p50,
                (Measure::P99, Some(statistics)) => statistics.p99,
                (Measure::Worst, Some(statistics)) => statistics.worst,
                (_, None) => return None,
            };
            let unit = if *measure == Measure::Failures { None } else { Some(subject.unit()) };
            let (limit, promise) = bound.resolve(unit, circumstances)?;
            let within = if matches!(bound, Bound::Least(_)) { value >= limit } else { value <= limit };
            let verdict = if within { Verdict::Met } else { Verdict::Missed };
            Some(Judgement { measure: *measure, promise, limit, value, verdict })
        })
        .collect()
}

/// Compares create and exec with what was promised of them beside so many live sessions: at most twice of what is promised of
/// them alone, in milliseconds.
pub(crate) fn judge_density(
    sessions: usize,
    create: Option<&Statistics>,
    exec: Option<&Statistics>,
    circumstances: &Circumstances,
) -> Vec<Judgement> {
    if sessions < DENSE {
        return Vec::new();
    }
    let both = [("create", create, Bound::Floors(8.0)), ("exec", exec, Bound::Most(1.0))];
    both.into_iter()
        .filter_map(|(what, statistics, bound)| {
            let value = statistics?.p50;
            let (limit, promise) = bound.resolve(Some(Unit::Milliseconds), circumstances)?;
            let verdict = if value <= limit { Verdict::Met } else { Verdict::Missed };
            Some(Judgement {
                measure: Measure::P50,
                promise: format!("of {what} {promise}"),
                limit,
                value,
                verdict,
            })
        })
        .collect()
}

impl Measure {
    /// What people read.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::Worst => "worst",
            Self::Failures => "failures",
        }
    }
}

impl Bound {
    /// Returns the limit and the words for it; none where it hangs on something that was not measured.
    fn resolve(self, unit: Option<Unit>, circumstances: &Circumstances) -> Option<(f64, String)> {
        let shown = |limit: f64| unit.map_or_else(|| format!("{limit}"), |unit| unit.render(limit));
        Some(match self {
            Self::Most(limit) => (limit, format!("≤ {}", shown(limit))),
            Self::WhereDense(_) if circumstances.sessions < DENSE => return None,
            Self::WhereDense(limit) => (limit, format!("≤ {}", shown(limit))),
            Self::Least(limit) => (limit, format!("≥ {}", shown(limit))),
            Self::Floors(times) => {
                let limit = times * circumstances.floor?;
                (limit, format!("≤ {times} x floor = {} ms", digits(limit)))
            }
            Self::WithSessions { fixed, per_session } => {
                let limit = fixed + per_session * count(circumstances.memory_sessions);
                (limit, format!("≤ {}", shown(limit)))
            }
        })
    }
}

/// A small number as a figure.
fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::{BUDGETS, Circumstances, Measure, Verdict, judge, judge_density};
    use crate::statistics::{Better, Statistics};
    use crate::subject::Subject;

    const CIRCUMSTANCES: Circumstances =
        Circumstances { floor: Some(1.0), memory_sessions: 10, sessions: 1_000 };

    fn verdicts(subject: Subject, values: &[f64], failures: usize) -> Vec<(Measure, Verdict)> {
        let statistics = Statistics::of(values, subject.unit().better());
        let judged = judge(subject, statistics.as_ref(), failures, &CIRCUMSTANCES);
        judged.iter().map(|one| (one.measure, one.verdict)).collect()
    }

    #[test]
    fn a_create_is_held_against_the_floor_of_the_same_run() {
        let [met, missed] = [Verdict::Met, Verdict::Missed];
        assert_eq!(verdicts(Subject::ColdCreate, &[4.0], 0), [(Measure::P50, met), (Measure::P99, met)]);
        assert_eq!(verdicts(Subject::ColdCreate, &[4.1], 0), [(Measure::P50, missed), (Measure::P99, met)]);
        let of = Statistics::of(&[4.0], Better::Lower);
        let unknown = Circumstances { floor: None, memory_sessions: 0, sessions: 0 };
        assert_eq!(judge(Subject::ColdCreate, of.as_ref(), 0, &unknown), []);
        let judged = judge(Subject::ColdCreate, of.as_ref(), 0, &CIRCUMSTANCES);
        assert_eq!(judged[0].promise, "≤ 4 x floor = 4.00 ms");
    }

    #[test]
    fn rates_have_to_be_high_enough_and_failures_count() {
        let [met, missed] = [Verdict::Met, Verdict::Missed];
        let subject = Subject::ParallelCycles;
        assert_eq!(verdicts(subject, &[100.0], 0), [(Measure::P50, met), (Measure::Failures, met)]);
        assert_eq!(verdicts(subject, &[99.0], 1), [(Measure::P50, missed), (Measure::Failures, missed)]);
        // Where nothing worked, the failures remain.
        assert_eq!(verdicts(subject, &[], 3), [(Measure::Failures, missed)]);
    }

    #[test]
    fn the_daemon_may_take_more_with_more_sessions() {
        let limit = 40.0 * 1_048_576.0 + 10.0 * 20_480.0;
        assert_eq!(verdicts(Subject::DaemonMemory, &[limit], 0), [(Measure::P50, Verdict::Met)]);
        assert_eq!(verdicts(Subject::DaemonMemory, &[limit + 1.0], 0), [(Measure::P50, Verdict::Missed)]);
    }

    #[test]
    fn a_thousand_sessions_may_cost_twice_as_much_and_fewer_promise_nothing() {
        let of = |value: f64| Statistics::of(&[value], Better::Lower);
        let (create, exec) = (of(8.0), of(1.1));
        let judged = judge_density(1_000, create.as_ref(), exec.as_ref(), &CIRCUMSTANCES);
        let found: Vec<_> = judged.iter().map(|one| (one.promise.as_str(), one.verdict)).collect();
        assert_eq!(
            found,
            [("of create ≤ 8 x floor = 8.00 ms", Verdict::Met), ("of exec ≤ 1.00 ms", Verdict::Missed)]
        );
        assert_eq!(judge_density(999, create.as_ref(), exec.as_ref(), &CIRCUMSTANCES), []);
    }

    #[test]
    fn the_end_of_a_thousand_sessions_is_promised_and_that_of_fewer_has_to_succeed() {
        let [met, missed] = [Verdict::Met, Verdict::Missed];
        let late = verdicts(Subject::Teardown, &[4.0, 30_001.0], 0);
        assert_eq!(late, [(Measure::Worst, missed), (Measure::Failures, met)]);
        let few = Circumstances { sessions: 999, ..CIRCUMSTANCES };
        let judged = judge(Subject::Teardown, Statistics::of(&[30_001.0], Better::Lower).as_ref(), 1, &few);
        let found: Vec<_> = judged.iter().map(|one| (one.measure, one.verdict)).collect();
        assert_eq!(found, [(Measure::Failures, missed)]);
    }

    #[test]
    fn no_figure_is_promised_twice() {
        for (index, (subject, measure, _)) in BUDGETS.iter().enumerate() {
            let again = BUDGETS.iter().skip(index + 1).any(|(s, m, _)| (s, m) == (subject, measure));
            assert!(!again, "{subject:?} {measure:?}");
        }
    }
}
