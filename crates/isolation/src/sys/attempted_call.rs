//! Refused calls, carried out to see whether they are.

use std::io;

use super::process_exit;
use crate::seccomp::{Attempt, Way};

/// Makes the call and returns what it returned, or none where there is no such call on this way. Meant for a process
/// of its own, which ends afterwards: a call that is let through may change that process, and on a way that the kernel
/// does not have it dies.
///
/// # Errors
/// The kernel's; which one it is, is the point.
pub fn attempt_call(attempt: &Attempt, way: Way) -> Option<io::Result<i64>> {
    let number = attempt.number(way)?;
    // SAFETY: attempts come from the table of `seccomp::attempt` alone, whose arguments hold no pointer into this
    // process: null, or an address that is never mapped. So whatever the kernel does, it writes to no memory of ours.
    let result = unsafe {
        match way {
            Way::Native | Way::X32 => native(number, &attempt.arguments),
            Way::Compatible => compatible(number, &attempt.arguments),
        }
    };
    if result == 0 && attempt.entry.name == "clone" {
        // The child of a clone that was let through.
        process_exit::exit_now(0);
    }
    Some(if (-4_095..0).contains(&result) {
        Err(io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(libc::EIO)))
    } else {
        Ok(result)
    })
}

/// # Safety
/// The call must not write to memory of this process.
unsafe fn native(number: u32, arguments: &[u64; 6]) -> i64 {
    let [first, second, third, fourth, fifth, sixth] = *arguments;
    let result: i64;
    // SAFETY: the instruction changes no register but the named ones; the caller vouches for the call.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") i64::from(number) => result,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            in("r8") fifth,
            in("r9") sixth,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// # Safety
/// The call must not write to memory of this process.
unsafe fn compatible(number: u32, arguments: &[u64; 6]) -> i64 {
    let [first, second, third, fourth, fifth, _] = *arguments;
    let result: i64;
    // SAFETY: rbx, which the compiler keeps to itself, is put back; the other registers are named. The sixth argument,
    // in ebp, is whatever that holds: no attempt depends on it. The caller vouches for the call.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {first}",
            "int 0x80",
            "xchg rbx, {first}",
            first = inout(reg) first => _,
            inlateout("rax") i64::from(number) => result,
            in("rcx") second,
            in("rdx") third,
            in("rsi") fourth,
            in("rdi") fifth,
            lateout("r8") _,
            lateout("r9") _,
            lateout("r10") _,
            lateout("r11") _,
        );
    }
    // A 32-bit call answers in the low half.
    i64::from(truncated(result))
}

#[expect(clippy::cast_possible_truncation, reason = "the high half means nothing")]
fn truncated(result: i64) -> i32 {
    result as i32
}
