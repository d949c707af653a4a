//! The shape of the table: an entry per system call, with a rule that is data and its reasons beside it.

use super::profile::SeccompProfile;

/// One refused system call, and why.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The kernel's name of the call.
    pub name: &'static str,
    /// The number of the call on this architecture.
    pub number: u32,
    /// What the filter does with the call.
    pub rule: Rule,
    /// The laxest profile that applies the rule; every stricter one applies it too.
    pub from: SeccompProfile,
    /// Why the call is refused.
    pub reason: &'static str,
    /// Which programs would notice.
    pub missed_by: &'static str,
}

/// What the filter does with a call.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// The call fails with `EPERM`.
    Deny,
    /// The call fails with `ENOSYS`, as on a kernel without it, so that libraries take their older path.
    Absent,
    /// The call fails with `EPERM` if at least one clause matches, and passes otherwise.
    DenyIf(&'static [Clause]),
}

/// A combination of arguments that is refused.
#[derive(Clone, Copy, Debug)]
pub struct Clause {
    /// What this combination is, in words.
    pub meaning: &'static str,
    /// The comparisons; the clause matches if all of them hold.
    pub comparisons: &'static [Comparison],
}

/// A test of one argument.
///
/// Only the low 32 bits are looked at. The kernel reads each argument compared in the table as a 32-bit (or
/// shorter) value, so that a caller can put anything into the high half without changing what the call does;
/// a 64-bit comparison would miss such calls (CVE-2019-10063).
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// The index of the argument, from 0 to 5.
    pub argument: u8,
    /// The bits that are compared.
    pub mask: u32,
    /// How the masked argument must relate to `values`.
    pub relation: Relation,
    /// The values compared with.
    pub values: &'static [u32],
}

/// How a masked argument relates to a list of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The comparison holds if the argument is in the list.
    OneOf,
    /// The comparison holds if the argument is not in the list.
    NoneOf,
}

impl Comparison {
    /// Holds if the low half of the argument is one of the values.
    pub(super) const fn one_of(argument: u8, values: &'static [u32]) -> Self {
        Self { argument, mask: u32::MAX, relation: Relation::OneOf, values }
    }

    /// Holds if the low half of the argument is none of the values.
    pub(super) const fn none_of(argument: u8, values: &'static [u32]) -> Self {
        Self { argument, mask: u32::MAX, relation: Relation::NoneOf, values }
    }

    /// Holds if at least one of the given bits of the argument is set.
    pub(super) const fn any_bit(argument: u8, bits: u32) -> Self {
        Self { argument, mask: bits, relation: Relation::NoneOf, values: &[0] }
    }

    /// Restricts the comparison to the given bits.
    pub(super) const fn masked(self, mask: u32) -> Self {
        Self { mask, ..self }
    }
}

/// Starts an entry whose call always fails with `EPERM`.
pub(super) const fn deny(name: &'static str, number: libc::c_long, from: SeccompProfile) -> Entry {
    entry(name, number, from, Rule::Deny)
}

/// Starts an entry whose call always fails with `ENOSYS`.
pub(super) const fn absent(name: &'static str, number: libc::c_long, from: SeccompProfile) -> Entry {
    entry(name, number, from, Rule::Absent)
}

/// Starts an entry whose call fails with `EPERM` if one of the clauses matches.
pub(super) const fn deny_if(
    name: &'static str,
    number: libc::c_long,
    from: SeccompProfile,
    clauses: &'static [Clause],
) -> Entry {
    entry(name, number, from, Rule::DenyIf(clauses))
}

impl Entry {
    /// Says why the call is refused.
    pub(super) const fn because(self, reason: &'static str) -> Self {
        Self { reason, ..self }
    }

    /// Says which programs would notice.
    pub(super) const fn missed_by(self, missed_by: &'static str) -> Self {
        Self { missed_by, ..self }
    }

    /// Says whether the given profile applies this entry.
    #[must_use]
    pub fn applies_in(&self, profile: SeccompProfile) -> bool {
        self.from <= profile
    }
}

const fn entry(name: &'static str, number: libc::c_long, from: SeccompProfile, rule: Rule) -> Entry {
    Entry { name, number: narrow(number), rule, from, reason: "", missed_by: "" }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the assertion fails the build for a number that is not a small natural one"
)]
const fn narrow(number: libc::c_long) -> u32 {
    assert!(number >= 0 && number < 1024, "a system call number is small");
    number as u32
}
