//! What is worse, what is not, and what another measurement may change about it.

use std::collections::BTreeSet;

use super::{Change, ComparedFigure, Comparison, Scale, compare};
use crate::accepted::Accepted;
use crate::budget::Circumstances;
use crate::group::Group;
use crate::report::tests::example;
use crate::report::{Report, Row};
use crate::samples::Samples;
use crate::subject::Subject;

const GROUPS: [Group; 5] = [Group::Sessions, Group::Exec, Group::Files, Group::Memory, Group::Density];

fn row(subject: Subject, value: f64) -> Row {
    let circumstances = Circumstances { floor: Some(1.0), memory_sessions: 0, sessions: 0 };
    Row::measured(subject, &Samples::from_iter([value]), &circumstances)
}

fn report(rows: &[(Subject, f64)]) -> Report {
    let rows = rows.iter().map(|(subject, value)| row(*subject, *value)).collect();
    Report { rows, density: Vec::new(), ..example() }
}

fn run(floor: f64, exec: f64, rate: f64, bytes: f64) -> Report {
    report(&[
        (Subject::Floor, floor),
        (Subject::ExecBuiltin, exec),
        (Subject::StreamIn, rate),
        (Subject::SessionMemory, bytes),
    ])
}

fn against(now: &Report, accepted: &Report) -> Comparison {
    // By its text, as a file has it.
    let json = serde_json::to_string(accepted).expect("JSON");
    compare(now, &Accepted::parse(&json).expect("a report"), &BTreeSet::from(GROUPS))
}

fn figure<'a>(comparison: &'a Comparison, name: &str) -> &'a ComparedFigure {
    comparison.figures.iter().find(|figure| figure.name == name).expect("compared")
}

fn worse(comparison: &Comparison) -> Vec<&str> {
    comparison.worse().map(|figure| figure.name.as_str()).collect()
}

#[test]
fn a_run_is_no_worse_than_itself_and_a_doubled_exec_is() {
    let accepted = run(1.0, 0.8, 500.0, 1e6);
    let same = against(&accepted, &accepted);
    assert_eq!(worse(&same), [""; 0]);
    assert!(same.figures.iter().all(|figure| figure.change == Change::Same), "{same:?}");
    assert!(same.differences.is_empty());
    let slow = against(&run(1.0, 1.6, 500.0, 1e6), &accepted);
    assert_eq!(worse(&slow), ["exec_builtin"]);
    let exec = figure(&slow, "exec_builtin");
    assert_eq!((exec.accepted, exec.now, exec.times_worse), (Some(0.8), Some(1.6), Some(2.0)));
    assert_eq!(slow.doubtful(), BTreeSet::from([Group::Exec]));
}

#[test]
fn a_machine_that_is_slower_altogether_makes_nothing_worse() {
    let accepted = run(1.0, 0.8, 500.0, 1e6);
    // Times are three times as long and rates a third, the floor's as well.
    assert_eq!(worse(&against(&run(3.0, 2.4, 500.0 / 3.0, 1e6), &accepted)), [""; 0]);
    // What is not slower there has become worse.
    assert_eq!(worse(&against(&run(0.4, 0.8, 500.0, 1e6), &accepted)), ["exec_builtin", "stream_in"]);
}

#[test]
fn noise_is_none_and_sizes_have_less_of_it() {
    let accepted = run(1.0, 1.0, 500.0, 1e6);
    assert_eq!(worse(&against(&run(1.0, 1.55, 260.0, 1.2e6), &accepted)), [""; 0]);
    let found = against(&run(1.0, 1.65, 240.0, 1.3e6), &accepted);
    assert_eq!(worse(&found), ["exec_builtin", "stream_in", "session_memory"]);
    let better = against(&run(1.0, 0.5, 500.0, 1e6), &accepted);
    assert_eq!(figure(&better, "exec_builtin").change, Change::Better);
}

