//! The subcommands, a file each.

pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod cp;
pub(crate) mod create;
pub(crate) mod daemon;
pub(crate) mod doctor;
pub(crate) mod exec;
pub(crate) mod image;
pub(crate) mod init;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod mcp;
pub(crate) mod openapi;
pub(crate) mod processes;
pub(crate) mod ps;
pub(crate) mod rm;
pub(crate) mod run;
pub(crate) mod security;
pub(crate) mod shell;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod version;
pub(crate) mod workspace;

use std::process::ExitCode;

use clap::CommandFactory;
use sandkasten_daemon::PassedSocket;

use crate::arguments::{Arguments, Command};
use crate::cli_error::{CliError, Exit};
use crate::output;

/// Runs what the command line asks for; a daemon serves on the socket, if there is one.
pub(crate) async fn run(arguments: Arguments, socket: Option<PassedSocket>) -> Result<ExitCode, CliError> {
    let global = &arguments.global;
    let Some(command) = arguments.command else {
        if global.config.is_some() {
            return daemon::run(global, &daemon::DaemonArguments::default(), socket).await;
        }
        output::note(&Arguments::command().render_help().to_string());
        return Ok(Exit::Usage.into());
    };
    match command {
        Command::Daemon(arguments) => daemon::run(global, &arguments, socket).await,
        Command::Stop(arguments) => stop::run(global, arguments),
        Command::Status(arguments) => status::run(global, arguments).await,
        Command::Logs(arguments) => logs::run(global, arguments),
        Command::Run(arguments) => run::run(global, &arguments).await,
        Command::Create(arguments) => create::run(global, &arguments).await,
        Command::Cp(arguments) => cp::run(global, &arguments).await,
        Command::Exec(arguments) => exec::run(global, &arguments).await,
        Command::Shell(arguments) => shell::run(global, &arguments).await,
        Command::Processes(arguments) => processes::list(global, &arguments).await,
        Command::Kill(arguments) => processes::kill(global, &arguments).await,
        Command::Ps(arguments) => ps::run(global, &arguments).await,
        Command::Rm(arguments) => rm::run(global, &arguments).await,
        Command::Stats(arguments) => stats::run(global, &arguments).await,
        Command::Image(command) => image::run(global, command).await,
        Command::Workspace(command) => workspace::run(global, command).await,
        Command::Mcp(arguments) => mcp::run(global, arguments).await,
        Command::Init(arguments) => init::run(global, &arguments).await,
        Command::Doctor(arguments) => doctor::run(global, arguments),
        Command::Security(arguments) => security::run(global, arguments).await,
        Command::Bench(arguments) => bench::run(global, &arguments).await,
        Command::Config(command) => config::run(global, &command),
        Command::Openapi(arguments) => openapi::run(arguments),
        Command::Completions(arguments) => completions::run(arguments),
        Command::Man(arguments) => man::run(&arguments),
        Command::Version(arguments) => version::run(arguments),
    }
}
