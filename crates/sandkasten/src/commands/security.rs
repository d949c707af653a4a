//! `security`: whether the configuration, the host and a running sandbox are fit for hostile code.

use std::process::ExitCode;

use clap::Args;
use sandkasten_daemon::config::{Config, locate_config_file};
use sandkasten_security::{
    CanaryError, Finding, Part, SecurityReport, Verdict, check_canary, configuration, host,
};
use serde::Serialize;

use crate::arguments::GlobalArguments;
use crate::cli_error::{CliError, Exit, with_causes};
use crate::interrupt::Interrupts;
use crate::logging::{self, LogLevel};
use crate::output::{Colour, paint};
use crate::table::printable;
use crate::{connection, output};

/// Arguments of `security`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct SecurityArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Check the configuration and the host alone: start no sandbox to look at and to attack
    #[arg(long)]
    no_live: bool,
}

/// Everything, as programs read it.
#[derive(Serialize)]
struct Shown<'a> {
    passed: bool,
    #[serde(flatten)]
    report: &'a SecurityReport,
}

/// Checks everything. The exit status is 1 where anything failed.
pub(crate) async fn run(
    global: &GlobalArguments,
    arguments: SecurityArguments,
) -> Result<ExitCode, CliError> {
    let config = connection::load_config(global)?;
    let mut report = SecurityReport::default();
    let file = locate_config_file(global.config.as_deref());
    report.extend(configuration::check(&config, file.as_deref()));
    report.extend(host::check(&config));
    if !arguments.no_live {
        report.extend(check_live(&config).await?);
    }
    if arguments.json {
        output::print_json(&Shown { passed: report.passed(), report: &report })?;
    } else {
        output::print(&render(&report, output::stdout_colour()))?;
    }
    Ok(if report.passed() { Exit::Success } else { Exit::Unfit }.into())
}

async fn check_live(config: &Config) -> Result<Vec<Finding>, CliError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(vec![live(
            Verdict::Warn,
            "not made: starting a sandbox needs root".to_owned(),
            "run this with sudo to have a sandbox looked at and attacked",
        )]);
    }
    // What the daemon inside warns of would otherwise be lost.
    logging::start(LogLevel::Warn);
    let mut interrupts = Interrupts::listen()?;
    let interrupted = async move {
        interrupts.next().await;
    };
    match check_canary(config, interrupted).await {
        Ok(findings) => Ok(findings),
        Err(error @ CanaryError::Interrupted) => {
            Err(CliError::ours("cannot look at a running sandbox", &error, "run it again"))
        }
        // What cannot be looked at is not known to be safe.
        Err(error) => Ok(vec![live(
            Verdict::Fail,
            with_causes(&error),
            "run `sandkasten doctor` to see what is missing on this host",
        )]),
    }
}

/// What is said of the live checks as a whole.
fn live(verdict: Verdict, detail: String, advice: &str) -> Finding {
    Finding {
        part: Part::Sandbox,
        group: "canary".to_owned(),
        name: "live checks".to_owned(),
        verdict,
        detail,
        advice: advice.to_owned(),
    }
}

fn render(report: &SecurityReport, colour: Colour) -> String {
    let mut lines = Vec::new();
    for (part, title) in [
        (Part::Configuration, "Configuration"),
        (Part::Host, "Host"),
        (Part::Sandbox, "A running sandbox, as the kernel shows it"),
        (Part::Attack, "Attacks on that sandbox, from inside"),
    ] {
        let findings: Vec<&Finding> = report.findings.iter().filter(|finding| finding.part == part).collect();
        if findings.is_empty() {
            continue;
        }
        lines.extend([paint("1", title, colour), String::new()]);
        let width = findings.iter().map(|finding| finding.name.chars().count()).max().unwrap_or(0);
        let mut group = findings.first().map_or("", |finding| finding.group.as_str());
        for finding in findings {
            if group != finding.group {
                group = &finding.group;
                lines.push(String::new());
            }
            lines.extend(render_one(finding, width, colour));
        }
        lines.push(String::new());
    }
    lines.push(summary(report, colour));
    lines.join("\n")
}