#[test]
fn what_is_new_is_no_worse_and_what_is_lost_is() {
    let accepted = report(&[(Subject::Floor, 1.0), (Subject::ExecBuiltin, 1.0)]);
    let now = report(&[(Subject::Floor, 1.0), (Subject::ExecProgram, 1.0)]);
    let compared = against(&now, &accepted);
    assert_eq!(figure(&compared, "exec_true").change, Change::New);
    assert_eq!(worse(&compared), ["exec_builtin"]);
    assert_eq!(figure(&compared, "exec_builtin").change, Change::Lost);
    // What is lost is not found by measuring again.
    assert!(compared.doubtful().is_empty());
    // A group that was not asked for is not missed.
    let json = serde_json::to_string(&accepted).expect("JSON");
    let other = compare(&now, &Accepted::parse(&json).expect("a report"), &BTreeSet::from([Group::Files]));
    assert_eq!(worse(&other), [""; 0]);
    // A row of failures alone has no figure either.
    let mut failed = accepted.clone();
    let circumstances = Circumstances { floor: Some(1.0), memory_sessions: 0, sessions: 0 };
    failed.rows[1] = Row::measured(Subject::ExecBuiltin, &Samples::failed("no daemon"), &circumstances);
    let compared = against(&failed, &accepted);
    let found: Vec<_> = compared.worse().map(|figure| (figure.measure, figure.change)).collect();
    assert_eq!(found, [(Scale::Failures, Change::Worse), (Scale::Floors, Change::Lost)]);
    assert_eq!(compared.figures[0].reason.as_deref(), Some("no daemon"));
}

#[test]
fn a_second_look_frees_of_noise_and_not_of_failures() {
    let accepted = run(1.0, 1.0, 500.0, 1e6);
    let noisy = run(1.0, 3.0, 500.0, 1e6);
    let mut failing = noisy.clone();
    failing.rows[2].failures = 1;
    let mut compared = against(&failing, &accepted);
    assert_eq!(worse(&compared), ["exec_builtin", "stream_in"]);
    compared.take_better(&against(&run(1.0, 2.5, 500.0, 1e6), &accepted));
    assert_eq!(figure(&compared, "exec_builtin").times_worse, Some(2.5));
    compared.take_better(&against(&run(1.0, 9.0, 500.0, 1e6), &accepted));
    assert_eq!(figure(&compared, "exec_builtin").times_worse, Some(2.5));
    compared.take_better(&against(&run(1.0, 1.1, 500.0, 1e6), &accepted));
    assert_eq!(worse(&compared), ["stream_in"]);
    assert!(compared.doubtful().is_empty());
    // Whatever fails later counts as well.
    compared.take_better(&against(&failing, &accepted));
    assert_eq!(worse(&compared), ["stream_in", "stream_in"]);
}

#[test]
fn steps_of_the_density_are_compared_where_as_many_lived() {
    let (accepted, mut now) = (example(), example());
    now.density[0].sessions = 2;
    now.density[1].exec_ms = now.density[1].exec_ms.map(|mut of| {
        of.p10 *= 2.0;
        of
    });
    let compared = against(&now, &accepted);
    let names = worse(&compared);
    assert!(names.contains(&"exec beside 100 sessions"), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("beside 1 sessions")), "{names:?}");
    assert_eq!(figure(&compared, "create beside 2 sessions").change, Change::New);
    assert_eq!(figure(&compared, "create beside 100 sessions").change, Change::Same);
}

#[test]
fn another_machine_is_said() {
    let accepted = run(1.0, 1.0, 500.0, 1e6);
    let mut now = accepted.clone();
    now.machine.processors = 64;
    now.image = "debian".to_owned();
    let found = against(&now, &accepted).differences;
    assert_eq!(found, ["the number of processors was 2, and is 64", "the image was host, and is debian"]);
}

#[test]
fn without_a_floor_times_are_lost_and_other_text_is_no_report() {
    let accepted = run(1.0, 1.0, 500.0, 1e6);
    let now = report(&[(Subject::ExecBuiltin, 1.0), (Subject::SessionMemory, 1e6)]);
    assert!(worse(&against(&now, &accepted)).contains(&"exec_builtin"));
    for text in ["", "{}", "[]", "{\"version\":1}", "null"] {
        assert!(Accepted::parse(text).is_err(), "{text}");
    }
}
