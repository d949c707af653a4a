//! Builds Linux sandboxes out of kernel mechanisms, and reads back what is in force.
//!
//! Synchronous. Knows neither HTTP nor SQL nor images: callers hand over directories, limits and a uid range.
//! `plan` and `seccomp` are pure data; `host` holds the undoable steps taken from outside by the daemon; `enter`
//! the one-way steps taken from inside by the runner; `report` and `probe` say what the kernel really does.

pub mod controls;
pub mod descriptor_message;
pub mod enter;
mod error_chain;
mod foreign_text;
pub mod host;
pub mod plan;
pub mod probe;
pub mod report;
pub mod seccomp;
mod sys;

pub use error_chain::error_chain;
pub use foreign_text::printable;
pub use sys::attempted_call::attempt_call;
pub use sys::inherited::{keep_descriptors_from_programs, take_inherited};
pub use sys::process_exit::exit_now;
