//! `upload`: a file, or a directory as a zip archive.

use std::io::{self, Cursor, Write};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Multipart, Request, State};
use sandkasten_api::limits::MAX_UPLOAD_BYTES;
use tokio::sync::mpsc;
use zip::ZipArchive;

use super::exception::Exception;
use super::file::{Place, of_file, put};
use super::message::Done;
use super::{ApiError, ApiState, PathId, Refusal};
use crate::session::{ArchiveFormat, FilePath, LiveSession, SessionError, UnpackArchiveError};

/// The form of an upload.
#[derive(Debug, Default)]
struct Upload {
    file: Bytes,
    target: String,
    is_directory: bool,
}

pub(super) async fn take(
    State(state): State<ApiState>,
    PathId(id): PathId,
    request: Request,
) -> Result<Json<Done>, Refusal> {
    let session = state.sessions.find(&id).await?;
    let upload = read_form(request, &state).await?;
    if !upload.is_directory {
        put(&state, &session, &upload.target, upload.file.to_vec()).await?;
        return Ok(Json(Done {}));
    }
    match Place::parse(&upload.target)? {
        Place::Workspace(path) => unpack(&session, path, upload.file).await?,
        Place::Elsewhere(path) => {
            let what = format!("a directory at {path:?}; upload it to one below /workspace");
            return Err(Exception::unsupported(&what).into());
        }
    }
    Ok(Json(Done {}))
}

async fn read_form(request: Request, state: &ApiState) -> Result<Upload, Refusal> {
    let refused = |reason: String| {
        ApiError::invalid(format!(
            "the form could not be read: {reason} (at most {MAX_UPLOAD_BYTES} bytes are taken)"
        ))
    };
    let form = Multipart::from_request(request, state).await;
    let mut form = form.map_err(|error| refused(error.body_text()))?;
    let mut upload = Upload::default();
    while let Some(field) = form.next_field().await.map_err(|error| refused(error.body_text()))? {
        let name = field.name().unwrap_or_default().to_owned();
        let bytes = field.bytes().await.map_err(|error| refused(error.body_text()))?;
        let text = || String::from_utf8_lossy(&bytes).into_owned();
        match name.as_str() {
            "file" => upload.file = bytes,
            "target_path" => upload.target = text(),
            "unzip" => {
                upload.is_directory =
                    matches!(text().to_ascii_lowercase().as_str(), "true" | "1" | "on" | "yes")
            }
            // What a newer client adds.
            _ => {}
        }
    }
    Ok(upload)
}

/// Unpacks a zip archive through the unpacker of tar archives, which is the one that knows what an archive may not do.
async fn unpack(session: &LiveSession, path: FilePath, archive: Bytes) -> Result<(), Refusal> {
    let (pieces, outcome) = session.files.unpack(path, ArchiveFormat::Tar).await.map_err(of_file)?;
    let converted = tokio::task::spawn_blocking(move || convert(archive, &pieces));
    let converted = converted.await.map_err(|source| ApiError::from(SessionError::Task { source }))?;
    let unpacked = outcome.await.map_err(|_| ApiError::panicked("the thread of an archive ended early"))?;
    // Where the unpacker stopped reading, it says why; the converter only sees that nobody reads any more.
    match (unpacked, converted) {
        (Err(UnpackArchiveError::File(error)), _) => Err(of_file(SessionError::File(error))),
        (Ok(_), Err(error)) => {
            Err(Exception::value(format!("the archive could not be read: {error}")).into())
        }
        (Err(error), _) => Err(Exception::value(error.to_string()).into()),
        (Ok(_), Ok(())) => Ok(()),
    }
}

/// Where a tar archive goes, piece by piece.
struct Pieces<'a>(&'a mpsc::Sender<io::Result<Vec<u8>>>);

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.blocking_send(Ok(bytes.to_vec())).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a zip archive as a tar archive, without ever holding more than a piece of it. Blocking. Where it cannot be read to its end,
/// the unpacker is told, so that it takes nothing for whole that is not.
fn convert(archive: Bytes, pieces: &mpsc::Sender<io::Result<Vec<u8>>>) -> Result<(), String> {
    let converted = write_tar(archive, pieces);
    if converted.is_err() {
        pieces.blocking_send(Err(io::ErrorKind::InvalidData.into())).ok();
    }
    converted.map_err(|error| error.to_string())
}

fn write_tar(archive: Bytes, pieces: &mpsc::Sender<io::Result<Vec<u8>>>) -> io::Result<()> {
    let mut archive = ZipArchive::new(Cursor::new(archive))?;
    let mut tar = tar::Builder::new(io::BufWriter::with_capacity(64 << 10, Pieces(pieces)));
    for index in 0..archive.len() {
        let entry = archive.by_index(index)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(entry.size());
        header.set_mode(entry.unix_mode().unwrap_or(if entry.is_dir() { 0o755 } else { 0o644 }) & 0o777);
        header.set_entry_type(if entry.is_dir() {
            tar::EntryType::Directory
        } else {
            tar::EntryType::Regular
        });
        let name = entry.name()?.trim_end_matches('/').to_owned();
        if name.is_empty() || name == "." {
            continue;
        }
        let size = entry.size();
        tar.append_data(&mut header, name, Exactly { entry, left: size })?;
    }
    tar.into_inner()?.flush()
}

/// As many bytes as the archive has promised, so that one that lies about its sizes makes no archive of another shape.
struct Exactly<R> {
    entry: R,
    left: u64,
}

impl<R: io::Read> io::Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let read = self.entry.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "an entry is shorter than the archive says",
            ));
        }
        self.left -= read as u64;
        Ok(read)
    }
}
