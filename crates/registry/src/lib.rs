//! Pulls images from registries that speak the distribution protocol of OCI, which is also that of Docker.
//!
//! Knows references, credentials and transfers. Must not know the store: it writes a layout of OCI into a directory, which an
//! import then reads and checks again. A registry is hostile: whatever it sends is bounded in size and time and checked by
//! digest, and it learns no credentials but those meant for it.

#![forbid(unsafe_code)]

mod challenge;
mod credentials;
mod error;
mod fetch;
mod helper;
mod mirror;
mod options;
mod reference;
mod registry;
mod remote_image;
mod repository;
mod stored;
mod token;
mod transport;

#[cfg(test)]
mod tests;

pub use credentials::{Credentials, Secret};
pub use error::FetchError;
pub use fetch::{Destination, FetchEvent, OnEvent};
pub use helper::HelperError;
pub use mirror::Mirror;
pub use options::{MirrorOptions, Patience, PlainHttpHosts, RegistryOptions};
pub use reference::{ParseReferenceError, Reference, ReferenceProblem};
pub use registry::Registry;
pub use remote_image::RemoteImage;
pub use stored::{StoredCredentialsError, stored_credentials};
