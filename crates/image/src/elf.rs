//! The little of the ELF format that says whether a program can start: its machine and its interpreter.

/// What a program asks of the system it runs on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// `e_machine`, see elf(5).
    pub(crate) machine: u16,
    /// Path of the dynamic loader; none in a static program.
    pub(crate) interpreter: Option<Vec<u8>>,
}

const PROGRAM_HEADER_INTERPRETER: u64 = 3;
const LONGEST_INTERPRETER: usize = 4096;

/// Reads the headers from the first bytes of a program; none where they are no little-endian ELF program.
pub(crate) fn parse(bytes: &[u8]) -> Option<Program> {
    if bytes.get(..4)? != b"\x7fELF" || bytes.get(5)? != &1 {
        return None;
    }
    let wide = match bytes.get(4)? {
        1 => false,
        2 => true,
        _ => return None,
    };
    let machine = u16::try_from(number(bytes, 18, 2)?).ok()?;
    let (table, entry_size, count) = if wide {
        (number(bytes, 32, 8)?, number(bytes, 54, 2)?, number(bytes, 56, 2)?)
    } else {
        (number(bytes, 28, 4)?, number(bytes, 42, 2)?, number(bytes, 44, 2)?)
    };
    let mut interpreter = None;
    for index in 0..count {
        let header = usize::try_from(table.checked_add(index.checked_mul(entry_size)?)?).ok()?;
        if number(bytes, header, 4)? == PROGRAM_HEADER_INTERPRETER {
            let (offset, size) = if wide {
                (number(bytes, header.checked_add(8)?, 8)?, number(bytes, header.checked_add(32)?, 8)?)
            } else {
                (number(bytes, header.checked_add(4)?, 4)?, number(bytes, header.checked_add(16)?, 4)?)
            };
            let (offset, size) = (usize::try_from(offset).ok()?, usize::try_from(size).ok()?);
            let text = bytes.get(offset..offset.checked_add(size.min(LONGEST_INTERPRETER))?)?;
            interpreter = Some(text.split(|byte| *byte == 0).next()?.to_vec());
        }
    }
    Some(Program { machine, interpreter })
}

/// Returns `e_machine` of the programs this host runs, where it is known.
pub(crate) fn host_machine() -> Option<u16> {
    match std::env::consts::ARCH {
        "x86_64" => Some(62),
        "aarch64" => Some(183),
        "riscv64" => Some(243),
        _ => None,
    }
}

fn number(bytes: &[u8], offset: usize, size: usize) -> Option<u64> {
    let field = bytes.get(offset..offset.checked_add(size)?)?;
    Some(field.iter().rev().fold(0, |value, byte| (value << 8) | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::{host_machine, parse};

    #[test]
    fn this_very_program_parses() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let program = parse(&bytes).unwrap();
        assert_eq!(Some(program.machine), host_machine());
    }

    #[test]
    fn cut_and_hostile_headers_are_no_program() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        for length in 0..400 {
            parse(&bytes[..length]);
        }
        let mut hostile = bytes[..64].to_vec();
        hostile[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(parse(&hostile), None);
        assert_eq!(parse(b"#!/bin/sh\n"), None);
    }
}
