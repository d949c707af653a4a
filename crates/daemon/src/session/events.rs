//! Changes of sessions' states, told to whoever watches. Nobody is waited for: who is too slow loses its place.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use sandkasten_api::event::StateEvent;
use sandkasten_api::id::SessionId;
use sandkasten_api::session::SessionStatus;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::{LiveSession, SessionError, Sessions, describe_row};

/// How many changes a watcher may be behind, and how many are kept for those that come back.
const KEPT: usize = 1_024;

/// All changes since the daemon's start.
#[derive(Debug)]
pub(super) struct Events {
    /// Tells this daemon's numbers from an earlier one's.
    epoch: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The number of the last change.
    last: u64,
    recent: VecDeque<Published>,
    /// None once the daemon is about to end.
    sender: Option<broadcast::Sender<Published>>,
}

#[derive(Debug, Clone)]
struct Published {
    number: u64,
    event: Arc<StateEvent>,
}

/// Names a change, or the instant behind it, for a watcher that comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    epoch: u64,
    number: u64,
}

/// What a watcher is told.
#[derive(Debug)]
pub(crate) enum Notice {
    /// A session is in a state.
    State(Option<EventId>, Arc<StateEvent>),
    /// The watcher was too slow, and as many changes were dropped. Nothing comes behind this.
    Lagged(u64),
}

/// A watcher's view: what is, then what changes.
#[derive(Debug)]
pub(crate) struct Watch {
    epoch: u64,
    receiver: broadcast::Receiver<Published>,
    /// What is told before anything that is received.
    first: VecDeque<(Option<u64>, Arc<StateEvent>)>,
    /// What was told last of sessions that have not ended.
    told: HashMap<SessionId, SessionStatus>,
    /// The only session that is watched, if it is one.
    only: Option<SessionId>,
    over: bool,
}

impl Events {
    pub(super) fn new(epoch: u64) -> Self {
        let sender = Some(broadcast::channel(KEPT).0);
        Self { epoch, state: Mutex::new(State { last: 0, recent: VecDeque::new(), sender }) }
    }

    /// Tells a change to all that watch.
    pub(super) fn publish(&self, event: StateEvent) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last += 1;
        let published = Published { number: state.last, event: Arc::new(event) };
        if state.recent.len() == KEPT {
            state.recent.pop_front();
        }
        state.recent.push_back(published.clone());
        if let Some(sender) = &state.sender {
            // An error means that nobody watches.
            sender.send(published).ok();
        }
    }

    /// Ends all watches, behind what they have not seen yet.
    pub(super) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).sender = None;
    }

    /// Begins a watch behind the last change, or behind the one that a watcher saw last where what came since is still known.
    fn watch(&self, only: Option<SessionId>, seen: Option<EventId>) -> (Watch, Start) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = match &state.sender {
            Some(sender) => sender.subscribe(),
            // Of a channel that ends here.
            None => broadcast::channel(1).1,
        };
        let oldest = state.recent.front().map_or(state.last + 1, |published| published.number);
        let since = seen.filter(|seen| {
            seen.epoch == self.epoch && seen.number <= state.last && seen.number + 1 >= oldest
        });
        let missed = |seen: EventId| {
            let later = state.recent.iter().filter(move |published| published.number > seen.number);
            later.map(|published| (Some(published.number), Arc::clone(&published.event))).collect()
        };
        let (first, start) = match since {
            Some(seen) => (missed(seen), Start::Resumed),
            None => (VecDeque::new(), Start::Fresh { behind: state.last }),
        };
        let epoch = self.epoch;
        (Watch { epoch, receiver, first, told: HashMap::new(), only, over: false }, start)
    }
}

enum Start {
    Resumed,
    Fresh { behind: u64 },
}

impl Watch {
    /// Waits for what is to be told next; none follows the end. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Notice> {
        while !self.over {
            let (number, event) = match self.first.pop_front() {
                Some(first) => first,
                None => match self.receiver.recv().await {
                    Ok(published) => (Some(published.number), published.event),
                    Err(RecvError::Closed) => break,
                    Err(RecvError::Lagged(missed)) => {
                        self.over = true;
                        return Some(Notice::Lagged(missed));
                    }
                },
            };
            if self.is_news(&event) {
                self.over = self.only.is_some() && event.status.is_ended();
                let id = number.map(|number| EventId { epoch: self.epoch, number });
                return Some(Notice::State(id, event));
            }
        }
        self.over = true;
        None
    }

    /// Tells what is first. Only the last of it has a number: whoever loses the connection before has to begin anew.
    fn begin_with(&mut self, states: impl IntoIterator<Item = StateEvent>, behind: u64) {
        self.first.extend(states.into_iter().map(|state| (None, Arc::new(state))));
        if let Some((number, _)) = self.first.back_mut() {
            *number = Some(behind);
        }
    }

    fn is_news(&mut self, event: &StateEvent) -> bool {
        if self.only.as_ref().is_some_and(|only| *only != event.session_id) {
            return false;
        }
        if event.status.is_ended() {
            self.told.remove(&event.session_id);
            return true;
        }
        self.told.insert(event.session_id.clone(), event.status) != Some(event.status)
    }
}

