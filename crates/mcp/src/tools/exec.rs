//! `exec`: a command in a shell of the sandbox.

use std::collections::BTreeMap;

use rmcp::handler::server::tool::schema_for_output;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::service::RequestContext;
use rmcp::{RoleServer, tool, tool_router};
use sandkasten_api::error::ErrorCode;
use sandkasten_api::exec::{ExecDone, ExecFailed, ExecRequest};
use sandkasten_api::verdict::Verdict;
use sandkasten_client::{ExecEvent, ExecStream, RequestError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::bounded_text::BoundedText;
use crate::exec_progress::ExecProgress;
use crate::server::SandboxServer;
use crate::tool_error::ToolError;

/// How much output is returned where the call does not say.
const DEFAULT_OUTPUT_BYTES: usize = 64 << 10;
/// The most output that is returned.
const MAX_OUTPUT_BYTES: usize = 1 << 20;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExecInput {
    /// Shell text, 1 byte to 1 MiB. Directory, variables, functions and background jobs stay for the next call.
    cmd: String,
    /// Milliseconds until the command is killed, at most 600000; absent: the server's maximum.
    timeout_ms: Option<u64>,
    /// An absolute directory to change to before the command; the shell stays there.
    cwd: Option<String>,
    /// Variables for this command alone.
    env: Option<BTreeMap<String, String>>,
    /// Text for its standard input, which is otherwise empty.
    stdin: Option<String>,
    /// Which shell runs it: "main" by default, any other name for one that runs beside it, "none" for a fresh process.
    shell: Option<String>,
    /// The most bytes of output to return, at most 1048576; absent: 65536. Of more, beginning and end are returned.
    max_output_bytes: Option<usize>,
    /// The id or name of a sandbox; absent: the own one.
    session: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ExecOutput {
    /// The exit status, 128 + N after death by signal N; absent where the command was killed at its timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    /// Standard output and error in the order they were written.
    output: String,
    /// Whether a part of the output was left out.
    truncated: bool,
    /// How many bytes were left out.
    omitted_bytes: u64,
    /// The shell's directory afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    cwd: Option<String>,
    /// How long it ran, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    /// Why it ended: exit, signal, timeout, oom, pids_limit, disk_full, cancelled or sandbox_lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The signal that ended it, such as SIGSEGV.
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    /// What to do next, where it did not go well.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// The sandbox that it ran in.
    session: String,
}

/// How a command ended.
enum Ending {
    Done(Box<ExecDone>),
    Failed(Box<ExecFailed>),
}

#[tool_router(router = exec_tools, vis = "pub(crate)")]
impl SandboxServer {
    /// Runs a shell command in the sandbox and returns its output and exit code. The shell is persistent: directory, variables,
    /// functions and background jobs stay for the next call. Without network. For servers and other long-running things use
    /// start_process.
    #[tool(
        title = "Run a command",
        output_schema = schema_for_output::<ExecOutput>(),
        annotations(read_only_hint = false, destructive_hint = true, idempotent_hint = false, open_world_hint = false)
    )]
    pub(crate) async fn exec(
        &self,
        Parameters(input): Parameters<ExecInput>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<ExecOutput>, ToolError> {
        let target = self.target(input.session.as_deref(), &context).await?;
        let limit = input.max_output_bytes.unwrap_or(DEFAULT_OUTPUT_BYTES).min(MAX_OUTPUT_BYTES);
        let request = ExecRequest {
            cmd: Some(input.cmd),
            timeout_ms: input.timeout_ms,
            cwd: input.cwd,
            env: input.env.unwrap_or_default(),
            stdin: input.stdin,
            shell: input.shell,
            ..ExecRequest::default()
        };
        let heard = async {
            let stream = self.client.exec_stream(&target.id, &request).await?;
            hear(stream, BoundedText::new(limit), ExecProgress::of(&context)).await
        };
        match heard.await {
            Ok((text, ending)) => Ok(answer(text, ending, target.id.to_string())),
            Err(error) => Err(self.explain(&target, error).await),
        }
    }
}

/// Follows a command to its end.
async fn hear(
    mut stream: ExecStream,
    mut text: BoundedText,
    mut progress: ExecProgress<'_>,
) -> Result<(BoundedText, Ending), RequestError> {
    while let Some(event) = stream.next().await {
        match event? {
            ExecEvent::Chunk(chunk) => {
                text.push(&chunk.chunk);
                progress.tell(&chunk.chunk).await;
            }
            ExecEvent::Done(done) => return Ok((text, Ending::Done(Box::new(done)))),
            ExecEvent::Failed(failed) => return Ok((text, Ending::Failed(Box::new(failed)))),
        }
    }
    Err(RequestError::Protocol { url: "the engine".to_owned(), reason: "a command had no end".to_owned() })
}

fn answer(text: BoundedText, ending: Ending, session: String) -> Answer<ExecOutput> {
    let (output, omitted_bytes) = text.finish();
    let (verdict, mut result) = match ending {
        Ending::Done(done) => {
            let exit_code = Some(done.exit_code);
            let note = format!("exit code {} after {} ms, in {}", done.exit_code, done.duration_ms, done.cwd);
            (done.verdict, (note, exit_code, Some(done.cwd), Some(done.duration_ms)))
        }
        Ending::Failed(failed) => {
            let code = if failed.error_code == ErrorCode::CommandTimeout { "timeout" } else { "failed" };
            (failed.verdict, (format!("{code}: {}", failed.error), None, None, None))
        }
    };
    let verdict = verdict.as_ref();
    let reason = verdict.and_then(|verdict| serde_json::to_value(verdict.reason).ok());
    let reason = reason.and_then(|reason| reason.as_str().map(str::to_owned));
    // What the API calls by its path is a tool here.
    let hint = verdict.and_then(|verdict| verdict.hint.as_deref());
    let hint = hint.map(|hint| hint.replace("POST …/processes", "start_process"));
    note(&mut result.0, reason.as_deref().filter(|reason| *reason != "timeout"), hint.as_deref());
    let (note, exit_code, cwd, duration_ms) = result;
    let value = ExecOutput {
        exit_code,
        truncated: omitted_bytes > 0,
        omitted_bytes,
        cwd,
        duration_ms,
        reason,
        signal: verdict.and_then(|verdict: &Verdict| verdict.signal.clone()),
        hint,
        session,
        output: output.clone(),
    };
    let newline = if output.is_empty() || output.ends_with('\n') { "" } else { "\n" };
    let answer = Answer::new(format!("{output}{newline}[{note}]"), value);
    // A command that fails has done what commands do; one that did not come to its end has not.
    if exit_code.is_some() { answer } else { answer.failed() }
}

/// Adds to a note why something ended, and what to do about it.
fn note(text: &mut String, reason: Option<&str>, hint: Option<&str>) {
    for part in [reason.filter(|reason| *reason != "exit"), hint].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use rmcp::handler::server::tool::IntoCallToolResult;
    use rmcp::model::{CallToolResponse, CallToolResult};
    use sandkasten_api::error::ErrorCode;
    use sandkasten_api::exec::{ExecDone, ExecFailed};
    use sandkasten_api::verdict::{Reason, Verdict};
    use serde_json::json;

    use super::{Ending, answer};
    use crate::bounded_text::BoundedText;

    fn verdict(reason: Reason, hint: Option<&str>) -> Option<Verdict> {
        let hint = hint.map(str::to_owned);
        Some(Verdict { reason, hint, ..Verdict::sandbox_lost() })
    }

    fn result(output: &str, ending: Ending) -> CallToolResult {
        let mut text = BoundedText::new(1_000);
        text.push(output);
        match answer(text, ending, "0123abcd-ef01".to_owned()).into_call_tool_result() {
            Ok(CallToolResponse::Complete(result)) => result,
            other => panic!("{other:?}"),
        }
    }

    fn done(exit_code: i32, verdict: Option<Verdict>) -> Ending {
        let done =
            ExecDone { exec_id: None, exit_code, cwd: "/workspace".to_owned(), duration_ms: 5, verdict };
        Ending::Done(Box::new(done))
    }

    #[test]
    fn a_command_that_fails_is_a_result_with_its_code() {
        let result = result("no", done(3, verdict(Reason::Exit, Some("read the output"))));
        assert_eq!(result.is_error, Some(false));
        let text = result.content[0].as_text().expect("text").text.clone();
        assert_eq!(text, "no\n[exit code 3 after 5 ms, in /workspace; read the output]");
        let value = result.structured_content.expect("data");
        assert_eq!(
            value,
            json!({
                "exit_code": 3, "output": "no", "truncated": false, "omitted_bytes": 0, "cwd": "/workspace",
                "duration_ms": 5, "reason": "exit", "hint": "read the output", "session": "0123abcd-ef01",
            })
        );
    }

    #[test]
    fn a_command_that_ran_past_its_timeout_is_an_error_with_what_it_had_written() {
        let failed = ExecFailed {
            error: "the command ran past its timeout of 5 ms and was killed".to_owned(),
            error_code: ErrorCode::CommandTimeout,
            exec_id: None,
            verdict: verdict(Reason::Timeout, Some("give it more time")),
        };
        let result = result("so far\n", Ending::Failed(Box::new(failed)));
        assert_eq!(result.is_error, Some(true));
        let text = &result.content[0].as_text().expect("text").text;
        assert!(
            text.starts_with("so far\n[timeout: the command ran past") && text.contains("give it more time")
        );
        let value = result.structured_content.expect("data");
        assert_eq!((&value["reason"], &value["output"]), (&json!("timeout"), &json!("so far\n")));
        assert!(value.get("exit_code").is_none());
    }
}
