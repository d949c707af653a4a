//! What a failed command says: what, why, what to do; and the exit status that belongs to it.

use std::error::Error;
use std::process::ExitCode;

use sandkasten_api::error::ErrorCode;
use sandkasten_client::RequestError;
pub(crate) use sandkasten_client::with_causes;
use serde::{Deserialize, Serialize};

/// The exit statuses of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Exit {
    /// It worked.
    Success,
    /// `doctor` and `security`: the host or the configuration is not fit. `bench`: it is too slow, or slower than it was.
    Unfit,
    /// The command line or the configuration is wrong.
    Usage,
    /// The daemon cannot be reached, or none runs.
    Unreachable,
    /// The daemon refused: authentication, not found, invalid.
    Refused,
    /// The command ran past its timeout, as timeout(1) reports it.
    Timeout,
    /// Sandkasten itself failed.
    Ours,
}

/// A command that failed. Every field is text for a person; together they are three lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CliError {
    /// What did not work: `cannot destroy session 0123abcd-ef01`.
    pub(crate) what: String,
    /// Why.
    pub(crate) why: String,
    /// What to do about it; may be empty where the reason says it.
    pub(crate) hint: String,
    /// The exit status.
    pub(crate) exit: Exit,
}

impl Exit {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 7] = [
        Self::Success,
        Self::Unfit,
        Self::Usage,
        Self::Unreachable,
        Self::Refused,
        Self::Timeout,
        Self::Ours,
    ];

    /// Returns the status as the shell sees it.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Unfit => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Refused => 4,
            Self::Timeout => 124,
            Self::Ours => 125,
        }
    }

    /// Says when a command ends with it, for the manual.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "Success.",
            Self::Unfit => {
                "doctor: something that is needed is missing. security: a check failed. bench: a budget was missed, or a \
                 figure is worse than an earlier one. init: this host lacks what sandboxes need."
            }
            Self::Usage => "The command line or the configuration is wrong.",
            Self::Unreachable => "The daemon cannot be reached; status: none runs.",
            Self::Refused => {
                "The daemon refused: a wrong key, something that is not there, or a request that is not valid."
            }
            Self::Timeout => {
                "run, exec and shell: the command ran past its timeout, as timeout(1) reports it."
            }
            Self::Ours => "Sandkasten itself failed.",
        }
    }

    /// Returns the status that a code of the API stands for.
    pub(crate) const fn of(code: ErrorCode) -> Self {
        match code {
            ErrorCode::InvalidRequest
            | ErrorCode::InvalidImage
            | ErrorCode::InvalidWorkspace
            | ErrorCode::Unauthorized
            | ErrorCode::SessionNotFound
            | ErrorCode::WorkspaceNotFound
            | ErrorCode::ImageNotFound
            | ErrorCode::FileNotFound
            | ErrorCode::IsDirectory
            | ErrorCode::NotDirectory
            | ErrorCode::NotRegularFile
            | ErrorCode::FileExists
            | ErrorCode::DirectoryNotEmpty
            | ErrorCode::FileChanged
            | ErrorCode::EditMismatch
            | ErrorCode::PermissionDenied
            | ErrorCode::FileTooLarge
            | ErrorCode::NoSpace
            | ErrorCode::SessionExpired
            | ErrorCode::SessionNotRunning
            | ErrorCode::SessionExists
            | ErrorCode::IdempotencyKeyReused
            | ErrorCode::WorkspaceInUse
            | ErrorCode::WorkspaceExists
            | ErrorCode::ImageInUse
            | ErrorCode::ImagePullFailed
            | ErrorCode::ProcessNotFound
            | ErrorCode::ProcessNotRunning
            | ErrorCode::LimitExceeded => Self::Refused,
            ErrorCode::CommandTimeout => Self::Timeout,
            ErrorCode::InternalError => Self::Ours,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl CliError {
    /// Says that a feature named on the command line does not exist yet.
    pub(crate) fn not_built_yet(option: &str, instead: &str) -> Self {
        Self {
            what: format!("cannot do `{option}`"),
            why: "it is not built yet".to_owned(),
            hint: instead.to_owned(),
            exit: Exit::Usage,
        }
    }

    /// Says that something of our own failed, with all causes.
    pub(crate) fn ours(what: impl Into<String>, error: &dyn Error, hint: &str) -> Self {
        Self { what: what.into(), why: with_causes(error), hint: hint.to_owned(), exit: Exit::Ours }
    }

    /// Says that a request failed.
    pub(crate) fn request(what: impl Into<String>, error: &RequestError) -> Self {
        let (hint, exit) = match error {
            RequestError::Unreachable { .. } => {
                ("start a daemon with `sandkasten daemon`, or name one with --url", Exit::Unreachable)
            }
            RequestError::Refused { body, .. } => (refusal_hint(body.error_code), Exit::of(body.error_code)),
            RequestError::Protocol { .. } => {
                ("check --url or `listen` in the configuration: another program may listen there", Exit::Ours)
            }
        };
        let why = match error {
            // The layers of the HTTP library in between say nothing to a user.
            RequestError::Unreachable { url, source } => {
                format!("no daemon at {url}: {}", root_cause(&**source))
            }
            _ => with_causes(error),
        };
        Self { what: what.into(), why, hint: hint.to_owned(), exit }
    }
}

fn root_cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root
}

const fn refusal_hint(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Unauthorized => "set SANDKASTEN_API_KEY to the daemon's api_key",
        ErrorCode::InvalidImage | ErrorCode::ImageNotFound => {
            "see `sandkasten image list` on the daemon's host"
        }
        ErrorCode::SessionNotFound | ErrorCode::SessionExpired => {
            "see `sandkasten ps` for the sessions there are"
        }
        ErrorCode::SessionNotRunning => "destroy it with `sandkasten rm` and create another",
        ErrorCode::ImagePullFailed => "check the reference and the registry, then pull again",
        ErrorCode::ImageInUse => "see `sandkasten ps` for the sessions that use it",
        ErrorCode::WorkspaceInUse => "see `sandkasten ps --json` for the sessions that use it",
        ErrorCode::CommandTimeout => {
            "give it more time with --timeout-ms, up to the daemon's max_exec_timeout_ms"
        }
        ErrorCode::LimitExceeded => "try again later, or destroy sessions with `sandkasten rm`",
        ErrorCode::WorkspaceNotFound => "see `sandkasten workspace list` for those there are",
        ErrorCode::InternalError => "look into the daemon's log for the request id",
        ErrorCode::InvalidRequest
        | ErrorCode::InvalidWorkspace
        | ErrorCode::SessionExists
        | ErrorCode::WorkspaceExists
        | ErrorCode::ProcessNotFound
        | ErrorCode::ProcessNotRunning
        | ErrorCode::IdempotencyKeyReused
        | ErrorCode::FileNotFound
        | ErrorCode::IsDirectory
        | ErrorCode::NotDirectory
        | ErrorCode::NotRegularFile
        | ErrorCode::FileExists
        | ErrorCode::DirectoryNotEmpty
        | ErrorCode::FileChanged
        | ErrorCode::EditMismatch
        | ErrorCode::PermissionDenied
        | ErrorCode::FileTooLarge
        | ErrorCode::NoSpace => "",
    }
}

