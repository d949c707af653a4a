//! `cp`: files between this host and a session.

use std::process::ExitCode;

use clap::Args;

use crate::arguments::GlobalArguments;
use crate::cli_error::CliError;
use crate::connection;
use crate::copy::{self, Direction, Operand, Remote, RemotePath};
use sandkasten_client::SessionReference;

/// Arguments of `cp`.
#[derive(Debug, Args)]
pub(crate) struct CpArguments {
    /// A path of this host, SESSION:PATH, or - for standard input
    #[arg(value_name = "SRC", value_parser = Operand::<SessionReference>::parser())]
    from: Operand<SessionReference>,

    /// A path of this host, SESSION:PATH, or - for standard output
    #[arg(value_name = "DST", value_parser = Operand::<SessionReference>::parser())]
    to: Operand<SessionReference>,
}

/// Copies.
pub(crate) async fn run(global: &GlobalArguments, arguments: &CpArguments) -> Result<ExitCode, CliError> {
    let direction = copy::direction(&arguments.from, &arguments.to, "name one as SESSION:PATH")?;
    let client = connection::connect(global)?;
    let remote = async |session: &SessionReference, path: &RemotePath| {
        let id = session.resolve(&client).await;
        let id =
            id.map_err(|error| CliError::request(format!("cannot reach the files of {session}"), &error))?;
        Ok(Remote::new(client.session_files(&id), &session.to_string(), "workspace", path.clone()))
    };
    match direction {
        Direction::In(from, session, path) => copy::copy_in(from, &remote(session, path).await?).await,
        Direction::Out(session, path, to) => copy::copy_out(&remote(session, path).await?, to).await,
    }
}
