//! What one thing gave, each time it was tried.

/// The most words of a failure that are kept: it may have been said by a program that says much.
const REASON_CHARS: usize = 300;

/// Values and failures in the order they came.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Samples {
    values: Vec<f64>,
    failures: usize,
    first_reason: Option<String>,
}

impl Samples {
    /// Counts what came of one try.
    pub(crate) fn record(&mut self, outcome: Result<f64, String>) {
        match outcome {
            Ok(value) => self.values.push(value),
            Err(reason) => self.fail(&reason),
        }
    }

    /// Counts a failure.
    pub(crate) fn fail(&mut self, reason: &str) {
        self.failures += 1;
        self.first_reason.get_or_insert_with(|| reason.trim().chars().take(REASON_CHARS).collect());
    }

    /// Samples of something that failed before it could be measured.
    #[must_use]
    pub(crate) fn failed(reason: &str) -> Self {
        let mut samples = Self::default();
        samples.fail(reason);
        samples
    }

    /// The values.
    #[must_use]
    pub(crate) fn values(&self) -> &[f64] {
        &self.values
    }

    /// How many tries failed.
    #[must_use]
    pub(crate) fn failures(&self) -> usize {
        self.failures
    }

    /// Why the first of them failed.
    #[must_use]
    pub(crate) fn reason(&self) -> Option<&str> {
        self.first_reason.as_deref()
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<T: IntoIterator<Item = f64>>(values: T) -> Self {
        Self { values: values.into_iter().collect(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::Samples;

    #[test]
    fn failures_are_counted_beside_the_values_and_the_first_reason_is_kept() {
        let mut samples = Samples::default();
        samples.record(Ok(1.0));
        samples.record(Err("first\n".to_owned()));
        samples.record(Err("x".repeat(10_000)));
        samples.record(Ok(2.0));
        assert_eq!(
            (samples.values(), samples.failures(), samples.reason()),
            (&[1.0, 2.0][..], 2, Some("first"))
        );
        assert_eq!(Samples::failed(&"x".repeat(10_000)).reason().map(str::len), Some(300));
    }
}
