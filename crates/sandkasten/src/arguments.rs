//! The command line as types. Each subcommand describes its own arguments in its own file.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{
    bench, completions, config, cp, create, daemon, doctor, exec, image, init, logs, man, mcp, openapi,
    processes, ps, rm, run, security, shell, stats, status, stop, version, workspace,
};

/// A self-hosted sandbox runtime for AI agents.
///
/// Exit status: 0; the command's own for `run`, `exec` and `shell` (124 where it ran past its timeout); 2 wrong usage or
/// configuration; 3 the daemon cannot be reached, or `status` finds none; 4 the daemon refused; 125 Sandkasten itself
/// failed. `doctor` gives 1 where something that is needed is missing, `security` where anything failed, `bench --check`
/// where a budget is missed.
#[derive(Debug, Parser)]
#[command(
    name = "sandkasten",
    bin_name = "sandkasten",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,

    /// What to do; `--config` without a command means `daemon`.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Options that every subcommand takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct GlobalArguments {
    /// Configuration file [default: ./sandkasten.yaml, then /etc/sandkasten/sandkasten.yaml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The daemon to speak to: http://host:port or unix:/path [default: the configured one]
    #[arg(long, global = true, env = "SANDKASTEN_URL", value_name = "URL")]
    pub(crate) url: Option<String>,

    /// The key of that daemon; the environment variable keeps it out of process listings
    #[arg(long, global = true, env = "SANDKASTEN_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub(crate) api_key: Option<String>,

    /// Where that key came from.
    #[arg(skip)]
    pub(crate) key_source: KeySource,
}

/// Where a key came from, if there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// Not from where every process of the host can read it.
    #[default]
    Elsewhere,
    /// From the command line.
    CommandLine,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set this host up: a configuration, a data directory and an image
    Init(init::InitArguments),
    /// Run the daemon, in the foreground or in the background
    Daemon(daemon::DaemonArguments),
    /// End the daemon; sessions live on
    Stop(stop::StopArguments),
    /// Say whether a daemon runs, and where; exit status 3 where none does
    Status(status::StatusArguments),
    /// Print the log of the daemon in the background
    Logs(logs::LogsArguments),
    /// Run one command in a fresh sandbox, with its exit status as ours
    Run(run::RunArguments),
    /// Create a session and print its id
    Create(create::CreateArguments),
    /// Run a command in a session's shell
    Exec(exec::ExecArguments),
    /// Open a terminal of a session, as ssh would
    Shell(shell::ShellArguments),
    /// Copy files between this host and a session
    ///
    /// A file becomes DST, or is put into it where DST is a directory. So is a directory, with all that is in it; its contents alone where
    /// SRC ends with /. - is the content of a file, or a tar archive where the other side is a directory. Permissions are kept, less the
    /// umask on this host; owners are not. What comes out of a session is written through no link, and no setuid bit or device is taken.
    Cp(cp::CpArguments),
    /// List sessions
    #[command(visible_alias = "list")]
    Ps(ps::PsArguments),
    /// List the processes and commands of a session
    Processes(processes::ProcessesArguments),
    /// End processes and commands of a session, or send them a signal
    Kill(processes::KillArguments),
    /// Destroy sessions
    Rm(rm::RmArguments),
    /// Show what sessions use
    Stats(stats::StatsArguments),
    /// Pull, import, export, list, validate and remove images
    #[command(subcommand)]
    Image(image::ImageCommand),
    /// List, create, copy, rename and remove workspaces, and copy files in and out
    #[command(subcommand)]
    Workspace(workspace::WorkspaceCommand),
    /// Serve an agent over standard input and output, by the Model Context Protocol
    ///
    /// The agent gets a sandbox that is made at its first call and destroyed when it closes our standard input, or when we are
    /// asked to end. Uses a running daemon or starts a private one. A running daemon serves the same at /mcp, over HTTP.
    Mcp(mcp::McpArguments),
    /// Check what this host can do
    Doctor(doctor::DoctorArguments),
    /// Check the configuration and the host, and attack a sandbox from inside
    Security(security::SecurityArguments),
    /// Measure what sandboxes cost on this machine
    ///
    /// Over HTTP, on a daemon that is started for it and ends with it; --url does not count. Beside each figure is what was promised of
    /// it, and what the kernel takes for the same without anything of ours; other sandboxes that are installed are measured as well.
    /// Takes about a minute on an idle machine, and the machine should be idle.
    Bench(bench::BenchArguments),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print the OpenAPI document of the HTTP API
    Openapi(openapi::OpenapiArguments),
    /// Print a script that completes the command line in a shell
    Completions(completions::CompletionsArguments),
    /// Write the manual, a page for each command
    Man(man::ManArguments),
    /// Print the version
    Version(version::VersionArguments),
}

