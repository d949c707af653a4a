//! The system call filter: the table of refused calls, and its compilation to classic BPF.
//!
//! Owns what is refused and why. It knows nothing of how a filter is installed, and makes no system call
//! itself: the caller passes the compiled program to seccomp(2) after `no_new_privs` is set. See docs/seccomp.md.

mod attempt;
mod building;
mod compile;
mod instruction;
mod markdown;
mod numbers;
mod profile;
mod rule;
mod table;
mod verdicts;

#[cfg(test)]
mod argument_tests;
#[cfg(test)]
mod cost_tests;
#[cfg(test)]
mod evaluate;
#[cfg(test)]
mod expected;
#[cfg(test)]
mod probe;
#[cfg(test)]
mod program_tests;
#[cfg(test)]
mod table_tests;

pub use self::attempt::{Attempt, Way, attempts};
pub use self::building::for_building;
pub use self::compile::compile;
pub use self::instruction::Instruction;
pub use self::markdown::markdown_table;
pub use self::profile::{ParseSeccompProfileError, SeccompProfile};
pub use self::rule::{Clause, Comparison, Entry, Relation, Rule};
pub use self::table::entries;
