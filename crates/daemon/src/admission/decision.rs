//! Whether one more session may be made, as a pure function of what there is and of what is configured.

use std::fmt;
use std::thread::available_parallelism;

use super::host_memory::HostMemory;
use crate::config::{AdmissionConfig, Config};

const MIB: u64 = 1 << 20;
/// How many creates each processor has at once where nothing is configured: a create waits for the kernel in between, so that one
/// or two leave a processor idle; with more than these, all together are no faster, and each takes longer.
const CREATES_A_PROCESSOR: usize = 4;
/// Which part of the host's memory stays free where nothing is configured, and how much of it at most.
const FREE_PART: u64 = 20;
const MOST_FREE: u64 = 512 * MIB;

/// What there is at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Load {
    pub(super) live: usize,
    pub(super) under_way: usize,
    /// None where it was not looked at, and then it lacks nothing.
    pub(super) memory: Option<HostMemory>,
}

/// What is configured, in numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limits {
    pub(super) sessions: usize,
    pub(super) concurrent: usize,
    pub(super) waiting: usize,
    pub(super) free_bytes: u64,
    pub(super) pressure_percent: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decision {
    Admit,
    Wait(Shortage),
}

/// What a create needs and there is not, with the numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shortage {
    /// There are as many sessions as may be.
    Place { live: usize, under_way: usize, most: usize },
    /// As many are being made as may be at once.
    Turn { most: usize },
    /// Too little memory is available, in bytes.
    Memory { available: u64, least: u64 },
    /// Too much of the time was spent waiting for memory, in percent.
    Pressure { percent: f64, most: f64 },
}

impl Limits {
    pub(super) fn new(config: &Config, total_memory: u64) -> Self {
        let whole = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let AdmissionConfig { concurrent_creates, max_waiting, min_free_memory_mb, .. } = config.admission;
        let processors = available_parallelism().map_or(1, usize::from);
        Self {
            sessions: whole(config.max_sessions),
            concurrent: concurrent_creates.number().map_or(processors * CREATES_A_PROCESSOR, whole),
            waiting: whole(max_waiting),
            free_bytes: min_free_memory_mb
                .number()
                .map_or((total_memory / FREE_PART).min(MOST_FREE), |mib| u64::from(mib) * MIB),
            pressure_percent: f64::from(config.admission.max_memory_pressure),
        }
    }
}

/// Decides about one more create.
pub(super) fn decide(now: &Load, limits: &Limits) -> Decision {
    let &Load { live, under_way, memory } = now;
    if live + under_way >= limits.sessions {
        return Decision::Wait(Shortage::Place { live, under_way, most: limits.sessions });
    }
    if under_way >= limits.concurrent {
        return Decision::Wait(Shortage::Turn { most: limits.concurrent });
    }
    let Some(HostMemory { available_bytes, full_percent }) = memory else { return Decision::Admit };
    if let Some(available) = available_bytes.filter(|available| *available < limits.free_bytes) {
        return Decision::Wait(Shortage::Memory { available, least: limits.free_bytes });
    }
    if let Some(percent) = full_percent.filter(|percent| *percent > limits.pressure_percent) {
        return Decision::Wait(Shortage::Pressure { percent, most: limits.pressure_percent });
    }
    Decision::Admit
}

