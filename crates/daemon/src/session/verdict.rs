//! Why a job ended, judged from how it ended and what was measured.

use sandkasten_api::verdict::{Reason, Verdict};

use super::measure::Measured;

/// How a job came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// By itself, with this status, and by this signal where that was seen.
    Itself { status: i32, signal: Option<i32> },
    /// It was killed at its timeout.
    Timeout { limit_ms: u64, used_ms: u64 },
    /// It was cancelled.
    Cancelled,
}

/// The limits that a verdict may be about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) memory_bytes: u64,
    pub(super) pids: u64,
    /// The size of a file system of the session that is full, in bytes.
    pub(super) full_disk: Option<u64>,
}

/// Judges. A limit that was met counts as the reason only where the job failed: who copes with it has not failed by it.
pub(super) fn judge(cause: Cause, measured: Measured, bounds: Bounds) -> Verdict {
    let (reason, signal) = find_reason(cause, measured, bounds);
    let (limit, used) = match (reason, cause) {
        (Reason::Timeout, Cause::Timeout { limit_ms, used_ms }) => (Some(limit_ms), Some(used_ms)),
        (Reason::Oom, _) => (Some(bounds.memory_bytes), measured.peak_memory_bytes),
        (Reason::PidsLimit, _) => (Some(bounds.pids), Some(bounds.pids)),
        (Reason::DiskFull, _) => (bounds.full_disk, bounds.full_disk),
        _ => (None, None),
    };
    let signal = signal.map(signal_name);
    let hint = hint(reason, cause, signal.as_deref(), limit, measured);
    Verdict {
        reason,
        signal,
        limit,
        used,
        peak_memory_bytes: measured.peak_memory_bytes,
        cpu_usec: measured.cpu_usec,
        hint,
    }
}

fn find_reason(cause: Cause, measured: Measured, bounds: Bounds) -> (Reason, Option<i32>) {
    const SIGKILL: i32 = 9;
    let (status, signal) = match cause {
        Cause::Timeout { .. } => return (Reason::Timeout, None),
        Cause::Cancelled => return (Reason::Cancelled, None),
        // A shell gives the signal that ended its command only as a status.
        Cause::Itself { status, signal } => {
            (status, signal.or((129..=192).contains(&status).then(|| status - 128)))
        }
    };
    // The counters are the session's, so that what runs at the same time may have met the limit. A signal that no limit
    // sends is told apart at least.
    if status == 0 {
        (Reason::Exit, None)
    } else if measured.oom_kills > 0 && signal.is_none_or(|signal| signal == SIGKILL) {
        (Reason::Oom, Some(SIGKILL))
    } else if signal.is_some() {
        (Reason::Signal, signal)
    } else if measured.refused_forks > 0 {
        (Reason::PidsLimit, None)
    } else if bounds.full_disk.is_some() {
        (Reason::DiskFull, None)
    } else {
        (Reason::Exit, None)
    }
}

fn hint(
    reason: Reason,
    cause: Cause,
    signal: Option<&str>,
    limit: Option<u64>,
    measured: Measured,
) -> Option<String> {
    let limit = limit.unwrap_or_default();
    let mebibytes = limit >> 20;
    Some(match (reason, cause) {
        (Reason::Exit, Cause::Itself { status: 0, .. }) => return None,
        (Reason::Exit, Cause::Itself { status: 127, .. }) => {
            "A program was not found; check its name with `command -v`, or install it.".to_owned()
        }
        (Reason::Exit, Cause::Itself { status: 126, .. }) => {
            "A program could not be executed; check that it is a program and that its mode allows it."
                .to_owned()
        }
        (Reason::Exit, Cause::Itself { status, .. }) => {
            format!("The command failed by itself with status {status}; its output says why.")
        }
        // Neither is judged so.
        (Reason::Exit, Cause::Timeout { .. } | Cause::Cancelled) => return None,
        (Reason::Signal, _) => {
            format!("{} ended the command; no limit of the session was met.", signal.unwrap_or("A signal"))
        }
        (Reason::Timeout, _) => format!(
            "It ran past its {limit} ms and was killed with everything it started; give more time with timeout_ms, or start \
             what runs long with POST …/processes."
        ),
        (Reason::Oom, _) => format!(
            "The kernel killed {} process(es) because the session's {mebibytes} MiB of memory were used up, files in \
             /workspace and /tmp included; work on smaller pieces, or remove files.",
            measured.oom_kills
        ),
        (Reason::PidsLimit, _) => format!(
            "No further process or thread could be started: the session has {limit} of them; run fewer at once, and end \
             what is left in the background."
        ),
        (Reason::DiskFull, _) => format!(
            "A file system of {mebibytes} MiB in the session is full; remove files (see `df -h`), then run the command again."
        ),
        (Reason::Cancelled, _) => "It was cancelled; run it again if it is still wanted.".to_owned(),
        (Reason::SandboxLost, _) => "The sandbox has gone; create a new session.".to_owned(),
    })
}

