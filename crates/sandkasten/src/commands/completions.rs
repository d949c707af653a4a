//! `completions`: scripts that complete the command line in shells, from the description that it is parsed by.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::cli_error::CliError;
use crate::output;

/// Arguments of `completions`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Prints the script for a shell.
pub(crate) fn run(arguments: CompletionsArguments) -> Result<ExitCode, CliError> {
    output::print(&String::from_utf8_lossy(&script(arguments.shell)))?;
    Ok(output::done())
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "sandkasten", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use clap_complete::Shell;

    use super::script;

    #[test]
    fn every_shell_gets_subcommands_and_options() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).expect("text");
            for word in ["workspace", "validate", "api-key", "timeout-ms"] {
                assert!(script.contains(word), "{shell} {word}");
            }
        }
    }
}
