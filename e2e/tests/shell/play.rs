//! Runs a sequence in a session of its own and holds every answer against the model.

use std::fmt::{self, Debug, Formatter};
use std::time::Duration;

use sandkasten_api::error::ErrorCode;
use sandkasten_api::exec::ExecRequest;
use sandkasten_client::{ExecEvent, RequestError};
use sandkasten_e2e::{TestDaemon, TestSession, patience, patience_ms};

use crate::model::{Expected, Life, Output, State, Status};
use crate::piece::{Piece, Step};
use crate::render::{apply, expected};
use crate::shells::Shell;

/// Bounds on hangs, and the time that is given to what must run past it.
const HANGS: u64 = 10_000;
const TIMES_OUT: u64 = 150;
/// The most output that an answer carries; a stream carries all.
const OUTPUT_CAP: usize = 1 << 20;
/// What is quoted of an output that is wrong.
const QUOTED: usize = 600;
const NO_ANSWER: Duration = Duration::from_secs(30);

/// An answer, by either route.
pub(crate) struct Answer {
    /// `None` where the command ran past its timeout.
    pub(crate) exit_code: Option<i32>,
    pub(crate) directory: Option<String>,
    pub(crate) output: String,
}

impl Debug for Answer {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { exit_code, directory, output } = self;
        write!(formatter, "{exit_code:?} in {directory:?}, {}", quoted(output))
    }
}

/// The beginning of a text that may be long.
fn quoted(text: &str) -> String {
    let beginning: String = text.chars().take(QUOTED).collect();
    format!("{} bytes: {beginning:?}", text.len())
}

/// Plays the steps, and destroys the session.
pub(crate) async fn play(daemon: &TestDaemon, shell: Shell, steps: &[Step]) -> Result<(), String> {
    let session = daemon.session().await;
    let outcome = play_in(&session, shell, steps).await;
    session.destroy().await;
    outcome
}

async fn play_in(session: &TestSession, shell: Shell, steps: &[Step]) -> Result<(), String> {
    let mut state = State::of_fresh_shell(shell, Some("/workspace".to_owned()));
    // Marks the first shell.
    probe(session, &mut state, None, Life::Ends).await?;
    for (number, step) in steps.iter().enumerate() {
        let Some(expected) = expected(&step.piece, &state) else { continue };
        let timeout = match expected.status {
            Status::TimedOut | Status::AnyOrTimedOut => patience_ms(TIMES_OUT),
            _ => patience_ms(HANGS),
        };
        let answer = run(session, &expected.command, timeout, step.streamed).await;
        let told = |reason: String| format!("step {number}, {}: {reason}", quoted(&expected.command));
        let answer = answer.map_err(told)?;
        check(&expected, &answer, &state, step.streamed)
            .map_err(|reason| told(format!("{reason}; {answer:?}")))?;
        let after = follow(&step.piece, &mut state, &answer);
        let end = after.probe(session, &mut state, expected.life).await;
        end.map_err(|reason| told(format!("{reason} (after {answer:?})")))?;
    }
    Ok(())
}

/// The status that the next command has to find.
struct After(Option<i32>);

/// Takes over what the piece did.
fn follow(piece: &Piece, state: &mut State, answer: &Answer) -> After {
    apply(piece, state);
    if state.directory.is_none() {
        state.directory.clone_from(&answer.directory);
    }
    After(answer.exit_code)
}

impl After {
    async fn probe(self, session: &TestSession, state: &mut State, life: Life) -> Result<(), String> {
        probe(session, state, self.0, life).await
    }
}

/// Runs a command by one of the routes.
pub(crate) async fn run(
    session: &TestSession,
    command: &str,
    timeout_ms: u64,
    streamed: bool,
) -> Result<Answer, String> {
    let request = ExecRequest {
        cmd: Some(command.to_owned()),
        timeout_ms: Some(timeout_ms),
        raw_output: true,
        ..ExecRequest::default()
    };
    let run =
        async { if streamed { stream(session, &request).await } else { whole(session, &request).await } };
    match tokio::time::timeout(patience(NO_ANSWER), run).await {
        Ok(answer) => answer.map_err(|error| format!("no result: {error}")),
        Err(_) => Err(format!("no answer within {NO_ANSWER:?}")),
    }
}

async fn whole(session: &TestSession, request: &ExecRequest) -> Result<Answer, RequestError> {
    match session.client.exec(&session.id, request).await {
        Ok(result) => Ok(Answer {
            exit_code: Some(result.exit_code),
            directory: Some(result.cwd),
            output: result.output,
        }),
        Err(RequestError::Refused { status: 504, body }) => {
            let details = body.details.unwrap_or_default();
            Ok(Answer { exit_code: None, directory: None, output: details.output.unwrap_or_default() })
        }
        Err(error) => Err(error),
    }
}

