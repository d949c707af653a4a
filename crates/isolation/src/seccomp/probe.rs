//! Compiled filters and calls to try on them, for the tests of this module.

use super::compile::compile;
use super::evaluate::{Call, Outcome, Program};
use super::expected::expected;
use super::instruction::Answer;
use super::numbers::NATIVE_ARCHITECTURE;
use super::profile::SeccompProfile::{self, Mvp, Strict};
use super::rule::{Entry, Rule};
use super::table::entries;

/// What a caller may leave in the half of an argument that the kernel does not read.
pub(super) const GARBAGE: u64 = 0xDEAD_BEEF_0000_0000;

/// A compiled profile with the calls one makes to it.
pub(super) struct Filter {
    pub(super) profile: SeccompProfile,
    pub(super) program: Program,
}

impl Filter {
    pub(super) fn new(profile: SeccompProfile) -> Self {
        let program = compile(profile).expect("the profile has a filter");
        Self { profile, program: Program::new(program).expect("the kernel would take the program") }
    }

    pub(super) fn both() -> [Self; 2] {
        [Self::new(Mvp), Self::new(Strict)]
    }

    pub(super) fn run(&self, call: &Call) -> Outcome {
        self.program.evaluate(call).unwrap_or_else(|fault| panic!("{}: {call:?}: {fault:?}", self.profile))
    }

    pub(super) fn answers(&self, call: &Call, answer: Answer) {
        assert_eq!(self.run(call).value, answer.value(), "{}: {call:?}: want {answer:?}", self.profile);
    }

    pub(super) fn answers_as_the_table(&self, call: &Call) {
        self.answers(call, expected(self.profile, call));
    }
}

pub(super) fn call(number: u32, arguments: &[u64]) -> Call {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    Call { architecture: NATIVE_ARCHITECTURE, number, arguments: all }
}

fn entry(name: &str) -> &'static Entry {
    entries().find(|entry| entry.name == name).expect("the call is in the table")
}

pub(super) fn named(name: &str, arguments: &[u64]) -> Call {
    call(entry(name).number, arguments)
}

/// Argument lists that reach both sides of every comparison in the table, with and without high garbage.
pub(super) fn argument_lists() -> Vec<[u64; 6]> {
    let mut values = vec![0, 1, 2, 3, 10, 16, 0x80, 0x2000, 0x6000, 0x8000, u64::from(u32::MAX), u64::MAX];
    for entry in entries() {
        if let Rule::DenyIf(clauses) = entry.rule {
            for comparison in clauses.iter().flat_map(|clause| clause.comparisons) {
                for &value in comparison.values {
                    let value = u64::from(value);
                    values.extend([value, value ^ 1, value ^ 0x8000_0000, value | GARBAGE]);
                    values.push(value | u64::from(!comparison.mask));
                }
            }
        }
    }
    values.sort_unstable();
    values.dedup();
    let same_everywhere = values.iter().map(|&value| [value; 6]);
    let one_place = (0..3).flat_map(|place| {
        values.iter().map(move |&value| {
            let mut arguments = [0; 6];
            arguments[place] = value;
            arguments
        })
    });
    same_everywhere.chain(one_place).collect()
}
