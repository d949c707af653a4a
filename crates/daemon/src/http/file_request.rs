//! What requests about files have in common, whether they are about a session's or a workspace's.

use axum::body::Bytes;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use sandkasten_api::file::WriteFileRequest;
use sandkasten_api::limits::{DEFAULT_READ_BYTES, MAX_READ_BYTES, MAX_UPLOAD_FILES};

use super::api_error::ApiError;
use super::body_limit;
use super::json_body::came_too_slowly;
use super::router::ApiState;

/// What is to be written.
#[derive(Debug)]
pub(super) struct NewContent {
    pub(super) bytes: Vec<u8>,
    /// Permission bits.
    pub(super) mode: Option<u32>,
}

impl NewContent {
    /// Takes exactly one of the two contents of a request.
    pub(super) fn of(request: WriteFileRequest) -> Result<Self, ApiError> {
        let bytes = bytes_of(request.content_base64, request.text)?
            .ok_or_else(|| ApiError::invalid("neither content_base64 nor text is given; give one"))?;
        let mode = request.mode.as_deref().map(parse_mode).transpose()?;
        Ok(Self { bytes, mode })
    }
}

/// Takes the one content that a request gives; none where it gives neither.
pub(super) fn bytes_of(
    content_base64: Option<String>,
    text: Option<String>,
) -> Result<Option<Vec<u8>>, ApiError> {
    match (content_base64, text) {
        (Some(encoded), None) => BASE64_STANDARD
            .decode(encoded)
            .map(Some)
            .map_err(|error| ApiError::invalid(format!("content_base64 is no standard base64: {error}"))),
        (None, text) => Ok(text.map(String::into_bytes)),
        (Some(_), Some(_)) => Err(ApiError::invalid("both content_base64 and text are given; give one")),
    }
}

/// Reads permission bits; setuid, setgid and sticky bits are not for clients to set.
pub(super) fn parse_mode(mode: &str) -> Result<u32, ApiError> {
    let octal = matches!(mode.len(), 3 | 4) && mode.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    match u32::from_str_radix(mode, 8) {
        Ok(bits) if octal && bits <= 0o777 => Ok(bits),
        _ => Err(ApiError::invalid(format!(
            "mode is {mode:?}; expected permission bits in octal, 000 to 0777, as in \"0755\""
        ))),
    }
}

/// Returns how much of a file is read.
pub(super) fn read_limit(max_bytes: Option<u64>) -> Result<u64, ApiError> {
    match max_bytes {
        None => Ok(DEFAULT_READ_BYTES),
        Some(bytes) if bytes <= MAX_READ_BYTES => Ok(bytes),
        Some(bytes) => {
            Err(ApiError::invalid(format!("max_bytes is {bytes}; allowed are 0 to {MAX_READ_BYTES}")))
        }
    }
}

/// The form of an upload, of which nothing is read yet.
#[derive(Debug)]
pub(super) struct UploadForm(Multipart);

/// A whole upload.
#[derive(Debug)]
pub(super) struct Upload {
    /// The directory that the files go to, as the client has it.
    pub(super) directory: Option<String>,
    /// Names, as the client has them, and contents; at least one.
    pub(super) files: Vec<(String, Bytes)>,
}

impl UploadForm {
    pub(super) async fn open(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        if body_limit::is_far_exceeded(&request) {
            return Err(too_large());
        }
        Multipart::from_request(request, state).await.map(Self).map_err(|error| {
            ApiError::invalid(format!("the body is no multipart form: {}", error.body_text()))
        })
    }

    pub(super) async fn read(mut self) -> Result<Upload, ApiError> {
        let mut upload = Upload { directory: None, files: Vec::new() };
        while let Some(field) = self.0.next_field().await.map_err(|error| refused(&error))? {
            let name = field.name().unwrap_or_default().to_owned();
            match name.as_str() {
                "path" => upload.directory = Some(field.text().await.map_err(|error| refused(&error))?),
                "file" | "files" => {
                    let file_name = field
                        .file_name()
                        .ok_or_else(|| ApiError::invalid(format!("the field {name:?} has no filename")))?
                        .to_owned();
                    if upload.files.len() == MAX_UPLOAD_FILES {
                        return Err(ApiError::invalid(format!(
                            "more than {MAX_UPLOAD_FILES} files in one upload"
                        )));
                    }
                    upload.files.push((file_name, field.bytes().await.map_err(|error| refused(&error))?));
                }
                other => {
                    return Err(ApiError::invalid(format!(
                        "the form has a field {other:?}; known are file, files and path"
                    )));
                }
            }
        }
        if upload.files.is_empty() {
            return Err(ApiError::invalid("the form holds no file; send one as the field `file` or `files`"));
        }
        Ok(upload)
    }
}

fn refused(error: &MultipartError) -> ApiError {
    if came_too_slowly(error) {
        return ApiError::invalid("the upload came too slowly").with_status(StatusCode::REQUEST_TIMEOUT);
    }
    let status = error.status();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large();
    }
    ApiError::invalid(format!("the form could not be read: {}", error.body_text())).with_status(status)
}

fn too_large() -> ApiError {
    ApiError::invalid("the upload is larger than 10 MiB; send fewer files at once")
        .with_status(StatusCode::PAYLOAD_TOO_LARGE)
}
