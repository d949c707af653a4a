//! From figures to places in a chart.

/// A scale between two places, even or by powers of ten.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Even,
    Powers,
}

impl Scale {
    /// From nothing to a round number that is at least `most`.
    pub(super) fn even(most: f64, from: f64, to: f64) -> Self {
        let step = step(most);
        let high = ((most / step).ceil() * step).max(step);
        Self { low: 0.0, high, from, to, kind: Kind::Even }
    }

    /// From a power of ten to another, with all of these in between.
    pub(super) fn powers(least: f64, most: f64, from: f64, to: f64) -> Self {
        let low = 10_f64.powf(least.log10().floor());
        let high = 10_f64.powf(most.log10().ceil()).max(low * 10.0);
        Self { low, high, from, to, kind: Kind::Powers }
    }

    /// From a figure to another, by powers of ten.
    pub(super) fn between(low: f64, high: f64, from: f64, to: f64) -> Self {
        Self { low, high, from, to, kind: Kind::Powers }
    }

    /// Returns the place of a figure; what lies outside is at the end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let part = match self.kind {
            Kind::Even => (value - self.low) / (self.high - self.low),
            Kind::Powers => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        self.from + part.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Returns the figures to draw lines at.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let next = |tick: f64| match self.kind {
            Kind::Even => tick + step(self.high),
            Kind::Powers => tick * 10.0,
        };
        let ticks = std::iter::successors(Some(self.low), |tick| Some(next(*tick)));
        ticks.take_while(|tick| *tick <= self.high * 1.001).collect()
    }
}

/// A step of 1, 2 or 5 times a power of ten, of which three to seven go into `most`.
fn step(most: f64) -> f64 {
    let most = most.max(f64::MIN_POSITIVE);
    let power = 10_f64.powf((most / 5.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|digit| digit * power)
        .into_iter()
        .find(|step| most / step <= 6.0)
        .unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::Scale;

    #[test]
    fn an_even_scale_begins_at_nothing_and_has_round_ticks() {
        let scale = Scale::even(9.3, 100.0, 0.0);
        assert_eq!(scale.ticks(), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!((scale.place(0.0), scale.place(5.0), scale.place(10.0)), (100.0, 50.0, 0.0));
        assert_eq!(scale.place(1e9), 0.0);
        assert!(Scale::even(0.0, 0.0, 1.0).place(0.0).is_finite());
    }

    #[test]
    fn powers_of_ten_are_evenly_apart() {
        let scale = Scale::powers(0.02, 41.0, 0.0, 400.0);
        assert_eq!(scale.ticks().len(), 5);
        assert!((scale.place(0.1) - 100.0).abs() < 1e-6 && (scale.place(10.0) - 300.0).abs() < 1e-6);
        assert_eq!(scale.place(0.0), 0.0, "nothing has a place as well");
    }
}
