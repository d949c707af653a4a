//! `bench`: what sandboxes cost on this machine, beside what was promised and beside others.

mod accepted;
mod page;
mod table;

use std::collections::BTreeSet;
use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use clap::Args;
use sandkasten_bench::{
    Accepted, Comparison, DaemonProcess, Group, Report, Settings, compare, measure, serve,
};
use sandkasten_client::RequestError;
use serde::Serialize;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use self::accepted::read_accepted;
use self::page::Page;
use crate::arguments::GlobalArguments;
use crate::cli_error::{CliError, Exit};
use crate::interrupt::{Interrupt, Interrupts};
use crate::logging::{self, LogLevel};
use crate::progress_line::ProgressLine;
use crate::{connection, output};

/// How often a short thing is done, and what goes with that.
const SAMPLES: usize = 200;
const CYCLES: usize = 2_000;
const SESSIONS: usize = 50;
const QUICK_SAMPLES: usize = 20;
const QUICK_CYCLES: usize = 80;
const QUICK_SESSIONS: usize = 5;
/// How often a group is measured again of which a figure is worse than the accepted one.
const SECOND_LOOKS: usize = 2;
/// The option by which the daemon's process is told from ours.
const SERVE: &str = "--serve-until-input-ends";

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Write a page with charts as well, which needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Measure these alone, beside the floor: sessions, exec, files, parallel, memory, cpu, density, peers [default: all]
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    only: Vec<Group>,

    /// How often what takes a short time is done [default: 200, with --quick 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    samples: Option<u32>,

    /// Up to how many live sessions create, exec and memory are looked at [default: 50, with --quick 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4_000))]
    sessions: Option<u32>,

    /// Take few samples: for a first look, and not to compare
    #[arg(long)]
    quick: bool,

    /// Give exit status 1 where a budget is missed or anything of ours failed
    #[arg(long)]
    check: bool,

    /// Compare with a report that --json has printed, and give exit status 1 where a figure is worse. What is worse is measured
    /// up to twice again, and the best counts
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,

    /// The image of the sessions [default: the configured default_image]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,

    /// Be the daemon that is measured.
    #[arg(long = "serve-until-input-ends", hide = true)]
    serve: bool,
}

/// Measures. The exit status is 0 where there are figures, whatever they are, unless `--check` asks for more.
pub(crate) async fn run(global: &GlobalArguments, arguments: &BenchArguments) -> Result<ExitCode, CliError> {
    if arguments.serve {
        return serve_until_input_ends(global).await;
    }
    require_root()?;
    let settings = arguments.settings();
    // Found out now, not after a minute.
    let accepted = arguments.compare.as_deref().map(read_accepted).transpose()?;
    let page = arguments.html.as_deref().map(Page::begin).transpose()?;
    // Before anything is there to be cleaned up.
    let mut interrupts = Interrupts::listen()?;
    let program = env::current_exe().map_err(|error| {
        CliError::ours("cannot measure", &error, "run the binary by its path, with /proc mounted")
    })?;
    let daemon = DaemonProcess::start(daemon_command(&program, global, None))
        .await
        .map_err(|error| CliError::ours("cannot measure", &error, "run `sandkasten doctor`"))?;
    let progress = Mutex::new(ProgressLine::new());
    let say = |what: &str| {
        if let Ok(mut line) = progress.lock() {
            line.show(|| format!("measuring {what}"));
        }
    };
    let pooled = |image: &str, ready| daemon_command(&program, global, Some((image, ready)));
    let outcome = tokio::select! {
        outcome = measure_and_compare(&daemon, &settings, &pooled, accepted.as_ref(), &say) => Ok(outcome),
        interrupt = interrupts.next() => Err(interrupt),
    };
    drop(progress);
    let stopped = daemon.stop().await.map_err(|error| {
        let hint = "see `sandkasten doctor` for what may be left behind";
        CliError::ours("cannot end the daemon that was measured", &error, hint)
    });
    match outcome {
        Ok(Err(error)) => Err(CliError::request("cannot create a session to measure", &error)),
        Ok(Ok(outcome)) => {
            arguments.print(&outcome)?;
            page.map(|page| page.write(&outcome.report)).transpose()?;
            stopped?;
            Ok(arguments.exit(&outcome).into())
        }
        Err(interrupt) => stopped.map(|()| interrupted(interrupt)),
    }
}

/// What came of a run.
#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    report: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<Comparison>,
}