impl Shortage {
    /// Whether what is lacking is the host's, and no more sessions fit by any limit's change.
    pub(crate) fn is_of_memory(&self) -> bool {
        matches!(self, Self::Memory { .. } | Self::Pressure { .. })
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place { live, under_way, most } => write!(
                formatter,
                "there is no place for a session: {live} are live and {under_way} being made, of the {most} of \
                 max_sessions; destroy one, raise the limit, or wait for a place with wait_ms"
            ),
            Self::Turn { most } => write!(
                formatter,
                "as many sessions are being made as admission.concurrent_creates allows at once, {most}; try again, or \
                 wait longer with wait_ms"
            ),
            Self::Memory { available, least } => write!(
                formatter,
                "the host has too little memory for another session: {} MiB are available, and \
                 admission.min_free_memory_mb keeps {} MiB free; destroy sessions, or try again later",
                available / MIB,
                least / MIB
            ),
            Self::Pressure { percent, most } => write!(
                formatter,
                "the host has too little memory for another session: for {percent:.2} % of the last 10 s all its \
                 processes waited for memory, and admission.max_memory_pressure is {most} %; destroy sessions, or try \
                 again later"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision, Limits, Load, MIB, Shortage, decide};
    use crate::admission::host_memory::HostMemory;
    use crate::config::{Automatic, Config};

    const LIMITS: Limits =
        Limits { sessions: 10, concurrent: 2, waiting: 5, free_bytes: 100, pressure_percent: 20.0 };

    fn load(live: usize, under_way: usize, available: u64, percent: f64) -> Load {
        let memory = HostMemory { available_bytes: Some(available), full_percent: Some(percent) };
        Load { live, under_way, memory: Some(memory) }
    }

    #[test]
    fn a_create_needs_a_place_a_turn_and_memory_in_this_order() {
        let wait = |load| match decide(&load, &LIMITS) {
            Decision::Admit => None,
            Decision::Wait(shortage) => Some(shortage),
        };
        assert_eq!(wait(load(8, 1, 100, 20.0)), None);
        let place = |live, under_way| Some(Shortage::Place { live, under_way, most: 10 });
        assert_eq!(wait(load(8, 2, 0, 99.0)), place(8, 2));
        assert_eq!(wait(load(10, 0, 100, 0.0)), place(10, 0));
        // An earlier daemon may have had a higher limit.
        assert_eq!(wait(load(11, 0, 100, 0.0)), place(11, 0));
        assert_eq!(wait(load(0, 2, 0, 99.0)), Some(Shortage::Turn { most: 2 }));
        assert_eq!(wait(load(0, 0, 99, 99.0)), Some(Shortage::Memory { available: 99, least: 100 }));
        assert_eq!(wait(load(0, 0, 100, 20.01)), Some(Shortage::Pressure { percent: 20.01, most: 20.0 }));
    }

    #[test]
    fn what_was_not_looked_at_lacks_nothing() {
        let unknown = HostMemory { available_bytes: None, full_percent: None };
        for memory in [None, Some(unknown)] {
            assert_eq!(decide(&Load { memory, ..load(0, 0, 0, 0.0) }, &LIMITS), Decision::Admit);
        }
    }

    #[test]
    fn without_a_setting_a_part_of_the_hosts_memory_stays_free() {
        let mut config = Config::default();
        let free = |config: &Config, total| Limits::new(config, total).free_bytes;
        assert_eq!(free(&config, 2_000 * MIB), 100 * MIB);
        assert_eq!(free(&config, 1 << 40), 512 * MIB);
        config.admission.min_free_memory_mb = Automatic::Is(7);
        assert_eq!(free(&config, 1 << 40), 7 * MIB);
        assert!(Limits::new(&config, 0).concurrent >= 2);
    }

    #[test]
    fn a_shortage_says_what_there_is_and_what_would_have_to_be() {
        for (shortage, words) in [
            (
                Shortage::Place { live: 3, under_way: 2, most: 5 },
                ["3 are live and 2 being made", "max_sessions"],
            ),
            (Shortage::Turn { most: 4 }, ["admission.concurrent_creates allows at once, 4", "wait_ms"]),
            (
                Shortage::Memory { available: 7 * MIB, least: 9 * MIB },
                ["7 MiB are available", "keeps 9 MiB free"],
            ),
            (Shortage::Pressure { percent: 31.456, most: 20.0 }, ["31.46 %", "max_memory_pressure is 20 %"]),
        ] {
            let text = shortage.to_string();
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        }
    }
}