#[cfg(test)]
mod tests {
    use sandkasten_api::error::{ErrorBody, ErrorCode};
    use sandkasten_client::RequestError;

    use super::{CliError, Exit, with_causes};

    #[test]
    fn exit_statuses_are_those_of_the_contract() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 3, 4, 124, 125]);
    }

    #[test]
    fn every_refusal_has_its_exit_status() {
        for code in ErrorCode::ALL {
            let body = ErrorBody { error_code: code, message: "m".to_owned(), details: None };
            let error = CliError::request("cannot", &RequestError::Refused { status: code.status(), body });
            let expected = match code {
                ErrorCode::InternalError => 125,
                ErrorCode::CommandTimeout => 124,
                _ => 4,
            };
            assert_eq!(error.exit.code(), expected, "{code:?}");
            assert_eq!(error.why, "m");
        }
    }

    #[test]
    fn a_daemon_that_is_not_there_is_three_and_one_that_is_none_is_ours() {
        let source = std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into();
        let error = RequestError::Unreachable { url: "http://h".to_owned(), source };
        assert_eq!(CliError::request("cannot", &error).exit.code(), 3);
        let error = RequestError::Protocol { url: "http://h".to_owned(), reason: "html".to_owned() };
        assert_eq!(CliError::request("cannot", &error).exit.code(), 125);
    }

    #[test]
    fn causes_are_said_once() {
        let source = std::io::Error::other("the disk is full").into();
        let error = RequestError::Unreachable { url: "http://h".to_owned(), source };
        assert_eq!(with_causes(&error), "reach the daemon at http://h: the disk is full");
    }
}
