//! Contents of any size, on their way out and in, a piece at a time: none is ever held in memory as a whole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use sandkasten_isolation::host::{FileVersion, PendingFile, RootDirectory};

use super::workspace_files::HeldWorkspace;
use super::{FilePath, FileSpace, SessionError};

/// How much is read and written at once.
pub(crate) const PIECE_BYTES: usize = 256 << 10;

/// A file that is being read.
#[derive(Debug, Clone)]
pub(crate) struct OpenFile {
    file: Arc<File>,
    pub(crate) version: FileVersion,
}

/// A file that is being written. Dropped before its end, it leaves nothing.
#[derive(Debug)]
pub(crate) struct Upload {
    root: Arc<RootDirectory>,
    held: Option<Arc<HeldWorkspace>>,
    /// None while a piece is written, and at the end.
    pending: Option<PendingFile>,
}

impl FileSpace {
    /// Opens a file to be read.
    ///
    /// # Errors
    /// [`SessionError::File`].
    pub(crate) async fn open(&self, path: FilePath) -> Result<OpenFile, SessionError> {
        let (file, version) = self.call(move |root| root.open_file(path.as_str())).await?;
        Ok(OpenFile { file: Arc::new(file), version })
    }

    /// Begins to write a file.
    ///
    /// # Errors
    /// [`SessionError::File`].
    pub(crate) async fn upload(&self, path: FilePath, mode: Option<u32>) -> Result<Upload, SessionError> {
        let pending = self.call(move |root| root.begin_write(path.as_str(), mode)).await?;
        Ok(Upload { root: self.root(), held: self.held.clone(), pending: Some(pending) })
    }
}

impl OpenFile {
    /// Reads at most `most` bytes from `offset` on; nothing where the file ends there.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) async fn read(&self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let file = Arc::clone(&self.file);
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; most.min(PIECE_BYTES)];
            let count = file.read_at(&mut piece, offset)?;
            piece.truncate(count);
            Ok(piece)
        });
        read.await.map_err(io::Error::other)?
    }
}

impl Upload {
    /// Appends a piece.
    ///
    /// # Errors
    /// [`SessionError::File`]; the upload has come to nothing then.
    pub(crate) async fn append(&mut self, piece: Vec<u8>) -> Result<(), SessionError> {
        let Some(mut pending) = self.pending.take() else { return Ok(()) };
        // Held until this is done, although the client may have gone before.
        let held = self.held.clone();
        let appended = tokio::task::spawn_blocking(move || {
            let _held = held;
            pending.append(&piece).map(|()| pending)
        })
        .await;
        self.pending = Some(appended.map_err(|source| SessionError::Task { source })??);
        Ok(())
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// [`SessionError::File`].
    pub(crate) async fn finish(mut self) -> Result<(), SessionError> {
        let Some(pending) = self.pending.take() else { return Ok(()) };
        let (root, held) = (Arc::clone(&self.root), self.held.take());
        let finished = tokio::task::spawn_blocking(move || {
            let _held = held;
            root.finish_write(pending)
        })
        .await;
        Ok(finished.map_err(|source| SessionError::Task { source })??)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Giving much memory back takes its time. Without a runtime the daemon is ending, and so is the thread.
        if let (Some(pending), Ok(runtime)) = (self.pending.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn_blocking(move || drop(pending));
        }
    }
}
