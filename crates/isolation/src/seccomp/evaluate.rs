//! A strict interpreter of classic BPF as seccomp runs it, the proof that a program says what the table says.
//!
//! It takes what the kernel takes (`seccomp_check_filter` and `bpf_check_classic`) and less: an operation the
//! compiler has no use for is a fault, as is a value used before it is loaded.

use super::instruction::{
    AND, ARCHITECTURE_OFFSET, ARGUMENTS_OFFSET, Instruction, JUMP, JUMP_IF_AT_LEAST, JUMP_IF_EQUAL, LOAD,
    NUMBER_OFFSET, RETURN,
};

/// `BPF_MAXINSNS`, the longest program that the kernel takes.
pub(super) const MAXIMUM_LENGTH: usize = 4096;

/// The size of `struct seccomp_data`.
const DATA_SIZE: u32 = 64;

/// A call as the kernel describes it to a filter.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Call {
    pub(super) architecture: u32,
    pub(super) number: u32,
    pub(super) arguments: [u64; 6],
}

/// What a program returned, and after how many instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) value: u32,
    pub(super) steps: usize,
}

/// Why a program is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Length(usize),
    UnknownOperation(usize),
    JumpOutOfRange(usize),
    LoadOutOfRange(usize),
    NoReturnAtEnd,
    NothingLoaded(usize),
}

/// A program that the kernel would take.
#[derive(Clone, Debug)]
pub(super) struct Program {
    instructions: Vec<Instruction>,
}

impl Program {
    /// Checks a whole program, reachable or not.
    pub(super) fn new(instructions: Vec<Instruction>) -> Result<Self, Fault> {
        check(&instructions)?;
        Ok(Self { instructions })
    }

    pub(super) fn len(&self) -> usize {
        self.instructions.len()
    }

    /// Runs the program for a call.
    pub(super) fn evaluate(&self, call: &Call) -> Result<Outcome, Fault> {
        let data = call.to_data();
        let mut accumulator = None;
        let mut next = 0;
        for steps in 1.. {
            let Instruction { code, jt, jf, k } =
                *self.instructions.get(next).ok_or(Fault::JumpOutOfRange(next))?;
            let loaded = accumulator.ok_or(Fault::NothingLoaded(next));
            next += 1;
            match code {
                LOAD => {
                    let start = k as usize;
                    let bytes = data[start..start + 4].try_into().expect("four bytes were taken");
                    accumulator = Some(u32::from_le_bytes(bytes));
                }
                AND => accumulator = Some(loaded? & k),
                JUMP => next += k as usize,
                JUMP_IF_EQUAL => next += usize::from(if loaded? == k { jt } else { jf }),
                JUMP_IF_AT_LEAST => next += usize::from(if loaded? >= k { jt } else { jf }),
                RETURN => return Ok(Outcome { value: k, steps }),
                _ => return Err(Fault::UnknownOperation(next - 1)),
            }
        }
        unreachable!("every jump goes forward, so that a program ends")
    }

    /// Says whether the kernel can see that the program lets all calls of a number pass.
    ///
    /// It follows the number and the architecture through it, and gives up at any other load
    /// (`seccomp_is_const_allow`, since Linux 5.11).
    pub(super) fn is_always_allowed(&self, architecture: u32, number: u32) -> bool {
        let mut value = 0;
        let mut next = 0;
        while let Some(&Instruction { code, jt, jf, k }) = self.instructions.get(next) {
            next += 1;
            match code {
                LOAD if k == NUMBER_OFFSET => value = number,
                LOAD if k == ARCHITECTURE_OFFSET => value = architecture,
                AND => value &= k,
                JUMP => next += k as usize,
                JUMP_IF_EQUAL => next += usize::from(if value == k { jt } else { jf }),
                JUMP_IF_AT_LEAST => next += usize::from(if value >= k { jt } else { jf }),
                RETURN => return k == libc::SECCOMP_RET_ALLOW,
                _ => return false,
            }
        }
        false
    }
}

