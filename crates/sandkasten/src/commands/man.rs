//! `man`: the manual as pages for man(1), one for each subcommand, from the description that the command line is parsed by.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use sandkasten_daemon::config::{Config, SEARCHED_FILES};

use crate::arguments::Arguments;
use crate::cli_error::{CliError, Exit};
use crate::output;

const MANUAL: &str = "Sandkasten";

/// Arguments of `man`.
#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// Where the pages go; made where it is not there
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

/// Writes the pages, over those that are there.
pub(crate) fn run(arguments: &ManArguments) -> Result<ExitCode, CliError> {
    let directory = &arguments.directory;
    let pages = pages();
    write(directory, &pages).map_err(|error| {
        let what = format!("cannot write the manual to {}", directory.display());
        CliError::ours(what, &error, "name a directory that can be written to")
    })?;
    output::note(&format!("{} pages in {}", pages.len(), directory.display()));
    Ok(output::done())
}

/// A page and the name of its file.
#[derive(Debug)]
struct Page {
    name: String,
    text: Vec<u8>,
}

fn write(directory: &Path, pages: &[Page]) -> std::io::Result<()> {
    fs::create_dir_all(directory)?;
    pages.iter().try_for_each(|page| fs::write(directory.join(&page.name), &page.text))
}

fn pages() -> Vec<Page> {
    // A page for `help` itself would say nothing.
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add(&command, &mut pages);
    pages
}

fn add(command: &clap::Command, pages: &mut Vec<Page>) {
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        add(subcommand, pages);
    }
    let man =
        Man::new(command.clone()).manual(MANUAL).source(format!("sandkasten {}", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    man.render(&mut text).expect("memory takes what is written to it");
    let sections = if command.get_name() == "sandkasten" { root_sections() } else { see_also() };
    sections.to_writer(&mut text).expect("memory takes what is written to it");
    pages.push(Page { name: man.get_filename(), text });
}

/// What holds for all subcommands.
fn root_sections() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        entry(&mut roff, &exit.code().to_string(), exit.meaning());
    }
    entry(&mut roff, "other", "run, exec and shell end with the exit status of the command.");
    roff.control("SH", ["ENVIRONMENT"]);
    entry(&mut roff, "SANDKASTEN_URL", "The daemon that commands speak to, as with --url.");
    entry(
        &mut roff,
        "SANDKASTEN_API_KEY",
        "The key of that daemon, as with --api-key, and of one that is started: api_key.",
    );
    entry(&mut roff, "NO_COLOR", "Where it is not empty, nothing is coloured.");
    for setting in Config::default().effective() {
        if setting.variable != "SANDKASTEN_API_KEY" {
            let default = if setting.value.is_empty() { "empty" } else { setting.value.as_str() };
            let text = format!("The key {} of the configuration. Default: {default}.", setting.key);
            entry(&mut roff, setting.variable, &text);
        }
    }
    roff.control("SH", ["FILES"]);
    for file in SEARCHED_FILES {
        entry(
            &mut roff,
            file,
            "The configuration, where --config names none; the first of them that is there.",
        );
    }
    entry(
        &mut roff,
        "/var/lib/sandkasten",
        "Images, layers, sessions, workspaces and the database, unless data_dir names another.",
    );
    roff
}

fn see_also() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("sandkasten"), roman("(1), for exit statuses, variables and files.")]);
    roff
}

fn entry(roff: &mut Roff, term: &str, text: &str) {
    roff.control("TP", []);
    roff.text([bold(term)]);
    roff.text([roman(text)]);
}

#[cfg(test)]
mod tests {
    use super::{pages, write};

    #[test]
    fn the_manual_has_exit_statuses_and_every_variable_and_a_page_for_each_subcommand() {
        let pages = pages();
        let page = |name: &str| {
            let page = pages.iter().find(|page| page.name == name).unwrap_or_else(|| panic!("{name}"));
            String::from_utf8(page.text.clone()).expect("text").replace("\\-", "-")
        };
        let root = page("sandkasten.1");
        for expected in
            ["EXIT STATUS", "\\fB125\\fR", "\\fB124\\fR", "SANDKASTEN_MEM_LIMIT_MB", "SANDKASTEN_URL"]
        {
            assert!(root.contains(expected), "{expected} in {root}");
        }
        assert!(page("sandkasten-image-pull.1").contains("--password-stdin"));
        assert!(page("sandkasten-daemon.1").contains("SEE ALSO"));
        assert!(!pages.iter().any(|page| page.name.contains("help")), "{pages:?}");
        assert!(!page("sandkasten-daemon.1").contains("--detached"), "what is hidden has no place here");
    }

    #[test]
    fn pages_are_written_over_older_ones() {
        let directory = tempfile::tempdir().expect("a directory");
        let (pages, place) = (pages(), directory.path().join("new/man1"));
        for _ in 0..2 {
            write(&place, &pages).expect("written");
        }
        assert_eq!(std::fs::read_dir(&place).expect("listed").count(), pages.len());
    }
}