/// How a listing is printed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ListingArguments {
    /// Print JSON
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,

    /// Print names only
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

impl Arguments {
    /// Whether this process is to be a daemon, or to start one.
    pub(crate) fn is_daemon(&self) -> bool {
        match &self.command {
            Some(Command::Daemon(_)) => true,
            Some(_) => false,
            None => self.global.config.is_some(),
        }
    }

    /// Parses the command line of this process.
    pub(crate) fn of_process() -> Result<Self, clap::Error> {
        Self::of_matches(&Self::command().try_get_matches()?)
    }

    fn of_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut arguments = Self::from_arg_matches(matches)?;
        if is_on_command_line("api_key", matches) {
            arguments.global.key_source = KeySource::CommandLine;
        }
        Ok(arguments)
    }
}

/// Tells whether a global option was given in words, before the subcommand or behind it.
fn is_on_command_line(option: &str, matches: &ArgMatches) -> bool {
    matches.try_contains_id(option).is_ok_and(|known| known)
        && matches.value_source(option) == Some(ValueSource::CommandLine)
        || matches.subcommand().is_some_and(|(_, inner)| is_on_command_line(option, inner))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Arguments, Command, KeySource};

    fn parse(words: &[&str]) -> Result<Arguments, clap::Error> {
        let words = std::iter::once(&"sandkasten").chain(words);
        Arguments::of_matches(&Arguments::command().try_get_matches_from(words)?)
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn words_behind_the_dashes_are_never_options() {
        let arguments = parse(&["run", "--image", "python", "--", "python3", "--version", "--image", "-c"]);
        match arguments.expect("valid").command {
            Some(Command::Run(run)) => {
                assert_eq!(run.image.as_deref(), Some("python"));
                assert_eq!(run.command, ["python3", "--version", "--image", "-c"]);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_bare_config_names_no_command() {
        let arguments = parse(&["--config", "x.yaml"]).expect("valid");
        assert!(arguments.command.is_none() && arguments.global.config.is_some());
    }

    #[test]
    fn global_options_may_stand_behind_the_command() {
        let arguments = parse(&["ps", "--url", "unix:/s", "--config", "c", "-q"]).expect("valid");
        assert_eq!(arguments.global.url.as_deref(), Some("unix:/s"));
    }

    #[test]
    fn a_key_in_the_words_is_told_from_one_elsewhere() {
        for words in [
            &["--api-key", "k", "daemon"][..],
            &["daemon", "--api-key", "k"],
            &["--config", "x", "--api-key=k"],
            &["image", "list", "--api-key", "k"],
        ] {
            let global = parse(words).expect("valid").global;
            assert_eq!(
                (global.key_source, global.api_key.as_deref()),
                (KeySource::CommandLine, Some("k")),
                "{words:?}"
            );
        }
        for words in [&["daemon"][..], &["run", "--", "true", "--api-key", "k"]] {
            assert_eq!(parse(words).expect("valid").global.key_source, KeySource::Elsewhere, "{words:?}");
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        for words in [
            &["run"][..],
            &["run", "--"],
            &["exec", "0123abcd-ef01"],
            &["exec", "no id", "--", "true"],
            &["create", "--label", "=x"],
            &["create", "--name", "0123abcd-ef01"],
            &["ps", "--filter", "colour=blue"],
            &["ps", "--filter", "status=dead"],
            &["run", "--timeout-ms", "0", "--", "true"],
            &["run", "--timeout-ms", "600001", "--", "true"],
            &["rm"],
            &["ps", "--json", "-q"],
            &["image", "import", "--name", "x"],
            &["image", "import", "--name", "../x", "--tar", "-"],
            &["image", "pull"],
            &["image", "pull", "https://r.example/x"],
            &["image", "pull", "--name", "../x", "python"],
            &["image", "pull", "--username", "u", "python"],
            &["image", "pull", "--password-stdin", "python"],
            &["create", "--ttl", "86401"],
            &["daemon", "--detach", "--detached"],
            &["workspace", "rm"],
            &["workspace", "create", "Upper"],
            &["workspace", "cp", "one"],
            &["run", "--workspace", "../x", "--", "true"],
            &["mcp", "--session", "dev", "--image", "python"],
            &["mcp", "--session", "../x"],
            &["frobnicate"],
        ] {
            assert!(parse(words).is_err_and(|error| error.use_stderr()), "{words:?}");
        }
    }

    #[test]
    fn delete_is_another_word_for_removing_an_image() {
        assert!(parse(&["image", "delete", "python"]).is_ok());
    }
}
