//! A report as people read it in a terminal.

use sandkasten_bench::{
    DensityStep, Group, Judgement, PeerRow, Report, Row, Statistics, Unit, Verdict, digits,
};

use crate::output::{Colour, paint};
use crate::table::{self, Align, printable};

/// The title of the steps of the density, which are no rows.
const DENSITY: &str = "One more create, and an exec, with so many live sessions";
/// The word that is to be seen at once.
const MISSED: &str = "MISSED";

/// Renders all of it.
pub(super) fn render(report: &Report, colour: Colour) -> String {
    let mut parts = vec![machine(report), rows_table(&report.rows, colour)];
    if !report.density.is_empty() {
        parts.push(section(DENSITY, &density_table(&report.density, colour), colour));
    }
    if !report.peers.is_empty() {
        parts.push(section(title(Group::Peers), &peers_table(&report.peers, colour), colour));
    }
    parts.push(summary(report, colour));
    parts.join("\n\n")
}

const fn title(group: Group) -> &'static str {
    match group {
        Group::Floor => "The kernel's floor: what a sandbox takes without anything of ours",
        Group::Sessions => "Sessions, over HTTP, one at a time",
        Group::Exec => "Commands in a session",
        Group::Files => "Files of a session",
        Group::Parallel => "Many at once",
        Group::Memory => "Memory, proportional",
        Group::Cpu => "Speed of programs",
        Group::Density => "The end of many live sessions",
        Group::Peers => "Others: a program that ends at once, in a fresh sandbox without a network",
    }
}

fn machine(report: &Report) -> String {
    let machine = &report.machine;
    let processors = if machine.processors == 1 { "processor" } else { "processors" };
    printable(&format!(
        "Sandkasten {} with image {}, on {} {processors} ({}), Linux {}, load {}",
        report.version,
        report.image,
        machine.processors,
        if machine.processor.is_empty() { "unnamed" } else { &machine.processor },
        machine.kernel,
        digits(machine.load),
    ))
}

fn section(title: &str, table: &str, colour: Colour) -> String {
    format!("{}\n{table}", paint("1", title, colour))
}

/// Paints what was missed. Names of ours have no such word.
fn emphasise(table: &str, colour: Colour) -> String {
    table.replace(MISSED, &paint("31;1", MISSED, colour))
}

/// What there is to say of anything that was measured, in this order.
const FIGURES: [(&str, Align); 7] = [
    ("P50", Align::Right),
    ("P90", Align::Right),
    ("P99", Align::Right),
    ("WORST", Align::Right),
    ("SAMPLES", Align::Right),
    ("FAILED", Align::Right),
    ("x FLOOR", Align::Right),
];

/// Renders the rows as one table, so that its columns are the same all the way, with a title above each group.
fn rows_table(rows: &[Row], colour: Colour) -> String {
    let header =
        [&[("", Align::Left), ("", Align::Left)], FIGURES.as_slice(), &[("BUDGET", Align::Left)]].concat();
    let mut groups = Vec::new();
    let mut lines = Vec::new();
    for row in rows {
        let mut budgets = row.budgets.iter().map(judged);
        let first = budgets.next().or_else(|| not_measured(row)).unwrap_or_default();
        let mut line = vec![row.title.to_owned(), unit(row.unit).0.to_owned()];
        line.extend(figures(row.statistics.as_ref(), row.unit));
        line.extend([count(row.samples), count(row.failures), ratio(row.floor_ratio), first]);
        lines.push(line);
        lines.extend(budgets.map(|budget| {
            let mut line = vec![String::new(); header.len() - 1];
            line.push(budget);
            line
        }));
        groups.resize(lines.len(), row.group);
    }
    let table = emphasise(&table::render(&header, &lines, colour), colour);
    let mut rendered = table.lines();
    let mut text: Vec<String> = rendered.next().map(str::to_owned).into_iter().collect();
    let mut last = None;
    for (line, group) in rendered.zip(groups) {
        if last.replace(group) != Some(group) {
            text.extend([String::new(), paint("1", title(group), colour)]);
        }
        text.push(line.to_owned());
    }
    text.join("\n")
}

fn judged(budget: &Judgement) -> String {
    let verdict = match budget.verdict {
        Verdict::Met => "met",
        Verdict::Missed => MISSED,
    };
    format!("{} {} {verdict}", budget.measure.title(), budget.promise)
}

fn not_measured(row: &Row) -> Option<String> {
    let reason = row.reason.as_deref().filter(|_| row.samples + row.failures == 0)?;
    Some(format!("not measured: {reason}"))
}

