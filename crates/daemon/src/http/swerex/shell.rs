//! SWE-ReX's sessions, which are shells here: the persistent shells of one session, under the same names.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sandkasten_api::exec::ExecRequest;
use sandkasten_api::limits::MAX_SHELL_NAME;
use sandkasten_api::verdict::Reason;

use super::command::{Ran, milliseconds, run as run_command, with_prefix};
use super::exception::Exception;
use super::message::{
    Action, Check, CloseSession, ClosedSession, CreateSession, CreatedSession, Done, Observation, RunAction,
};
use super::{ApiError, ApiState, PathId, Refusal};
use crate::http::api_error::quoted;
use crate::http::json_body::JsonBody;
use crate::session::{JobState, LiveSession};

const KIND: &str = "bash";
/// Keeps these shells apart from those that other clients name.
const PREFIX: &str = "swerex-";
/// The shortest time that a shell has to start: the client's default of a second is for a host without load.
const LEAST_STARTUP_MS: u64 = 10_000;
/// How long a shell may take to end by itself.
const CLOSE_MS: u64 = 5_000;
/// What bash says of a file in which it finds nothing wrong, and what is said where there is no bash to ask.
const NOTHING_WRONG: [i32; 3] = [0, 126, 127];

pub(super) async fn create(
    State(state): State<ApiState>,
    PathId(id): PathId,
    JsonBody(request): JsonBody<CreateSession>,
) -> Result<Json<CreatedSession>, Refusal> {
    let session = state.sessions.find(&id).await?;
    let name = Shell::named(&request.session)?;
    if session.has_shell(&name.0) {
        return Err(Exception::session_exists(&request.session).into());
    }
    let mut lines: Vec<_> = request.startup_source.iter().map(|file| format!("source {file}")).collect();
    lines.push(":".to_owned());
    let timeout_ms = milliseconds(request.startup_timeout)?.map(|limit| limit.max(LEAST_STARTUP_MS));
    let Ran { end, stdout, .. } =
        run_command(&state, &session, name.run(lines.join("\n"), timeout_ms)).await?;
    if end.verdict.reason == Reason::Timeout {
        return Err(
            Exception::timeout(format!("the start of session {:?} took too long", request.session)).into()
        );
    }
    Ok(Json(CreatedSession { output: stdout, session_type: KIND }))
}

pub(super) async fn run(
    State(state): State<ApiState>,
    PathId(id): PathId,
    JsonBody(action): JsonBody<Action>,
) -> Result<Json<Observation>, Refusal> {
    let session = state.sessions.find(&id).await?;
    match action {
        Action::Run(action) => carry_out(&state, &session, action).await,
        Action::Interrupt { session: name } => {
            interrupt(&state, &session, &known(&session, &name)?).await?;
            Ok(Json(Observation { exit_code: Some(0), session_type: KIND, ..Observation::default() }))
        }
    }
}

async fn carry_out(
    state: &ApiState,
    session: &Arc<LiveSession>,
    action: RunAction,
) -> Result<Json<Observation>, Refusal> {
    let shell = known(session, &action.session)?;
    if action.is_interactive_command || action.is_interactive_quit || !action.expect.is_empty() {
        let what = "interactive commands and `expect`, which need a terminal; open one with GET /v1/sessions/{id}/tty";
        return Err(Exception::unsupported(what).into());
    }
    let RunAction { command, timeout, check, error_msg, .. } = action;
    if command.trim().is_empty() {
        let exit_code = (check != Check::Ignore).then_some(0);
        return Ok(Json(Observation { exit_code, session_type: KIND, ..Observation::default() }));
    }
    check_syntax(state, session, &command).await?;
    let timeout_ms = milliseconds(timeout)?;
    let Ran { end, stdout, .. } = run_command(state, session, shell.run(command.clone(), timeout_ms)).await?;
    if end.verdict.reason == Reason::Timeout {
        let limit = timeout.unwrap_or_default();
        let message = format!("timeout after {limit} seconds while running command {command:?}");
        return Err(Exception::timeout(message).into());
    }
    if check == Check::Raise && end.exit_code != 0 {
        let message = format!(
            "Command {command:?} failed with exit code {}. Here is the output:\n{stdout:?}",
            end.exit_code
        );
        return Err(Exception::non_zero(with_prefix(&error_msg, message)).into());
    }
    let exit_code = (check != Check::Ignore).then_some(end.exit_code);
    Ok(Json(Observation { output: stdout, exit_code, session_type: KIND, ..Observation::default() }))
}

