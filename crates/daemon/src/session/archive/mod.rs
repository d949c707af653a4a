//! Directories as tar archives, out and in, streamed. Each runs on a thread of its own: it waits for its client, and the
//! threads for blocking work are for what does not.

use sandkasten_archive::{BOUNDS, PieceReader, PieceWriter, pack, unpack};
use sandkasten_isolation::host::Unreadable;

use super::{FilePath, FileSpace, SessionError};

pub(crate) use sandkasten_archive::{ArchiveFormat, UnpackArchiveError, Unpacked};

/// Pieces that wait for the other side.
const PIECES_IN_FLIGHT: usize = 4;

/// One piece of an archive on its way.
pub(crate) type Piece = std::io::Result<Vec<u8>>;

impl FileSpace {
    /// Packs what is below a directory. `is_live` is asked between pieces; where it denies, or anything fails, the last piece
    /// is an error.
    ///
    /// # Errors
    /// [`SessionError::File`] where the directory cannot be read.
    pub(crate) async fn pack(
        &self,
        path: FilePath,
        format: ArchiveFormat,
        is_live: impl Fn() -> bool + Send + 'static,
    ) -> Result<tokio::sync::mpsc::Receiver<Piece>, SessionError> {
        // Never closed.
        let permit = std::sync::Arc::clone(&self.turns.archives).acquire_owned().await.ok();
        let first = path.clone();
        self.call(move |root| {
            let stop = &mut |_: &sandkasten_isolation::host::Visited<'_>| std::ops::ControlFlow::Break(());
            root.visit(first.as_str(), BOUNDS, Unreadable::Refused, stop)
        })
        .await?;
        let (sender, receiver) = tokio::sync::mpsc::channel(PIECES_IN_FLIGHT);
        let root = self.root();
        spawn(move || {
            let _permit = permit;
            let out = PieceWriter::new(|piece| {
                if !is_live() {
                    return Err(std::io::Error::other("the session has ended"));
                }
                sender.blocking_send(Ok(piece)).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
            });
            if let Err(error) = pack(&root, path.as_str(), format, out) {
                // Where nobody listens any more, there is nobody to tell.
                sender.blocking_send(Err(error)).ok();
            }
        })?;
        Ok(receiver)
    }

    /// Unpacks an archive into a directory, from pieces that are sent to the first part of the answer; the second tells what
    /// has become of it.
    ///
    /// # Errors
    /// [`SessionError`] where no thread can be had.
    pub(crate) async fn unpack(
        &self,
        path: FilePath,
        format: ArchiveFormat,
    ) -> Result<
        (
            tokio::sync::mpsc::Sender<Piece>,
            tokio::sync::oneshot::Receiver<Result<Unpacked, UnpackArchiveError>>,
        ),
        SessionError,
    > {
        let permit = std::sync::Arc::clone(&self.turns.archives).acquire_owned().await.ok();
        let (sender, mut receiver) = tokio::sync::mpsc::channel(PIECES_IN_FLIGHT);
        let (done, outcome) = tokio::sync::oneshot::channel();
        let (root, held) = (self.root(), self.held.clone());
        spawn(move || {
            let _permit = permit;
            let unpacked =
                unpack(&root, path.as_str(), format, PieceReader::new(|| receiver.blocking_recv()));
            // Whoever hears of the end may do with the workspace what they like.
            drop(held);
            // Nobody waits for it where the client has gone.
            done.send(unpacked).ok();
        })?;
        Ok((sender, outcome))
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<(), SessionError> {
    let spawned = std::thread::Builder::new().name("archive".to_owned()).spawn(work);
    spawned.map(drop).map_err(|source| SessionError::Thread { source })
}
