//! Requests that are made once however often they are sent: the mechanism behind `Idempotency-Key`.
//!
//! Whoever begins a request under a key either gets the answer that was kept for it, or its turn: then nobody else is under
//! way with that key, and what is made is written down [together with the answer](KeptAnswer). A request that makes nothing
//! keeps nothing. Knows neither HTTP nor what requests are about.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::OwnedMutexGuard;

pub(crate) use crate::store::KeptAnswer;
use crate::store::{Store, StoreError};

/// Route and key.
type Scope = (String, String);
type UnderWay = Arc<Mutex<HashMap<Scope, Arc<tokio::sync::Mutex<()>>>>>;

/// The requests that are under way with a key, and the answers that were given.
#[derive(Debug, Clone)]
pub(crate) struct Idempotency {
    store: Store,
    under_way: UnderWay,
}

/// What becomes of a request that has a key.
#[derive(Debug)]
pub(crate) enum Begun {
    /// It is to be carried out.
    Turn(Turn),
    /// It was carried out before.
    Kept(KeptAnswer),
}

/// The right to carry a request out. Whoever repeats it waits until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    scope: Scope,
    fingerprint: [u8; 32],
    under_way: UnderWay,
    /// None only while it is dropped.
    held: Option<OwnedMutexGuard<()>>,
}

/// Why a request with a key cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeginError {
    /// The key belongs to another request.
    #[error(
        "the Idempotency-Key {key:?} was used with another body less than a day ago; \
         send the same body again, or use a new key"
    )]
    Reused {
        /// Which key.
        key: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Idempotency {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, under_way: UnderWay::default() }
    }

    /// Begins a request: waits for one of the same route and key that is under way, and then looks at what it left.
    ///
    /// # Errors
    /// [`BeginError`].
    pub(crate) async fn begin(
        &self,
        route: &str,
        key: &str,
        request: &impl Serialize,
    ) -> Result<Begun, BeginError> {
        let fingerprint = fingerprint(request);
        let turn = self.turn((route.to_owned(), key.to_owned()), fingerprint).await;
        match self.store.kept_answer(route, key).await? {
            None => Ok(Begun::Turn(turn)),
            Some(kept) if kept.fingerprint == fingerprint => Ok(Begun::Kept(kept)),
            Some(_) => Err(BeginError::Reused { key: key.to_owned() }),
        }
    }

    async fn turn(&self, scope: Scope, fingerprint: [u8; 32]) -> Turn {
        let mut turn = Turn { scope, fingerprint, under_way: Arc::clone(&self.under_way), held: None };
        let place = Arc::clone(lock(&self.under_way).entry(turn.scope.clone()).or_default());
        // The turn exists already, so that it clears up behind whoever does not wait to the end.
        turn.held = Some(place.lock_owned().await);
        turn
    }
}

impl Turn {
    /// Makes the answer that is to be written down with what was made.
    pub(crate) fn answer(&self, status: u16, body: String) -> KeptAnswer {
        let (route, key) = self.scope.clone();
        KeptAnswer { route, key, fingerprint: self.fingerprint, status, body }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut under_way = lock(&self.under_way);
        self.held = None;
        // Others that wait hold it as well; nobody can begin to while the map is locked.
        if under_way.get(&self.scope).is_some_and(|place| Arc::strong_count(place) == 1) {
            under_way.remove(&self.scope);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Digests what was understood of a request, so that neither white space nor the order of fields matters.
pub(crate) fn fingerprint(request: &impl Serialize) -> [u8; 32] {
    Sha256::digest(serde_json::to_vec(request).expect("a request was read from JSON")).into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BeginError, Begun, Idempotency};
    use crate::store::Store;

    const ROUTE: &str = "POST /v1/sessions";

    async fn fresh(directory: &tempfile::TempDir) -> Idempotency {
        Idempotency::new(Store::open(&directory.path().join("test.db"), 2).await.expect("a store"))
    }

    async fn turn(idempotency: &Idempotency, body: &str) -> super::Turn {
        match idempotency.begin(ROUTE, "key", &body).await.expect("begun") {
            Begun::Turn(turn) => turn,
            Begun::Kept(kept) => panic!("{kept:?}"),
        }
    }

    #[tokio::test]
    async fn one_at_a_time_has_the_turn_and_a_failure_gives_it_to_the_next() {
        let directory = tempfile::tempdir().expect("a directory");
        let idempotency = fresh(&directory).await;
        let first = turn(&idempotency, "body").await;
        let waiting = tokio::spawn({
            let idempotency = idempotency.clone();
            async move { turn(&idempotency, "body").await }
        });
        let elsewhere = idempotency.begin("POST /elsewhere", "key", &"body").await;
        assert!(matches!(elsewhere, Ok(Begun::Turn(_))), "routes do not wait for each other");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!waiting.is_finished());
        drop(first);
        drop(waiting.await.expect("its turn"));
        drop(elsewhere);
        assert!(super::lock(&idempotency.under_way).is_empty(), "nothing is left of those that are over");
    }

    #[tokio::test]
    async fn who_does_not_wait_to_the_end_leaves_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let idempotency = fresh(&directory).await;
        let first = turn(&idempotency, "body").await;
        let waiting = tokio::time::timeout(Duration::from_millis(50), turn(&idempotency, "body")).await;
        assert!(waiting.is_err());
        drop(first);
        assert!(super::lock(&idempotency.under_way).is_empty());
    }

    #[tokio::test]
    async fn a_kept_answer_is_for_the_same_request_only() {
        let directory = tempfile::tempdir().expect("a directory");
        let idempotency = fresh(&directory).await;
        let turn = turn(&idempotency, "body").await;
        let answer = turn.answer(201, "made".to_owned());
        idempotency
            .store
            .insert(&crate::store::tests::row("00000001-0001"), Some(&answer))
            .await
            .expect("written");
        drop(turn);
        let again = idempotency.begin(ROUTE, "key", &"body").await.expect("begun");
        assert!(matches!(again, Begun::Kept(kept) if kept == answer));
        let other = idempotency.begin(ROUTE, "key", &"other").await;
        assert!(matches!(other, Err(BeginError::Reused { .. })), "{other:?}");
        assert!(super::lock(&idempotency.under_way).is_empty());
    }
}
