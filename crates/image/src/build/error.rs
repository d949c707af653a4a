//! What can go wrong while layers are built.

use std::io;
use std::path::PathBuf;

use crate::import::ImportError;
use crate::manifest::ReadManifestError;
use crate::name::ImageName;
use crate::staging::StageLayerError;
use crate::unpack::UnpackError;

/// A step was not carried out; the layers before it are as they were.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no such image.
    #[error("the image {name} is not present")]
    NotPresent {
        /// Its name.
        name: ImageName,
    },
    /// The image is made of this host.
    #[error("the image {name} is made of this host's own files, and nothing can be built on it")]
    BuiltIn {
        /// Its name.
        name: ImageName,
    },
    /// The manifest of an image is unusable.
    #[error("read the image {name}")]
    Manifest {
        /// Its name.
        name: ImageName,
        /// Why.
        source: ReadManifestError,
    },
    /// An image is from before layers could be built on.
    #[error("the image {name} has lost what is known about its layer {layer}")]
    LayerLost {
        /// Its name.
        name: ImageName,
        /// The layer.
        layer: String,
    },
    /// The configuration of an image cannot be read.
    #[error("read the configuration of the image below")]
    Configuration {
        /// Why.
        source: serde_json::Error,
    },
    /// An image wants instructions to be run by those that are built on it.
    #[error("the image {name} has ONBUILD instructions, which are not supported")]
    OnBuild {
        /// Its name.
        name: ImageName,
    },
    /// The image would have nothing in it.
    #[error("there is not one file in the image")]
    Empty,
    /// There is no place for what a step writes.
    #[error("make a place for what a step writes")]
    Stage {
        /// Why.
        source: StageLayerError,
    },
    /// The layers so far could not be read.
    #[error("read the layers below")]
    ReadLayers {
        /// Why.
        source: io::Error,
    },
    /// What a step has changed could not be read.
    #[error("read {path:?} of what the step has changed")]
    ReadChanges {
        /// The path in the image.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// What a step has changed goes past a limit.
    #[error("make a layer of what the step has changed")]
    Changes {
        /// Why.
        source: UnpackError,
    },
    /// A file has a name that means something else in layers.
    #[error("{path:?} cannot be in an image: in layers, names that begin with .wh. mean deletions")]
    NameOfDeletion {
        /// The path in the image.
        path: String,
    },
    /// The archive of a layer could not be written.
    #[error("write the archive of the layer")]
    WriteArchive {
        /// Why.
        source: io::Error,
    },
    /// The layer could not be put into the store.
    #[error(transparent)]
    Store(#[from] ImportError),
    /// The context could not be opened.
    #[error("open the context {path}")]
    OpenContext {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A source of a copy is not there.
    #[error("{path:?} is not there, or .dockerignore leaves it out")]
    NoSource {
        /// The source as it was given.
        path: String,
    },
    /// A pattern is none.
    #[error("{pattern:?} is no pattern of names")]
    Pattern {
        /// The pattern.
        pattern: String,
    },
    /// A source of a copy could not be read.
    #[error("read the source {path:?}")]
    ReadSource {
        /// Its path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A source of a copy is no file and no directory.
    #[error("{path:?} is neither a file nor a directory")]
    SourceKind {
        /// Its path.
        path: String,
    },
    /// There is too much to copy.
    #[error("there are more than {allowed} {what} to copy")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        allowed: u64,
    },
    /// Something of the destination is in the way.
    #[error("{path:?} in the image is no directory, and nothing can be copied into it")]
    Destination {
        /// The path in the image.
        path: String,
    },
    /// A file was changed while it was copied.
    #[error("{path:?} has changed while it was copied")]
    Changed {
        /// Its path.
        path: String,
    },
    /// An archive that was to be unpacked could not be.
    #[error("unpack {path:?}")]
    AddedArchive {
        /// Its path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A user is not known to the image.
    #[error("the image has no user {user:?} in /etc/passwd")]
    NoSuchUser {
        /// The name.
        user: String,
    },
    /// A group is not known to the image.
    #[error("the image has no group {group:?} in /etc/group")]
    NoSuchGroup {
        /// The name.
        group: String,
    },
    /// An id is none that sandboxes have.
    #[error("the user or group {text:?} has no id from 0 to 65535")]
    IdTooHigh {
        /// As it was given.
        text: String,
    },
    /// The caller stopped it.
    #[error("the build was cancelled")]
    Cancelled,
}
