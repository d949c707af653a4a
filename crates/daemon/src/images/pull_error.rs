//! Why a pull is refused, and why one fails.

use std::error::Error;
use std::io;

use sandkasten_image::{BeginDownloadError, ImageName, ImportError, ParseImageNameError, UnpackError};
use sandkasten_registry::{FetchError, ParseReferenceError};

use super::ImageError;

/// Why nothing was asked of any registry.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeginPullError {
    /// What should be a reference is none.
    #[error("reference: {0}")]
    Reference(#[from] ParseReferenceError),
    /// The user, the password, or one of them alone is of no use.
    #[error("{problem}")]
    Credentials {
        /// What is wrong.
        problem: &'static str,
    },
    /// No image can have the name.
    #[error("cannot call an image {name:?}: {source}; choose another name")]
    Name {
        /// The name.
        name: String,
        /// Why.
        source: ParseImageNameError,
    },
    /// It is the name of the built-in image.
    #[error("the name {name} is reserved for the built-in image; choose another name")]
    Reserved {
        /// The name.
        name: ImageName,
    },
    /// No session could use an image of this name.
    #[error("the name {name} is not among allowed_images of the configuration; choose another name")]
    NotAllowed {
        /// The name.
        name: ImageName,
    },
    /// Clients may not pull from this registry.
    #[error(
        "clients may not pull from {registry}: it is not among images.pull_registries of the configuration"
    )]
    Registry {
        /// The registry, with its port if one was given.
        registry: String,
    },
    /// There are as many pulls as there may be.
    #[error("{most} pulls are under way already; try again when one of them has ended")]
    Busy {
        /// The limit.
        most: usize,
    },
}

/// Why a pull ended without an image. An older image of the name is as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    /// It could not be fetched.
    #[error("cannot pull {reference}: {}", source.with_root_cause())]
    Fetch {
        /// What was asked for.
        reference: String,
        /// Why.
        source: Box<FetchError>,
    },
    /// The name is allowed with other contents alone.
    #[error(
        "{reference} is {digest}, and allowed_images of the configuration has the name {name} with other digests alone"
    )]
    Content {
        /// What was asked for.
        reference: String,
        /// What it is.
        digest: String,
        /// What it was to be called.
        name: ImageName,
    },
    /// There was no place to fetch to.
    #[error(transparent)]
    Begin(#[from] BeginDownloadError),
    /// What was fetched could not be made an image of.
    #[error("make an image of what was fetched")]
    Import {
        /// Why.
        source: ImportError,
    },
    /// The image is there and cannot be shown.
    #[error(transparent)]
    Show(#[from] ImageError),
    /// The work ended without an answer.
    #[error("work on the images")]
    Task {
        /// Why.
        source: tokio::task::JoinError,
    },
    /// The daemon ends.
    #[error("the daemon is being stopped; pull again when it runs")]
    Stopped,
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Of the registry, or of the image that it has.
    Registry,
    /// The configuration does not want this image.
    Configuration,
    /// The disk is full.
    Space,
    /// Of this host or of ours; what exactly is for those who are on it.
    Ours,
}

impl PullError {
    /// Tells whose fault it is.
    pub(crate) fn fault(&self) -> Fault {
        if is_out_of_space(self) {
            return Fault::Space;
        }
        match self {
            Self::Fetch { source, .. } => match **source {
                FetchError::Space { .. } => Fault::Space,
                FetchError::Setup { .. }
                | FetchError::Write { .. }
                | FetchError::Share { .. }
                | FetchError::Present { .. } => Fault::Ours,
                _ => Fault::Registry,
            },
            Self::Stopped => Fault::Registry,
            Self::Content { .. } => Fault::Configuration,
            Self::Import { source } if is_of_the_image(source) => Fault::Registry,
            Self::Begin(_) | Self::Import { .. } | Self::Show(_) | Self::Task { .. } => Fault::Ours,
        }
    }
}

/// Tells whether an image cannot be imported for what is in it.
fn is_of_the_image(error: &ImportError) -> bool {
    match error {
        ImportError::Read { .. }
        | ImportError::Blob { .. }
        | ImportError::DiffId { .. }
        | ImportError::TooManyLayers { .. } => true,
        ImportError::Unpack { source } | ImportError::Layer { source, .. } => !matches!(
            source,
            UnpackError::Create { .. }
                | UnpackError::Replace { .. }
                | UnpackError::Write { .. }
                | UnpackError::Record { .. }
                | UnpackError::SetAttribute { .. }
                | UnpackError::Cancelled
        ),
        _ => false,
    }
}

/// Whether the reason behind an error is that nothing more fits on the disk.
fn is_out_of_space(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source())
        .filter_map(<dyn Error>::downcast_ref::<io::Error>)
        .any(|error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}

#[cfg(test)]
mod tests {
    use std::io;

    use sandkasten_image::{Digest, ImportError, UnpackError};
    use sandkasten_registry::FetchError;

    use super::{Fault, PullError};

    fn fetch(source: FetchError) -> PullError {
        PullError::Fetch { reference: "python".to_owned(), source: Box::new(source) }
    }

    fn layer(source: UnpackError) -> PullError {
        PullError::Import { source: ImportError::Layer { layer: Digest::of(b""), source } }
    }

    #[test]
    fn a_full_disk_is_told_from_other_faults_of_this_host_and_both_from_those_of_the_registry() {
        let write = |kind| FetchError::Write { path: "/p".into(), source: io::Error::from(kind) };
        let written = |kind| UnpackError::Write { name: "f".to_owned(), source: io::Error::from(kind) };
        let space = FetchError::Space { path: "/p".into(), needed: 2, available: 1 };
        for (error, fault) in [
            (fetch(space), Fault::Space),
            (fetch(write(io::ErrorKind::StorageFull)), Fault::Space),
            (fetch(write(io::ErrorKind::QuotaExceeded)), Fault::Space),
            (fetch(write(io::ErrorKind::PermissionDenied)), Fault::Ours),
            (fetch(FetchError::TooManyLayers { allowed: 1 }), Fault::Registry),
            (layer(written(io::ErrorKind::StorageFull)), Fault::Space),
            (layer(written(io::ErrorKind::ReadOnlyFilesystem)), Fault::Ours),
            (layer(UnpackError::Cancelled), Fault::Ours),
            (layer(UnpackError::Empty), Fault::Registry),
            (
                fetch(FetchError::Present { source: io::Error::from(io::ErrorKind::PermissionDenied) }),
                Fault::Ours,
            ),
        ] {
            assert_eq!(error.fault(), fault, "{error:?}");
        }
    }
}
