//! What the filter of a step of a build does in addition: programs that make accounts ask for the kernel's audit log, and give up
//! where that is refused in a way that they do not know.

use super::instruction::{ARCHITECTURE_OFFSET, Instruction, NUMBER_OFFSET};
use super::numbers::NATIVE_ARCHITECTURE;

/// Returns a filter that answers sockets of `NETLINK_AUDIT` as a kernel without an audit log does, `EPROTONOSUPPORT`, and
/// everything else as `filter` does. It lets nothing more through.
#[must_use]
pub fn for_building(filter: Vec<Instruction>) -> Vec<Instruction> {
    let refusal = libc::SECCOMP_RET_ERRNO | libc::EPROTONOSUPPORT.cast_unsigned();
    let mut program = vec![
        Instruction::load(ARCHITECTURE_OFFSET),
        Instruction::jump_if_equal(NATIVE_ARCHITECTURE, 0, 7),
        Instruction::load(NUMBER_OFFSET),
        Instruction::jump_if_equal(SOCKET, 0, 5),
        Instruction::load_low_half(0),
        Instruction::jump_if_equal(libc::AF_NETLINK.cast_unsigned(), 0, 3),
        Instruction::load_low_half(2),
        Instruction::jump_if_equal(libc::NETLINK_AUDIT.cast_unsigned(), 0, 1),
        Instruction::answer_value(refusal),
    ];
    program.extend(filter);
    program
}

#[expect(clippy::cast_possible_truncation, reason = "it is a small number")]
const SOCKET: u32 = libc::SYS_socket as u32;

#[cfg(test)]
mod tests {
    use super::super::compile::compile;
    use super::super::evaluate::{Call, Program};
    use super::super::numbers::NATIVE_ARCHITECTURE;
    use super::super::profile::SeccompProfile::{Mvp, Strict};
    use super::{SOCKET, for_building};

    #[test]
    fn only_sockets_of_the_audit_log_are_answered_otherwise() {
        for profile in [Mvp, Strict] {
            let filter = compile(profile).expect("a filter");
            let building = Program::new(for_building(filter.clone())).expect("a program");
            let plain = Program::new(filter).expect("a program");
            let audit = [16, 3, 9, 0, 0, 0];
            for architecture in [NATIVE_ARCHITECTURE, 0x4000_0003, 0] {
                for number in 0..500 {
                    for arguments in
                        [audit, [16, 3, 0, 0, 0, 0], [16, 3, 6, 0, 0, 0], [2, 1, 9, 0, 0, 0], [0; 6]]
                    {
                        let call = Call { architecture, number, arguments };
                        let answer = building.evaluate(&call).expect("an answer").value;
                        if (architecture, number, arguments) == (NATIVE_ARCHITECTURE, SOCKET, audit) {
                            assert_eq!(answer, 0x0005_0000 | 93);
                        } else {
                            assert_eq!(answer, plain.evaluate(&call).expect("an answer").value, "{call:?}");
                        }
                    }
                }
            }
        }
    }
}
