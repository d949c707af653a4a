//! Bars of times, by powers of ten: the median, on to the p99, and the mark of what was promised.

use std::fmt::{Error, Write};

use super::escape::Escaped;
use super::scale::Scale;
use crate::budget::Verdict;
use crate::statistics::Statistics;
use crate::unit::digits;

const WIDTH: f64 = 900.0;
const LABELS: f64 = 250.0;
const VALUES: f64 = 790.0;
const ROW: f64 = 26.0;
const TOP: f64 = 26.0;

/// One bar.
pub(super) struct Bar<'a> {
    pub(super) label: &'a str,
    pub(super) statistics: Statistics,
    /// What the median may be, and whether it is.
    pub(super) limit: Option<(f64, Verdict)>,
    pub(super) emphasis: Emphasis,
}

/// Whether a bar is to be told from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Emphasis {
    None,
    Ours,
}

/// Draws bars, in milliseconds.
pub(super) fn draw(page: &mut String, description: &str, bars: &[Bar<'_>]) -> Result<(), Error> {
    let figures = || {
        bars.iter().flat_map(|bar| {
            [bar.statistics.p50, bar.statistics.p99].into_iter().chain(bar.limit.map(|(limit, _)| limit))
        })
    };
    let (least, most) = (figures().fold(f64::MAX, f64::min), figures().fold(0.0, f64::max));
    if bars.is_empty() || least <= 0.0 {
        return Ok(());
    }
    // Half of the least, so that its bar can be seen.
    let scale = Scale::powers(least / 2.0, most, LABELS, VALUES);
    let height = bars.iter().fold(TOP, |height, _| height + ROW) + 4.0;
    let description = Escaped(description);
    write!(page, "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{description}\">")?;
    for tick in scale.ticks() {
        let x = scale.place(tick);
        write!(
            page,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{height}\"/>\
             <text class=\"soft\" x=\"{x:.1}\" y=\"16\" text-anchor=\"middle\">{} ms</text>",
            tick_text(tick)
        )?;
    }
    let mut y = TOP;
    for bar in bars {
        draw_one(page, bar, &scale, y)?;
        y += ROW;
    }
    page.write_str("</svg>")
}

fn draw_one(page: &mut String, bar: &Bar<'_>, scale: &Scale, y: f64) -> Result<(), Error> {
    let Statistics { p50, p99, .. } = bar.statistics;
    let (median, tail) = (scale.place(p50), scale.place(p99));
    let class = if bar.emphasis == Emphasis::Ours { "bar ours" } else { "bar" };
    let label = Escaped(bar.label);
    write!(
        page,
        "<g><title>{label}: p50 {} ms, p99 {} ms</title>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\
         <rect class=\"tail\" x=\"{median:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"8\"/>\
         <rect class=\"{class}\" x=\"{LABELS}\" y=\"{:.1}\" width=\"{:.1}\" height=\"16\" rx=\"1.5\"/>",
        digits(p50),
        digits(p99),
        LABELS - 10.0,
        y + 18.0,
        y + 9.0,
        tail - median,
        y + 5.0,
        median - LABELS,
    )?;
    if let Some((limit, verdict)) = bar.limit {
        let (x, verdict) = (scale.place(limit), if verdict == Verdict::Met { "met" } else { "missed" });
        write!(
            page,
            "<line class=\"limit {verdict}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
            y + 2.0,
            y + 24.0
        )?;
    }
    write!(page, "<text x=\"{:.1}\" y=\"{:.1}\">{} ms</text></g>", VALUES + 12.0, y + 18.0, digits(p50))
}

/// Renders a power of ten without digits that say nothing.
fn tick_text(tick: f64) -> String {
    if tick < 0.999 { format!("{:.3}", tick).trim_end_matches('0').to_owned() } else { format!("{tick:.0}") }
}

#[cfg(test)]
mod tests {
    use super::{Bar, Emphasis, draw, tick_text};
    use crate::budget::Verdict;
    use crate::statistics::{Better, Statistics};

    #[test]
    fn a_bar_has_its_label_its_figure_and_the_mark_of_its_budget() {
        let statistics = Statistics::of(&[1.0, 2.0], Better::Lower).expect("samples");
        let bar =
            Bar { label: "a <b>", statistics, limit: Some((4.0, Verdict::Missed)), emphasis: Emphasis::None };
        let mut page = String::new();
        draw(&mut page, "all", &[bar]).expect("drawn");
        assert!(page.contains("a &lt;b&gt;: p50 1.00 ms, p99 2.00 ms"), "{page}");
        assert!(page.contains("class=\"limit missed\"") && page.ends_with("</svg>"), "{page}");
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let mut page = String::new();
        draw(&mut page, "none", &[]).expect("drawn");
        assert_eq!(page, "");
    }

    #[test]
    fn ticks_are_short() {
        assert_eq!([0.01, 0.1, 1.0, 100.0].map(tick_text), ["0.01", "0.1", "1", "100"]);
    }
}
