//! The Sandkasten daemon: the HTTP API over sessions, and everything that keeps them true.
//!
//! Inside, calls go one way: `http` knows `session`, `session` knows `store` and the isolation and image crates. Only
//! `http` names axum, only `store` names SQL.
#![forbid(unsafe_code)]

mod admission;
mod build;
pub mod config;
mod daemon;
mod heartbeat;
mod http;
mod idempotency;
mod image_usage;
mod images;
mod log_file;
mod loopback_daemon;
mod metrics;
mod passed_socket;
mod places;
mod pool;
mod presence;
mod private_daemon;
mod reaper;
mod recovery;
mod session;
mod store;
mod workspace;

pub use crate::http::openapi;
pub use build::{BuildSandboxes, BuildStep, BuildStepError, OpenBuildError, StepEnd};
pub use daemon::{Daemon, ServeError, StartError};
pub use heartbeat::{Heartbeat, HeartbeatError};
pub use image_usage::{ImageUsage, ImageUsageError};
pub use images::{describe_broken_image, describe_image};
pub use log_file::{OpenLogError, open_log};
pub use loopback_daemon::LoopbackDaemon;
pub use passed_socket::{PassedSocket, PassedSocketError};
pub use places::{PlacesError, private_directory};
pub use presence::{DaemonRecord, FindDaemonError, ListenerOrigin, RunningDaemon};
pub use private_daemon::{PrivateDaemon, StartPrivateError, StopPrivateError};
pub use sandkasten_isolation::keep_descriptors_from_programs;
