//! Images: their names, their layers, safe unpacking of root file system archives, and the store on disk.
//!
//! Everything here blocks; callers on an async runtime use a blocking thread. The crate knows neither HTTP nor sessions:
//! it hands out directories and binds, and is told what is in use.

#![forbid(unsafe_code)]

mod digest;
mod name;

mod limits;

mod beneath;
mod elf;
mod root_view;
mod text_path;

mod unpack;

mod account;
mod claim;
mod download;
mod host;
mod manifest;
mod planned_layer;
mod shared_blob;
mod staging;

mod image;
mod pattern;
mod store;

mod assembly;
mod source;

mod build;
mod export;
mod import;
mod rebuild;
mod removal;
mod validate;

#[cfg(test)]
mod tests;

pub use account::AccountLayerError;
pub use assembly::MOST_LAYERS;
pub use build::{
    BuildAccount, BuildError, BuiltConfig, BuiltImage, Context, ContextRules, CopyItem, CopyOrigin, CopyPlan,
    CopyRequest, PathTest, Scratch, StageLayers, StepKey, StepLayer, platform,
};
pub use digest::{Digest, ParseDigestError};
pub use download::{BeginDownloadError, Download};
pub use export::{ExportError, ExportReport, ExportTarget};
pub use host::{RefreshHostError, host_configuration};
pub use image::{BrokenImage, HostBind, Image, ImageConfig, ImageListing};
pub use import::{ImportError, ImportOptions, ImportReport, ImportedLayer};
pub use limits::{LimitError, UnpackLimits};
pub use manifest::{ReadManifestError, WriteManifestError};
pub use name::{ImageName, ParseImageNameError};
pub use pattern::{ImagePattern, ParseImagePatternError};
pub use removal::{NothingInUse, PruneError, PruneReport, RemoveImageError, RemoveReport, Usage};
pub use shared_blob::{BlobClaim, FetchTurn, SharedBlob};
pub use source::{ImportSource, OpenSourceError, ReadImageError, documents};
pub use staging::{PublishLayerError, StageLayerError};
pub use store::{HeldLayers, ImageStore, ListImagesError, OpenStoreError, ResolveImageError};
pub use unpack::{Compression, HardlinkProblem, NameProblem, Progress, UnpackError, UnpackSummary};
pub use validate::{Check, CheckStatus, ValidateImageError, ValidationReport};
