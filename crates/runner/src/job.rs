//! A job: a command in a shell or a process of its own, with its output, its readers and its end.

use sandkasten_protocol::{Finished, JobState, Stream};

use crate::child::Child;
use crate::command::Command;
use crate::connection::Connection;
use crate::outlet::Outlet;
use crate::reader::{Reader, Served};

/// What a job does.
#[derive(Debug)]
pub(crate) enum Work {
    /// A shell carries it out.
    Command(Command),
    /// It is a process of its own.
    Process(Child),
    /// Nothing any more.
    Ended(Finished),
}

/// A job, from its start until it is forgotten.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) note: Vec<u8>,
    pub(crate) work: Work,
    /// Standard output, and standard error where that is apart.
    pub(crate) outlets: Vec<Outlet>,
    pub(crate) readers: Vec<Reader>,
    /// Whether somebody is still to come who hears it from the beginning.
    pub(crate) awaited: bool,
}

impl Job {
    pub(crate) fn finished(&self) -> Option<&Finished> {
        match &self.work {
            Work::Ended(finished) => Some(finished),
            _ => None,
        }
    }

    pub(crate) fn state(&self) -> JobState {
        JobState { job: self.id, note: self.note.clone(), finished: self.finished().cloned() }
    }

    /// How many connections it holds.
    pub(crate) fn connections(&self) -> usize {
        let waiting = match &self.work {
            Work::Process(child) => child.waiting.len(),
            _ => 0,
        };
        self.readers.len() + waiting
    }

    /// How many bytes each stream has had.
    pub(crate) fn written(&self) -> [u64; 2] {
        let of =
            |stream: Stream| self.outlets.get(stream.index()).map_or(0, |outlet| outlet.captured().written());
        [of(Stream::Output), of(Stream::Error)]
    }

    /// How many bytes of output it keeps.
    pub(crate) fn kept(&self) -> usize {
        self.outlets.iter().map(|outlet| outlet.captured().kept()).sum()
    }

    /// Whether a stream is to be read from: there may be more, and no reader that the job waits for would lose what is kept
    /// for it if `most` more bytes came, be it there or yet to come.
    pub(crate) fn wants(&self, stream: Stream, most: usize) -> bool {
        let Some(outlet) = self.outlets.get(stream.index()) else { return false };
        let room = outlet.captured().tail_room().saturating_sub(most as u64);
        let held_up = |reader: &Reader| {
            reader.paced
                && reader.connection.is_congested()
                && reader.behind(stream, outlet.captured()) >= room
        };
        let held_back = self.awaited && outlet.captured().written() >= room;
        self.finished().is_none() && !outlet.is_complete() && !held_back && !self.readers.iter().any(held_up)
    }

    /// Notes that the command or process has ended: what is in its pipes now is the rest of its output, and fits behind what
    /// is kept for who is awaited.
    pub(crate) fn close_outlets(&mut self) {
        self.awaited = false;
        self.outlets.iter_mut().for_each(Outlet::close);
    }

    /// Whether all of its output has been read.
    pub(crate) fn is_complete(&self) -> bool {
        self.outlets.iter().all(Outlet::is_complete)
    }

    /// Whether nothing has its outputs open any more.
    pub(crate) fn output_ended(&self) -> bool {
        self.outlets.iter().all(Outlet::has_ended)
    }

    /// Gives every reader what there is, tells the end to those that have everything, and returns connections whose last
    /// reply does not fit yet. Readers of a daemon that has gone are dropped.
    pub(crate) fn feed(&mut self) -> Vec<Connection> {
        let mut closing = Vec::new();
        for mut reader in std::mem::take(&mut self.readers) {
            let captured = self.outlets.iter().map(Outlet::captured);
            match reader.feed([Stream::Output, Stream::Error].into_iter().zip(captured)) {
                Served::Gone => {}
                Served::Waits => self.readers.push(reader),
                Served::Done => match reader.last_reply(self.finished()) {
                    Some(reply) => closing.extend(reader.connection.finish(&reply)),
                    None => self.readers.push(reader),
                },
            }
        }
        closing
    }
}
