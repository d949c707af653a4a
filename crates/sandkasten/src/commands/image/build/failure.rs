//! Why a build failed, and what to say of it.

use sandkasten_build::Problem;
use sandkasten_daemon::{BuildStepError, OpenBuildError};
use sandkasten_image::{BuildError, ImportError, ListImagesError, ResolveImageError};
use sandkasten_registry::ParseReferenceError;

use crate::cli_error::{CliError, Exit, with_causes};
use crate::table::printable;

/// Why a build failed, with the line of the Dockerfile.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(super) struct Failure {
    pub(super) line: usize,
    #[source]
    pub(super) reason: Reason,
}

/// Why.
#[derive(Debug, thiserror::Error)]
pub(super) enum Reason {
    #[error(transparent)]
    Problem(#[from] Problem),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Sandboxes(#[from] OpenBuildError),
    #[error(transparent)]
    Step(#[from] BuildStepError),
    #[error(transparent)]
    Reference(ParseReferenceError),
    #[error("the image {name} is not present")]
    NoImage { name: String },
    #[error("the image {name} is not present, and cannot be pulled: {}", error.why)]
    NotPulled { name: String, error: Box<CliError> },
    #[error("there are images with all names that {reference} could have here")]
    NoFreeName { reference: String },
    #[error("look for an image")]
    Find(#[from] ResolveImageError),
    #[error("look for an image by what it was pulled by")]
    List(#[from] ListImagesError),
    #[error("there is nothing to run it with: the stage has no files yet")]
    NothingToRun,
    #[error("{command} ended with status {status}")]
    Status { command: String, status: i32 },
    #[error(
        "{command} ended with status {status}, after the kernel had killed something of it for lack of memory"
    )]
    Memory { command: String, status: i32 },
    #[error("{command} took longer than {seconds} seconds, and was killed")]
    Timeout { command: String, seconds: u64 },
    #[error("{command} was killed, because the disk of data_dir is nearly full")]
    Disk { command: String },
    #[error("it was interrupted")]
    Interrupted,
    #[error("look how much space the disk of data_dir has: {reason}")]
    Space { reason: String },
}

impl Reason {
    pub(super) fn at(self, line: usize) -> Failure {
        Failure { line, reason: self }
    }
}

impl Failure {
    /// What the user is told.
    pub(super) fn into_error(self, what: String, path: &str) -> CliError {
        let (hint, exit) = self.reason.advice();
        let why = format!("{path}:{}: {}", self.line, printable(&with_causes(&self.reason)));
        CliError { what, why, hint: hint.to_owned(), exit }
    }
}

impl Reason {
    fn advice(&self) -> (&str, Exit) {
        match self {
            Self::Problem(problem) => (problem.advice(), Exit::Refused),
            Self::Reference(_) => {
                ("name an image as `sandkasten image pull` takes it, or one that is here", Exit::Refused)
            }
            Self::NoImage { .. } => (
                "fetch it first, by `sandkasten image pull` or `sandkasten image import`, or leave --pull never out",
                Exit::Refused,
            ),
            Self::NotPulled { error, .. } => (&error.hint, error.exit),
            Self::NoFreeName { .. } => (
                "pull it by `sandkasten image pull --name NAME`; it is found then by what it was pulled by",
                Exit::Refused,
            ),
            Self::Find(_) => ("import or pull the image again", Exit::Refused),
            Self::List(_) => ("check data_dir", Exit::Ours),
            Self::NothingToRun => ("COPY a program into it first, or begin FROM an image", Exit::Refused),
            Self::Status { .. } => {
                ("correct the step; those before it are kept for the next build", Exit::Refused)
            }
            Self::Memory { .. } => ("raise defaults.mem_limit_mb in the configuration", Exit::Refused),
            Self::Timeout { .. } => ("give it more time with --timeout", Exit::Timeout),
            Self::Disk { .. } => ("make room: `sandkasten image prune`, or a larger disk", Exit::Refused),
            Self::Interrupted => ("", Exit::Ours),
            Self::Build(error) => build_advice(error),
            Self::Sandboxes(_) | Self::Step(_) => {
                ("`sandkasten doctor` says what this host lacks", Exit::Ours)
            }
            Self::Space { .. } => ("check data_dir", Exit::Ours),
        }
    }
}

const fn build_advice(error: &BuildError) -> (&'static str, Exit) {
    match error {
        BuildError::NotPresent { .. } => {
            ("see `sandkasten image list` for the images there are", Exit::Refused)
        }
        BuildError::BuiltIn { .. } => ("begin with an image that was imported", Exit::Refused),
        BuildError::LayerLost { .. } => ("import the image again", Exit::Refused),
        BuildError::OnBuild { .. } => (
            "write its instructions into this Dockerfile, and begin with the image that it is made from",
            Exit::Refused,
        ),
        BuildError::Empty => ("copy something into it", Exit::Refused),
        BuildError::NoSource { .. } => ("check the path, which is relative to the context", Exit::Refused),
        BuildError::Store(ImportError::TooManyLayers { .. }) => {
            ("join steps: a RUN with &&, a COPY with several sources", Exit::Refused)
        }
        BuildError::Store(ImportError::Reserved { .. }) => ("choose another name", Exit::Refused),
        BuildError::Stage { .. }
        | BuildError::WriteArchive { .. }
        | BuildError::Store(_)
        | BuildError::ReadLayers { .. }
        | BuildError::Manifest { .. } => ("check data_dir and the space on its disk", Exit::Ours),
        _ => ("correct the step, or what it copies", Exit::Refused),
    }
}
