//! What a figure counts, and how people read it.

use serde::Serialize;

use crate::statistics::Better;

/// The unit of a figure, as reports name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// Time.
    #[serde(rename = "ms")]
    Milliseconds,
    /// A size, by powers of 1024.
    #[serde(rename = "bytes")]
    Bytes,
    /// A rate, in millions of bytes.
    #[serde(rename = "MB/s")]
    MegabytesPerSecond,
    /// A rate.
    #[serde(rename = "1/s")]
    PerSecond,
    /// One speed in relation to another.
    #[serde(rename = "ratio")]
    Ratio,
}

impl Unit {
    /// Which end is the good one.
    #[must_use]
    pub const fn better(self) -> Better {
        match self {
            Self::Milliseconds | Self::Bytes => Better::Lower,
            Self::MegabytesPerSecond | Self::PerSecond | Self::Ratio => Better::Higher,
        }
    }

    /// Renders a figure with at most three digits that say something, and its unit.
    #[must_use]
    pub fn render(self, value: f64) -> String {
        match self {
            Self::Milliseconds => format!("{} ms", digits(value)),
            Self::Bytes if value < 1_048_576.0 => format!("{} KiB", digits(value / 1024.0)),
            Self::Bytes => format!("{} MiB", digits(value / 1_048_576.0)),
            Self::MegabytesPerSecond => format!("{} MB/s", digits(value)),
            Self::PerSecond => format!("{} /s", digits(value)),
            Self::Ratio => format!("{value:.3}"),
        }
    }
}

/// Renders a number with about three digits.
#[must_use]
pub fn digits(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.2}")
    } else if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::Unit;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        let shown = [0.104, 4.256, 42.34, 201.4, 20_150.0].map(|value| Unit::Milliseconds.render(value));
        assert_eq!(shown, ["0.10 ms", "4.26 ms", "42.3 ms", "201 ms", "20150 ms"]);
        let shown = [512.0 * 1024.0, 1.5 * 1_048_576.0].map(|value| Unit::Bytes.render(value));
        assert_eq!(shown, ["512 KiB", "1.50 MiB"]);
        assert_eq!(Unit::Ratio.render(0.9876), "0.988");
        assert_eq!(Unit::MegabytesPerSecond.render(812.3), "812 MB/s");
        assert_eq!(Unit::PerSecond.render(101.2), "101 /s");
    }
}
