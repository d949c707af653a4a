//! Why a session may not be made now.

use std::time::Duration;

use super::decision::Shortage;
use super::host_memory::HostMemoryError;
use crate::metrics::CreateFailure;

/// Why a create is refused before anything of it is made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdmissionError {
    /// Something is lacking that it needs.
    #[error("{shortage}{}", wait(*.waited, *.in_front))]
    Short {
        /// What, for the first in the queue.
        shortage: Shortage,
        /// How long it was waited for.
        waited: Duration,
        /// How many creates came before this one and wait still.
        in_front: usize,
    },
    /// As many creates wait as may.
    #[error("as many creates wait as admission.max_waiting allows, {waiting}; try again")]
    QueueFull {
        /// How many.
        waiting: usize,
    },
    /// The daemon takes no creates any more.
    #[error("the daemon is ending; try again when it runs again")]
    Ending,
    /// The memory of the host cannot be read.
    #[error(transparent)]
    Memory(#[from] HostMemoryError),
}

impl AdmissionError {
    /// What the create lacked, as it is counted.
    pub(crate) fn as_failure(&self) -> CreateFailure {
        match self {
            Self::Short { shortage: Shortage::Place { .. }, .. } => CreateFailure::Place,
            Self::Short { shortage, .. } if shortage.is_of_memory() => CreateFailure::Memory,
            Self::Short { .. } | Self::QueueFull { .. } => CreateFailure::Turn,
            Self::Ending | Self::Memory(_) => CreateFailure::Other,
        }
    }
}

fn wait(waited: Duration, in_front: usize) -> String {
    let milliseconds = waited.as_millis();
    match (milliseconds, in_front) {
        (0, 0) => String::new(),
        (_, 0) => format!(" (waited {milliseconds} ms)"),
        (_, in_front) => format!(" (waited {milliseconds} ms; creates in front of it: {in_front})"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::AdmissionError;
    use crate::admission::decision::Shortage;

    #[test]
    fn a_wait_in_vain_says_how_long_it_was_and_behind_whom() {
        let text = |milliseconds, in_front| {
            let (shortage, waited) = (Shortage::Turn { most: 2 }, Duration::from_millis(milliseconds));
            AdmissionError::Short { shortage, waited, in_front }.to_string()
        };
        assert!(text(0, 0).ends_with("with wait_ms"), "{}", text(0, 0));
        assert!(text(250, 0).ends_with(" (waited 250 ms)"), "{}", text(250, 0));
        assert!(text(250, 3).ends_with(" (waited 250 ms; creates in front of it: 3)"), "{}", text(250, 3));
    }
}
