//! `init`: everything that a first session needs, on a host where nothing is yet.

mod config_file;
mod first_image;

use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use sandkasten_daemon::config::{ApiKey, FirstConfig, ListenAddress};
use sandkasten_image::ImageStore;
use sandkasten_isolation::probe::probe;

use self::config_file::ConfigFile;
use self::first_image::FirstImage;
use super::doctor;
use crate::arguments::GlobalArguments;
use crate::cli_error::{CliError, Exit};
use crate::output;

/// Where the configuration goes where nobody says: it is found there from every directory.
const USUAL_FILE: &str = "/etc/sandkasten/sandkasten.yaml";

/// Arguments of `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// Where images, sessions and the database are to be
    #[arg(long, value_name = "DIRECTORY", default_value = "/var/lib/sandkasten")]
    data_dir: PathBuf,

    /// Where the API is to listen: an address and a port, or unix:/path
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: ListenAddress,

    /// The image of sessions that name none: one that is there, `host`, or one to be pulled
    /// [default: python:3.12-slim if a registry has it, else host]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,

    /// Ask nothing
    #[arg(long, short)]
    yes: bool,

    /// Put a configuration that is there aside, under a name of its own
    #[arg(long)]
    force: bool,
}

/// Sets the host up: checks it, makes the data directory, gets an image, and writes the configuration last of all, so that one
/// that is there was seen through.
pub(crate) async fn run(global: &GlobalArguments, arguments: &InitArguments) -> Result<ExitCode, CliError> {
    let path = global.config.clone().unwrap_or_else(|| PathBuf::from(USUAL_FILE));
    let file = ConfigFile::at(&path, arguments.force)?;
    let data_dir = absolute(&arguments.data_dir)?;
    if !rustix::process::geteuid().is_root() {
        return Err(refused(
            format!("{} is root's alone", data_dir.display()),
            "run it as root: sudo sandkasten init",
        ));
    }
    let image = FirstImage::new(arguments.image.as_deref())?;
    if !arguments.yes && !confirm(&path, &data_dir, &image)? {
        output::note("nothing was changed");
        return Ok(Exit::Refused.into());
    }
    let report = probe(&data_dir);
    if !report.is_usable() {
        output::print(&doctor::render(&report, output::stdout_colour()))?;
        return Ok(Exit::Unfit.into());
    }
    output::print(&format!("host     kernel {} has everything that is needed", report.kernel))?;
    let store = open(&data_dir)?;
    output::print(&format!("data     {}", data_dir.display()))?;
    let image = image.get(store).await?;
    output::print(&format!("image    {image}"))?;
    write(file, &arguments.listen, &data_dir, image.name())?;
    output::print(&format!("config   {}, mode 0600, with a new api_key", path.display()))?;
    let named = global.config.is_some().then_some(path.as_path());
    output::print(&next(&invocation(), named, image.name()))?;
    Ok(output::done())
}

/// Returns how this program was started.
fn invocation() -> String {
    let program = std::env::args().next().unwrap_or_else(|| "sandkasten".to_owned());
    // The daemon needs root as well, and its key is in a file of root's.
    let is_sudo = std::env::var_os("SUDO_UID").is_some();
    if is_sudo { format!("sudo {program}") } else { program }
}

/// Returns what to do next, word by word.
fn next(invocation: &str, config: Option<&Path>, image: &str) -> String {
    let option = config.map_or_else(String::new, |path| format!(" --config {}", path.display()));
    let command = if image.starts_with("python") { "python3 --version" } else { "uname -a" };
    format!(
        "\nNow start the daemon, and run something in a sandbox:\n\n  \
         {invocation} daemon --detach{option}\n  {invocation} run{option} -- {command}"
    )
}

fn open(data_dir: &Path) -> Result<ImageStore, CliError> {
    let what = || format!("cannot make the data directory {}", data_dir.display());
    sandkasten_daemon::private_directory(data_dir)
        .map_err(|error| CliError::ours(what(), &error, "name another with --data-dir"))?;
    ImageStore::open(data_dir).map_err(|error| CliError::ours(what(), &error, "check the space on its disk"))
}

fn write(file: ConfigFile<'_>, listen: &ListenAddress, data_dir: &Path, image: &str) -> Result<(), CliError> {
    let api_key = ApiKey::draw().map_err(|error| {
        CliError::ours("cannot make an api_key", &error, "this is a bug: please report it")
    })?;
    let first = FirstConfig { listen, api_key: &api_key, data_dir, default_image: image };
    file.write(&first.render())
}

fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(path).map_err(|error| CliError {
        exit: Exit::Usage,
        ..CliError::ours(format!("cannot use {}", path.display()), &error, "name a directory with --data-dir")
    })
}

fn confirm(path: &Path, data_dir: &Path, image: &FirstImage) -> Result<bool, CliError> {
    if !io::stdin().is_terminal() {
        return Err(refused(
            "nobody can be asked: standard input is no terminal".to_owned(),
            "give --yes, and --data-dir, --listen and --image where the defaults do not suit",
        ));
    }
    output::note(&format!(
        "This writes {}, keeps everything in {}, and takes {}.",
        path.display(),
        data_dir.display(),
        image.intention()
    ));
    let failed = |error: io::Error| CliError::ours("cannot ask", &error, "give --yes");
    output::ask("Go on? [Y/n] ").map_err(failed)?;
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    // The end of the input is no consent.
    Ok(read > 0 && matches!(answer.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes"))
}

fn refused(why: String, hint: &str) -> CliError {
    CliError { what: "cannot set this host up".to_owned(), why, hint: hint.to_owned(), exit: Exit::Usage }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::next;

    #[test]
    fn the_next_commands_name_the_file_where_it_would_not_be_found() {
        let usual = next("sudo sandkasten", None, "host");
        assert!(usual.contains("\n  sudo sandkasten daemon --detach\n"), "{usual}");
        let named = next("bin/sandkasten", Some(Path::new("/srv/s.yaml")), "python:3.12");
        assert!(named.contains("\n  bin/sandkasten daemon --detach --config /srv/s.yaml\n"), "{named}");
        assert!(named.ends_with("bin/sandkasten run --config /srv/s.yaml -- python3 --version"), "{named}");
    }
}
