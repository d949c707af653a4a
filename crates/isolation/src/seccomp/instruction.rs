//! Instructions of classic BPF as seccomp takes them, and the few forms the compiler emits.
//!
//! Loads of the number and the architecture, comparisons, jumps and returns are all that is emitted before an
//! unconditional answer. Since Linux 5.11 the kernel proves for such programs which calls always pass, and
//! then runs no filter for them at all (commit 8e01b51a31a1); `program_tests` holds the compiler to it.

use serde::{Deserialize, Serialize};

/// An instruction of classic BPF, laid out like the kernel's `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(C)]
pub struct Instruction {
    /// The operation.
    pub code: u16,
    /// How many instructions a conditional jump skips if the condition holds.
    pub jt: u8,
    /// How many instructions a conditional jump skips if the condition does not hold.
    pub jf: u8,
    /// The operand: a constant, an offset into `struct seccomp_data`, or a jump distance.
    pub k: u32,
}

// The program is passed to the kernel as it lies in memory.
const _: () = {
    assert!(size_of::<Instruction>() == size_of::<libc::sock_filter>());
    assert!(align_of::<Instruction>() == align_of::<libc::sock_filter>());
    assert!(std::mem::offset_of!(Instruction, code) == std::mem::offset_of!(libc::sock_filter, code));
    assert!(std::mem::offset_of!(Instruction, jt) == std::mem::offset_of!(libc::sock_filter, jt));
    assert!(std::mem::offset_of!(Instruction, jf) == std::mem::offset_of!(libc::sock_filter, jf));
    assert!(std::mem::offset_of!(Instruction, k) == std::mem::offset_of!(libc::sock_filter, k));
};

/// `BPF_LD | BPF_W | BPF_ABS`.
pub(super) const LOAD: u16 = 0x20;
/// `BPF_ALU | BPF_AND | BPF_K`.
pub(super) const AND: u16 = 0x54;
/// `BPF_JMP | BPF_JA`.
pub(super) const JUMP: u16 = 0x05;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
pub(super) const JUMP_IF_EQUAL: u16 = 0x15;
/// `BPF_JMP | BPF_JGE | BPF_K`.
pub(super) const JUMP_IF_AT_LEAST: u16 = 0x35;
/// `BPF_RET | BPF_K`.
pub(super) const RETURN: u16 = 0x06;

/// The offset of the call's number in `struct seccomp_data`.
pub(super) const NUMBER_OFFSET: u32 = 0;
/// The offset of the architecture in `struct seccomp_data`.
pub(super) const ARCHITECTURE_OFFSET: u32 = 4;
/// The offset of the arguments, of 8 bytes each, in `struct seccomp_data`.
pub(super) const ARGUMENTS_OFFSET: u32 = 16;

/// The end of a program: what the kernel is to do with the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The call is made.
    Allow,
    /// The call fails with `EPERM`.
    NotPermitted,
    /// The call fails with `ENOSYS`.
    NotImplemented,
}

impl Answer {
    /// The value a program returns to the kernel for this answer.
    pub(super) const fn value(self) -> u32 {
        match self {
            Self::Allow => libc::SECCOMP_RET_ALLOW,
            Self::NotPermitted => libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned(),
            Self::NotImplemented => libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned(),
        }
    }
}

impl Instruction {
    /// Loads four bytes of `struct seccomp_data`.
    pub(super) const fn load(offset: u32) -> Self {
        Self::plain(LOAD, offset)
    }

    /// Loads the low half of an argument; both supported architectures are little-endian.
    pub(super) const fn load_low_half(argument: u8) -> Self {
        Self::load(ARGUMENTS_OFFSET + 8 * argument as u32)
    }

    /// Clears all but the given bits of what was loaded.
    pub(super) const fn and(mask: u32) -> Self {
        Self::plain(AND, mask)
    }

    /// Skips instructions.
    pub(super) const fn jump(distance: u32) -> Self {
        Self::plain(JUMP, distance)
    }

    /// Skips `jt` instructions if what was loaded is `value`, and `jf` if not.
    pub(super) const fn jump_if_equal(value: u32, jt: u8, jf: u8) -> Self {
        Self { code: JUMP_IF_EQUAL, jt, jf, k: value }
    }

    /// Skips `jt` instructions if what was loaded is `value` or more, and `jf` if less.
    pub(super) const fn jump_if_at_least(value: u32, jt: u8, jf: u8) -> Self {
        Self { code: JUMP_IF_AT_LEAST, jt, jf, k: value }
    }

    /// Ends the program.
    pub(super) const fn answer(answer: Answer) -> Self {
        Self::answer_value(answer.value())
    }

    /// Ends the program with what the kernel is told.
    pub(super) const fn answer_value(value: u32) -> Self {
        Self::plain(RETURN, value)
    }

    /// Whether the instruction ends the program.
    #[cfg(feature = "weaken")]
    pub(crate) const fn is_return(&self) -> bool {
        self.code == RETURN
    }

    const fn plain(code: u16, k: u32) -> Self {
        Self { code, jt: 0, jf: 0, k }
    }
}

#[cfg(test)]
mod tests {
    use super::super::numbers::NATIVE_ARCHITECTURE;
    use super::*;

    #[test]
    fn answers_are_those_of_the_kernel() {
        assert_eq!(Answer::Allow.value(), 0x7FFF_0000);
        assert_eq!(Answer::NotPermitted.value(), 0x0005_0001);
        assert_eq!(Answer::NotImplemented.value(), 0x0005_0026);
    }

    #[test]
    fn operations_are_those_of_the_kernel() {
        for (operation, kernel) in [
            (LOAD, libc::BPF_LD | libc::BPF_W | libc::BPF_ABS),
            (AND, libc::BPF_ALU | libc::BPF_AND | libc::BPF_K),
            (JUMP, libc::BPF_JMP | libc::BPF_JA),
            (JUMP_IF_EQUAL, libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K),
            (JUMP_IF_AT_LEAST, libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K),
            (RETURN, libc::BPF_RET | libc::BPF_K),
        ] {
            assert_eq!(u32::from(operation), kernel);
        }
    }

    #[test]
    fn the_native_architecture_is_a_little_endian_64_bit_machine() {
        let machine = if cfg!(target_arch = "x86_64") { libc::EM_X86_64 } else { libc::EM_AARCH64 };
        assert_eq!(NATIVE_ARCHITECTURE, u32::from(machine) | 0x8000_0000 | 0x4000_0000);
    }
}