fn check(program: &[Instruction]) -> Result<(), Fault> {
    if program.is_empty() || program.len() > MAXIMUM_LENGTH {
        return Err(Fault::Length(program.len()));
    }
    for (index, instruction) in program.iter().enumerate() {
        let behind = program.len() - index - 1;
        let reach = match instruction.code {
            JUMP => instruction.k as usize,
            JUMP_IF_EQUAL | JUMP_IF_AT_LEAST => usize::from(instruction.jt.max(instruction.jf)),
            LOAD if !instruction.k.is_multiple_of(4) || instruction.k >= DATA_SIZE => {
                return Err(Fault::LoadOutOfRange(index));
            }
            LOAD | AND | RETURN => continue,
            _ => return Err(Fault::UnknownOperation(index)),
        };
        if reach >= behind {
            return Err(Fault::JumpOutOfRange(index));
        }
    }
    match program.last() {
        Some(Instruction { code: RETURN, .. }) => Ok(()),
        _ => Err(Fault::NoReturnAtEnd),
    }
}

impl Call {
    /// Lays the call out as `struct seccomp_data`; the instruction pointer is left zero.
    fn to_data(self) -> [u8; DATA_SIZE as usize] {
        let mut data = [0; DATA_SIZE as usize];
        let mut put = |offset: u32, bytes: &[u8]| {
            let offset = offset as usize;
            data[offset..offset + bytes.len()].copy_from_slice(bytes);
        };
        put(NUMBER_OFFSET, &self.number.to_le_bytes());
        put(ARCHITECTURE_OFFSET, &self.architecture.to_le_bytes());
        for (offset, argument) in (ARGUMENTS_OFFSET..).step_by(8).zip(self.arguments) {
            put(offset, &argument.to_le_bytes());
        }
        data
    }
}

#[cfg(test)]
mod tests {
    use super::super::instruction::Answer;
    use super::*;

    const END: Instruction = Instruction::answer(Answer::Allow);

    fn fault_of(program: &[Instruction]) -> Fault {
        Program::new(program.to_vec()).and_then(|program| program.evaluate(&Call::default())).unwrap_err()
    }

    #[test]
    fn faulty_programs_are_refused() {
        let division = Instruction { code: 0x34, jt: 0, jf: 0, k: 0 };
        let load = Instruction::load(NUMBER_OFFSET);
        assert_eq!(fault_of(&[]), Fault::Length(0));
        assert_eq!(fault_of(&[END; MAXIMUM_LENGTH + 1]), Fault::Length(MAXIMUM_LENGTH + 1));
        assert_eq!(fault_of(&[load, division, END]), Fault::UnknownOperation(1));
        assert_eq!(fault_of(&[Instruction::jump(1), END]), Fault::JumpOutOfRange(0));
        assert_eq!(fault_of(&[Instruction::jump(u32::MAX), END]), Fault::JumpOutOfRange(0));
        assert_eq!(fault_of(&[load, Instruction::jump_if_equal(0, 0, 1), END]), Fault::JumpOutOfRange(1));
        assert_eq!(fault_of(&[Instruction::load(2), END]), Fault::LoadOutOfRange(0));
        assert_eq!(fault_of(&[Instruction::load(DATA_SIZE), END]), Fault::LoadOutOfRange(0));
        assert_eq!(fault_of(&[END, load]), Fault::NoReturnAtEnd);
        assert_eq!(fault_of(&[Instruction::and(1), END]), Fault::NothingLoaded(0));
    }

    #[test]
    fn a_program_sees_each_half_of_each_argument() {
        let arguments = [0, 0, 0, 0, 0, 0x1111_2222_3333_4444];
        let call = Call { architecture: 7, number: 9, arguments };
        for (offset, value) in [(0, 9), (4, 7), (56, 0x3333_4444), (60, 0x1111_2222)] {
            let refuse = Instruction::answer(Answer::NotPermitted);
            let program = Program::new(vec![
                Instruction::load(offset),
                Instruction::jump_if_equal(value, 0, 1),
                END,
                refuse,
            ])
            .unwrap();
            assert_eq!(program.evaluate(&call), Ok(Outcome { value: Answer::Allow.value(), steps: 3 }));
        }
    }
}
