//! Figures that were accepted before, beside those of this run.

use std::fs;
use std::io;
use std::path::Path;

use sandkasten_bench::{Accepted, Change, ComparedFigure, Comparison, Scale, Unit, digits};

use crate::cli_error::CliError;
use crate::output::{Colour, paint};
use crate::table::{self, Align, printable};

/// A report is some ten thousand bytes.
const MOST_BYTES: u64 = 16 << 20;
/// The words that are to be seen at once.
const WORSE: &str = "WORSE";
const LOST: &str = "LOST";

/// Reads a report that `bench --json` has printed.
pub(super) fn read_accepted(path: &Path) -> Result<Accepted, CliError> {
    let hint = "record figures by `sandkasten bench --json > FILE`, on a machine that does nothing else";
    let failed = |error: &dyn std::error::Error| {
        CliError::ours(format!("cannot compare with {}", path.display()), error, hint)
    };
    let size = fs::metadata(path).map_err(|error| failed(&error))?.len();
    if size > MOST_BYTES {
        let what = format!("it has {size} bytes, and a report has fewer than {MOST_BYTES}");
        return Err(failed(&io::Error::new(io::ErrorKind::FileTooLarge, what)));
    }
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    Accepted::parse(&text).map_err(|error| failed(&error))
}

/// Renders a comparison, what is worse at the end.
pub(super) fn render(comparison: &Comparison, colour: Colour) -> String {
    let title = format!("Beside what was accepted, of version {}", printable(&comparison.version));
    let mut parts = vec![paint("1", &title, colour)];
    parts.extend(comparison.differences.iter().map(|difference| {
        format!("{}: {}", paint("33", "not the same machine", colour), printable(difference))
    }));
    parts.push(figures(&comparison.figures, colour));
    parts.push(String::new());
    parts.push(match comparison.worse().count() {
        0 => paint("32", "Nothing is worse than what was accepted.", colour),
        worse => paint("31;1", &format!("{worse} figures are worse than what was accepted."), colour),
    });
    parts.join("\n")
}

fn figures(figures: &[ComparedFigure], colour: Colour) -> String {
    let header = [
        ("", Align::Left),
        ("", Align::Left),
        ("ACCEPTED", Align::Right),
        ("NOW", Align::Right),
        ("TIMES WORSE", Align::Right),
        ("ALLOWED", Align::Right),
        ("", Align::Left),
    ];
    let rows: Vec<Vec<String>> = figures
        .iter()
        .map(|figure| {
            let shown =
                |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |it| show(it, figure.measure));
            vec![
                figure.name.clone(),
                measure(figure.measure).to_owned(),
                shown(figure.accepted),
                shown(figure.now),
                figure.times_worse.map_or_else(|| "-".to_owned(), |times| format!("{times:.2}")),
                format!("{:.2}", figure.tolerance),
                verdict(figure),
            ]
        })
        .collect();
    let table = table::render(&header, &rows, colour);
    [WORSE, LOST].iter().fold(table, |table, word| table.replace(word, &paint("31;1", word, colour)))
}

const fn measure(measure: Scale) -> &'static str {
    match measure {
        Scale::Floors => "x floor",
        Scale::PerFloor => "a floor",
        Scale::Bytes | Scale::Ratio => "",
        Scale::Failures => "failures",
    }
}

fn show(value: f64, measure: Scale) -> String {
    match measure {
        Scale::Bytes => Unit::Bytes.render(value),
        Scale::Ratio => Unit::Ratio.render(value),
        Scale::Failures => format!("{value}"),
        Scale::Floors | Scale::PerFloor => digits(value),
    }
}

fn verdict(figure: &ComparedFigure) -> String {
    let word = match figure.change {
        Change::Worse => WORSE,
        Change::Lost => LOST,
        Change::Better => "better",
        Change::New => "new",
        Change::Same => "",
    };
    let reason = figure.reason.as_deref().filter(|_| figure.change != Change::Same);
    reason.map_or_else(|| word.to_owned(), |reason| format!("{word}: {}", printable(reason)))
}

#[cfg(test)]
mod tests {
    use sandkasten_bench::{Change, ComparedFigure, Comparison, Group, Scale};

    use super::{read_accepted, render};
    use crate::output::Colour;

    fn figure(name: &str, measure: Scale, times_worse: Option<f64>, change: Change) -> ComparedFigure {
        ComparedFigure {
            name: name.to_owned(),
            group: Group::Exec,
            measure,
            accepted: Some(0.5),
            now: times_worse.map(|times| times / 2.0),
            times_worse,
            tolerance: 1.6,
            change,
            reason: times_worse.is_none().then(|| "no\u{1b}[2J daemon".to_owned()),
        }
    }

    #[test]
    fn what_is_worse_says_by_how_much_and_how_much_is_allowed() {
        let comparison = Comparison {
            version: "0.1.0".to_owned(),
            differences: vec!["the kernel was 6.1, and is 6.18".to_owned()],
            figures: vec![
                figure("exec_builtin", Scale::Floors, Some(2.0), Change::Worse),
                figure("exec_true", Scale::Floors, Some(1.1), Change::Same),
                figure("cycle", Scale::Floors, None, Change::Lost),
            ],
        };
        let text = render(&comparison, Colour::Off);
        let expected = "\
Beside what was accepted, of version 0.1.0
not the same machine: the kernel was 6.1, and is 6.18
                       ACCEPTED   NOW  TIMES WORSE  ALLOWED
exec_builtin  x floor      0.50  1.00         2.00     1.60  WORSE
exec_true     x floor      0.50  0.55         1.10     1.60
cycle         x floor      0.50     -            -     1.60  LOST: no\u{fffd}[2J daemon

2 figures are worse than what was accepted.";
        assert_eq!(text, expected);
        assert!(render(&comparison, Colour::On).contains("\x1b[31;1mWORSE\x1b[0m"));
    }

    #[test]
    fn a_file_that_is_no_report_is_refused_by_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("accepted.json");
        for text in [None, Some("{}")] {
            if let Some(text) = text {
                std::fs::write(&path, text).expect("a file");
            }
            let error = read_accepted(&path).expect_err("no report");
            assert!(error.what.contains("accepted.json") && error.hint.contains("bench --json"), "{error:?}");
        }
    }
}
