//! `image`: the images of the data directory. Works on the directory itself, with or without a daemon.

mod build;
mod debian;
mod export;
mod import;
mod list;
mod prune;
mod pull;
mod pull_progress;
mod rm;
mod stop;
mod validate;

pub(super) use pull::{Pull, known_credentials, name_of};

use std::process::ExitCode;

use clap::Subcommand;
use sandkasten_daemon::config::Config;
use sandkasten_daemon::{ImageUsage, ImageUsageError};
use sandkasten_image::ImageStore;
use tokio::runtime::Handle;

use crate::arguments::GlobalArguments;
use crate::cli_error::{CliError, Exit};
use crate::connection;

/// Subcommands of `image`.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Fetch an image from a registry: Docker Hub or any other, no Docker needed
    Pull(pull::PullArguments),
    /// Make an image of a root file system, of what docker save writes, or of an OCI layout
    Import(import::ImportArguments),
    /// Make an image of a Dockerfile and a directory of files, or a Debian by mmdebstrap
    Build(Box<build::BuildArguments>),
    /// Write an image as an OCI layout, its layers as they came
    Export(export::ExportArguments),
    /// List images
    #[command(visible_alias = "ls")]
    List(list::ListArguments),
    /// Check that images can be used
    Validate(validate::ValidateArguments),
    /// Remove images
    #[command(visible_alias = "delete")]
    Rm(rm::RmArguments),
    /// Remove layers that no image and no session uses
    Prune,
}

/// Runs a subcommand.
pub(crate) async fn run(global: &GlobalArguments, command: ImageCommand) -> Result<ExitCode, CliError> {
    let config = connection::load_config(global)?;
    let store = open(&config)?;
    // The store blocks, and asks the database of sessions through the runtime while it holds its lock.
    let runtime = Handle::current();
    let work = move || match command {
        ImageCommand::Pull(arguments) => pull::run(&store, &config, &runtime, &arguments),
        ImageCommand::Import(arguments) => import::run(&store, &arguments),
        ImageCommand::Build(arguments) => build::run(&store, config, &arguments),
        ImageCommand::Export(arguments) => export::run(&store, &arguments),
        ImageCommand::List(arguments) => list::run(&store, arguments, &config),
        ImageCommand::Validate(arguments) => validate::run(&store, &arguments),
        ImageCommand::Rm(arguments) => rm::run(&store, &arguments, &ImageUsage::new(config)),
        ImageCommand::Prune => prune::run(&store, &ImageUsage::new(config)),
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        CliError::ours("cannot work on the images", &error, "this is a bug: please report it")
    })?
}

/// What becomes of a removal where nobody knows what is in use.
fn unknown(error: &ImageUsageError) -> CliError {
    CliError::ours("cannot tell which images are in use", error, "check db_path")
}

fn open(config: &Config) -> Result<ImageStore, CliError> {
    let what = || format!("cannot open the images in {}", config.data_dir.display());
    if !rustix::process::geteuid().is_root() {
        return Err(CliError {
            what: what(),
            why: "the data directory belongs to root, and so do the files of images".to_owned(),
            hint: "run it as root".to_owned(),
            exit: Exit::Ours,
        });
    }
    // As the daemon wants it, whoever of the two comes first.
    sandkasten_daemon::private_directory(&config.data_dir)
        .map_err(|error| CliError::ours(what(), &error, "correct it, or name another place in data_dir"))?;
    ImageStore::open(&config.data_dir)
        .map_err(|error| CliError::ours(what(), &error, "check data_dir and the space on its disk"))
}