async fn stream(session: &TestSession, request: &ExecRequest) -> Result<Answer, RequestError> {
    let mut events = session.client.exec_stream(&session.id, request).await?;
    let mut output = String::new();
    loop {
        let event = events.next().await.expect("a stream ends with an event that says so")?;
        match event {
            ExecEvent::Chunk(chunk) => output.push_str(&chunk.chunk),
            ExecEvent::Done(done) => {
                return Ok(Answer { exit_code: Some(done.exit_code), directory: Some(done.cwd), output });
            }
            ExecEvent::Failed(failed) if failed.error_code == ErrorCode::CommandTimeout => {
                return Ok(Answer { exit_code: None, directory: None, output });
            }
            ExecEvent::Failed(failed) => {
                return Err(RequestError::Protocol { url: "the stream".to_owned(), reason: failed.error });
            }
        }
    }
}

fn check(expected: &Expected, answer: &Answer, state: &State, streamed: bool) -> Result<(), String> {
    let status_holds = match (expected.status, answer.exit_code) {
        (Status::Is(code), Some(found)) => code == found,
        (Status::Failure, Some(found)) => found != 0,
        (Status::Any | Status::AnyOrTimedOut, Some(_)) | (Status::TimedOut | Status::AnyOrTimedOut, None) => {
            true
        }
        _ => false,
    };
    if !status_holds {
        return Err(format!("the status is not {:?}", expected.status));
    }
    let cap = if streamed { usize::MAX } else { OUTPUT_CAP };
    let output_holds = match &expected.output {
        Output::Exactly(text) if text.len() > cap => text[..cap] == answer.output,
        Output::Exactly(text) => *text == answer.output,
        // What else there is may have taken its place below the cap.
        Output::Contains(text) if text.len() > OUTPUT_CAP / 2 => {
            answer.output.contains(&text[..OUTPUT_CAP / 2])
        }
        Output::Contains(text) => answer.output.contains(text),
        Output::Without(text) => !answer.output.lines().any(|line| line.ends_with(text)),
        Output::Any => true,
    };
    if !output_holds {
        let wanted = match &expected.output {
            Output::Exactly(text) => quoted(text),
            other => format!("{other:?}"),
        };
        return Err(format!("the output is not as expected: {wanted}"));
    }
    if answer.output.contains("foreign") && !expected.command.contains("foreign") {
        return Err("the output is another command's".to_owned());
    }
    // Directories change only where the command says so, and the piece then says where to.
    let moves = expected.command.contains("cd ");
    match (&state.directory, &answer.directory) {
        (Some(directory), Some(found)) if directory != found && !moves => {
            Err(format!("the directory is not {directory}"))
        }
        _ => Ok(()),
    }
}

/// Asks the shell for everything that the model knows.
async fn probe(
    session: &TestSession,
    state: &mut State,
    last: Option<i32>,
    life: Life,
) -> Result<(), String> {
    let command = "echo \"$? ${sk_mark-fresh} <${sk_v0-}> <${sk_v1-}> $-\"; umask; sk_mark=same";
    let answer = run(session, command, patience_ms(HANGS), false).await?;
    let outcome = compare(&answer, state, last, life);
    outcome.map_err(|reason| format!("then {reason}: {answer:?}; {state:?}"))
}

/// Holds what a shell says of itself against the model, which goes on with a fresh one where it is one.
fn compare(answer: &Answer, state: &mut State, last: Option<i32>, life: Life) -> Result<(), &'static str> {
    if answer.exit_code != Some(0) {
        return Err("the probe failed");
    }
    // A trace is in between.
    let mut lines = answer.output.lines().filter(|line| !line.starts_with('+'));
    let (Some(first), Some(mask), None) = (lines.next(), lines.next(), lines.next()) else {
        return Err("the output of the probe is not two lines");
    };
    let words: Vec<&str> = first.splitn(3, ' ').collect();
    let [status, mark, rest] = words[..] else { return Err("the first line of the probe is odd") };
    let fresh = mark == "fresh";
    match life {
        Life::Goes | Life::GoesUnlessStrict if fresh => return Err("it is another shell"),
        Life::Ends if !fresh => return Err("it is still the same shell"),
        _ => {}
    }
    if !fresh && last.is_some_and(|last| status != last.to_string()) {
        return Err("the shell did not find the last status");
    }
    let mask = u32::from_str_radix(mask, 8).map_err(|_| "the umask is no number")?;
    if fresh {
        let homeless = state.homeless;
        *state = State { homeless, ..State::of_fresh_shell(state.shell, state.directory.take()) };
    }
    if mask != state.mask {
        return Err("the umask is not as it was set");
    }
    let [one, other] = state.variables.each_ref().map(|value| value.clone().unwrap_or_default());
    let Some(options) = rest.strip_prefix(&format!("<{one}> <{other}> ")) else {
        return Err("the variables are not as they were set");
    };
    if ['e', 'u', 'x', 'f'].iter().any(|name| options.contains(*name) != state.options.contains(name)) {
        return Err("the options are not as they were set");
    }
    match (&state.directory, &answer.directory) {
        (Some(directory), Some(found)) if directory != found => Err("the directory is not as it was"),
        _ => Ok(()),
    }
}
