//! The figures behind the charts, and all others.

use std::fmt::{Error, Write};

use super::escape::Escaped;
use crate::budget::{Judgement, Verdict};
use crate::report::{DensityStep, PeerRow, Row};
use crate::statistics::Statistics;
use crate::unit::{Unit, digits};

/// Writes all rows, with what was promised of them.
pub(super) fn rows(page: &mut String, rows: &[Row]) -> Result<(), Error> {
    page.write_str(
        "<div class=\"scroll\"><table><thead><tr><th></th><th>p50</th><th>p90</th><th>p99</th><th>worst</th>\
         <th>samples</th><th>failed</th><th>x floor</th><th class=\"text\">budget</th></tr></thead><tbody>",
    )?;
    let mut group = None;
    for row in rows {
        if group.replace(row.group) != Some(row.group) {
            write!(page, "<tr class=\"group\"><td colspan=\"9\">{}</td></tr>", row.group)?;
        }
        write!(page, "<tr><td>{}</td>", Escaped(row.title))?;
        figures(page, row.statistics.as_ref(), row.unit)?;
        counts(page, row.samples, row.failures)?;
        write!(page, "<td>{}</td><td class=\"text\">", row.floor_ratio.map(digits).unwrap_or_default())?;
        budgets(page, &row.budgets)?;
        if let Some(reason) = &row.reason {
            let what = if row.failures > 0 { "first failure" } else { "not measured" };
            write!(page, "<div>{what}: {}</div>", Escaped(reason))?;
        }
        page.write_str("</td></tr>")?;
    }
    page.write_str("</tbody></table></div>")
}

/// Writes the steps of the density.
pub(super) fn density(page: &mut String, steps: &[DensityStep]) -> Result<(), Error> {
    page.write_str(
        "<div class=\"scroll\"><table><thead><tr><th>live sessions</th><th>create p50</th><th>p99</th>\
         <th>exec p50</th><th>p99</th><th>each</th><th>daemon</th><th>failed</th>\
         <th class=\"text\">budget</th></tr></thead><tbody>",
    )?;
    for step in steps {
        write!(page, "<tr><td>{}</td>", step.sessions)?;
        for of in [step.create_ms, step.exec_ms] {
            for figure in [of.map(|of| of.p50), of.map(|of| of.p99)] {
                write!(
                    page,
                    "<td>{}</td>",
                    figure.map(|ms| Unit::Milliseconds.render(ms)).unwrap_or_default()
                )?;
            }
        }
        for bytes in [step.session_bytes, step.daemon_bytes] {
            write!(page, "<td>{}</td>", Unit::Bytes.render(bytes))?;
        }
        let reason = step.reason.as_deref().unwrap_or_default();
        write!(page, "<td title=\"{}\">{}</td><td class=\"text\">", Escaped(reason), count(step.failures))?;
        budgets(page, &step.budgets)?;
        page.write_str("</td></tr>")?;
    }
    page.write_str("</tbody></table></div>")
}

/// Writes the others.
pub(super) fn peers(page: &mut String, peers: &[PeerRow]) -> Result<(), Error> {
    page.write_str(
        "<div class=\"scroll\"><table><thead><tr><th></th><th class=\"text\">version</th><th>p50</th><th>p90</th>\
         <th>p99</th><th>worst</th><th>samples</th><th>failed</th><th>x floor</th><th>x our cycle</th>\
         <th class=\"text\"></th></tr></thead><tbody>",
    )?;
    for peer in peers {
        write!(page, "<tr><td>{}</td><td class=\"text\">{}</td>", peer.name, Escaped(&peer.version))?;
        figures(page, peer.statistics.as_ref(), Unit::Milliseconds)?;
        counts(page, peer.samples, peer.failures)?;
        for ratio in [peer.floor_ratio, peer.cycle_ratio] {
            write!(page, "<td>{}</td>", ratio.map(digits).unwrap_or_default())?;
        }
        let reason = peer.reason.as_deref().map(|reason| format!("first failure: {reason}"));
        write!(page, "<td class=\"text wide\">{}</td></tr>", Escaped(reason.unwrap_or_default()))?;
    }
    page.write_str("</tbody></table></div>")
}

fn figures(page: &mut String, statistics: Option<&Statistics>, unit: Unit) -> Result<(), Error> {
    let Some(Statistics { p50, p90, p99, worst, .. }) = statistics else {
        return page.write_str("<td></td><td></td><td></td><td></td>");
    };
    [p50, p90, p99, worst].iter().try_for_each(|figure| write!(page, "<td>{}</td>", unit.render(**figure)))
}

fn counts(page: &mut String, samples: usize, failures: usize) -> Result<(), Error> {
    write!(page, "<td>{}</td><td class=\"missed\">{}</td>", count(samples), count(failures))
}

/// Nothing stands out where there is none.
fn count(number: usize) -> String {
    if number == 0 { String::new() } else { number.to_string() }
}

fn budgets(page: &mut String, budgets: &[Judgement]) -> Result<(), Error> {
    for budget in budgets {
        let (class, word) = match budget.verdict {
            Verdict::Met => ("met", "met"),
            Verdict::Missed => ("missed", "missed"),
        };
        let promise = Escaped(&budget.promise);
        write!(
            page,
            "<div>{} {promise} <span class=\"{class}\">{word}</span></div>",
            budget.measure.title()
        )?;
    }
    Ok(())
}