/// A signal as kill(1) calls it; one without a name by its number.
pub(super) fn signal_name(number: i32) -> String {
    let name = SIGNALS.iter().find(|(_, known)| *known == number).map(|(name, _)| format!("SIG{name}"));
    name.unwrap_or_else(|| format!("SIG{number}"))
}

/// Finds a signal by its name, with or without `SIG`, or its number as text: signal(7).
pub(crate) fn parse_signal(text: &str) -> Option<i32> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let named = SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    named.or_else(|| upper.parse().ok().filter(|number| (1..=64).contains(number)))
}

/// The signals of x86-64 and every other architecture but three: signal(7).
const SIGNALS: [(&str, i32); 31] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

#[cfg(test)]
mod tests {
    use sandkasten_api::verdict::Reason;

    use super::{Bounds, Cause, Measured, judge, parse_signal, signal_name};

    const BOUNDS: Bounds = Bounds { memory_bytes: 512 << 20, pids: 64, full_disk: None };

    fn reason(status: i32, measured: Measured, bounds: Bounds) -> Reason {
        judge(Cause::Itself { status, signal: None }, measured, bounds).reason
    }

    #[test]
    fn a_limit_is_the_reason_only_of_a_failure() {
        let (met, full) = (
            Measured { oom_kills: 1, refused_forks: 2, ..Measured::default() },
            Bounds { full_disk: Some(1), ..BOUNDS },
        );
        assert_eq!(reason(0, met, full), Reason::Exit);
        assert_eq!(reason(137, met, full), Reason::Oom);
        assert_eq!(reason(1, Measured { oom_kills: 0, ..met }, full), Reason::PidsLimit);
        assert_eq!(reason(1, Measured::default(), full), Reason::DiskFull);
        assert_eq!(reason(139, met, full), Reason::Signal);
        assert_eq!(reason(1, Measured::default(), BOUNDS), Reason::Exit);
    }

    #[test]
    fn every_failure_has_a_hint_and_success_has_none() {
        assert_eq!(judge(Cause::Itself { status: 0, signal: None }, Measured::default(), BOUNDS).hint, None);
        for cause in [
            Cause::Itself { status: 1, signal: None },
            Cause::Itself { status: 127, signal: None },
            Cause::Itself { status: 139, signal: Some(11) },
            Cause::Timeout { limit_ms: 5, used_ms: 6 },
            Cause::Cancelled,
        ] {
            let hint = judge(cause, Measured::default(), BOUNDS).hint.expect("a hint");
            assert!(!hint.contains('\n') && hint.ends_with('.'), "{hint}");
        }
    }

    #[test]
    fn a_timeout_says_its_limit_and_what_was_used() {
        let verdict = judge(Cause::Timeout { limit_ms: 100, used_ms: 103 }, Measured::default(), BOUNDS);
        assert_eq!((verdict.reason, verdict.limit, verdict.used), (Reason::Timeout, Some(100), Some(103)));
    }

    #[test]
    fn signals_go_by_name_and_number() {
        for (text, number) in [("TERM", 15), ("sigterm", 15), ("15", 15), ("SIGINT", 2), ("64", 64)] {
            assert_eq!(parse_signal(text), Some(number), "{text}");
        }
        for junk in ["", "0", "65", "SIG", "NOPE", "-9", "9 "] {
            assert_eq!(parse_signal(junk), None, "{junk}");
        }
        assert_eq!((signal_name(11), signal_name(40)), ("SIGSEGV".to_owned(), "SIG40".to_owned()));
    }
}