/// The unit of a column, and how many of the report's make one of it.
const fn unit(unit: Unit) -> (&'static str, f64) {
    match unit {
        Unit::Milliseconds => ("ms", 1.0),
        Unit::Bytes => ("MiB", 1_048_576.0),
        Unit::MegabytesPerSecond => ("MB/s", 1.0),
        Unit::PerSecond => ("/s", 1.0),
        Unit::Ratio => ("", 1.0),
    }
}

fn figures(statistics: Option<&Statistics>, of: Unit) -> [String; 4] {
    let Some(Statistics { p50, p90, p99, worst, .. }) = statistics else {
        return [(); 4].map(|()| "-".to_owned());
    };
    [p50, p90, p99, worst].map(|value| {
        // Ratios are near one, where the third digit says something.
        if of == Unit::Ratio { format!("{value:.3}") } else { digits(value / unit(of).1) }
    })
}

/// Shows a number; nothing stands out where there is none.
fn count(number: usize) -> String {
    if number == 0 { "-".to_owned() } else { number.to_string() }
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), digits)
}

fn density_table(steps: &[DensityStep], colour: Colour) -> String {
    let header = [
        ("SESSIONS", Align::Right),
        ("CREATE P50", Align::Right),
        ("P99", Align::Right),
        ("EXEC P50", Align::Right),
        ("P99", Align::Right),
        ("EACH", Align::Right),
        ("DAEMON", Align::Right),
        ("FAILED", Align::Right),
        ("BUDGET", Align::Left),
    ];
    let time = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| Unit::Milliseconds.render(ms));
    let rows: Vec<Vec<String>> = steps
        .iter()
        .map(|step| {
            vec![
                step.sessions.to_string(),
                time(step.create_ms.map(|of| of.p50)),
                time(step.create_ms.map(|of| of.p99)),
                time(step.exec_ms.map(|of| of.p50)),
                time(step.exec_ms.map(|of| of.p99)),
                Unit::Bytes.render(step.session_bytes),
                Unit::Bytes.render(step.daemon_bytes),
                count(step.failures),
                step.budgets.iter().map(judged).collect::<Vec<_>>().join(", "),
            ]
        })
        .collect();
    emphasise(&table::render(&header, &rows, colour), colour)
}

fn peers_table(peers: &[PeerRow], colour: Colour) -> String {
    let named = [("", Align::Left), ("VERSION", Align::Left), ("", Align::Left)];
    let header = [named.as_slice(), &FIGURES, &[("x OUR CYCLE", Align::Right)]].concat();
    let rows: Vec<Vec<String>> = peers
        .iter()
        .map(|peer| {
            let mut line = vec![peer.name.to_owned(), peer.version.clone(), "ms".to_owned()];
            line.extend(figures(peer.statistics.as_ref(), Unit::Milliseconds));
            line.extend([
                count(peer.samples),
                count(peer.failures),
                ratio(peer.floor_ratio),
                ratio(peer.cycle_ratio),
            ]);
            line
        })
        .collect();
    table::render(&header, &rows, colour)
}

fn times(number: usize) -> String {
    if number == 1 { "once".to_owned() } else { format!("{number} times") }
}

