//! `image validate`: whether images can be used, before a session finds out.

use std::process::ExitCode;

use clap::Args;
use sandkasten_image::{CheckStatus, ImageName, ImageStore, ValidationReport};
use serde::Serialize;

use crate::cli_error::{CliError, Exit};
use crate::output::{self, Colour, paint};
use crate::table::printable;

/// Arguments of `image validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateArguments {
    /// The images [default: all that are present]
    #[arg(value_name = "NAME")]
    names: Vec<ImageName>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct ShownReport<'a> {
    name: &'a str,
    status: &'static str,
    checks: Vec<ShownCheck<'a>>,
}

#[derive(Serialize)]
struct ShownCheck<'a> {
    name: &'a str,
    status: &'static str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'a str>,
}

/// Validates images. The exit status is 4 where one of them cannot be used.
pub(super) fn run(store: &ImageStore, arguments: &ValidateArguments) -> Result<ExitCode, CliError> {
    let mut reports = Vec::new();
    for name in names(store, arguments)? {
        reports.push(store.validate(&name).map_err(|error| CliError {
            exit: Exit::Refused,
            ..CliError::ours(
                format!("cannot validate image {name}"),
                &error,
                "see `sandkasten image list` for the images there are",
            )
        })?);
    }
    if arguments.json {
        output::print_json(&reports.iter().map(shown).collect::<Vec<_>>())?;
    } else {
        let colour = output::stdout_colour();
        let text: Vec<String> = reports.iter().map(|report| render(report, colour)).collect();
        output::print(&text.join("\n\n"))?;
    }
    let failed = reports.iter().any(|report| report.status() == CheckStatus::Failure);
    Ok(if failed { Exit::Refused } else { Exit::Success }.into())
}

fn names(store: &ImageStore, arguments: &ValidateArguments) -> Result<Vec<ImageName>, CliError> {
    if !arguments.names.is_empty() {
        return Ok(arguments.names.clone());
    }
    let listing =
        store.list().map_err(|error| CliError::ours("cannot list the images", &error, "check data_dir"))?;
    for broken in &listing.broken {
        output::warn(&format!("image {} is broken: {}", printable(&broken.name), printable(&broken.reason)));
    }
    Ok(listing.images.into_iter().map(|image| image.name).collect())
}

const fn word(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Fine => "ok",
        CheckStatus::Warning => "warning",
        CheckStatus::Failure => "failure",
    }
}

fn shown(report: &ValidationReport) -> ShownReport<'_> {
    let checks = report.checks.iter().map(|check| ShownCheck {
        name: check.name,
        status: word(check.status),
        detail: &check.detail,
        advice: check.advice,
    });
    ShownReport { name: report.name.as_str(), status: word(report.status()), checks: checks.collect() }
}

fn render(report: &ValidationReport, colour: Colour) -> String {
    let width = report.checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut lines = vec![paint("1", report.name.as_str(), colour)];
    for check in &report.checks {
        let code = match check.status {
            CheckStatus::Fine => "32",
            CheckStatus::Warning => "33",
            CheckStatus::Failure => "31;1",
        };
        let mark = paint(code, &format!("{:<7}", word(check.status)), colour);
        lines.push(format!("  {mark}  {:<width$}  {}", check.name, printable(&check.detail)));
        if let Some(advice) = check.advice {
            lines.push(format!("  {}  what to do: {advice}", " ".repeat(width + 9)));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use sandkasten_image::{Check, CheckStatus, ImageName, ValidationReport};

    use super::{render, shown};
    use crate::output::Colour;

    #[test]
    fn checks_are_aligned_and_come_with_advice() {
        let check =
            |name, status, detail: &str, advice| Check { name, status, detail: detail.to_owned(), advice };
        let report = ValidationReport {
            name: ImageName::host(),
            checks: vec![
                check("layers", CheckStatus::Fine, "2 directories", None),
                check("shell", CheckStatus::Failure, "none", Some("install one")),
            ],
        };
        assert_eq!(
            render(&report, Colour::Off),
            "host\n  ok       layers  2 directories\n  failure  shell   none\n\
             \x20                  what to do: install one"
        );
        assert_eq!(shown(&report).status, "failure");
    }
}
