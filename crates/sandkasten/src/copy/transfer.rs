//! Bytes between a thread that reads or writes files of this host and a request.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use futures_util::Stream;
use futures_util::stream::unfold;
use sandkasten_client::ContentStream;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::oneshot;

use crate::cli_error::{CliError, Exit};
use crate::human;
use crate::progress_line::ProgressLine;

/// Pieces that wait for the other side.
const PIECES_IN_FLIGHT: usize = 4;
const PIECE_BYTES: usize = 256 << 10;

pub(super) type Piece = io::Result<Vec<u8>>;

/// The first failure of this side, which is the one to tell.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnFailure(Arc<Mutex<Option<String>>>);

impl OwnFailure {
    fn set(&self, error: &io::Error) {
        let mut failure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert_with(|| error.to_string());
    }

    /// The error of a request that this side has failed, if it has.
    pub(super) fn explain(&self, what: &str, error: CliError) -> CliError {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            None => error,
            Some(why) => CliError { what: what.to_owned(), why, hint: String::new(), exit: Exit::Ours },
        }
    }
}

/// Runs `produce` on a thread of its own, which may wait for a terminal for ever, and returns what it gives as a stream. An error is
/// the last piece.
pub(super) fn produce(
    shown: String,
    produce: impl FnOnce(&Sender<Piece>) -> io::Result<()> + Send + 'static,
) -> Result<(impl Stream<Item = Piece> + Send + 'static, OwnFailure), CliError> {
    let (sender, receiver) = mpsc::channel(PIECES_IN_FLIGHT);
    let failure = OwnFailure::default();
    let noted = failure.clone();
    spawn(move || {
        if let Err(error) = produce(&sender)
            // Nobody listens any more: the request has failed, and says why itself.
            && !sender.is_closed()
        {
            noted.set(&error);
            sender.blocking_send(Err(error)).ok();
        }
    })?;
    let line = ProgressLine::new();
    let stream = unfold((receiver, line, 0), move |(mut receiver, mut line, mut sent)| {
        let shown = shown.clone();
        async move {
            let piece: Piece = receiver.recv().await?;
            sent += piece.as_ref().map_or(0, |piece| piece.len() as u64);
            line.show(|| format!("{shown}: {}", human::bytes(sent)));
            Some((piece, (receiver, line, sent)))
        }
    });
    Ok((stream, failure))
}

/// Gives what a reader has, piece by piece.
pub(super) fn read_all(mut from: impl Read, pieces: &Sender<Piece>) -> io::Result<()> {
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let count = match from.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            count => count?,
        };
        if count == 0 {
            return Ok(());
        }
        piece.truncate(count);
        give(pieces, piece)?;
    }
}

/// Gives one piece.
pub(super) fn give(pieces: &Sender<Piece>, piece: Vec<u8>) -> io::Result<()> {
    pieces.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
}

/// Runs `consume` on a thread with what a content has, and returns what it makes of it. `what` names the whole.
pub(super) async fn consume<T: Send + 'static>(
    mut content: ContentStream,
    shown: &str,
    what: &str,
    consume: impl FnOnce(Receiver<Piece>) -> T + Send + 'static,
) -> Result<T, CliError> {
    let (sender, receiver) = mpsc::channel(PIECES_IN_FLIGHT);
    let (done, outcome) = oneshot::channel();
    spawn(move || drop(done.send(consume(receiver))))?;
    let (mut line, mut received) = (ProgressLine::new(), 0);
    let whole = content.size().map(|size| format!(" of {}", human::bytes(size))).unwrap_or_default();
    loop {
        match content.next().await {
            Ok(Some(piece)) => {
                received += piece.len() as u64;
                line.show(|| format!("{shown}: {}{whole}", human::bytes(received)));
                // Where nobody reads any more, the outcome says why.
                if sender.send(Ok(piece)).await.is_err() {
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => {
                // Without an end nothing gets its name.
                sender.send(Err(io::ErrorKind::UnexpectedEof.into())).await.ok();
                drop(sender);
                outcome.await.ok();
                return Err(CliError::request(what, &error));
            }
        }
    }
    drop(sender);
    outcome.await.map_err(|error| CliError::ours(what, &error, "this is a bug: please report it"))
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<(), CliError> {
    let spawned = thread::Builder::new().name("copy".to_owned()).spawn(work);
    spawned.map(drop).map_err(|error| CliError::ours("cannot copy", &error, "see ulimit -u"))
}