fn render_one(finding: &Finding, width: usize, colour: Colour) -> Vec<String> {
    let mark = match (finding.part, finding.verdict) {
        (Part::Attack, Verdict::Ok) => paint("32", "denied", colour),
        (Part::Attack, Verdict::Fail) => paint("31;1", "BREACH", colour),
        (_, Verdict::Ok) => paint("32", "OK    ", colour),
        (_, Verdict::Warn) => paint("33", "WARN  ", colour),
        (_, Verdict::Fail) => paint("31;1", "FAIL  ", colour),
        (_, Verdict::Skip) => paint("2", "skip  ", colour),
    };
    let mut lines = vec![format!("{mark}  {:<width$}  {}", finding.name, printable(&finding.detail))];
    if !finding.advice.is_empty() {
        lines.push(format!("{}what to do: {}", " ".repeat(width + 10), finding.advice));
    }
    lines
}

fn summary(report: &SecurityReport, colour: Colour) -> String {
    let all = |verdict| {
        [Part::Configuration, Part::Host, Part::Sandbox, Part::Attack]
            .into_iter()
            .map(|part| report.count(part, verdict))
            .sum::<usize>()
    };
    let (denied, breached) =
        (report.count(Part::Attack, Verdict::Ok), report.count(Part::Attack, Verdict::Fail));
    let live = match (report.count(Part::Sandbox, Verdict::Ok), denied + breached) {
        (_, 0) => "No sandbox was looked at.".to_owned(),
        (held, tried) => {
            format!("{held} properties of a running sandbox hold; {denied} of {tried} attacks were denied.")
        }
    };
    let verdict = match (all(Verdict::Fail), all(Verdict::Warn)) {
        (0, 0) => paint("32", "Passed.", colour),
        (0, warned) => paint("32", &format!("Passed, with {}.", count(warned, "warning")), colour),
        (failed, warned) => paint(
            "31;1",
            &format!("Failed, with {} and {}.", count(failed, "failure"), count(warned, "warning")),
            colour,
        ),
    };
    format!("{verdict} {live}")
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use sandkasten_security::{Finding, Part, SecurityReport, Verdict};

    use super::render;
    use crate::output::Colour;

    fn finding(part: Part, name: &str, verdict: Verdict, advice: &str) -> Finding {
        Finding {
            part,
            group: "group".to_owned(),
            name: name.to_owned(),
            verdict,
            detail: "found".to_owned(),
            advice: advice.to_owned(),
        }
    }

    fn report(findings: Vec<Finding>) -> SecurityReport {
        SecurityReport { findings }
    }

    #[test]
    fn every_finding_is_a_line_with_its_advice_below() {
        let report = report(vec![
            finding(Part::Configuration, "key", Verdict::Warn, "set one"),
            finding(Part::Configuration, "seccomp", Verdict::Ok, ""),
            finding(Part::Attack, "call bpf", Verdict::Ok, ""),
            finding(Part::Attack, "read x", Verdict::Fail, "report it"),
        ]);
        assert_eq!(
            render(&report, Colour::Off),
            "Configuration\n\n\
             WARN    key      found\n\
             \x20                what to do: set one\n\
             OK      seccomp  found\n\n\
             Attacks on that sandbox, from inside\n\n\
             denied  call bpf  found\n\
             BREACH  read x    found\n\
             \x20                 what to do: report it\n\n\
             Failed, with 1 failure and 1 warning. 0 properties of a running sandbox hold; 1 of 2 attacks were denied."
        );
    }

    #[test]
    fn without_failures_it_has_passed() {
        let report = report(vec![finding(Part::Host, "x", Verdict::Skip, "")]);
        assert!(render(&report, Colour::Off).ends_with("Passed. No sandbox was looked at."));
    }
}
