//! What a client asks to run, checked and turned into what a session runs.

use std::collections::BTreeMap;
use std::time::Duration;

use sandkasten_api::exec::{ExecRequest, OnLimit, TerminalSize, User};
use sandkasten_api::limits::{
    MAX_ARGUMENTS, MAX_COMMAND_BYTES, MAX_ENVIRONMENT_BYTES, MAX_OUTPUT_BYTES, MAX_PATH_BYTES,
    MAX_PROCESS_NAME, MAX_SHELL_NAME, MAX_STDIN_BYTES, MAX_TERMINAL_SIZE, MAX_TIMEOUT_MS,
};
use sandkasten_api::process::{ProcessKind, ProcessRequest};
use sandkasten_api::variable;
use sandkasten_protocol::{Capture, MAIN_SHELL, ProcessInput, Program};

use super::api_error::{ApiError, quoted};
use crate::session::{Audience, ExecOptions, Work};

/// The name that is no persistent shell.
const NO_SHELL: &str = "none";
/// What is kept of a stream, and of the output of a process: its last bytes.
const KEPT_BYTES: u64 = 1 << 20;

/// Checks a request of `…/exec` or, where `streamed`, of `…/exec/stream`.
///
/// # Errors
/// `INVALID_REQUEST`, with the field and its value.
pub(super) fn exec_options(
    request: ExecRequest,
    max_timeout_ms: u64,
    streamed: bool,
) -> Result<ExecOptions, ApiError> {
    check_user(request.user.as_ref())?;
    let capture = capture(request.max_output_bytes, request.on_limit, streamed)?;
    let timeout_ms = match request.timeout_ms {
        None | Some(0) => max_timeout_ms,
        Some(timeout) if timeout <= MAX_TIMEOUT_MS => timeout.min(max_timeout_ms),
        Some(timeout) => {
            return Err(ApiError::invalid(format!(
                "timeout_ms is {timeout}; allowed are 0 to {MAX_TIMEOUT_MS}"
            )));
        }
    };
    let input = request.stdin.map(String::into_bytes);
    if input.as_ref().is_some_and(|input| input.len() > MAX_STDIN_BYTES) {
        return Err(ApiError::invalid(format!(
            "stdin has more than {MAX_STDIN_BYTES} bytes; write a file with /fs/write and read it with `<`"
        )));
    }
    if request.tty.is_some() && request.separate_output {
        return Err(one_stream());
    }
    let program = program(request.cmd, request.argv)?;
    let work = match (program, request.shell, request.tty) {
        (Program::ShellText(command), shell, None) if shell.as_deref() != Some(NO_SHELL) => {
            Work::Shell { name: shell_name(shell)?, command, input }
        }
        (_, Some(shell), _) if shell != NO_SHELL => {
            return Err(ApiError::invalid(format!(
                "shell is {shell:?}, but argv and tty run in a fresh process; leave shell out, or say \"none\""
            )));
        }
        (program, _, tty) => Work::Process {
            program,
            input: input.map_or(ProcessInput::Closed, ProcessInput::Bytes),
            terminal: tty.map(terminal).transpose()?,
        },
    };
    Ok(ExecOptions {
        kind: ProcessKind::Exec,
        name: None,
        work,
        environment: environment(request.env)?,
        directory: directory(request.cwd)?,
        timeout: Some(Duration::from_millis(timeout_ms)),
        capture,
        separate: request.separate_output,
        raw_output: request.raw_output,
        key: None,
        audience: Audience::Client,
    })
}

