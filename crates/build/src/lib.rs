//! Dockerfiles as plain data: what they say, what each step of them is to do, and what `.dockerignore` leaves out.
//!
//! Pure: nothing here reads a file, knows an image or runs anything. What is not supported is refused by its name and line
//! while parsing, so before anything runs. Why this is our own: docs/adr/0013-images-from-dockerfiles.md.

#![forbid(unsafe_code)]

mod problem;

mod heredoc;
mod lines;
mod words;

mod flags;
mod instruction;

mod dockerfile;
mod ignore;
mod stage_state;

#[cfg(test)]
mod tests;

pub use dockerfile::{Dockerfile, Stage, StageSource};
pub use heredoc::Heredoc;
pub use ignore::{IgnoreError, IgnoreRules, Wildcard};
pub use instruction::{CommandForm, CopyInstruction, CopyOrigin, Instruction, RunInstruction};
pub use problem::{DockerfileError, Problem};
pub use stage_state::{BuildArguments, CopySource, CopyStep, RunStep, StageState, Step};

/// The largest Dockerfile.
pub const MAX_DOCKERFILE_BYTES: u64 = 1 << 20;
/// The largest `.dockerignore`.
pub const MAX_IGNORE_BYTES: u64 = 1 << 20;
