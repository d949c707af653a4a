//! Contents of any size, on their way out and in, a piece at a time: none is ever held in memory as a whole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use sandkasten_isolation::host::{FileError, FileVersion, PendingFile, RootDirectory};
use tokio::task::JoinHandle;

use super::workspace_files::HeldWorkspace;
use super::{FilePath, FileSpace, SessionError};

/// How much is read and written at once.
pub(crate) const PIECE_BYTES: usize = 256 << 10;
/// Room for a piece, and for what comes with the part of it that makes it full.
const BUFFER_BYTES: usize = PIECE_BYTES + (64 << 10);

/// A file that is being read.
#[derive(Debug, Clone)]
pub(crate) struct OpenFile {
    file: Arc<File>,
    pub(crate) version: FileVersion,
}

/// A file that is being written: one piece while the next one comes. Dropped before its end, it leaves nothing.
#[derive(Debug)]
pub(crate) struct Upload {
    root: Arc<RootDirectory>,
    held: Option<Arc<HeldWorkspace>>,
    progress: Progress,
}

/// What has been written, and a buffer to be used again.
type Written = (PendingFile, Vec<u8>);

#[derive(Debug)]
enum Progress {
    Idle(Written),
    Writing(JoinHandle<Result<Written, FileError>>),
    /// It has come to its end, or to nothing.
    Over,
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
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        let progress = Progress::Idle((pending, buffer));
        Ok(Upload { root: self.root(), held: self.held.clone(), progress })
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
    /// Appends a piece, and returns an empty buffer for the next. Waits for the piece before it to be written, and not for this one.
    ///
    /// # Errors
    /// [`SessionError::File`], where the piece before it could not be written; the upload has come to nothing then.
    pub(crate) async fn append(&mut self, piece: Vec<u8>) -> Result<Vec<u8>, SessionError> {
        let Some((mut pending, mut buffer)) = self.written().await? else { return Ok(Vec::new()) };
        buffer.clear();
        // Held until this is done, although the client may have gone before.
        let held = self.held.clone();
        self.progress = Progress::Writing(tokio::task::spawn_blocking(move || {
            let _held = held;
            pending.append(&piece).map(|()| (pending, piece))
        }));
        Ok(buffer)
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// [`SessionError::File`].
    pub(crate) async fn finish(mut self) -> Result<(), SessionError> {
        let Some((pending, _)) = self.written().await? else { return Ok(()) };
        let (root, held) = (Arc::clone(&self.root), self.held.take());
        let finished = tokio::task::spawn_blocking(move || {
            let _held = held;
            root.finish_write(pending)
        })
        .await;
        Ok(finished.map_err(|source| SessionError::Task { source })??)
    }

    /// Waits for the piece that is being written.
    async fn written(&mut self) -> Result<Option<Written>, SessionError> {
        match std::mem::replace(&mut self.progress, Progress::Over) {
            Progress::Idle(written) => Ok(Some(written)),
            Progress::Writing(task) => Ok(Some(task.await.map_err(|source| SessionError::Task { source })??)),
            Progress::Over => Ok(None),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Giving much memory back takes its time. Without a runtime the daemon is ending, and so is the thread. What is being
        // written is dropped where that is done.
        if let (Progress::Idle((pending, _)), Ok(runtime)) =
            (std::mem::replace(&mut self.progress, Progress::Over), tokio::runtime::Handle::try_current())
        {
            runtime.spawn_blocking(move || drop(pending));
        }
    }
}
