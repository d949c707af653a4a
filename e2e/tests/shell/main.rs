//! Sequences of commands that nobody chose, in every shell: drawn, run, held against a small model, shrunk where they fail.
//!
//! `SANDKASTEN_E2E_CASES=N` draws N sequences a test, of a new seed each time; `SANDKASTEN_E2E_SEED=N` repeats those of a seed.
#![expect(clippy::print_stdout, reason = "a test says what it has drawn or measured, and what it skips")]

mod cases;
mod found;
mod fuzz;
mod known_wrong;
mod model;
mod piece;
mod play;
mod render;
mod shells;
mod strategy;
