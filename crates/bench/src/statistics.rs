//! Percentiles of what was measured: exact, by nearest rank. No means: one slow sample hides in them.

use serde::Serialize;

/// Which end of a scale is the good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Of times and sizes.
    Lower,
    /// Of rates and ratios.
    Higher,
}

/// What the samples of one thing were. A percentile is a value that so many of the samples were no worse than: a p99 of times is
/// a long one, a p99 of rates a low one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Statistics {
    /// No worse were 10 of 100: what it takes where nothing disturbs it.
    pub p10: f64,
    /// The median.
    pub p50: f64,
    /// No worse were 90 of 100.
    pub p90: f64,
    /// No worse were 99 of 100.
    pub p99: f64,
    /// The worst sample: the longest time, the lowest rate.
    pub worst: f64,
}

impl Statistics {
    /// Orders samples; none where there is no sample.
    #[must_use]
    pub fn of(values: &[f64], better: Better) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(|a, b| match better {
            Better::Lower => a.total_cmp(b),
            Better::Higher => b.total_cmp(a),
        });
        Some(Self {
            p10: nearest_rank(&sorted, 10)?,
            p50: nearest_rank(&sorted, 50)?,
            p90: nearest_rank(&sorted, 90)?,
            p99: nearest_rank(&sorted, 99)?,
            worst: *sorted.last()?,
        })
    }
}

/// The first of the sorted values that at least `percent` of 100 of them do not lie behind.
fn nearest_rank(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::{Better, Statistics};

    fn numbers(last: u32) -> Vec<f64> {
        // Not in order, so that sorting is part of the claim.
        (1..=last).rev().map(f64::from).collect()
    }

    #[test]
    fn percentiles_are_samples_and_never_in_between() {
        let of = Statistics::of(&numbers(100), Better::Lower).expect("samples");
        assert_eq!((of.p10, of.p50, of.p90, of.p99, of.worst), (10.0, 50.0, 90.0, 99.0, 100.0));
        let of = Statistics::of(&numbers(10), Better::Lower).expect("samples");
        assert_eq!((of.p50, of.p90, of.p99, of.worst), (5.0, 9.0, 10.0, 10.0));
        let of = Statistics::of(&[7.0], Better::Lower).expect("a sample");
        assert_eq!((of.p10, of.p50, of.p90, of.p99, of.worst), (7.0, 7.0, 7.0, 7.0, 7.0));
    }

    #[test]
    fn the_bad_end_of_rates_is_the_low_one() {
        let of = Statistics::of(&numbers(100), Better::Higher).expect("samples");
        assert_eq!((of.p10, of.p50, of.p90, of.p99, of.worst), (91.0, 51.0, 11.0, 2.0, 1.0));
    }

    #[test]
    fn nothing_has_no_percentile() {
        assert_eq!(Statistics::of(&[], Better::Lower), None);
    }
}
