//! Reading and writing files. Below `/workspace` as everywhere else; elsewhere in the sandbox by what a command could do, because no
//! other way leads there.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sandkasten_api::exec::ExecRequest;
use sandkasten_api::limits::{MAX_OUTPUT_BYTES, MAX_READ_BYTES, MAX_STDIN_BYTES};
use sandkasten_isolation::host::FileError;

use super::command::{Ran, run};
use super::exception::Exception;
use super::message::{Done, FileContent, ReadFile, WriteFile};
use super::{ApiError, ApiState, PathId, Refusal};
use crate::http::json_body::JsonBody;
use crate::session::{FilePath, InvalidPath, LiveSession, SessionError};

/// Where a file of the sandbox is.
pub(super) enum Place {
    /// Below `/workspace`.
    Workspace(FilePath),
    /// Elsewhere: an absolute path.
    Elsewhere(String),
}

impl Place {
    pub(super) fn parse(path: &str) -> Result<Self, Exception> {
        match FilePath::parse(path) {
            Ok(path) => Ok(Self::Workspace(path)),
            Err(InvalidPath::Outside { path }) if path.starts_with('/') => Ok(Self::Elsewhere(path)),
            Err(error) => Err(Exception::value(error.to_string())),
        }
    }
}

pub(super) async fn read(
    State(state): State<ApiState>,
    PathId(id): PathId,
    JsonBody(request): JsonBody<ReadFile>,
) -> Result<Json<FileContent>, Refusal> {
    let session = state.sessions.find(&id).await?;
    check_encoding(request.encoding.as_deref())?;
    let content = match Place::parse(&request.path)? {
        Place::Workspace(path) => {
            let read = state.sessions.read_file(&session, path, MAX_READ_BYTES).await;
            let (content, truncated) = read.map_err(of_file)?;
            if truncated {
                return Err(too_large(&request.path, MAX_READ_BYTES).into());
            }
            decode(content, request.errors.as_deref())?
        }
        Place::Elsewhere(path) => read_elsewhere(&state, &session, path).await?,
    };
    Ok(Json(FileContent { content }))
}

async fn read_elsewhere(
    state: &ApiState,
    session: &Arc<LiveSession>,
    path: String,
) -> Result<String, Refusal> {
    let request = ExecRequest {
        argv: Some(vec!["cat".to_owned(), "--".to_owned(), path.clone()]),
        separate_output: true,
        raw_output: true,
        ..ExecRequest::default()
    };
    let Ran { end, stdout, stderr } = run(state, session, request).await?;
    if end.exit_code != 0 {
        return Err(of_program(&stderr).into());
    }
    if end.written[0] > MAX_OUTPUT_BYTES as u64 {
        return Err(too_large(&path, MAX_OUTPUT_BYTES as u64).into());
    }
    Ok(stdout)
}

pub(super) async fn write(
    State(state): State<ApiState>,
    PathId(id): PathId,
    JsonBody(request): JsonBody<WriteFile>,
) -> Result<Json<Done>, Refusal> {
    let session = state.sessions.find(&id).await?;
    put(&state, &session, &request.path, request.content.into_bytes()).await?;
    Ok(Json(Done {}))
}

/// Puts a file where a client wants it, with the directories on the way.
pub(super) async fn put(
    state: &ApiState,
    session: &Arc<LiveSession>,
    path: &str,
    content: Vec<u8>,
) -> Result<(), Refusal> {
    let path = match Place::parse(path)? {
        Place::Workspace(path) => {
            return state.sessions.write_file(session, path, content, None).await.map_err(of_file);
        }
        Place::Elsewhere(path) => path,
    };
    let bytes = content.len();
    let Ok(text) = String::from_utf8(content) else {
        let message =
            format!("{path:?} is outside of /workspace, where only text can be put; put it below /workspace");
        return Err(Exception::value(message).into());
    };
    if bytes > MAX_STDIN_BYTES {
        return Err(too_large(&path, MAX_STDIN_BYTES as u64).into());
    }
    let script = "mkdir -p -- \"$(dirname -- \"$1\")\" && cat > \"$1\"";
    let request = ExecRequest {
        argv: Some(["sh", "-c", script, "sh", &path].map(str::to_owned).to_vec()),
        stdin: Some(text),
        ..ExecRequest::default()
    };
    let Ran { end, stdout, .. } = run(state, session, request).await?;
    if end.exit_code == 0 { Ok(()) } else { Err(of_program(&stdout).into()) }
}

/// A failure of the file system as Python has it.
pub(super) fn of_file(error: SessionError) -> Refusal {
    match error {
        SessionError::File(error @ FileError::NotFound { .. }) => {
            Exception::file_not_found(error.to_string()).into()
        }
        SessionError::File(error @ FileError::Other { .. }) => {
            ApiError::from(SessionError::File(error)).into()
        }
        SessionError::File(error) => Exception::os(error.to_string()).into(),
        error => ApiError::from(error).into(),
    }
}

/// What a program of the sandbox says of a file, which may be anything: it is told, and only one word of it is looked for.
fn of_program(said: &str) -> Exception {
    let said = said.trim().to_owned();
    if said.contains("No such file or directory") {
        Exception::file_not_found(said)
    } else {
        Exception::os(said)
    }
}

fn too_large(path: &str, most: u64) -> Exception {
    Exception::value(format!(
        "the file {path:?} is larger than the {most} bytes that can be had of it this way"
    ))
}

fn check_encoding(encoding: Option<&str>) -> Result<(), Exception> {
    let is_utf8 =
        |name: &str| matches!(name.to_ascii_lowercase().replace('_', "-").as_str(), "utf-8" | "utf8");
    match encoding {
        Some(name) if !is_utf8(name) => {
            Err(Exception::unsupported(&format!("the encoding {name:?}; text is UTF-8 here")))
        }
        _ => Ok(()),
    }
}

fn decode(content: Vec<u8>, errors: Option<&str>) -> Result<String, Exception> {
    match (String::from_utf8(content), errors) {
        (Ok(text), _) => Ok(text),
        (Err(error), Some("replace")) => Ok(String::from_utf8_lossy(error.as_bytes()).into_owned()),
        (Err(error), Some("ignore")) => {
            Ok(String::from_utf8_lossy(error.as_bytes()).replace(char::REPLACEMENT_CHARACTER, ""))
        }
        (Err(error), Some("backslashreplace")) => Ok(escape(error.as_bytes())),
        (Err(error), _) => {
            Err(Exception::value(format!("the file is no UTF-8 ({error}); read it with errors=\"replace\"")))
        }
    }
}

fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{check_encoding, decode};

    #[test]
    fn bytes_that_are_no_text_become_what_the_client_says() {
        let bytes = b"a\xffb\xc3".to_vec();
        assert_eq!(decode(bytes.clone(), Some("replace")).ok().as_deref(), Some("a\u{fffd}b\u{fffd}"));
        assert_eq!(decode(bytes.clone(), Some("ignore")).ok().as_deref(), Some("ab"));
        assert_eq!(decode(bytes.clone(), Some("backslashreplace")).ok().as_deref(), Some("a\\xffb\\xc3"));
        assert!(decode(bytes.clone(), None).is_err() && decode(bytes, Some("strict")).is_err());
        for (name, known) in
            [(None, true), (Some("UTF_8"), true), (Some("utf8"), true), (Some("latin-1"), false)]
        {
            assert_eq!(check_encoding(name).is_ok(), known, "{name:?}");
        }
    }
}