/// Checks a request of `…/processes`.
///
/// # Errors
/// `INVALID_REQUEST`, with the field and its value.
pub(super) fn process_options(request: ProcessRequest) -> Result<ExecOptions, ApiError> {
    check_user(request.user.as_ref())?;
    if let Some(name) = &request.name
        && (name.is_empty() || name.chars().count() > MAX_PROCESS_NAME || name.contains(char::is_control))
    {
        return Err(ApiError::invalid(format!(
            "name is {}; give 1 to {MAX_PROCESS_NAME} printable characters",
            quoted(name, 80)
        )));
    }
    let terminal = request.tty.map(terminal).transpose()?;
    if terminal.is_some() && request.separate_output {
        return Err(one_stream());
    }
    let open = request.stdin || terminal.is_some();
    Ok(ExecOptions {
        kind: ProcessKind::Process,
        name: request.name,
        work: Work::Process {
            program: program(request.cmd, request.argv)?,
            input: if open { ProcessInput::Open } else { ProcessInput::Closed },
            terminal,
        },
        environment: environment(request.env)?,
        directory: directory(request.cwd)?,
        timeout: request.timeout_ms.filter(|timeout| *timeout > 0).map(Duration::from_millis),
        capture: Capture { head: 0, tail: KEPT_BYTES },
        separate: request.separate_output,
        raw_output: true,
        key: None,
        audience: if request.hold_output { Audience::Awaited } else { Audience::Nobody },
    })
}

/// The options of a terminal of a session that is not there yet: an interactive shell, for ever.
pub(super) fn terminal_options(name: String, size: sandkasten_protocol::TerminalSize) -> ExecOptions {
    ExecOptions {
        kind: ProcessKind::Terminal,
        name: Some(name),
        work: Work::Process { program: Program::Shell, input: ProcessInput::Open, terminal: Some(size) },
        environment: Vec::new(),
        directory: None,
        timeout: None,
        capture: Capture { head: 0, tail: KEPT_BYTES },
        separate: false,
        raw_output: true,
        key: None,
        audience: Audience::Awaited,
    }
}

fn one_stream() -> ApiError {
    ApiError::invalid("tty and separate_output: a terminal has one stream; give one of them")
}

fn program(cmd: Option<String>, argv: Option<Vec<String>>) -> Result<Program, ApiError> {
    let (field, bytes, has_nul) = match (&cmd, &argv) {
        (Some(cmd), None) => ("cmd", cmd.len(), cmd.contains('\0')),
        (None, Some(argv)) => {
            if argv.is_empty() || argv.len() > MAX_ARGUMENTS || argv.first().is_some_and(String::is_empty) {
                return Err(ApiError::invalid(format!(
                    "argv has {} elements; give a program and its arguments, {MAX_ARGUMENTS} in all at most",
                    argv.len()
                )));
            }
            let bytes = argv.iter().map(|argument| argument.len() + 1).sum();
            ("argv", bytes, argv.iter().any(|argument| argument.contains('\0')))
        }
        (None, None) => return Err(ApiError::invalid("there is nothing to run: give cmd, or argv")),
        (Some(_), Some(_)) => return Err(ApiError::invalid("cmd and argv are both there; give one of them")),
    };
    if bytes == 0 {
        return Err(ApiError::invalid(format!("{field} is empty; give 1 byte to 1 MiB of shell")));
    }
    if bytes > MAX_COMMAND_BYTES {
        return Err(ApiError::invalid(format!(
            "{field} has {bytes} bytes, at most {MAX_COMMAND_BYTES} are taken; write the script with /fs/write and run it"
        )));
    }
    if has_nul {
        return Err(ApiError::invalid(format!("{field} holds a NUL byte, which no program takes")));
    }
    Ok(cmd.map_or_else(|| Program::Arguments(argv.unwrap_or_default()), Program::ShellText))
}

/// Checks the name of a terminal.
///
/// # Errors
/// `INVALID_REQUEST`.
pub(super) fn terminal_name(name: Option<String>) -> Result<String, ApiError> {
    let name = name.unwrap_or_else(|| MAIN_SHELL.to_owned());
    if is_short_name(&name) {
        return Ok(name);
    }
    Err(ApiError::invalid(format!(
        "name is {}; give 1 to {MAX_SHELL_NAME} of a-z, 0-9, hyphen and underscore",
        quoted(&name, 80)
    )))
}

fn is_short_name(name: &str) -> bool {
    let allowed = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
    allowed && (1..=MAX_SHELL_NAME).contains(&name.len())
}

