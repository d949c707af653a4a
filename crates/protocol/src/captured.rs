//! What is kept of one stream of output: its first bytes and its last ones, with the place of each in the whole.

use std::collections::VecDeque;

use crate::message::Capture;

/// Kept output. Whoever reads it names an offset, so that any number of readers can come and go.
#[derive(Debug)]
pub struct Captured {
    plan: Capture,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    written: u64,
}

impl Captured {
    /// Nothing yet.
    #[must_use]
    pub fn new(plan: Capture) -> Self {
        Self { plan, head: Vec::new(), tail: VecDeque::new(), written: 0 }
    }

    /// Returns how many bytes there were in all.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Returns how many bytes are kept, and so take memory.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// Returns how many of the last bytes are kept at most.
    #[must_use]
    pub fn tail_room(&self) -> u64 {
        self.plan.tail
    }

    /// Adds what was written; what does not fit any more goes, the oldest behind the first bytes first.
    pub fn push(&mut self, bytes: &[u8]) {
        self.written += bytes.len() as u64;
        let room = as_length(self.plan.head).saturating_sub(self.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        self.head.extend_from_slice(first);
        let most = as_length(self.plan.tail);
        let rest = rest.get(rest.len().saturating_sub(most)..).unwrap_or_default();
        let over = (self.tail.len() + rest.len()).saturating_sub(most);
        self.tail.drain(..over.min(self.tail.len()));
        self.tail.extend(rest);
    }

    /// Adds bytes whose place in the whole is known. Bytes in between that never came count as written and not kept.
    /// Returns false, and adds nothing, where these came before.
    pub fn push_at(&mut self, offset: u64, bytes: &[u8]) -> bool {
        if offset < self.written || offset.checked_add(bytes.len() as u64).is_none() {
            return false;
        }
        if offset > self.written {
            // What is kept as the end must be one piece, and as the beginning too.
            self.tail.clear();
            self.plan.head = self.head.len() as u64;
            self.written = offset;
        }
        self.push(bytes);
        true
    }

    /// Notes that there were this many bytes in all, the last of which did not come.
    pub fn end_at(&mut self, written: u64) {
        if written > self.written {
            self.push_at(written, &[]);
        }
    }

    /// Returns the first bytes and the last ones, as far as they are kept, and how many are left out in between.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, u64, Vec<u8>) {
        let kept = (self.head.len() + self.tail.len()) as u64;
        (self.head, self.written.saturating_sub(kept), self.tail.into())
    }

    /// Returns at most `most` bytes from `offset` on, with the offset of the first, which is a later one where bytes in
    /// between are not kept. None where there is nothing.
    #[must_use]
    pub fn read(&self, offset: u64, most: usize) -> Option<(u64, &[u8])> {
        let head = self.head.get(as_length(offset)..).unwrap_or_default();
        if !head.is_empty() {
            return Some((offset, head.get(..most).unwrap_or(head)));
        }
        let start = self.written - self.tail.len() as u64;
        let offset = offset.max(start);
        let (first, second) = self.tail.as_slices();
        let skip = as_length(offset - start);
        let found = match first.get(skip..) {
            Some(rest) if !rest.is_empty() => rest,
            _ => second.get(skip.saturating_sub(first.len())..).unwrap_or_default(),
        };
        (!found.is_empty()).then(|| (offset, found.get(..most).unwrap_or(found)))
    }
}

/// A number of bytes that are, or could be, in memory.
fn as_length(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::Captured;
    use crate::message::Capture;

    /// Reads everything from an offset on, in small pieces, as offsets and bytes.
    fn read_all(captured: &Captured, mut offset: u64) -> Vec<(u64, u8)> {
        let mut all = Vec::new();
        while let Some((at, bytes)) = captured.read(offset, 3) {
            assert!(!bytes.is_empty() && bytes.len() <= 3 && at >= offset);
            all.extend((at..).zip(bytes.iter().copied()));
            offset = at + bytes.len() as u64;
        }
        all
    }

    #[test]
    fn a_gap_counts_as_written_and_what_came_before_is_refused() {
        let mut captured = Captured::new(Capture { head: 4, tail: 4 });
        assert!(captured.push_at(0, b"abc"));
        assert!(captured.push_at(10, b"xy"));
        assert!(!captured.push_at(11, b"z") && !captured.push_at(u64::MAX, b"zz"));
        assert_eq!(read_all(&captured, 0), [(0, b'a'), (1, b'b'), (2, b'c'), (10, b'x'), (11, b'y')]);
        captured.end_at(3);
        assert_eq!(captured.into_parts(), (b"abc".to_vec(), 7, b"xy".to_vec()));
        let mut captured = Captured::new(Capture { head: 4, tail: 0 });
        captured.push(b"abcd");
        captured.end_at(9);
        assert_eq!(captured.into_parts(), (b"abcd".to_vec(), 5, Vec::new()));
    }

    #[test]
    fn the_first_and_the_last_bytes_are_kept_whatever_the_pieces() {
        let mut random = fastrand::Rng::with_seed(4);
        for _ in 0..2_000 {
            let plan = Capture { head: random.u64(..20), tail: random.u64(..20) };
            let whole: Vec<u8> = (0..random.usize(..80)).map(|_| random.u8(..)).collect();
            let mut captured = Captured::new(plan);
            let mut rest = whole.as_slice();
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(random.usize(..30).min(rest.len()));
                captured.push(piece);
                rest = later;
            }
            let from = random.u64(..90);
            let length = whole.len() as u64;
            let kept = |at: u64| at < plan.head || at >= length.saturating_sub(plan.tail);
            let expected: Vec<_> = (0..).zip(whole).filter(|(at, _)| *at >= from && kept(*at)).collect();
            assert_eq!(read_all(&captured, from), expected, "{plan:?} from {from}");
            assert_eq!(captured.written(), length);
            assert!(captured.kept() as u64 <= plan.head + plan.tail);
        }
    }
}
