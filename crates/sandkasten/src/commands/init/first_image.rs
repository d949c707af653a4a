//! The image that sessions of a new installation start from.

use std::fmt;
use std::str::FromStr;

use sandkasten_daemon::config::ImagesConfig;
use sandkasten_image::{ImageName, ImageStore, ResolveImageError};
use sandkasten_registry::Reference;
use tokio::runtime::Handle;

use crate::cli_error::{CliError, Exit};
use crate::commands::image::{Pull, known_credentials, name_of};
use crate::human;

/// What most people want to run code in, if a registry has it.
const USUAL: &str = "python:3.12-slim";

/// What `init` was asked to take.
#[derive(Debug)]
pub(super) enum FirstImage {
    /// The built-in one.
    Host,
    /// One that is there by this name, or is pulled.
    Named(String),
    /// [`USUAL`], or the built-in one where that cannot be had.
    Usual,
}

/// The image that it came to.
#[derive(Debug)]
pub(super) struct TakenImage {
    name: String,
    remark: String,
}

impl FirstImage {
    /// # Errors
    /// Where the text names no image.
    pub(super) fn new(named: Option<&str>) -> Result<Self, CliError> {
        match named {
            None => Ok(Self::Usual),
            Some("host") => Ok(Self::Host),
            Some(text) => reference(text).map(|_| Self::Named(text.to_owned())),
        }
    }

    /// Says what is going to be done.
    pub(super) fn intention(&self) -> String {
        match self {
            Self::Host => "the built-in image host".to_owned(),
            Self::Named(name) => format!("the image {name}, pulled if it is not there"),
            Self::Usual => {
                format!("the image {USUAL}, or the built-in host where no registry can be reached")
            }
        }
    }

    /// Finds or pulls it.
    ///
    /// # Errors
    /// Where one that was named cannot be had.
    pub(super) async fn get(self, store: ImageStore) -> Result<TakenImage, CliError> {
        let runtime = Handle::current();
        let work = move || match self {
            Self::Host => Ok(TakenImage::host("built in")),
            Self::Named(name) => find_or_pull(&store, &runtime, &name),
            Self::Usual => Ok(find_or_pull(&store, &runtime, USUAL).unwrap_or_else(|error| {
                TakenImage::host(&format!("built in, as {USUAL} cannot be pulled: {}", error.why))
            })),
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| {
            CliError::ours("cannot get an image", &error, "this is a bug: please report it")
        })?
    }
}

impl TakenImage {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn host(remark: &str) -> Self {
        Self { name: "host".to_owned(), remark: remark.to_owned() }
    }
}

impl fmt::Display for TakenImage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, {}", self.name, self.remark)
    }
}

fn find_or_pull(store: &ImageStore, runtime: &Handle, text: &str) -> Result<TakenImage, CliError> {
    if let Ok(name) = ImageName::from_str(text) {
        match store.resolve(&name) {
            Ok(image) => {
                return Ok(TakenImage {
                    name: name.to_string(),
                    remark: format!("here already, {}", human::bytes(image.size_bytes)),
                });
            }
            Err(ResolveImageError::NotPresent { .. }) => {}
            Err(error) => {
                return Err(CliError::ours(
                    format!("cannot use the image {name}"),
                    &error,
                    "name another with --image",
                ));
            }
        }
    }
    let reference = reference(text)?;
    let name = name_of(&reference)?;
    let pull = Pull {
        reference: &reference,
        name: &name,
        credentials: known_credentials(runtime, &reference)?,
        // There is no configuration yet.
        images: &ImagesConfig::default(),
        stop: None,
        quiet: false,
    };
    let report = pull.carry_out(store, runtime)?;
    Ok(TakenImage { name: name.to_string(), remark: human::bytes(report.summary.bytes) })
}

fn reference(text: &str) -> Result<Reference, CliError> {
    text.parse().map_err(|error| CliError {
        exit: Exit::Usage,
        ..CliError::ours(
            format!("cannot use the image {text:?}"),
            &error,
            "name an image with --image, such as python:3.12-slim or host",
        )
    })
}
