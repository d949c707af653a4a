//! The harness of the end-to-end tests: a daemon of the built binary for each test, and a check that nothing of it is
//! left.
//!
//! Knows the product only from outside: its command line, its API and what the kernel shows.
#![expect(clippy::print_stderr, reason = "a harness fails by panicking, and says what it skips")]

mod asked;
mod detached_daemon;
mod event_reader;
mod footprint;
mod idle_sandboxes;
mod layered_image;
mod leaks;
mod patience;
mod pseudo_terminal;
mod raw_api;
mod raw_connection;
mod root_archive;
mod session;
mod terminal;
mod test_daemon;
mod traces;
mod virtual_environment;
mod wait;

pub use asked::{asked, seed};
pub use detached_daemon::{DetachedDaemon, with_detached};
pub use event_reader::{EventReader, ReadEvent};
pub use footprint::{Footprint, surplus};
pub use layered_image::{LayerArchive, LayeredImage};
pub use leaks::{Leaks, instance_name};
pub use patience::{patience, patience_ms};
pub use pseudo_terminal::PseudoTerminal;
pub use raw_api::{Answer, RawApi};
pub use raw_connection::{RawConnection, status};
pub use root_archive::RootArchive;
pub use session::TestSession;
pub use terminal::TestTerminal;
pub use test_daemon::{API_KEY, TestDaemon, binary, with_config, with_daemon, with_open_daemon};
pub use traces::Traces;
pub use virtual_environment::make_virtual_environment;
pub use wait::{until, until_some};
