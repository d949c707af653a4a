//! From the table to a verdict for each number: segments of equal verdict that cover all 32-bit numbers.

use std::ops::RangeInclusive;

use super::instruction::Answer;
use super::numbers::{ALIASES, UNASSIGNED};
use super::profile::SeccompProfile;
use super::rule::{Clause, Rule};
use super::table::entries;

/// What a filter says to a number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    /// The answer does not depend on the arguments.
    Fixed(Answer),
    /// The call is refused if one of the clauses matches.
    Conditional(&'static [Clause]),
}

/// The numbers from `first` up to the next segment, which have the same verdict.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) first: u32,
    pub(super) verdict: Verdict,
}

impl Verdict {
    fn same_fixed_answer(self, other: Self) -> bool {
        matches!((self, other), (Self::Fixed(one), Self::Fixed(two)) if one == two)
    }
}

impl From<Rule> for Verdict {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::Deny => Self::Fixed(Answer::NotPermitted),
            Rule::Absent => Self::Fixed(Answer::NotImplemented),
            Rule::DenyIf(clauses) => Self::Conditional(clauses),
        }
    }
}

/// Cuts all numbers into segments, in ascending order; the first one begins at 0.
pub(super) fn segments(profile: SeccompProfile) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut next = Some(0);
    for (range, verdict) in refusals(profile) {
        let first = *range.start();
        assert!(next.is_some_and(|next| next <= first), "{range:?} has two verdicts");
        if next != Some(first) {
            push(&mut segments, next.unwrap_or(first), Verdict::Fixed(Answer::Allow));
        }
        push(&mut segments, first, verdict);
        next = range.end().checked_add(1);
    }
    if let Some(first) = next {
        push(&mut segments, first, Verdict::Fixed(Answer::Allow));
    }
    segments
}

/// All numbers that the profile does not simply let pass, in ascending order.
fn refusals(profile: SeccompProfile) -> Vec<(RangeInclusive<u32>, Verdict)> {
    let listed = entries()
        .filter(|entry| entry.applies_in(profile))
        .map(|entry| (entry.number..=entry.number, Verdict::from(entry.rule)));
    let aliases = ALIASES.iter().map(|range| (range.clone(), Verdict::Fixed(Answer::NotPermitted)));
    // A kernel newer than the table may have dangerous calls there, which the strict profile must not let
    // pass.
    let unassigned = UNASSIGNED
        .iter()
        .filter(|_| profile == SeccompProfile::Strict)
        .map(|range| (range.clone(), Verdict::Fixed(Answer::NotImplemented)));
    let mut refusals: Vec<_> = listed.chain(aliases).chain(unassigned).collect();
    refusals.sort_by_key(|(range, _)| *range.start());
    refusals
}

/// Appends a segment, or extends the last one if that says the same.
fn push(segments: &mut Vec<Segment>, first: u32, verdict: Verdict) {
    let extends = segments.last().is_some_and(|last: &Segment| last.verdict.same_fixed_answer(verdict));
    if !extends {
        segments.push(Segment { first, verdict });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_begin_at_zero_and_ascend() {
        for profile in [SeccompProfile::Mvp, SeccompProfile::Strict] {
            let segments = segments(profile);
            assert_eq!(segments[0].first, 0);
            assert!(segments.is_sorted_by(|one, two| one.first < two.first));
        }
    }

    #[test]
    fn neighbours_differ_in_their_verdict() {
        let segments = segments(SeccompProfile::Strict);
        assert!(segments.is_sorted_by(|one, two| !one.verdict.same_fixed_answer(two.verdict)));
    }
}
