//! `image`: the images of the data directory. Works on the directory itself, with or without a daemon.

mod build;
mod export;
mod import;
mod in_use;
mod list;
mod prune;
mod rm;
mod validate;

use std::process::ExitCode;

use clap::Subcommand;
use sandkasten_daemon::config::Config;
use sandkasten_image::ImageStore;

use crate::arguments::GlobalArguments;
use crate::cli_error::{CliError, Exit};
use crate::connection;

/// Subcommands of `image`.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Make an image of a root file system, of what docker save writes, or of an OCI layout
    Import(import::ImportArguments),
    /// Make an image of a Dockerfile and a directory of files
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
    let work = move || match command {
        ImageCommand::Import(arguments) => import::run(&store, &arguments),
        ImageCommand::Build(arguments) => build::run(&store, config, &arguments),
        ImageCommand::Export(arguments) => export::run(&store, &arguments),
        ImageCommand::List(arguments) => list::run(&store, arguments),
        ImageCommand::Validate(arguments) => validate::run(&store, &arguments),
        ImageCommand::Rm(arguments) => rm::run(&store, &arguments, &in_use::InUse::new(config)),
        ImageCommand::Prune => prune::run(&store, &in_use::InUse::new(config)),
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        CliError::ours("cannot work on the images", &error, "this is a bug: please report it")
    })?
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
    ImageStore::open(&config.data_dir)
        .map_err(|error| CliError::ours(what(), &error, "check data_dir and the space on its disk"))
}
