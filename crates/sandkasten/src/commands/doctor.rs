//! `doctor`: what this host can do, and what to do about what it cannot.

use std::process::ExitCode;

use clap::Args;
use sandkasten_isolation::probe::{FeatureStatus, HostReport, probe};

use crate::arguments::GlobalArguments;
use crate::cli_error::{CliError, Exit};
use crate::output::{Colour, paint};
use crate::table::printable;
use crate::{connection, output};

/// Arguments of `doctor`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct DoctorArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Probes the host. The exit status is 1 where something that is needed is missing.
pub(crate) fn run(global: &GlobalArguments, arguments: DoctorArguments) -> Result<ExitCode, CliError> {
    let config = connection::load_config(global)?;
    let report = probe(&config.data_dir);
    if arguments.json {
        output::print_json(&report)?;
    } else {
        output::print(&render(&report, output::stdout_colour()))?;
    }
    Ok(if report.is_usable() { Exit::Success } else { Exit::Unfit }.into())
}

/// Counts the features that are needed and missing.
fn lacking(report: &HostReport) -> usize {
    report.features.iter().filter(|feature| feature.required && !feature.status.is_available()).count()
}

/// Renders what the host can do, line by line.
pub(super) fn render(report: &HostReport, colour: Colour) -> String {
    let width = report.features.iter().map(|feature| feature.name.chars().count()).max().unwrap_or(0);
    let host = format!("kernel {} on {}", printable(&report.kernel), printable(&report.architecture));
    let mut lines = vec![host, String::new()];
    for feature in &report.features {
        let name = format!("{:<width$}", feature.name);
        match &feature.status {
            FeatureStatus::Available { detail } => {
                lines.push(format!("{}  {name}  {}", paint("32", "ok     ", colour), printable(detail)));
            }
            FeatureStatus::Missing { reason } => {
                let mark = if feature.required {
                    paint("31;1", "MISSING", colour)
                } else {
                    paint("33", "without", colour)
                };
                lines.push(format!("{mark}  {name}  {}", printable(reason)));
                let indent = " ".repeat(width + 11);
                lines.push(format!("{indent}needed for: {}", feature.why));
                lines.push(format!("{indent}what to do: {}", feature.advice));
            }
        }
    }
    let verdict = match lacking(report) {
        0 => paint("32", "This host can run sandboxes.", colour),
        1 => paint("31;1", "This host cannot run sandboxes: 1 feature is missing.", colour),
        count => {
            paint("31;1", &format!("This host cannot run sandboxes: {count} features are missing."), colour)
        }
    };
    lines.extend([String::new(), verdict]);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use sandkasten_isolation::probe::{Feature, FeatureStatus, HostReport};

    use super::render;
    use crate::output::Colour;

    fn report(features: Vec<Feature>) -> HostReport {
        HostReport { kernel: "6.18".to_owned(), architecture: "x86_64".to_owned(), features }
    }

    fn feature(name: &'static str, required: bool, available: bool) -> Feature {
        let status = if available {
            FeatureStatus::Available { detail: "version 6".to_owned() }
        } else {
            FeatureStatus::Missing { reason: "not in this kernel".to_owned() }
        };
        Feature { name, status, required, why: "files", advice: "boot another kernel" }
    }

    #[test]
    fn what_is_missing_comes_with_its_reason_and_advice() {
        let features =
            vec![feature("landlock", true, true), feature("erofs", false, false), feature("x", true, false)];
        let report = report(features);
        assert_eq!(
            render(&report, Colour::Off),
            "kernel 6.18 on x86_64\n\n\
             ok       landlock  version 6\n\
             without  erofs     not in this kernel\n\
             \x20                  needed for: files\n\
             \x20                  what to do: boot another kernel\n\
             MISSING  x         not in this kernel\n\
             \x20                  needed for: files\n\
             \x20                  what to do: boot another kernel\n\n\
             This host cannot run sandboxes: 1 feature is missing."
        );
    }

    #[test]
    fn what_is_optional_does_not_make_a_host_unfit() {
        let text = render(&report(vec![feature("erofs", false, false)]), Colour::Off);
        assert!(text.ends_with("This host can run sandboxes."), "{text}");
    }
}
