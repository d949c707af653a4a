//! Lines over the number of live sessions.

use std::fmt::{Error, Write};

use super::escape::Escaped;
use super::scale::Scale;
use crate::unit::digits;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 376.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 190.0;

/// One line: the class that it is drawn with is its name as well.
pub(super) struct Line<'a> {
    pub(super) class: &'a str,
    pub(super) name: &'a str,
    /// Numbers of sessions, and figures.
    pub(super) points: Vec<(f64, f64)>,
}

/// Draws lines that begin at nothing, so that what is flat looks flat.
pub(super) fn draw(page: &mut String, title: &str, unit: &str, lines: &[Line<'_>]) -> Result<(), Error> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let least = points().map(|(sessions, _)| *sessions).fold(f64::MAX, f64::min);
    let last = points().map(|(sessions, _)| *sessions).fold(0.0, f64::max);
    if last <= least {
        return Ok(());
    }
    let across = Scale::between(least, last, LEFT, RIGHT);
    let up = Scale::even(points().map(|(_, figure)| *figure).fold(0.0, f64::max), BOTTOM, TOP);
    let title = Escaped(title);
    write!(
        page,
        "<figure><figcaption>{title}</figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}, over live sessions\">"
    )?;
    for tick in up.ticks() {
        let y = up.place(tick);
        write!(
            page,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            y + 4.0,
            short(tick)
        )?;
    }
    for line in lines {
        draw_one(page, line, &across, &up, unit)?;
    }
    let ends = [(least, "start"), (last, "end")];
    for (sessions, anchor) in ends {
        write!(
            page,
            "<text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{sessions}</text>",
            across.place(sessions),
            BOTTOM + 18.0
        )?;
    }
    write!(
        page,
        "<text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}; live sessions</text>\
         </svg></figure>",
        f64::midpoint(LEFT, RIGHT),
        BOTTOM + 34.0,
        Escaped(unit)
    )
}

fn draw_one(page: &mut String, line: &Line<'_>, across: &Scale, up: &Scale, unit: &str) -> Result<(), Error> {
    let Line { class, name, points } = line;
    write!(page, "<polyline class=\"line {class}\" points=\"")?;
    for (sessions, figure) in points {
        write!(page, "{:.1},{:.1} ", across.place(*sessions), up.place(*figure))?;
    }
    page.write_str("\"/>")?;
    for (sessions, figure) in points {
        write!(
            page,
            "<circle class=\"dot {class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"><title>{name}, {sessions} sessions: {} {}</title></circle>",
            across.place(*sessions),
            up.place(*figure),
            digits(*figure),
            Escaped(unit),
        )?;
    }
    let Some((sessions, figure)) = points.last() else { return Ok(()) };
    write!(
        page,
        "<text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
        across.place(*sessions) + 7.0,
        up.place(*figure) + 4.0
    )
}

/// Renders a tick without digits that say nothing.
fn short(tick: f64) -> String {
    let text = format!("{tick:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Line, draw, short};

    #[test]
    fn a_chart_has_every_point_and_no_figure_that_is_none() {
        let points = vec![(1.0, 3.0), (10.0, 3.5), (100.0, 4.0)];
        let mut page = String::new();
        draw(&mut page, "create", "ms", &[Line { class: "p50", name: "p50", points }]).expect("drawn");
        assert_eq!(page.matches("<circle").count(), 3);
        assert!(page.contains("p50, 100 sessions: 4.00 ms"), "{page}");
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    }

    #[test]
    fn one_step_makes_no_line() {
        let mut page = String::new();
        let line = Line { class: "p50", name: "p50", points: vec![(1.0, 3.0)] };
        draw(&mut page, "create", "ms", &[line]).expect("drawn");
        assert_eq!(page, "");
    }

    #[test]
    fn ticks_are_short() {
        assert_eq!([0.0, 0.25, 2.0, 150.0].map(short), ["0", "0.25", "2", "150"]);
    }
}
