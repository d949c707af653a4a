//! The pool: which sandboxes are ready before anybody has asked for them, and how many are to be.
//!
//! Knows neither what they are nor how they are made: that is the session service's, which keeps them here.

mod image_changes;
mod memory;
mod pressure;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::config::PoolConfig;

pub(crate) use image_changes::ImageChanges;
pub(crate) use memory::{Memory, ReadMemoryError};
pub(crate) use pressure::MemoryPressure;

/// So long no create may have found none ready until one fewer is kept.
const SHRINK_AFTER: Duration = Duration::from_secs(600);
/// How long nothing is made after a failure. It doubles with each further one, up to the second.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What is ready, by image.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    shelves: BTreeMap<String, Shelf<T>>,
    /// What is to be ended by whoever does that in the background.
    discarded: Vec<T>,
    /// Takes nothing more: the daemon is about to end.
    closed: bool,
}

/// What is ready of one image.
#[derive(Debug)]
struct Shelf<T> {
    least: usize,
    most: usize,
    /// How many are to be ready now.
    wanted: usize,
    /// The oldest first.
    ready: VecDeque<T>,
    /// When `wanted` last rose or fell, or would have.
    changed: Option<Instant>,
    setback: Option<Setback>,
}

/// That making one has failed.
#[derive(Debug, Clone, Copy)]
struct Setback {
    pause: Duration,
    until: Instant,
}

impl<T> Pool<T> {
    /// An empty pool for what is configured.
    pub(crate) fn new(config: &PoolConfig) -> Self {
        let size = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        let images = config.images.iter().filter(|_| config.enabled);
        let shelves = images.map(|(image, least)| {
            let least = size(*least);
            let shelf = Shelf {
                least,
                most: least.max(size(config.max)),
                wanted: least,
                ready: VecDeque::new(),
                changed: None,
                setback: None,
            };
            (image.clone(), shelf)
        });
        Self { shelves: shelves.collect(), discarded: Vec::new(), closed: false }
    }

    /// The images that sandboxes are kept of.
    pub(crate) fn images(&self) -> Vec<String> {
        self.shelves.keys().cloned().collect()
    }

    /// How many are ready, of all images together.
    pub(crate) fn len(&self) -> usize {
        self.shelves.values().map(|shelf| shelf.ready.len()).sum()
    }

    /// Whether sandboxes of an image are kept.
    pub(crate) fn has(&self, image: &str) -> bool {
        self.shelves.contains_key(image)
    }

    /// Takes what has been ready for the longest time; nobody else gets it.
    pub(crate) fn take(&mut self, image: &str) -> Option<T> {
        self.shelves.get_mut(image)?.ready.pop_front()
    }

    /// Notes that a create of an image found none ready: one more is to be, up to the bound.
    pub(crate) fn note_miss(&mut self, image: &str, now: Instant) {
        if let Some(shelf) = self.shelves.get_mut(image) {
            shelf.wanted = (shelf.wanted + 1).min(shelf.most);
            shelf.changed = Some(now);
        }
    }

    /// Adds one. Gives it back where it is not wanted: the image is none of the pool, enough are ready, or the pool is closed.
    pub(crate) fn put(&mut self, image: &str, one: T) -> Result<(), T> {
        let closed = self.closed;
        match self.shelves.get_mut(image) {
            Some(shelf) if !closed && shelf.ready.len() < shelf.wanted => {
                shelf.setback = None;
                shelf.ready.push_back(one);
                Ok(())
            }
            _ => Err(one),
        }
    }

    /// Takes out all of an image that are so.
    pub(crate) fn extract(&mut self, image: &str, is_so: impl Fn(&T) -> bool) -> Vec<T> {
        let Some(shelf) = self.shelves.get_mut(image) else { return Vec::new() };
        let (taken, kept) = std::mem::take(&mut shelf.ready).into_iter().partition(is_so);
        shelf.ready = kept;
        Vec::from(taken)
    }

    /// Takes one of the image that has the most ready, for whoever needs the room.
    pub(crate) fn take_any(&mut self) -> Option<T> {
        self.shelves.values_mut().max_by_key(|shelf| shelf.ready.len())?.ready.pop_back()
    }

    /// Takes out everything that is ready.
    pub(crate) fn empty(&mut self) -> Vec<T> {
        self.shelves.values_mut().flat_map(|shelf| std::mem::take(&mut shelf.ready)).collect()
    }

