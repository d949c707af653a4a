//! The queue: order, places, memory, and whoever does not wait to the end.

use std::time::Duration;

use futures_util::FutureExt;

use super::host_memory::tests::write_host;
use super::{Admission, AdmissionError, Patience, Shortage};
use crate::config::{Automatic, Config};

const FOR_PLACE: Patience = Patience { wait: Duration::from_secs(600), for_place: true };
const FOR_TURN: Patience = Patience { wait: Duration::from_secs(600), for_place: false };
const NOT_AT_ALL: Patience = Patience { wait: Duration::ZERO, for_place: true };

struct Host {
    directory: tempfile::TempDir,
    admission: Admission,
}

impl Host {
    /// A host with 1,000 MiB available, of which 100 have to stay, and so many sessions and creates at once.
    fn new(sessions: u32, concurrent: u32) -> Self {
        Self::with(sessions, concurrent, 10)
    }

    fn with(sessions: u32, concurrent: u32, waiting: u32) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        write_host(directory.path(), 1_000, Some("0.00"));
        let mut config = Config::default();
        config.max_sessions = sessions;
        config.admission.concurrent_creates = Automatic::Is(concurrent);
        config.admission.max_waiting = waiting;
        config.admission.min_free_memory_mb = Automatic::Is(100);
        let admission = Admission::of_host(&config, directory.path()).expect("a host");
        Self { directory, admission }
    }

    /// How many are under way, live, and wait.
    fn counts(&self) -> (usize, usize, usize) {
        let state = self.admission.state();
        (state.under_way, state.live, state.queue.len())
    }

    async fn shortage(&self, patience: Patience) -> (Shortage, usize) {
        match self.admission.admit(patience).await {
            Err(AdmissionError::Short { shortage, in_front, .. }) => (shortage, in_front),
            other => panic!("{other:?}"),
        }
    }
}

/// Looks at a future once, and says whether it waits still.
fn waits<F: Future + Unpin>(future: &mut F) -> bool {
    future.now_or_never().is_none()
}

#[tokio::test]
async fn creates_beyond_the_bound_wait_their_turn_in_order() {
    let host = Host::new(10, 1);
    let first = host.admission.admit(FOR_TURN).await.expect("admitted");
    let mut second = Box::pin(host.admission.admit(FOR_TURN));
    let mut third = Box::pin(host.admission.admit(FOR_TURN));
    assert!(waits(&mut second) && waits(&mut third));
    assert_eq!(host.counts(), (1, 0, 2));
    assert_eq!(host.shortage(NOT_AT_ALL).await, (Shortage::Turn { most: 1 }, 2));
    first.become_session();
    assert!(waits(&mut third), "it came later");
    let Some(Ok(turn)) = (&mut second).now_or_never() else { panic!("its turn has come") };
    assert_eq!(host.counts(), (1, 1, 1));
    // A create that fails gives its turn on as well.
    drop(turn);
    assert!(!waits(&mut third));
    assert_eq!(host.counts(), (0, 1, 0));
}

#[tokio::test]
async fn a_place_that_becomes_free_goes_to_the_first_who_waits() {
    let host = Host::new(1, 4);
    host.admission.admit(FOR_TURN).await.expect("admitted").become_session();
    let full = (Shortage::Place { live: 1, under_way: 0, most: 1 }, 0);
    assert_eq!(host.shortage(FOR_TURN).await, full, "who does not wait for a place is refused at once");
    let mut first = Box::pin(host.admission.admit(FOR_PLACE));
    let mut second = Box::pin(host.admission.admit(FOR_PLACE));
    assert!(waits(&mut first) && waits(&mut second));
    host.admission.session_left();
    // Whoever comes only now cannot have it either.
    assert!(matches!(host.shortage(FOR_TURN).await, (Shortage::Place { live: 0, under_way: 1, .. }, 0)));
    assert!(waits(&mut second));
    let Some(Ok(turn)) = (&mut first).now_or_never() else { panic!("the place is free") };
    turn.become_session();
    assert!(waits(&mut second));
    host.admission.session_left();
    assert!(!waits(&mut second));
}

#[tokio::test]
async fn who_waits_for_a_turn_alone_is_refused_as_soon_as_there_is_no_place() {
    let host = Host::new(2, 1);
    let first = host.admission.admit(FOR_TURN).await.expect("admitted");
    let mut patient = Box::pin(host.admission.admit(FOR_PLACE));
    let mut impatient = Box::pin(host.admission.admit(FOR_TURN));
    let mut last = Box::pin(host.admission.admit(FOR_PLACE));
    assert!(waits(&mut patient) && waits(&mut impatient));
    assert!(waits(&mut last));
    first.become_session();
    // The patient one has the last place.
    let Some(Err(error)) = (&mut impatient).now_or_never() else { panic!("there is none for it") };
    assert!(error.to_string().contains("1 are live and 1 being made"), "{error}");
    assert!(waits(&mut last));
    assert!(!waits(&mut patient));
}

