//! Who may make a session now, who waits, and who is told to come again: a queue in which whoever came first is served first.
//!
//! Nothing here looks again after a time. The queue moves when a create comes, when one ends and when a session ends. Knows how
//! many sessions there are, and nothing else of them.

mod admission_error;
mod decision;
mod host_memory;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use self::decision::{Decision, Limits, Load, Shortage, decide};
use self::host_memory::MemoryFiles;
use crate::config::Config;

pub(crate) use self::admission_error::AdmissionError;
pub(crate) use self::host_memory::{HostMemoryError, meminfo_bytes};

/// The creates of one daemon: those that are under way and those that wait. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limits: Limits,
    memory: MemoryFiles,
    state: Mutex<State>,
    /// Is notified when a create finds too little memory.
    short_of_memory: Notify,
}

#[derive(Debug, Default)]
struct State {
    live: usize,
    under_way: usize,
    queue: VecDeque<Waiting>,
    next_ticket: u64,
    /// The daemon is ending: nobody is admitted any more.
    is_closed: bool,
}

/// How long a create may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    pub(crate) wait: Duration,
    /// Whether it waits for a place among `max_sessions` as well; otherwise it is refused at once where there is none.
    pub(crate) for_place: bool,
}

/// A create in the queue, as the queue knows it.
#[derive(Debug)]
struct Waiting {
    ticket: u64,
    for_place: bool,
    /// Told once. Whoever is told that it may go on is counted as under way already.
    answer: oneshot::Sender<Result<(), AdmissionError>>,
}

/// The same from the other side. Whoever drops it leaves the queue, or gives back what it was given.
struct Waiter<'a> {
    admission: &'a Admission,
    ticket: u64,
    answer: oneshot::Receiver<Result<(), AdmissionError>>,
}

/// The right to make a session, which counts as one until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    admission: Admission,
    is_session: bool,
}

impl Admission {
    /// Opens what says how much memory the host has. Blocking.
    ///
    /// # Errors
    /// [`HostMemoryError`] where the kernel does not say it.
    pub(crate) fn new(config: &Config) -> Result<Self, HostMemoryError> {
        Self::of_host(config, Path::new("/proc"))
    }

    fn of_host(config: &Config, proc: &Path) -> Result<Self, HostMemoryError> {
        let memory = MemoryFiles::open(proc, &config.admission)?;
        let limits = Limits::new(config, memory.total_bytes());
        Ok(Self {
            inner: Arc::new(Inner {
                limits,
                memory,
                state: Mutex::default(),
                short_of_memory: Notify::new(),
            }),
        })
    }

    /// Waits until a session may be made. Whoever stops waiting leaves the queue at once.
    ///
    /// # Errors
    /// [`AdmissionError`], with what is lacking.
    pub(crate) async fn admit(&self, patience: Patience) -> Result<Turn, AdmissionError> {
        let began = Instant::now();
        let mut waiter = self.queue_up(patience)?;
        match timeout_at(began + patience.wait, &mut waiter.answer).await {
            Ok(Ok(answer)) => answer?,
            Ok(Err(_)) => return Err(AdmissionError::Ending),
            Err(_) => waiter.look_again(began.elapsed())?,
        }
        Ok(Turn { admission: self.clone(), is_session: false })
    }

    /// Counts a session that was not made here: an earlier daemon's.
    pub(crate) fn session_adopted(&self) {
        self.state().live += 1;
    }

    /// Gives the place of a session that is gone to whoever waits for it.
    pub(crate) fn session_left(&self) {
        let mut state = self.state();
        state.live = state.live.saturating_sub(1);
        self.move_on(&mut state);
    }

    /// How many sessions there are, with those that are being made.
    pub(crate) fn sessions(&self) -> usize {
        let state = self.state();
        state.live + state.under_way
    }

    /// How many creates are under way, and how many wait.
    pub(crate) fn creates(&self) -> (usize, usize) {
        let state = self.state();
        (state.under_way, state.queue.len())
    }

    /// Whether the host has the memory for another session. Two small reads that no disk is behind.
    ///
    /// # Errors
    /// [`HostMemoryError`].
    pub(crate) fn has_memory(&self) -> Result<bool, HostMemoryError> {
        let load = Load { live: 0, under_way: 0, memory: self.inner.memory.read()? };
        Ok(!matches!(decide(&load, &self.inner.limits), Decision::Wait(shortage) if shortage.is_of_memory()))
    }

    /// Waits until a create finds too little memory; whoever can free some does, and calls [`Admission::look_again`] then.
    pub(crate) async fn finds_no_memory(&self) {
        self.inner.short_of_memory.notified().await;
    }

    /// Admits whom it can: there may be more memory than before.
    pub(crate) fn look_again(&self) {
        self.move_on(&mut self.state());
    }