    /// Takes out everything that is there, and takes nothing more.
    pub(crate) fn close(&mut self) -> Vec<T> {
        self.closed = true;
        let mut all = self.empty();
        all.append(&mut self.discarded);
        all
    }

    /// Whether it takes nothing more.
    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Keeps one that was taken out and is of no use for whoever ends such. Gives it back where nobody does any more.
    pub(crate) fn discard(&mut self, one: T) -> Result<(), T> {
        if self.closed {
            return Err(one);
        }
        self.discarded.push(one);
        Ok(())
    }

    /// Takes what is of no use.
    pub(crate) fn take_discarded(&mut self) -> Vec<T> {
        std::mem::take(&mut self.discarded)
    }

    /// Of each image, how many are ready and how many are to be.
    pub(crate) fn counts(&self) -> Vec<(String, usize, usize)> {
        let counts = |(image, shelf): (&String, &Shelf<T>)| (image.clone(), shelf.ready.len(), shelf.wanted);
        self.shelves.iter().map(counts).collect()
    }

    /// Looks at all that is ready.
    pub(crate) fn map<R>(&self, look: impl FnMut(&T) -> R) -> Vec<R> {
        self.shelves.values().flat_map(|shelf| &shelf.ready).map(look).collect()
    }

    /// The image of which the next one is to be made, if any is: that with the fewest ready.
    pub(crate) fn lacking(&self, now: Instant) -> Option<String> {
        let lacking = self.shelves.iter().filter(|(_, shelf)| !self.closed && shelf.lacks(now));
        lacking.min_by_key(|(_, shelf)| shelf.ready.len()).map(|(image, _)| image.clone())
    }

    /// Notes that none could be made of an image: not before a pause that grows is it tried again, unless there is a new reason.
    pub(crate) fn note_failure(&mut self, image: &str, now: Instant) {
        if let Some(shelf) = self.shelves.get_mut(image) {
            let pause = shelf.setback.map_or(FIRST_PAUSE, |last| (last.pause * 2).min(LONGEST_PAUSE));
            shelf.setback = Some(Setback { pause, until: now + pause });
        }
    }

    /// Ends the pause after a failure: a session of the image could be made since.
    pub(crate) fn end_pause(&mut self, image: &str, now: Instant) {
        if let Some(setback) = self.shelves.get_mut(image).and_then(|shelf| shelf.setback.as_mut()) {
            setback.until = setback.until.min(now);
        }
    }

    /// Forgets failures: the image has changed.
    pub(crate) fn forget_failure(&mut self, image: &str) {
        if let Some(shelf) = self.shelves.get_mut(image) {
            shelf.setback = None;
        }
    }

    /// Lets the number that is kept fall where nobody has needed so many for long, and takes out what is too much by that.
    pub(crate) fn shrink(&mut self, now: Instant) -> Vec<T> {
        let mut surplus = Vec::new();
        for shelf in self.shelves.values_mut() {
            if shelf.shrinks_at().is_some_and(|at| at <= now) {
                shelf.wanted -= 1;
                shelf.changed = Some(now);
            }
            while shelf.ready.len() > shelf.wanted {
                surplus.extend(shelf.ready.pop_back());
            }
        }
        surplus
    }

    /// When there may be something to be done that nobody gives notice of.
    pub(crate) fn next_look(&self, now: Instant) -> Option<Instant> {
        let pauses = self.shelves.values().filter(|shelf| shelf.ready.len() < shelf.wanted);
        let pauses = pauses.filter_map(|shelf| shelf.setback.map(|setback| setback.until));
        let shrinks = self.shelves.values().filter_map(Shelf::shrinks_at);
        pauses.chain(shrinks).filter(|at| *at > now).min()
    }
}

impl<T> Shelf<T> {
    fn lacks(&self, now: Instant) -> bool {
        self.ready.len() < self.wanted && self.setback.is_none_or(|setback| setback.until <= now)
    }

