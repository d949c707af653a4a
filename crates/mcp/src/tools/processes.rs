//! `start_process`, `read_process_output` and `stop_process`.

use std::collections::BTreeMap;
use std::time::Duration;

use rmcp::handler::server::tool::schema_for_output;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::service::RequestContext;
use rmcp::{RoleServer, tool, tool_router};
use sandkasten_api::id::ExecId;
use sandkasten_api::limits::MAX_TIMEOUT_MS;
use sandkasten_api::process::{Process, ProcessLogs, ProcessRequest, ProcessStatus};
use sandkasten_client::RequestError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::bounded_text::floor;
use crate::server::{SandboxServer, Target};
use crate::tool_error::ToolError;

/// The most output of one call, in bytes.
const MAX_OUTPUT_BYTES: usize = 64 << 10;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartProcessInput {
    /// Shell text, carried out by a fresh shell beside the persistent one.
    cmd: String,
    /// The absolute directory to start in; absent: /workspace.
    cwd: Option<String>,
    /// Variables for it.
    env: Option<BTreeMap<String, String>>,
    /// A name to show, at most 64 characters.
    name: Option<String>,
    /// Milliseconds until it is killed; absent: never.
    timeout_ms: Option<u64>,
    /// The id or name of a sandbox; absent: the own one.
    session: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadProcessOutputInput {
    /// The process, as start_process named it.
    process_id: String,
    /// The byte of its output to begin at: next_offset of the last call; absent: 0.
    #[serde(default)]
    offset: u64,
    /// Milliseconds to wait for output or an end where there is neither yet, at most 600000; absent: not at all.
    wait_ms: Option<u64>,
    /// The id or name of a sandbox; absent: the own one.
    session: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopProcessInput {
    /// The process, as start_process named it.
    process_id: String,
    /// A signal such as INT or HUP to send to it and all that it started; absent: it is ended for good.
    signal: Option<String>,
    /// The id or name of a sandbox; absent: the own one.
    session: Option<String>,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct ProcessOutput {
    /// Names the process in its sandbox.
    process_id: String,
    /// queued, running or ended.
    status: String,
    /// Once it has ended: its exit status.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    /// Once it has ended: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Once it has ended: what to do next, where it did not go well.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ReadProcessOutputOutput {
    /// The process, and how it ended if it has.
    #[serde(flatten)]
    process: ProcessOutput,
    /// What it wrote from offset on.
    output: String,
    /// The place of the first byte; later than asked for where what came before is not kept any more.
    offset: u64,
    /// What to ask for next.
    next_offset: u64,
    /// Whether there is, or may be, more output to read already.
    truncated: bool,
}

#[tool_router(router = process_tools, vis = "pub(crate)")]
impl SandboxServer {
    /// Starts a process that runs on beside the shell: a server, a watcher, a long build. It lives until it ends, is stopped, or
    /// the sandbox ends.
    #[tool(
        title = "Start a process",
        output_schema = schema_for_output::<ProcessOutput>(),
        annotations(read_only_hint = false, destructive_hint = true, idempotent_hint = false, open_world_hint = false)
    )]
    pub(crate) async fn start_process(
        &self,
        Parameters(input): Parameters<StartProcessInput>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<ProcessOutput>, ToolError> {
        let target = self.target(input.session.as_deref(), &context).await?;
        let request = ProcessRequest {
            cmd: Some(input.cmd),
            cwd: input.cwd,
            env: input.env.unwrap_or_default(),
            name: input.name,
            timeout_ms: input.timeout_ms,
            ..ProcessRequest::default()
        };
        match self.client.start_process(&target.id, &request).await {
            Ok(process) => Ok(describe(process)),
            Err(error) => Err(self.explain(&target, error).await),
        }
    }

    /// Returns what a process has written since an offset, and whether it has ended. Can wait for more.
    #[tool(
        title = "Read the output of a process",
        output_schema = schema_for_output::<ReadProcessOutputOutput>(),
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn read_process_output(
        &self,
        Parameters(input): Parameters<ReadProcessOutputInput>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<ReadProcessOutputOutput>, ToolError> {
        let process = process_id(&input.process_id)?;
        let target = self.target(input.session.as_deref(), &context).await?;
        let read = async {
            let mut logs = self.client.read_logs(&target.id, process, input.offset).await?;
            let wait = input.wait_ms.unwrap_or_default().min(MAX_TIMEOUT_MS);
            if logs.output.is_empty() && logs.status != ProcessStatus::Ended && wait > 0 {
                self.wait_for_output(&target, process, input.offset, Duration::from_millis(wait)).await?;
                logs = self.client.read_logs(&target.id, process, input.offset).await?;
            }
            // Behind the output, so that one that has ended has written nothing more.
            let process = self.client.show_process(&target.id, process).await?;
            Ok::<_, RequestError>((logs, process))
        };
        match read.await {
            Ok((logs, process)) => Ok(show(logs, process)),
            Err(error) => Err(self.explain(&target, error).await),
        }
    }

    /// Ends a process with everything that it has started, or sends it a signal.
    #[tool(
        title = "Stop a process",
        output_schema = schema_for_output::<ProcessOutput>(),
        annotations(read_only_hint = false, destructive_hint = true, idempotent_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn stop_process(
        &self,
        Parameters(input): Parameters<StopProcessInput>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<ProcessOutput>, ToolError> {
        let process = process_id(&input.process_id)?;
        let target = self.target(input.session.as_deref(), &context).await?;
        let stopped = async {
            match &input.signal {
                None => self.client.end_process(&target.id, process).await,
                Some(signal) => {
                    self.client.signal_process(&target.id, process, signal).await?;
                    self.client.show_process(&target.id, process).await
                }
            }
        };
        match stopped.await {
            Ok(process) => Ok(describe(process)),
            Err(error) => Err(self.explain(&target, error).await),
        }
    }

    /// Waits until a process writes, ends, or the time is up.
    async fn wait_for_output(
        &self,
        target: &Target,
        process: ExecId,
        offset: u64,
        wait: Duration,
    ) -> Result<(), RequestError> {
        let mut events = self.client.follow_logs(&target.id, process, offset).await?;
        match tokio::time::timeout(wait, events.next()).await {
            Ok(Some(Err(error))) => Err(error),
            // What happened is read anew by whoever waited.
            Ok(Some(Ok(_)) | None) | Err(_) => Ok(()),
        }
    }
}

fn process_id(text: &str) -> Result<ExecId, ToolError> {
    text.parse().map_err(|_| {
        ToolError::Argument(format!("process_id {text:?} is none; give the one that start_process returned"))
    })
}

const fn status(status: ProcessStatus) -> &'static str {
    match status {
        ProcessStatus::Queued => "queued",
        ProcessStatus::Running => "running",
        ProcessStatus::Ended => "ended",
    }
}

fn value_of(process: Process) -> ProcessOutput {
    let (reason, hint) = match process.verdict {
        Some(verdict) => (serde_json::to_value(verdict.reason).ok(), verdict.hint),
        None => (None, None),
    };
    ProcessOutput {
        process_id: process.id.to_string(),
        status: status(process.status).to_owned(),
        exit_code: process.exit_code,
        reason: reason.and_then(|reason| reason.as_str().map(str::to_owned)),
        hint,
    }
}

fn words(process: &ProcessOutput) -> String {
    let mut text = format!("process {} {}", process.process_id, process.status);
    if let Some(code) = process.exit_code {
        text.push_str(&format!(", exit code {code}"));
    }
    let reason = process.reason.as_deref().filter(|reason| *reason != "exit");
    for part in [reason, process.hint.as_deref()].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(part);
    }
    text
}

fn describe(process: Process) -> Answer<ProcessOutput> {
    let value = value_of(process);
    Answer::new(words(&value), value)
}

fn show(mut logs: ProcessLogs, process: Process) -> Answer<ReadProcessOutputOutput> {
    let cut = floor(&logs.output, MAX_OUTPUT_BYTES);
    let is_cut = cut < logs.output.len();
    // Where it ended between the two reads, it may have written more.
    let truncated = is_cut || (logs.status != ProcessStatus::Ended && process.status == ProcessStatus::Ended);
    if is_cut {
        logs.output.truncate(cut);
        // A replacement character stands for one byte at least: what is read twice is not lost.
        let replaced = logs.output.matches(char::REPLACEMENT_CHARACTER).count();
        logs.next_offset =
            logs.offset + (cut - replaced * (char::REPLACEMENT_CHARACTER.len_utf8() - 1)) as u64;
    }
    let process = value_of(process);
    let newline = if logs.output.is_empty() || logs.output.ends_with('\n') { "" } else { "\n" };
    let more = if truncated { "there is more at" } else { "next" };
    let text = format!("{}{newline}[{}; {more} offset {}]", logs.output, words(&process), logs.next_offset);
    let value = ReadProcessOutputOutput {
        process,
        output: logs.output,
        offset: logs.offset,
        next_offset: logs.next_offset,
        truncated,
    };
    Answer::new(text, value)
}

#[cfg(test)]
mod tests {
    use rmcp::handler::server::tool::IntoCallToolResult;
    use rmcp::model::CallToolResponse;
    use sandkasten_api::process::{Process, ProcessLogs};
    use serde_json::{Value, json};

    use super::{MAX_OUTPUT_BYTES, show};

    fn shown(output: &str, logged: &str, now: &str) -> Value {
        let logs =
            json!({"output": output, "offset": 10, "next_offset": 10 + output.len(), "status": logged});
        let logs: ProcessLogs = serde_json::from_value(logs).expect("logs");
        let process = json!({
            "id": "000000000000000a", "kind": "process", "command": "x", "tty": false, "status": now,
            "started_at": "2026-01-01T00:00:00Z",
        });
        let process: Process = serde_json::from_value(process).expect("a process");
        match show(logs, process).into_call_tool_result() {
            Ok(CallToolResponse::Complete(result)) => result.structured_content.expect("data"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn output_that_is_too_long_is_continued_where_it_was_cut() {
        let value = shown(&"x".repeat(MAX_OUTPUT_BYTES + 5), "ended", "ended");
        assert_eq!(value["next_offset"], json!(10 + MAX_OUTPUT_BYTES));
        assert_eq!((&value["truncated"], &value["status"]), (&json!(true), &json!("ended")));
    }

    #[test]
    fn bytes_that_are_no_text_are_never_passed_over() {
        let value = shown(&"\u{fffd}".repeat(MAX_OUTPUT_BYTES), "running", "running");
        let shown = value["output"].as_str().expect("text").chars().count();
        assert_eq!(value["next_offset"], json!(10 + shown));
    }

    #[test]
    fn what_may_have_been_written_before_the_end_is_asked_for() {
        assert_eq!(shown("a", "running", "ended")["truncated"], json!(true));
        assert_eq!(shown("a", "running", "running")["truncated"], json!(false));
        assert_eq!(shown("a", "ended", "ended")["next_offset"], json!(11));
    }
}