fn shell_name(shell: Option<String>) -> Result<String, ApiError> {
    let name = shell.unwrap_or_else(|| MAIN_SHELL.to_owned());
    if is_short_name(&name) {
        return Ok(name);
    }
    Err(ApiError::invalid(format!(
        "shell is {}; give 1 to {MAX_SHELL_NAME} of a-z, 0-9, hyphen and underscore, or \"none\"",
        quoted(&name, 80)
    )))
}

/// Every command runs as the one user there is: PID 1 has no capability by which it could start others.
fn check_user(user: Option<&User>) -> Result<(), ApiError> {
    match user {
        None | Some(User::Id(1000)) => Ok(()),
        Some(User::Name(name)) if matches!(name.as_str(), "sandbox" | "1000") => Ok(()),
        Some(user) => Err(ApiError::invalid(format!(
            "user is {}; commands run as sandbox (1000) and nobody else, because nothing in a sandbox has the \
             capability to become another user",
            match user {
                User::Id(id) => id.to_string(),
                User::Name(name) => quoted(name, 80),
            }
        ))),
    }
}

fn environment(variables: BTreeMap<String, String>) -> Result<Vec<(String, String)>, ApiError> {
    let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    if bytes > MAX_ENVIRONMENT_BYTES {
        return Err(ApiError::invalid(format!(
            "env has {bytes} bytes, at most {MAX_ENVIRONMENT_BYTES} are taken"
        )));
    }
    for (name, value) in &variables {
        if !variable::is_name(name) {
            return Err(ApiError::invalid(format!(
                "env has a variable {}; names are letters, digits and underscores, no digit first",
                quoted(name, 80)
            )));
        }
        if value.contains('\0') {
            return Err(ApiError::invalid(format!("the value of {name} in env holds a NUL byte")));
        }
    }
    Ok(variables.into_iter().collect())
}

fn directory(cwd: Option<String>) -> Result<Option<String>, ApiError> {
    match cwd {
        Some(cwd) if !cwd.starts_with('/') || cwd.len() > MAX_PATH_BYTES || cwd.contains('\0') => {
            let cwd = quoted(&cwd, 200);
            Err(ApiError::invalid(format!("cwd is {cwd}; give an absolute path inside the sandbox")))
        }
        cwd => Ok(cwd),
    }
}

fn capture(
    max_output_bytes: Option<u64>,
    on_limit: Option<OnLimit>,
    streamed: bool,
) -> Result<Capture, ApiError> {
    const MOST: u64 = MAX_OUTPUT_BYTES as u64;
    if let Some(bytes) = max_output_bytes.filter(|bytes| *bytes > MOST) {
        return Err(ApiError::invalid(format!("max_output_bytes is {bytes}; allowed are 0 to {MOST}")));
    }
    if streamed {
        return match (max_output_bytes, on_limit) {
            (_, Some(OnLimit::Tail | OnLimit::HeadTail)) => Err(ApiError::invalid(
                "on_limit is not \"head\", but a stream has sent its beginning before its end is known",
            )),
            (Some(bytes), _) => Ok(Capture { head: bytes, tail: 0 }),
            (None, _) => Ok(Capture { head: 0, tail: KEPT_BYTES }),
        };
    }
    let bytes = max_output_bytes.unwrap_or(MOST);
    Ok(match on_limit.unwrap_or_default() {
        OnLimit::Head => Capture { head: bytes, tail: 0 },
        OnLimit::Tail => Capture { head: 0, tail: bytes },
        OnLimit::HeadTail => Capture { head: bytes / 2, tail: bytes - bytes / 2 },
    })
}

pub(super) fn terminal(size: TerminalSize) -> Result<sandkasten_protocol::TerminalSize, ApiError> {
    let TerminalSize { rows, cols } = size;
    if [rows, cols].iter().all(|number| (1..=MAX_TERMINAL_SIZE).contains(number)) {
        return Ok(sandkasten_protocol::TerminalSize { rows, columns: cols });
    }
    Err(ApiError::invalid(format!(
        "the terminal has {rows} rows and {cols} cols; allowed are 1 to {MAX_TERMINAL_SIZE} of each"
    )))
}
