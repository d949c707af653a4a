//! The table read in plain Rust, number by number, to compare compiled programs with.

use super::evaluate::Call;
use super::instruction::Answer;
use super::numbers::{ALIASES, CANCELLED, NATIVE_ARCHITECTURE, UNASSIGNED};
use super::profile::SeccompProfile;
use super::rule::{Clause, Comparison, Relation, Rule};
use super::table::entries;

/// Says what a filter of the profile must answer to the call.
pub(super) fn expected(profile: SeccompProfile, call: &Call) -> Answer {
    if profile == SeccompProfile::Off {
        return Answer::Allow;
    }
    if call.architecture != NATIVE_ARCHITECTURE {
        return Answer::NotPermitted;
    }
    if call.number == CANCELLED {
        return Answer::Allow;
    }
    if ALIASES.iter().any(|range| range.contains(&call.number)) {
        return Answer::NotPermitted;
    }
    if profile == SeccompProfile::Strict && UNASSIGNED.iter().any(|range| range.contains(&call.number)) {
        return Answer::NotImplemented;
    }
    let entry = entries().find(|entry| entry.number == call.number && entry.applies_in(profile));
    match entry.map(|entry| entry.rule) {
        None => Answer::Allow,
        Some(Rule::Deny) => Answer::NotPermitted,
        Some(Rule::Absent) => Answer::NotImplemented,
        Some(Rule::DenyIf(clauses)) if clauses.iter().any(|clause| matches(clause, call)) => {
            Answer::NotPermitted
        }
        Some(Rule::DenyIf(_)) => Answer::Allow,
    }
}

fn matches(clause: &Clause, call: &Call) -> bool {
    clause.comparisons.iter().all(|comparison| holds(comparison, call))
}

fn holds(comparison: &Comparison, call: &Call) -> bool {
    let argument = call.arguments[usize::from(comparison.argument)];
    let compared = argument & u64::from(comparison.mask);
    let listed = comparison.values.iter().any(|&value| u64::from(value) == compared);
    match comparison.relation {
        Relation::OneOf => listed,
        Relation::NoneOf => !listed,
    }
}