/// Has bash look at a command before anything of it is run. Where the image has no bash, nothing is looked at.
async fn check_syntax(state: &ApiState, session: &Arc<LiveSession>, command: &str) -> Result<(), Refusal> {
    let request = ExecRequest {
        argv: Some(vec!["bash".to_owned(), "-n".to_owned()]),
        stdin: Some(command.to_owned()),
        separate_output: true,
        ..ExecRequest::default()
    };
    let Ran { end, stdout, stderr } = run_command(state, session, request).await?;
    if NOTHING_WRONG.contains(&end.exit_code) {
        return Ok(());
    }
    let message = format!(
        "Error (exit code {}) while checking bash command \n{command:?}\n---- Stderr ----\n{stderr}\n---- Stdout ----\n{stdout}",
        end.exit_code
    );
    Err(Exception::syntax(message, &stdout, &stderr).into())
}

pub(super) async fn close(
    State(state): State<ApiState>,
    PathId(id): PathId,
    JsonBody(request): JsonBody<CloseSession>,
) -> Result<Json<ClosedSession>, Refusal> {
    let session = state.sessions.find(&id).await?;
    end_shell(&state, &session, &known(&session, &request.session)?).await?;
    Ok(Json(ClosedSession { session_type: KIND }))
}

/// Ends all shells; the session stays, whose client ends it.
pub(super) async fn close_all(
    State(state): State<ApiState>,
    PathId(id): PathId,
) -> Result<Json<Done>, Refusal> {
    let session = state.sessions.find(&id).await?;
    for name in session.shell_names() {
        if name.starts_with(PREFIX) {
            end_shell(&state, &session, &Shell(name)).await?;
        }
    }
    Ok(Json(Done {}))
}

async fn end_shell(state: &ApiState, session: &Arc<LiveSession>, name: &Shell) -> Result<(), Refusal> {
    interrupt(state, session, name).await?;
    run_command(state, session, name.run("exit".to_owned(), Some(CLOSE_MS))).await?;
    session.forget_shell(&name.0);
    Ok(())
}

/// Ends what a shell carries out now, if it does anything.
async fn interrupt(state: &ApiState, session: &Arc<LiveSession>, name: &Shell) -> Result<(), Refusal> {
    for job in session.jobs.all() {
        let is_there = job.note().shell.as_ref() == Some(&name.0);
        if is_there && matches!(job.state(), JobState::Running) {
            state.sessions.cancel(session, &job).await.map_err(ApiError::from)?;
        }
    }
    Ok(())
}

/// A shell of the session, as the rest of the API calls it.
struct Shell(String);

impl Shell {
    /// The shell of one of the client's sessions, whatever else uses shells of this session.
    fn named(session: &str) -> Result<Self, Exception> {
        let allowed = session.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
        if session.is_empty() || !allowed || PREFIX.len() + session.len() > MAX_SHELL_NAME {
            let most = MAX_SHELL_NAME - PREFIX.len();
            return Err(Exception::value(format!(
                "the session {} cannot be called so here; give 1 to {most} of a-z, 0-9, hyphen and underscore",
                quoted(session, 80)
            )));
        }
        Ok(Self(format!("{PREFIX}{session}")))
    }

    fn run(&self, command: String, timeout_ms: Option<u64>) -> ExecRequest {
        ExecRequest { cmd: Some(command), shell: Some(self.0.clone()), timeout_ms, ..ExecRequest::default() }
    }
}

fn known(session: &LiveSession, name: &str) -> Result<Shell, Exception> {
    let shell = Shell::named(name)?;
    if session.has_shell(&shell.0) { Ok(shell) } else { Err(Exception::no_such_session(name)) }
}