/// What failed and why, and how many budgets were kept.
fn summary(report: &Report, colour: Colour) -> String {
    let rows = report.rows.iter().map(|row| (row.title.to_owned(), row.failures, &row.reason));
    let steps = report
        .density
        .iter()
        .map(|step| (format!("{} live sessions", step.sessions), step.failures, &step.reason));
    let peers = report.peers.iter().map(|peer| (peer.name.to_owned(), peer.failures, &peer.reason));
    let mut lines: Vec<String> = rows
        .chain(steps)
        .chain(peers)
        .filter(|(_, failures, _)| *failures > 0)
        .map(|(what, failures, reason)| {
            let reason = printable(reason.as_deref().unwrap_or("no reason is known"));
            format!("{}: {what}, {}; first: {reason}", paint("31;1", "failed", colour), times(failures))
        })
        .collect();
    let (met, missed) = report.budgets();
    lines.push(match (met, missed) {
        (0, 0) => "No budget is about what was measured.".to_owned(),
        (_, 0) => paint("32", &format!("All {met} budgets are met."), colour),
        _ => paint("31;1", &format!("{missed} of {} budgets are missed.", met + missed), colour),
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use sandkasten_bench::{
        DensityStep, Judgement, Machine, Measure, PeerRow, Report, Row, Statistics, Status, Subject, Unit,
        Verdict,
    };

    use super::render;
    use crate::output::Colour;

    fn row(subject: Subject, p50: f64, budgets: Vec<Judgement>) -> Row {
        Row {
            subject,
            title: subject.title(),
            group: subject.group(),
            unit: subject.unit(),
            status: Status::Measured,
            samples: 20,
            failures: 0,
            reason: None,
            statistics: Some(Statistics { p10: p50, p50, p90: p50 * 2.0, p99: p50 * 3.0, worst: p50 * 4.0 }),
            floor_ratio: (subject.unit() == Unit::Milliseconds).then_some(p50),
            budgets,
        }
    }

    fn budget(measure: Measure, promise: &str, verdict: Verdict) -> Judgement {
        Judgement { measure, promise: promise.to_owned(), limit: 1.0, value: 1.0, verdict }
    }

    fn report() -> Report {
        let create = vec![
            budget(Measure::P50, "≤ 4 x floor = 4.00 ms", Verdict::Met),
            budget(Measure::P99, "≤ 12 x floor = 12.0 ms", Verdict::Missed),
        ];
        let mut pooled = row(Subject::PooledCreate, 1.0, Vec::new());
        pooled.status = Status::NotMeasured;
        (pooled.statistics, pooled.samples, pooled.floor_ratio) = (None, 0, None);
        pooled.reason = Some("the daemon with a pool did not start".to_owned());
        let mut destroy = row(Subject::Destroy, 2.0, Vec::new());
        (destroy.failures, destroy.reason) = (2, Some("no\u{1b}[2J daemon".to_owned()));
        Report {
            version: "0.1.0",
            machine: Machine {
                kernel: "6.18".to_owned(),
                processor: "Fast".to_owned(),
                processors: 2,
                load: 0.5,
            },
            image: "host".to_owned(),
            rows: vec![
                row(Subject::Floor, 1.0, Vec::new()),
                row(Subject::ColdCreate, 3.0, create),
                pooled,
                destroy,
                row(Subject::SessionMemory, 1_048_576.0, Vec::new()),
            ],
            density: vec![DensityStep {
                sessions: 5,
                create_ms: None,
                exec_ms: None,
                session_bytes: 1_048_576.0,
                daemon_bytes: 1_048_576.0,
                budgets: vec![budget(Measure::P50, "of exec ≤ 1.00 ms", Verdict::Met)],
                failures: 0,
                reason: None,
            }],
            peers: vec![PeerRow {
                name: "bwrap",
                version: "0.8.0".to_owned(),
                samples: 5,
                failures: 1,
                reason: Some("no namespace".to_owned()),
                statistics: Some(Statistics { p10: 3.6, p50: 3.7, p90: 3.8, p99: 4.0, worst: 41.0 }),
                floor_ratio: Some(3.7),
                cycle_ratio: None,
            }],
        }
    }

    #[test]
    fn a_report_has_a_line_for_each_row_and_each_budget() {
        let text = render(&report(), Colour::Off);
        let expected = "\
Sandkasten 0.1.0 with image host, on 2 processors (Fast), Linux 6.18, load 0.50

                                   P50   P90   P99  WORST  SAMPLES  FAILED  x FLOOR  BUDGET

The kernel's floor: what a sandbox takes without anything of ours
and a root, exec: the floor  ms   1.00  2.00  3.00   4.00       20       -     1.00

Sessions, over HTTP, one at a time
cold create                  ms   3.00  6.00  9.00   12.0       20       -     3.00  p50 ≤ 4 x floor = 4.00 ms met
                                                                                     p99 ≤ 12 x floor = 12.0 ms MISSED
pooled create                ms      -     -     -      -        -       -        -  not measured: the daemon with a pool did not start
destroy                      ms   2.00  4.00  6.00   8.00       20       2     2.00

Memory, proportional
memory of an idle session    MiB  1.00  2.00  3.00   4.00       20       -        -";
        assert!(text.starts_with(expected), "{text}");
        assert!(
            text.contains("\n       5           -    -         -    -  1.00 MiB  1.00 MiB       -"),
            "{text}"
        );
        assert!(
            text.contains(
                "bwrap  0.8.0    ms  3.70  3.80  4.00   41.0        5       1     3.70            -"
            ),
            "{text}"
        );
    }

    #[test]
    fn what_failed_and_what_was_missed_is_said_at_the_end() {
        let text = render(&report(), Colour::Off);
        let end = "failed: destroy, 2 times; first: no\u{fffd}[2J daemon\nfailed: bwrap, once; first: no namespace\n\
                   1 of 3 budgets are missed.";
        assert!(text.ends_with(end), "{text}");
        assert!(render(&report(), Colour::On).contains("\x1b[31;1mMISSED\x1b[0m"));
    }
}
