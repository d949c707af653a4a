//! What `sandkasten bench` measures: what this kernel takes at least for a sandbox, what a daemon of this very binary takes over
//! HTTP, and what other sandboxes take that are installed beside it.
//!
//! [`measure()`] gives a [`Report`], which knows what was promised of each figure. Nothing here prints. The daemon is a process
//! of its own, [`DaemonProcess`] from outside and [`serve()`] from inside.
#![forbid(unsafe_code)]

mod accepted;
mod budget;
mod comparison;
mod daemon_process;
mod group;
mod html;
mod machine;
mod measure;
mod peers;
mod program;
mod report;
mod samples;
mod serve;
mod statistics;
mod subject;
mod unit;

pub use accepted::Accepted;
pub use budget::{Judgement, Measure, Verdict};
pub use comparison::{Change, ComparedFigure, Comparison, Scale, compare};
pub use daemon_process::{DaemonProcess, DaemonProcessError};
pub use group::{Group, UnknownGroup};
pub use html::html;
pub use machine::Machine;
pub use measure::{Settings, measure};
pub use report::{DensityStep, PeerRow, Report, Row, Status};
pub use serve::{ServeError, serve};
pub use statistics::{Better, Statistics};
pub use subject::Subject;
pub use unit::{Unit, digits};