    /// Whether creates are under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.state().under_way > 0
    }

    /// Refuses everybody who waits, and whoever comes from now on. For the daemon's end.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        for waiting in state.queue.drain(..) {
            // Whoever has stopped waiting at this moment needs no answer.
            waiting.answer.send(Err(AdmissionError::Ending)).ok();
        }
    }

    fn queue_up(&self, patience: Patience) -> Result<Waiter<'_>, AdmissionError> {
        let limits = &self.inner.limits;
        let mut state = self.state();
        if state.is_closed {
            return Err(AdmissionError::Ending);
        }
        let counts = state.load();
        if let Decision::Wait(shortage @ Shortage::Place { .. }) = decide(&counts, limits)
            && !patience.for_place
        {
            return Err(AdmissionError::Short { shortage, waited: Duration::ZERO, in_front: 0 });
        }
        if state.queue.len() >= limits.waiting {
            return Err(AdmissionError::QueueFull { waiting: state.queue.len() });
        }
        let (sender, answer) = oneshot::channel();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.queue.push_back(Waiting { ticket, for_place: patience.for_place, answer: sender });
        let shortage = self.move_on(&mut state);
        // Whoever does not wait must not take the place in the queue of somebody who does, for however short a time.
        if patience.wait.is_zero()
            && let Some(shortage) = shortage
            && state.queue.pop_back_if(|last| last.ticket == ticket).is_some()
        {
            let in_front = state.queue.len();
            return Err(AdmissionError::Short { shortage, waited: Duration::ZERO, in_front });
        }
        drop(state);
        Ok(Waiter { admission: self, ticket, answer })
    }

    /// Admits from the front of the queue as long as there is what they need, and says what the first of the others lacks.
    fn move_on(&self, state: &mut State) -> Option<Shortage> {
        while !state.queue.is_empty() {
            let answer = match self.decide_now(state) {
                Ok(Decision::Admit) => Ok(()),
                Ok(Decision::Wait(shortage @ Shortage::Place { .. })) => {
                    state.refuse_impatient(&shortage);
                    return Some(shortage);
                }
                Ok(Decision::Wait(shortage)) => return Some(shortage),
                Err(error) => Err(AdmissionError::Memory(error)),
            };
            let is_admitted = answer.is_ok();
            let first = state.queue.pop_front()?;
            if first.answer.send(answer).is_ok() && is_admitted {
                state.under_way += 1;
            }
        }
        None
    }

    /// Reads the memory of the host only where nothing else stands in the way.
    fn decide_now(&self, state: &State) -> Result<Decision, HostMemoryError> {
        let (load, limits) = (state.load(), &self.inner.limits);
        match decide(&load, limits) {
            Decision::Admit => {}
            shortage => return Ok(shortage),
        }
        let decision = decide(&Load { memory: self.inner.memory.read()?, ..load }, limits);
        if matches!(decision, Decision::Wait(_)) {
            self.inner.short_of_memory.notify_one();
        }
        Ok(decision)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn load(&self) -> Load {
        Load { live: self.live, under_way: self.under_way, memory: None }
    }

    /// Tells those who do not wait for a place that there is none.
    fn refuse_impatient(&mut self, shortage: &Shortage) {
        let (patient, impatient): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.queue).into_iter().partition(|waiting| waiting.for_place);
        self.queue = patient;
        for waiting in impatient {
            let shortage = shortage.clone();
            // Whoever has stopped waiting at this moment needs no answer.
            waiting
                .answer
                .send(Err(AdmissionError::Short { shortage, waited: Duration::ZERO, in_front: 0 }))
                .ok();
        }
    }
}

impl Waiter<'_> {
    /// Looks a last time when the time is over: memory becomes free without telling anybody.
    fn look_again(&mut self, waited: Duration) -> Result<(), AdmissionError> {
        let mut state = self.admission.state();
        let shortage = self.admission.move_on(&mut state);
        if let Ok(answer) = self.answer.try_recv() {
            return answer;
        }
        let place = state.queue.iter().position(|waiting| waiting.ticket == self.ticket);
        match (place, shortage) {
            (Some(in_front), Some(shortage)) => Err(AdmissionError::Short { shortage, waited, in_front }),
            // Whoever is not in the queue has its answer, unless the daemon is ending.
            _ => Err(AdmissionError::Ending),
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        let waited = state.queue.len();
        state.queue.retain(|waiting| waiting.ticket != self.ticket);
        // Of an answer that was received, nothing is left here.
        let is_given_back = matches!(self.answer.try_recv(), Ok(Ok(())));
        state.under_way -= usize::from(is_given_back);
        if is_given_back || state.queue.len() < waited {
            // Another may have waited only because this one stood in front of it.
            self.admission.move_on(&mut state);
        }
    }
}

impl Turn {
    /// The session stands: from now on it counts as one that is live.
    pub(crate) fn become_session(mut self) {
        self.is_session = true;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        state.under_way -= 1;
        state.live += usize::from(self.is_session);
        self.admission.move_on(&mut state);
    }
}

#[cfg(test)]
mod tests;