    fn shrinks_at(&self) -> Option<Instant> {
        (self.wanted > self.least).then_some(self.changed? + SHRINK_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{FIRST_PAUSE, LONGEST_PAUSE, Pool, SHRINK_AFTER};
    use crate::config::PoolConfig;

    fn pool(images: &[(&str, u32)], max: u32) -> Pool<u32> {
        let images = images.iter().map(|(image, count)| ((*image).to_owned(), *count)).collect();
        Pool::new(&PoolConfig { enabled: true, images, max })
    }

    /// Makes all that is lacking, and says of which images in which order.
    fn fill(pool: &mut Pool<u32>, now: Instant) -> Vec<String> {
        let mut made = Vec::new();
        while let Some(image) = pool.lacking(now) {
            pool.put(&image, u32::try_from(made.len()).expect("few")).expect("it is lacking");
            made.push(image);
        }
        made
    }

    #[test]
    fn the_image_with_the_fewest_comes_first_and_what_is_off_lacks_nothing() {
        let now = Instant::now();
        let mut both = pool(&[("a", 1), ("b", 3)], 0);
        assert_eq!(fill(&mut both, now), ["a", "b", "b", "b"]);
        assert_eq!((both.len(), both.has("a"), both.has("c")), (4, true, false));
        let config = PoolConfig { enabled: false, images: [("a".to_owned(), 1)].into(), max: 5 };
        assert_eq!(Pool::<u32>::new(&config).lacking(now), None);
    }

    #[test]
    fn what_is_taken_is_nobody_elses_and_the_oldest_goes_first() {
        let mut pool = pool(&[("a", 3)], 0);
        fill(&mut pool, Instant::now());
        assert_eq!([(); 4].map(|()| pool.take("a")), [Some(0), Some(1), Some(2), None]);
        assert_eq!(pool.take("b"), None);
    }

    #[test]
    fn demand_that_was_not_met_raises_the_number_to_the_bound_and_time_lowers_it_again() {
        let start = Instant::now();
        let mut pool = pool(&[("a", 1)], 3);
        for _ in 0..5 {
            pool.note_miss("a", start);
        }
        assert_eq!(fill(&mut pool, start).len(), 3);
        assert_eq!(pool.put("a", 9), Err(9), "enough are ready");
        assert_eq!(pool.next_look(start), Some(start + SHRINK_AFTER));
        assert_eq!(pool.shrink(start + SHRINK_AFTER - Duration::from_millis(1)), [0; 0]);
        assert_eq!(pool.shrink(start + SHRINK_AFTER).len(), 1);
        assert_eq!(pool.shrink(start + SHRINK_AFTER), [0; 0], "one at a time");
        assert_eq!(pool.shrink(start + SHRINK_AFTER * 2).len(), 1);
        assert_eq!(pool.shrink(start + SHRINK_AFTER * 9), [0; 0], "not below what is configured");
        assert_eq!((pool.len(), pool.next_look(start + SHRINK_AFTER * 9)), (1, None));
        // What is configured may be more than the bound.
        let mut pool = self::pool(&[("a", 5)], 3);
        assert_eq!(fill(&mut pool, start).len(), 5);
    }

    #[test]
    fn an_image_that_fails_is_left_alone_for_longer_and_longer_and_others_are_not() {
        let mut now = Instant::now();
        let mut pool = pool(&[("a", 1), ("b", 1)], 0);
        let mut pause = FIRST_PAUSE;
        for _ in 0..20 {
            pool.note_failure("a", now);
            assert_eq!(pool.lacking(now).as_deref(), Some("b"));
            assert_eq!(pool.next_look(now), Some(now + pause));
            now += pause;
            assert_eq!(pool.lacking(now).as_deref(), Some("a"));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        pool.note_failure("a", now);
        assert_eq!(pool.lacking(now).as_deref(), Some("b"));
        pool.end_pause("a", now);
        assert_eq!(pool.lacking(now).as_deref(), Some("a"), "there is a reason to try again");
        pool.forget_failure("a");
        pool.note_failure("a", now);
        assert_eq!(pool.next_look(now), Some(now + FIRST_PAUSE), "it begins anew");
    }

    #[test]
    fn a_closed_pool_is_empty_and_stays_so() {
        let mut pool = pool(&[("a", 2), ("b", 1)], 0);
        fill(&mut pool, Instant::now());
        assert_eq!(pool.extract("a", |one| *one == 0), [0]);
        assert_eq!(pool.extract("a", |one| *one == 0), [0; 0]);
        assert_eq!(pool.close().len(), 2);
        assert_eq!((pool.put("a", 1), pool.lacking(Instant::now()), pool.take_any()), (Err(1), None, None));
    }

    #[test]
    fn room_is_made_where_most_are_ready() {
        let mut pool = pool(&[("a", 1), ("b", 2)], 0);
        assert_eq!(fill(&mut pool, Instant::now()), ["a", "b", "b"]);
        assert_eq!(pool.take_any(), Some(2), "the newest of b");
    }
}
