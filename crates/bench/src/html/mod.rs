//! A report as one page that needs nothing else: no script, no network, no other file.

mod bars;
mod escape;
mod lines;
mod scale;
mod tables;

use std::fmt::{Error, Write};

use self::bars::{Bar, Emphasis};
use self::escape::Escaped;
use self::lines::Line;
use crate::budget::Measure;
use crate::group::Group;
use crate::report::{DensityStep, Report, Row};
use crate::statistics::Statistics;
use crate::subject::Subject;
use crate::unit::Unit;

const STYLE: &str = include_str!("style.css");
const MIB: f64 = 1_048_576.0;

/// Renders the page.
///
/// # Errors
/// None that can happen: memory takes what is written to it.
pub fn html(report: &Report) -> Result<String, Error> {
    let mut page = String::new();
    head(&mut page, report)?;
    let times: Vec<Bar<'_>> = report.rows.iter().filter_map(time_bar).collect();
    section(
        &mut page,
        "Times",
        "Each bar is the median, the thin one behind it goes on to the p99; further right is slower, ten times from line to line. \
         The mark is what was promised of the median.",
    )?;
    bars::draw(&mut page, "Times of all rows", &times)?;
    if !report.density.is_empty() {
        section(
            &mut page,
            "With more sessions",
            "What one more costs where many live already. Flat is good.",
        )?;
        density(&mut page, &report.density)?;
    }
    if !report.peers.is_empty() {
        section(
            &mut page,
            "Beside others",
            "A program that ends at once, in a fresh sandbox without a network. Ours is a create, a program that a shell starts, \
             and a destroy, over HTTP.",
        )?;
        bars::draw(&mut page, "Times beside other sandboxes", &peer_bars(report))?;
        tables::peers(&mut page, &report.peers)?;
    }
    section(&mut page, "All figures", "Percentiles are samples, and no worse were so many of 100.")?;
    tables::rows(&mut page, &report.rows)?;
    page.write_str("</body></html>\n")?;
    Ok(page)
}

fn head(page: &mut String, report: &Report) -> Result<(), Error> {
    let machine = &report.machine;
    let (met, missed) = report.budgets();
    write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>What sandboxes cost here</title>\
         <style>{STYLE}</style></head><body><h1>What sandboxes cost here</h1>\
         <p>Sandkasten {} with image {}, on {} processors ({}), Linux {}, load {:.2} before the run.</p>\
         <p class=\"verdict\">{met} of {} budgets met, {missed} missed; {} failures.</p>",
        report.version,
        Escaped(&report.image),
        machine.processors,
        Escaped(&machine.processor),
        Escaped(&machine.kernel),
        machine.load,
        met + missed,
        report.failures(),
    )
}

fn section(page: &mut String, title: &str, text: &str) -> Result<(), Error> {
    write!(page, "<h2>{title}</h2><p>{text}</p>")
}

fn time_bar(row: &Row) -> Option<Bar<'_>> {
    if row.unit != Unit::Milliseconds {
        return None;
    }
    let budget = row.budgets.iter().find(|budget| budget.measure == Measure::P50);
    let emphasis = if row.group == Group::Floor { Emphasis::None } else { Emphasis::Ours };
    let limit = budget.map(|budget| (budget.limit, budget.verdict));
    Some(Bar { label: row.title, statistics: row.statistics?, limit, emphasis })
}

fn peer_bars(report: &Report) -> Vec<Bar<'_>> {
    let ours = [
        (Subject::Floor, "the kernel's floor", Emphasis::None),
        (Subject::Cycle, "ours: create, exec, destroy", Emphasis::Ours),
    ];
    let ours = ours.into_iter().filter_map(|(subject, label, emphasis)| {
        Some(Bar { label, statistics: report.row(subject)?.statistics?, limit: None, emphasis })
    });
    let peers = report.peers.iter().filter_map(|peer| {
        let statistics = peer.statistics?;
        Some(Bar { label: peer.name, statistics, limit: None, emphasis: Emphasis::None })
    });
    ours.chain(peers).collect()
}

fn density(page: &mut String, steps: &[DensityStep]) -> Result<(), Error> {
    let sessions = |step: &DensityStep| u32::try_from(step.sessions).map_or(f64::MAX, f64::from);
    let times = |of: fn(&DensityStep) -> Option<Statistics>| {
        let points = |figure: fn(Statistics) -> f64| -> Vec<(f64, f64)> {
            steps.iter().filter_map(|step| Some((sessions(step), figure(of(step)?)))).collect()
        };
        [
            Line { class: "p50", name: "p50", points: points(|of| of.p50) },
            Line { class: "p99", name: "p99", points: points(|of| of.p99) },
        ]
    };
    let sizes = |of: fn(&DensityStep) -> f64| {
        let points = steps.iter().map(|step| (sessions(step), of(step) / MIB)).collect();
        [Line { class: "p50", name: "MiB", points }]
    };
    page.write_str("<div class=\"charts\">")?;
    lines::draw(page, "Create", "ms", &times(|step| step.create_ms))?;
    lines::draw(page, "Exec of a builtin", "ms", &times(|step| step.exec_ms))?;
    lines::draw(page, "Memory of a session", "MiB", &sizes(|step| step.session_bytes))?;
    lines::draw(page, "Memory of the daemon", "MiB", &sizes(|step| step.daemon_bytes))?;
    page.write_str("</div>")?;
    tables::density(page, steps)
}

#[cfg(test)]
mod tests {
    use super::html;
    use crate::report::tests::example;

    #[test]
    fn a_page_needs_nothing_else_and_shows_all_of_it() {
        let page = html(&example()).expect("a page");
        for word in [
            "cold create",
            "the daemon with a pool did not start",
            "first failure: no &lt;daemon&gt;",
            "bwrap",
            "600 MB/s",
        ] {
            assert!(page.contains(word), "{word} is not in {page}");
        }
        for outside in ["http://", "https://", "<script", "url(", "@import", "<link", "<img"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        // Times, four of the density, others.
        assert_eq!(page.matches("<svg").count(), 6);
        assert!(!page.contains("NaN") && !page.contains("inf\""));
    }

    #[test]
    fn what_programs_say_is_text() {
        let page = html(&example()).expect("a page");
        assert!(!page.contains("<daemon>") && !page.contains("<connect>") && !page.contains("<processor>"));
        assert!(!page.contains('\u{1b}'));
    }

    #[test]
    fn a_report_of_nothing_is_a_page() {
        let mut report = example();
        report.rows.clear();
        report.density.clear();
        report.peers.clear();
        let page = html(&report).expect("a page");
        assert!(!page.contains("<svg") && page.ends_with("</html>\n"));
    }
}