#[tokio::test]
async fn who_stops_waiting_leaves_the_queue_and_holds_nobody_up() {
    let host = Host::new(1, 4);
    host.admission.admit(FOR_TURN).await.expect("admitted").become_session();
    let mut gone = Box::pin(host.admission.admit(FOR_PLACE));
    let mut next = Box::pin(host.admission.admit(FOR_PLACE));
    assert!(waits(&mut gone) && waits(&mut next));
    drop(gone);
    assert_eq!(host.counts(), (0, 1, 1));
    host.admission.session_left();
    // It is told, and goes away before it hears.
    assert_eq!(host.counts(), (1, 0, 0));
    drop(next);
    assert_eq!(host.counts(), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_over_is_refused_with_the_reason() {
    let host = Host::new(10, 1);
    let turn = host.admission.admit(FOR_TURN).await.expect("admitted");
    let patience = Patience { wait: Duration::from_millis(1_500), for_place: false };
    let error = host.admission.admit(patience).await.expect_err("no turn");
    let text = error.to_string();
    assert!(text.contains("allows at once, 1;") && text.contains("(waited 15"), "{text}");
    assert_eq!(host.counts(), (1, 0, 0));
    drop(turn);
}

#[tokio::test(start_paused = true)]
async fn little_memory_is_waited_for_and_looked_at_again() {
    let host = Host::new(10, 4);
    let say = |available, pressure| write_host(host.directory.path(), available, Some(pressure));
    say(99, "0.00");
    let missing = Shortage::Memory { available: 99 << 20, least: 100 << 20 };
    assert_eq!(host.shortage(NOT_AT_ALL).await, (missing, 0));
    say(100, "20.50");
    assert_eq!(host.shortage(FOR_TURN).await, (Shortage::Pressure { percent: 20.5, most: 20.0 }, 0));
    let mut first = Box::pin(host.admission.admit(FOR_TURN));
    let mut second = Box::pin(host.admission.admit(FOR_TURN));
    assert!(waits(&mut first) && waits(&mut second));
    say(100, "19.50");
    // The end of a session is when it is looked at again; here, that of one that was adopted.
    host.admission.session_adopted();
    assert!(waits(&mut first));
    host.admission.session_left();
    let turns = ((&mut first).now_or_never(), (&mut second).now_or_never());
    assert!(matches!(turns, (Some(Ok(_)), Some(Ok(_)))));
    say(0, "0.00");
    let mut last = Box::pin(host.admission.admit(FOR_TURN));
    assert!(waits(&mut last));
    say(100, "0.00");
    // Nothing ends meanwhile: it is looked at when the time is over.
    last.await.expect("admitted");
}

#[tokio::test]
async fn the_queue_has_an_end_and_the_daemons_end_empties_it() {
    let host = Host::with(1, 1, 2);
    let turn = host.admission.admit(FOR_TURN).await.expect("admitted");
    let mut waiting = [Box::pin(host.admission.admit(FOR_PLACE)), Box::pin(host.admission.admit(FOR_PLACE))];
    for one in &mut waiting {
        assert!(waits(one));
    }
    let refused = host.admission.admit(FOR_PLACE).await;
    assert!(matches!(refused, Err(AdmissionError::QueueFull { waiting: 2 })), "{refused:?}");
    host.admission.close();
    for one in waiting {
        assert!(matches!(one.await, Err(AdmissionError::Ending)));
    }
    assert!(host.admission.is_busy(), "what is under way goes on");
    turn.become_session();
    assert!(matches!(host.admission.admit(FOR_PLACE).await, Err(AdmissionError::Ending)));
    assert_eq!(host.counts(), (0, 1, 0));
}

#[tokio::test]
async fn who_does_not_wait_takes_nobodys_place_in_the_queue() {
    let host = Host::with(1, 1, 1);
    let turn = host.admission.admit(FOR_TURN).await.expect("admitted");
    // Refused before anybody else can look at the queue.
    let refused = host.admission.queue_up(NOT_AT_ALL);
    assert!(matches!(refused, Err(AdmissionError::Short { in_front: 0, .. })));
    assert_eq!(host.counts(), (1, 0, 0));
    let mut waiting = Box::pin(host.admission.admit(FOR_PLACE));
    assert!(waits(&mut waiting));
    drop(turn);
    assert!(!waits(&mut waiting));
}

#[tokio::test]
async fn memory_that_cannot_be_read_admits_nobody() {
    let host = Host::new(10, 4);
    std::fs::write(host.directory.path().join("meminfo"), "").expect("a file");
    let refused = host.admission.admit(FOR_PLACE).await;
    assert!(matches!(refused, Err(AdmissionError::Memory(_))), "{refused:?}");
    assert_eq!(host.counts(), (0, 0, 0));
}
