//! Claims about the compiled programs, proved by running them in the interpreter.

use super::compile::{compile, search};
use super::evaluate::{Call, Program};
use super::instruction::{Answer, Instruction, JUMP, NUMBER_OFFSET};
use super::numbers::{CANCELLED, NATIVE_ARCHITECTURE};
use super::probe::{Filter, argument_lists, call};
use super::profile::SeccompProfile::{Mvp, Off, Strict};
use super::verdicts::{Segment, Verdict};

const I386: u32 = 0x4000_0003;
const ARM: u32 = 0x4000_0028;
const X32_BIT: u32 = 0x4000_0000;

#[test]
fn off_has_no_program() {
    assert_eq!(compile(Off), None);
}

#[test]
fn every_number_in_every_abi_is_answered_as_the_table_says() {
    let lists = argument_lists();
    for filter in Filter::both() {
        for number in 0..700 {
            for arguments in &lists {
                let native = Call { architecture: NATIVE_ARCHITECTURE, number, arguments: *arguments };
                filter.answers_as_the_table(&native);
                let other = Call { number: number | X32_BIT, ..native };
                filter.answers_as_the_table(&other);
                for architecture in [I386, ARM, 0, u32::MAX, NATIVE_ARCHITECTURE ^ 0x8000_0000] {
                    filter.answers(&Call { architecture, ..native }, Answer::NotPermitted);
                }
            }
        }
    }
}

#[test]
fn numbers_at_the_edges_are_answered_as_the_table_says() {
    let edges = [1023, 1024, 0x3FFF_FFFF, X32_BIT, 0x7FFF_FFFF, 0x8000_0000, u32::MAX - 1, u32::MAX];
    for filter in Filter::both() {
        edges.iter().for_each(|&number| filter.answers_as_the_table(&call(number, &[])));
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn x32_calls_are_refused_under_both_of_their_numbers() {
    for filter in Filter::both() {
        for number in (512..=547).chain((0..700).map(|number| number | X32_BIT)).chain([u32::MAX - 1]) {
            filter.answers(&call(number, &[]), Answer::NotPermitted);
        }
    }
}

#[test]
fn a_cancelled_call_is_left_to_the_kernel() {
    Filter::both().iter().for_each(|filter| filter.answers(&call(CANCELLED, &[]), Answer::Allow));
}

#[test]
fn calls_of_future_kernels_do_not_exist_in_strict_only() {
    for number in [472, 480, 511, 548, 600, 4096, 0x3FFF_FFFF] {
        Filter::new(Strict).answers(&call(number, &[]), Answer::NotImplemented);
        Filter::new(Mvp).answers(&call(number, &[]), Answer::Allow);
    }
}

#[test]
fn whatever_mvp_refuses_strict_refuses_alike() {
    let [mvp, strict] = Filter::both();
    let lists = argument_lists();
    for number in (0..700).chain([X32_BIT, X32_BIT | 56, u32::MAX - 1]) {
        for arguments in &lists {
            let call = call(number, arguments);
            let outcome = mvp.run(&call);
            if outcome.value != Answer::Allow.value() {
                assert_eq!(strict.run(&call).value, outcome.value, "{call:?}");
            }
        }
    }
}

#[test]
fn programs_are_far_shorter_than_the_kernel_allows() {
    for filter in Filter::both() {
        assert!(filter.program.len() < 512, "{}: {}", filter.profile, filter.program.len());
    }
}

#[test]
fn the_same_profile_compiles_to_the_same_program() {
    assert_eq!(compile(Strict), compile(Strict));
    assert_ne!(compile(Strict), compile(Mvp));
}

#[test]
fn a_search_over_many_segments_takes_long_jumps() {
    let answer_to =
        |number: u32| if number.is_multiple_of(2) { Answer::Allow } else { Answer::NotImplemented };
    let segments: Vec<_> =
        (0..1300).map(|first| Segment { first, verdict: Verdict::Fixed(answer_to(first)) }).collect();
    let mut program = vec![Instruction::load(NUMBER_OFFSET)];
    program.extend(search(&segments));
    assert!(program.iter().any(|instruction| instruction.code == JUMP));
    let program = Program::new(program).unwrap();
    for number in 0..1300 {
        let outcome = program.evaluate(&call(number, &[])).unwrap();
        assert_eq!(outcome.value, answer_to(number).value(), "{number}");
    }
}