/// Measures, and measures what is worse than it was again: other programs of the host come and go, what became slower stays.
async fn measure_and_compare(
    daemon: &DaemonProcess,
    settings: &Settings,
    pooled: &(dyn Fn(&str, usize) -> std::process::Command + Sync),
    accepted: Option<&Accepted>,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Outcome, RequestError> {
    let report = measure(daemon, settings, pooled, say).await?;
    let Some(accepted) = accepted else { return Ok(Outcome { report, comparison: None }) };
    let mut comparison = compare(&report, accepted, &settings.groups);
    for _ in 0..SECOND_LOOKS {
        let groups = comparison.doubtful();
        if groups.is_empty() {
            break;
        }
        let again =
            measure(daemon, &Settings { groups: groups.clone(), ..settings.clone() }, pooled, say).await?;
        comparison.take_better(&compare(&again, accepted, &groups));
    }
    Ok(Outcome { report, comparison: Some(comparison) })
}

fn interrupted(interrupt: Interrupt) -> ExitCode {
    output::note("interrupted: nothing is left of what was measured");
    ExitCode::from(interrupt.exit_status())
}

impl BenchArguments {
    fn settings(&self) -> Settings {
        let (samples, cycles, sessions) = if self.quick {
            (QUICK_SAMPLES, QUICK_CYCLES, QUICK_SESSIONS)
        } else {
            (SAMPLES, CYCLES, SESSIONS)
        };
        let given = |number: Option<u32>, otherwise| {
            number.and_then(|number| usize::try_from(number).ok()).unwrap_or(otherwise)
        };
        let groups = if self.only.is_empty() { &Group::ALL[..] } else { &self.only };
        Settings {
            samples: given(self.samples, samples),
            cycles,
            sessions: given(self.sessions, sessions),
            groups: BTreeSet::from_iter(groups.iter().copied()),
            image: self.image.clone(),
        }
    }

    fn print(&self, outcome: &Outcome) -> Result<(), CliError> {
        if self.json {
            return output::print_json(outcome);
        }
        let colour = output::stdout_colour();
        let compared = outcome.comparison.as_ref().map(|comparison| accepted::render(comparison, colour));
        let parts = std::iter::once(table::render(&outcome.report, colour)).chain(compared);
        output::print(&parts.collect::<Vec<_>>().join("\n\n"))
    }

    fn exit(&self, outcome: &Outcome) -> Exit {
        let (_, missed) = outcome.report.budgets();
        let is_bad = self.check && missed + outcome.report.failures() > 0;
        let is_worse = outcome.comparison.as_ref().is_some_and(|comparison| comparison.worse().count() > 0);
        if is_bad || is_worse { Exit::Unfit } else { Exit::Success }
    }
}

/// The command that is the daemon: this very binary, with this configuration, but for a pool of so many sandboxes of an image, or none.
fn daemon_command(
    program: &Path,
    global: &GlobalArguments,
    pool: Option<(&str, usize)>,
) -> std::process::Command {
    let mut command = std::process::Command::new(program);
    if let Some(config) = &global.config {
        command.arg("--config").arg(config);
    }
    command.args(["bench", SERVE]).env("SANDKASTEN_POOL_ENABLED", pool.is_some().to_string());
    if let Some((image, ready)) = pool {
        command.env("SANDKASTEN_POOL_IMAGES", format!("{image}={ready}"));
    }
    command
}

/// Is the daemon, as long as somebody holds our standard input open, and until a polite kill.
async fn serve_until_input_ends(global: &GlobalArguments) -> Result<ExitCode, CliError> {
    let config = connection::load_config(global)?;
    // What it warns of would otherwise be lost.
    logging::start(LogLevel::Warn);
    let mut interrupts = Interrupts::listen()?;
    let input = rustix::stdio::stdin().try_clone_to_owned().and_then(pipe::Receiver::from_owned_fd);
    let mut input = input.map_err(|error| {
        CliError::ours(
            "cannot be the daemon to measure",
            &error,
            "this is what `bench` starts: run `sandkasten bench`",
        )
    })?;
    let ended = async move {
        let mut rest = [0; 64];
        tokio::select! {
            () = async { while input.read(&mut rest).await.is_ok_and(|bytes| bytes > 0) {} } => {}
            _ = interrupts.next() => {}
        }
    };
    let announce = |line: &str| output::write(&format!("{line}\n"));
    serve(&config, announce, ended).await.map_err(|error| {
        CliError::ours("cannot be the daemon to measure", &error, "run `sandkasten doctor`")
    })?;
    Ok(Exit::Success.into())
}

fn require_root() -> Result<(), CliError> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let error = io::Error::from(io::ErrorKind::PermissionDenied);
    Err(CliError::ours(
        "cannot measure",
        &error,
        "run it as root: it builds sandboxes, also without the daemon",
    ))
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};
    use sandkasten_bench::Group;

    use super::{BenchArguments, SERVE};

    fn parse(words: &[&str]) -> BenchArguments {
        let command = BenchArguments::augment_args(Command::new("bench"));
        let matches = command.get_matches_from(std::iter::once(&"bench").chain(words));
        BenchArguments::from_arg_matches(&matches).expect("valid")
    }

    #[test]
    fn a_number_that_is_given_counts_in_a_quick_run_as_well() {
        let settings = parse(&["--quick", "--samples", "7"]).settings();
        assert_eq!((settings.samples, settings.sessions, settings.groups.len()), (7, 5, Group::ALL.len()));
        let settings = parse(&["--only", "exec,files", "--only", "cpu"]).settings();
        assert_eq!(Vec::from_iter(settings.groups), [Group::Exec, Group::Files, Group::Cpu]);
        assert_eq!(settings.samples, 200);
    }

    #[test]
    fn the_daemon_is_asked_for_by_an_option_there_is() {
        assert!(parse(&[SERVE]).serve);
    }
}
