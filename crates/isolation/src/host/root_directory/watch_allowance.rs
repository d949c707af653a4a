//! How many directories may be watched at once. The kernel counts for the daemon as a whole, not for a sandbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of watches, possibly a part of a larger one.
#[derive(Debug)]
pub struct WatchAllowance {
    used: AtomicUsize,
    most: usize,
    larger: Option<Arc<Self>>,
}

/// One watch out of an allowance; it goes back when this is dropped.
#[derive(Debug)]
pub struct WatchPermit(Arc<WatchAllowance>);

impl WatchAllowance {
    /// Allows `most` watches at once.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), most, larger: None })
    }

    /// Allows as many out of this allowance, as long as that has them itself.
    #[must_use]
    pub fn part(self: &Arc<Self>, most: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), most, larger: Some(Arc::clone(self)) })
    }

    /// How many are taken.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes one, of this and of all that it is a part of, or none of any.
    #[must_use]
    pub fn take(self: &Arc<Self>) -> Option<WatchPermit> {
        self.count_one().then(|| WatchPermit(Arc::clone(self)))
    }

    fn count_one(&self) -> bool {
        let counted = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            (used < self.most).then_some(used + 1)
        });
        if counted.is_err() {
            return false;
        }
        let counted = self.larger.as_ref().is_none_or(|larger| larger.count_one());
        if !counted {
            self.used.fetch_sub(1, Ordering::Relaxed);
        }
        counted
    }

    fn give_back(&self) {
        self.used.fetch_sub(1, Ordering::Relaxed);
        if let Some(larger) = &self.larger {
            larger.give_back();
        }
    }
}

impl Drop for WatchPermit {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::WatchAllowance;

    #[test]
    fn a_part_has_no_more_than_the_whole_and_what_was_refused_is_not_counted() {
        let whole = WatchAllowance::new(3);
        let (one, two) = (whole.part(2), whole.part(2));
        let taken = [one.take(), one.take()];
        assert!(taken.iter().all(Option::is_some) && one.take().is_none());
        let third = two.take();
        assert!(third.is_some() && two.take().is_none());
        assert_eq!((whole.used(), one.used(), two.used()), (3, 2, 1));
        drop(taken);
        assert!(two.take().is_some());
        assert_eq!((whole.used(), one.used(), two.used()), (1, 0, 1));
    }
}
