//! The compiler from verdicts to classic BPF: a check of the architecture, then a binary search for the
//! number.
//!
//! Every jump goes forward, and every path ends in a return, so that a program cannot loop or run off its
//! end. The output depends on the profile and the target architecture alone.

use super::instruction::{ARCHITECTURE_OFFSET, Answer, Instruction, NUMBER_OFFSET};
use super::numbers::NATIVE_ARCHITECTURE;
use super::profile::SeccompProfile;
use super::rule::{Clause, Comparison, Relation};
use super::verdicts::{Segment, Verdict, segments};

/// Compiles the filter of a profile for the architecture this program is built for.
///
/// Returns `None` for [`SeccompProfile::Off`]. Calls of another architecture than the native one (32-bit
/// programs, `int 0x80` on x86-64) fail with `EPERM` whatever their number: their numbers mean other calls,
/// so that no rule of the table could be applied to them.
#[must_use]
pub fn compile(profile: SeccompProfile) -> Option<Vec<Instruction>> {
    if profile == SeccompProfile::Off {
        return None;
    }
    let mut program = vec![
        Instruction::load(ARCHITECTURE_OFFSET),
        Instruction::jump_if_equal(NATIVE_ARCHITECTURE, 1, 0),
        Instruction::answer(Answer::NotPermitted),
        Instruction::load(NUMBER_OFFSET),
    ];
    program.extend(search(&segments(profile)));
    Some(program)
}

/// Compiles a binary search for the segment that holds the loaded number.
pub(super) fn search(segments: &[Segment]) -> Vec<Instruction> {
    if let [segment] = segments {
        return leaf(segment.verdict);
    }
    let (lower, upper) = segments.split_at(segments.len() / 2);
    let boundary = upper.first().expect("the upper half of two or more segments is not empty").first;
    let lower = search(lower);
    let mut program = branch(boundary, lower.len());
    program.extend(lower);
    program.extend(search(upper));
    program
}

/// Compiles a jump over the lower half of a search.
fn branch(boundary: u32, distance: usize) -> Vec<Instruction> {
    match u8::try_from(distance) {
        Ok(distance) => vec![Instruction::jump_if_at_least(boundary, distance, 0)],
        // A conditional jump reaches 255 instructions; an unconditional one reaches all.
        Err(_) => {
            let distance = u32::try_from(distance).expect("a program is far shorter than 2^32 instructions");
            vec![Instruction::jump_if_at_least(boundary, 0, 1), Instruction::jump(distance)]
        }
    }
}

/// Compiles the end of a search.
fn leaf(verdict: Verdict) -> Vec<Instruction> {
    match verdict {
        Verdict::Fixed(answer) => vec![Instruction::answer(answer)],
        Verdict::Conditional(clauses) => {
            clauses.iter().flat_map(refuse_if_matching).chain([Instruction::answer(Answer::Allow)]).collect()
        }
    }
}

/// Compiles a clause: returns `EPERM` if it matches, goes on behind itself if not.
///
/// It is built from its end, as each comparison needs to know how far it is to there.
fn refuse_if_matching(clause: &Clause) -> Vec<Instruction> {
    let mut program = vec![Instruction::answer(Answer::NotPermitted)];
    for comparison in clause.comparisons.iter().rev() {
        let mut longer = compare(comparison, program.len());
        longer.extend(program);
        program = longer;
    }
    program
}

/// Compiles a comparison: goes on behind itself if it holds, and skips `rest` more instructions if not.
fn compare(comparison: &Comparison, rest: usize) -> Vec<Instruction> {
    let mut program = vec![Instruction::load_low_half(comparison.argument)];
    if comparison.mask != u32::MAX {
        program.push(Instruction::and(comparison.mask));
    }
    let count = comparison.values.len();
    for (index, &value) in comparison.values.iter().enumerate() {
        let to_end = count - 1 - index;
        let beyond = short(to_end + rest);
        let is_last = to_end == 0;
        program.push(match comparison.relation {
            Relation::OneOf => {
                Instruction::jump_if_equal(value, short(to_end), if is_last { beyond } else { 0 })
            }
            Relation::NoneOf => Instruction::jump_if_equal(value, beyond, 0),
        });
    }
    program
}

fn short(distance: usize) -> u8 {
    u8::try_from(distance).expect("a clause of the table compiles to less than 256 instructions")
}
