//! `config`: checks the configuration, or shows it with where every value came from.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use sandkasten_daemon::config::{EffectiveSetting, locate_config_file, schema};
use serde::Serialize;

use crate::arguments::{GlobalArguments, ListingArguments};
use crate::cli_error::CliError;
use crate::output::Colour;
use crate::table::{self, Align};
use crate::{connection, output};

/// Subcommands of `config`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration; exit status 2 where the daemon would not start with it
    Check,
    /// Show the effective values and where each came from; the API key is masked
    Show(ShowArguments),
    /// Print the JSON Schema of a configuration file
    Schema,
}

/// Arguments of `config show`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ShowArguments {
    #[command(flatten)]
    listing: ListingArguments,
}

#[derive(Serialize)]
struct ShownSetting<'a> {
    key: &'a str,
    value: &'a str,
    source: String,
    variable: &'a str,
}

/// Checks or shows the configuration.
pub(crate) fn run(global: &GlobalArguments, command: &ConfigCommand) -> Result<ExitCode, CliError> {
    if matches!(command, ConfigCommand::Schema) {
        let schema = serde_json::to_string_pretty(&schema())
            .map_err(|error| CliError::ours("cannot print the schema", &error, "please report this"))?;
        output::print(&schema)?;
        return Ok(output::done());
    }
    let config = connection::load_config(global)?;
    for warning in config.warnings() {
        output::warn(&warning.to_string());
    }
    match command {
        ConfigCommand::Check => {
            let file = locate_config_file(global.config.as_deref());
            let place = file
                .map_or_else(|| "the defaults (no file found)".to_owned(), |path| path.display().to_string());
            output::print(&format!("{place}: valid"))?;
        }
        ConfigCommand::Schema => {}
        ConfigCommand::Show(arguments) => show(&connection::in_force(config).effective(), arguments.listing)?,
    }
    Ok(output::done())
}

fn show(settings: &[EffectiveSetting], listing: ListingArguments) -> Result<(), CliError> {
    if listing.json {
        let shown = settings.iter().map(|setting| ShownSetting {
            key: setting.key,
            value: &setting.value,
            source: setting.source.to_string(),
            variable: setting.variable,
        });
        output::print_json(&shown.collect::<Vec<_>>())
    } else if listing.quiet {
        output::print_names(settings.iter().map(|setting| setting.key))
    } else {
        output::print(&render(settings, output::stdout_colour()))
    }
}

fn render(settings: &[EffectiveSetting], colour: Colour) -> String {
    let header = ["KEY", "VALUE", "FROM", "VARIABLE"].map(|title| (title, Align::Left));
    let rows: Vec<Vec<String>> = settings
        .iter()
        .map(|setting| {
            vec![
                setting.key.to_owned(),
                setting.value.clone(),
                setting.source.to_string(),
                setting.variable.to_owned(),
            ]
        })
        .collect();
    table::render(&header, &rows, colour)
}