impl Sessions {
    /// Watches one session: its present state, then each change, to its end.
    ///
    /// # Errors
    /// [`SessionError::NotFound`], or the store's.
    pub(crate) async fn watch(&self, id: &SessionId) -> Result<Watch, SessionError> {
        // Begun before the look, so that no change falls in between.
        let (mut watch, start) = self.inner.events.watch(Some(id.clone()), None);
        let Start::Fresh { behind } = start else { return Ok(watch) };
        match self.live(id) {
            // Of one that is about to end nothing is told but that.
            Some(live) => watch.begin_with(live.state(), behind),
            None => {
                let row = self.inner.store.find(id).await?;
                let row = row.ok_or_else(|| SessionError::NotFound { id: id.clone() })?;
                let at = row.last_activity;
                let session = describe_row(row);
                let (status, reason) = (session.status, session.reason);
                let state = StateEvent { session_id: session.id, status, reason, at };
                watch.begin_with([state], behind);
            }
        }
        Ok(watch)
    }

    /// Watches all sessions: the states of the live ones, then each change. A watcher that names the last event it saw gets
    /// what came since instead, as far as that is still known.
    pub(crate) fn watch_all(&self, seen: Option<EventId>) -> Watch {
        let (mut watch, start) = self.inner.events.watch(None, seen);
        if let Start::Fresh { behind } = start {
            watch.begin_with(self.all().into_iter().filter_map(|live| live.state()), behind);
        }
        watch
    }

    /// Ends all watches: the daemon is about to end.
    pub(crate) fn end_watches(&self) {
        self.inner.events.close();
    }
}

impl LiveSession {
    /// The state of a session that is not about to end.
    fn state(&self) -> Option<StateEvent> {
        self.end_status().is_none().then(|| self.state_event(SessionStatus::Running, self.created_at))
    }

    /// A state of this session as an event.
    pub(super) fn state_event(&self, status: SessionStatus, at: Timestamp) -> StateEvent {
        StateEvent { session_id: self.id.clone(), status, reason: self.activity().reason.clone(), at }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}-{}", self.epoch, self.number)
    }
}

impl FromStr for EventId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (epoch, number) = text.split_once('-').ok_or(())?;
        let epoch = u64::from_str_radix(epoch, 16).map_err(drop)?;
        Ok(Self { epoch, number: number.parse().map_err(drop)? })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use jiff::Timestamp;
    use sandkasten_api::event::StateEvent;
    use sandkasten_api::session::SessionStatus::{self, Crashed, Destroyed, Running};

    use super::{EventId, Events, KEPT, Notice, Watch};

    fn event(id: &str, status: SessionStatus) -> StateEvent {
        let session_id = id.parse().expect("an id");
        StateEvent { session_id, status, reason: None, at: Timestamp::UNIX_EPOCH }
    }

    const A: &str = "0000000a-0000";
    const B: &str = "0000000b-0000";

    /// What is there without waiting.
    fn told(watch: &mut Watch) -> Vec<(String, SessionStatus)> {
        let mut told = Vec::new();
        while let Some(Some(Notice::State(_, event))) = watch.next().now_or_never() {
            told.push((event.session_id.to_string(), event.status));
        }
        told
    }

    fn expected(all: &[(&str, SessionStatus)]) -> Vec<(String, SessionStatus)> {
        all.iter().map(|(id, status)| ((*id).to_owned(), *status)).collect()
    }

    #[test]
    fn a_watch_of_one_session_ends_with_it_and_one_of_all_goes_on() {
        let events = Events::new(7);
        let (mut one, _) = events.watch(Some(A.parse().expect("an id")), None);
        let (mut all, _) = events.watch(None, None);
        for (id, status) in
            [(A, Running), (A, Running), (B, Running), (B, Crashed), (A, Destroyed), (B, Running)]
        {
            events.publish(event(id, status));
        }
        assert_eq!(told(&mut one), expected(&[(A, Running), (A, Destroyed)]));
        assert!(matches!(one.next().now_or_never(), Some(None)), "it is over");
        assert_eq!(
            told(&mut all),
            expected(&[(A, Running), (B, Running), (B, Crashed), (A, Destroyed), (B, Running)])
        );
        assert!(all.next().now_or_never().is_none(), "it waits");
        events.close();
        assert!(matches!(all.next().now_or_never(), Some(None)));
        let (mut late, _) = events.watch(None, None);
        assert!(matches!(late.next().now_or_never(), Some(None)));
    }

    #[test]
    fn a_watcher_that_is_too_slow_is_told_so_and_no_more() {
        let events = Events::new(7);
        let (mut slow, _) = events.watch(None, None);
        for _ in 0..=KEPT + 2 {
            events.publish(event(A, Destroyed));
        }
        assert!(matches!(slow.next().now_or_never(), Some(Some(Notice::Lagged(3)))));
        assert!(matches!(slow.next().now_or_never(), Some(None)));
    }

    #[test]
    fn a_watcher_that_comes_back_gets_what_it_missed_where_that_is_known() {
        let events = Events::new(7);
        for _ in 0..3 {
            events.publish(event(A, Destroyed));
        }
        let resumed = |epoch, number| {
            let (mut watch, _) = events.watch(None, Some(EventId { epoch, number }));
            told(&mut watch).len()
        };
        assert_eq!([resumed(7, 0), resumed(7, 1), resumed(7, 3)], [3, 2, 0]);
        assert_eq!(
            [resumed(8, 0), resumed(7, 4), resumed(7, u64::MAX)],
            [0, 0, 0],
            "another daemon's, or none yet"
        );
        for _ in 0..KEPT {
            events.publish(event(A, Destroyed));
        }
        assert_eq!([resumed(7, 2), resumed(7, 3)], [0, KEPT], "what is forgotten begins anew");
    }

    #[test]
    fn the_name_of_an_event_is_read_as_it_is_written() {
        let id = EventId { epoch: 0xabc, number: 12 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "-", "x-1", "1", "1-x", "1-2-3", "-1"] {
            assert!(bad.parse::<EventId>().is_err(), "{bad}");
        }
    }
}
