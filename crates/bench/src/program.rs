//! Programs without a library, a loader or a start-up, so that what is measured is the kernel's work and ours. They run in any
//! image, and outside alike.

/// Where the program is in memory, and in the file: behind the two headers.
const ADDRESS: u64 = 0x40_0000;
const HEADERS: u16 = 64 + 56;

/// mov eax, 60; xor edi, edi; syscall: exit(0).
const EXIT: &[u8] = &[0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05];

/// Returns a program that exits with 0.
#[must_use]
pub(crate) fn exit() -> Vec<u8> {
    executable(EXIT)
}

/// Returns a program that counts down to nothing and exits.
#[must_use]
pub(crate) fn count_down(from: u64) -> Vec<u8> {
    let mut code = vec![0x48, 0xb9]; // mov rcx, from
    code.extend(from.to_le_bytes());
    code.extend([0x48, 0xff, 0xc9]); // again: dec rcx
    code.extend([0x75, 0xfb]); // jnz again
    code.extend(EXIT);
    executable(&code)
}

/// Returns a program that makes the system call getpid so many times and exits.
#[must_use]
pub(crate) fn system_calls(times: u64) -> Vec<u8> {
    let mut code = vec![0x48, 0xbb]; // mov rbx, times
    code.extend(times.to_le_bytes());
    code.extend([0xb8, 39, 0, 0, 0]); // again: mov eax, 39
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0x48, 0xff, 0xcb]); // dec rbx
    code.extend([0x75, 0xf4]); // jnz again
    code.extend(EXIT);
    executable(&code)
}

/// Puts an ELF header and one program header in front of code for x86-64: elf(5).
fn executable(code: &[u8]) -> Vec<u8> {
    let size = u64::from(HEADERS) + code.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [2_u16, 62] {
        file.extend(half.to_le_bytes()); // ET_EXEC, EM_X86_64
    }
    file.extend(1_u32.to_le_bytes());
    for word in [ADDRESS + u64::from(HEADERS), 64, 0] {
        file.extend(word.to_le_bytes()); // the entry, the program headers, no section headers
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes()); // sizes and numbers of headers
    }
    for word in [1_u32, 5] {
        file.extend(word.to_le_bytes()); // PT_LOAD, readable and executable
    }
    for word in [0, ADDRESS, ADDRESS, size, size, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;
    use std::time::Instant;

    use super::{count_down, exit, system_calls};

    /// Runs a program and returns its exit status and the seconds it took.
    fn run(program: &[u8]) -> (Option<i32>, f64) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("program");
        fs::write(&path, program).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
        let started = Instant::now();
        let status = Command::new(&path).status().expect("it runs");
        (status.code(), started.elapsed().as_secs_f64())
    }

    #[test]
    fn all_programs_run_and_exit() {
        for program in [exit(), count_down(1), count_down(1_000_000), system_calls(1), system_calls(1_000)] {
            assert_eq!(run(&program).0, Some(0));
        }
    }

    #[test]
    fn more_work_takes_longer() {
        // A thousand times the work, so that no other program of the host can turn it around.
        assert!(run(&count_down(2_000_000_000)).1 > run(&count_down(2_000_000)).1);
        assert!(run(&system_calls(3_000_000)).1 > run(&system_calls(3_000)).1);
    }
}
