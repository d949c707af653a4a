//! Running something in the session and hearing all of it; and `execute`, which runs a process of its own.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sandkasten_api::exec::ExecRequest;
use sandkasten_api::limits::MAX_TIMEOUT_MS;
use sandkasten_api::verdict::Reason;

use super::exception::Exception;
use super::message::{Command, CommandResponse, Words};
use super::{ApiError, ApiState, PathId, Refusal};
use crate::http::exec_request::exec_options;
use crate::http::json_body::JsonBody;
use crate::http::output_document::OutputDocument;
use crate::http::routes::exec::run_to_end;
use crate::session::{JobEnd, LiveSession};

/// What has been run.
pub(super) struct Ran {
    pub(super) end: Arc<JobEnd>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs something to its end. A client that goes away ends it.
pub(super) async fn run(
    state: &ApiState,
    session: &Arc<LiveSession>,
    request: ExecRequest,
) -> Result<Ran, ApiError> {
    let options = exec_options(request, session.defaults.max_exec_timeout_ms, false)?;
    let raw = options.raw_output;
    let (_, end, captured) = run_to_end(state, Arc::clone(session), options).await?;
    let [stdout, stderr] = captured.map(|captured| OutputDocument::render(captured, raw).text);
    Ok(Ran { end, stdout, stderr })
}

/// From seconds, of which none is as long as may be.
pub(super) fn milliseconds(seconds: Option<f64>) -> Result<Option<u64>, Exception> {
    let Some(seconds) = seconds else { return Ok(None) };
    if !seconds.is_finite() || seconds < 0.0 {
        return Err(Exception::value(format!("timeout is {seconds}; give seconds, or None")));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is not negative, and what is too much for the type is too much anyway"
    )]
    let milliseconds = (seconds * 1_000.0).ceil() as u64;
    // To the engine, 0 is as long as may be.
    Ok(Some(milliseconds.clamp(1, MAX_TIMEOUT_MS)))
}

pub(super) async fn execute(
    State(state): State<ApiState>,
    PathId(id): PathId,
    JsonBody(command): JsonBody<Command>,
) -> Result<Json<CommandResponse>, Refusal> {
    let session = state.sessions.find(&id).await?;
    let shown = match &command.command {
        Words::Text(text) => format!("{text:?}"),
        Words::List(words) => format!("{words:?}"),
    };
    let request = ExecRequest {
        argv: Some(words(command.command, command.shell)?),
        timeout_ms: milliseconds(command.timeout)?,
        separate_output: !command.merge_output_streams,
        raw_output: true,
        env: command.env.unwrap_or_default(),
        cwd: command.cwd,
        ..ExecRequest::default()
    };
    let Ran { end, stdout, stderr } = run(&state, &session, request).await?;
    if end.verdict.reason == Reason::Timeout {
        let limit = command.timeout.unwrap_or_default();
        return Err(Exception::timeout(format!("Timeout ({limit}s) exceeded while running command")).into());
    }
    let exit_code = as_python_has_it(&end);
    if command.check && exit_code != 0 {
        let message = format!(
            "Command {shown} failed with exit code {exit_code}. Stdout:\n{stdout:?}\nStderr:\n{stderr:?}"
        );
        return Err(Exception::non_zero(with_prefix(&command.error_msg, message)).into());
    }
    Ok(Json(CommandResponse { stdout, stderr, exit_code }))
}

/// The message of a client in front of ours, where it has one.
pub(super) fn with_prefix(prefix: &str, message: String) -> String {
    if prefix.is_empty() { message } else { format!("{prefix}: {message}") }
}

/// As Python's subprocess takes a command: text is a program's name, unless a shell is to read it.
fn words(command: Words, shell: bool) -> Result<Vec<String>, Exception> {
    let mut words = match command {
        Words::Text(text) => vec![text],
        Words::List(words) => words,
    };
    if words.is_empty() {
        return Err(Exception::value("command is empty".to_owned()));
    }
    if shell {
        words.splice(0..0, ["sh".to_owned(), "-c".to_owned()]);
    }
    Ok(words)
}

/// The end by a signal is its number, negative, to Python.
fn as_python_has_it(end: &JobEnd) -> i32 {
    match end.verdict.reason {
        Reason::Signal | Reason::Oom if end.exit_code > 128 => 128 - end.exit_code,
        _ => end.exit_code,
    }
}

#[cfg(test)]
mod tests {
    use super::{Words, milliseconds, words};

    #[test]
    fn seconds_become_milliseconds_and_none_of_them_is_for_ever() {
        let text = |seconds| format!("{:?}", milliseconds(seconds).ok());
        assert_eq!(text(None), "Some(None)");
        for (seconds, expected) in [(0.0, 1), (0.0001, 1), (1.5, 1_500), (1e300, 600_000), (600.0, 600_000)] {
            assert_eq!(text(Some(seconds)), format!("Some(Some({expected}))"));
        }
        for seconds in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(text(Some(seconds)), "None", "{seconds}");
        }
    }

    #[test]
    fn a_text_is_a_program_and_a_shell_reads_the_first_word() {
        let text = |command, shell| words(command, shell).expect("words");
        assert_eq!(text(Words::Text("ls -l".into()), false), ["ls -l"]);
        assert_eq!(text(Words::Text("ls -l".into()), true), ["sh", "-c", "ls -l"]);
        let list = || Words::List(vec!["echo $0".into(), "a".into()]);
        assert_eq!(text(list(), false), ["echo $0", "a"]);
        assert_eq!(text(list(), true), ["sh", "-c", "echo $0", "a"]);
        assert!(words(Words::List(Vec::new()), true).is_err());
    }
}
