//! Keeping the pool as it is to be, in the background: one sandbox at a time, and never before a create that waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sandkasten_image::ImageName;

use super::idle_sandbox::IdleSandbox;
use super::{SessionError, Sessions};
use crate::admission::HostMemoryError;
use crate::metrics::PoolEnd;
use crate::pool::{ImageChanges, Memory, MemoryPressure, ReadMemoryError};

/// How long nothing is made after a create: its client is about to run its first command, and creates seldom come alone.
const QUIET: Duration = Duration::from_millis(20);
/// How long creates that go on without a break keep the pool from being filled.
const LONGEST_QUIET: Duration = Duration::from_millis(250);

/// Why no sandbox was made in advance.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    /// The host has little memory left.
    #[error("less than a tenth of the host's memory is available, or less than a create needs")]
    ShortOfMemory,
    /// How much memory there is cannot be told.
    #[error(transparent)]
    Memory(#[from] ReadMemoryError),
    /// What a create needs cannot be told.
    #[error(transparent)]
    Admission(#[from] HostMemoryError),
    /// It could not be made.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl Sessions {
    /// Keeps the pool as it is to be, until it is closed.
    pub(crate) async fn keep_pool(self) {
        if self.pool(|pool| pool.images().is_empty()) {
            return;
        }
        let mut changes = or_warn(
            ImageChanges::watch(self.inner.images.manifest_directory()),
            "images cannot be watched: sandboxes of one that changes are ended when a create comes upon them",
        );
        let mut pressure = or_warn(
            MemoryPressure::watch(),
            "the kernel does not tell when memory is short: idle sandboxes stay then",
        );
        while !self.pool(|pool| pool.is_closed()) {
            self.tend().await;
            let next = self.pool(|pool| pool.next_look(Instant::now()));
            tokio::select! {
                () = self.inner.pool_changed.notified() => self.let_pass().await,
                () = at(next) => {}
                told = next_change(changes.as_ref()) => {
                    changes = changes.filter(|_| or_warn(told, "images are watched no more").is_some());
                    self.replace_outdated().await;
                }
                () = self.inner.admission.finds_no_memory() => self.give_way().await,
                told = next_rise(pressure.as_ref()) => {
                    pressure = pressure.filter(|_| or_warn(told, "memory is watched no more").is_some());
                    self.give_way().await;
                }
            }
        }
    }

    /// Waits until no create comes for a moment.
    async fn let_pass(&self) {
        let deadline = Instant::now() + LONGEST_QUIET;
        while tokio::time::timeout(QUIET, self.inner.pool_changed.notified()).await.is_ok() {
            if Instant::now() >= deadline {
                return;
            }
        }
    }

    /// Ends what is of no use, and makes what is lacking.
    async fn tend(&self) {
        let surplus = self.pool(|pool| pool.shrink(Instant::now()));
        self.end_all_idle(surplus, PoolEnd::Surplus).await;
        let discarded = self.pool(|pool| pool.take_discarded());
        self.end_all_idle(discarded, PoolEnd::Useless).await;
        while !self.inner.admission.is_busy() && self.sandboxes() < self.most_sandboxes() {
            let Some(image) = self.pool(|pool| pool.lacking(Instant::now())) else { return };
            if let Err(error) = self.make_one(&image).await {
                let reason = &error as &dyn std::error::Error;
                match error {
                    KeepError::ShortOfMemory => {
                        tracing::info!(image, reason, "no sandbox is made in advance")
                    }
                    _ => tracing::warn!(
                        image,
                        reason,
                        "no sandbox could be made in advance; it is tried again later"
                    ),
                }
                self.inner.metrics.pool_failed(&image);
                self.pool(|pool| pool.note_failure(&image, Instant::now()));
            }
        }
    }

    async fn make_one(&self, image: &str) -> Result<(), KeepError> {
        // Who closes the pool waits for this.
        let _work = self.inner.pool_work.lock().await;
        if self.lacks_memory()? {
            return Err(KeepError::ShortOfMemory);
        }
        Ok(self.make_idle(image).await?)
    }

    /// Whether the host has too little memory to keep something for later.
    fn lacks_memory(&self) -> Result<bool, KeepError> {
        Ok(Memory::read()?.is_short() || !self.inner.admission.has_memory()?)
    }

    /// How many sandboxes there are: sessions, those that are being made, and the pool.
    fn sandboxes(&self) -> usize {
        self.inner.admission.sessions() + self.pool(|pool| pool.len())
    }

    fn most_sandboxes(&self) -> usize {
        usize::try_from(self.inner.config.max_sessions).unwrap_or(usize::MAX)
    }

    /// Ends a sandbox of the pool where a create would else make more than there may be.
    ///
    /// # Errors
    /// The kernel's or the store's.
    pub(super) async fn make_room(&self) -> Result<(), SessionError> {
        if self.sandboxes() <= self.most_sandboxes() {
            return Ok(());
        }
        match self.pool(|pool| pool.take_any()) {
            Some(idle) => {
                self.inner.metrics.pool_ended(PoolEnd::Place);
                self.end_idle(idle).await
            }
            None => Ok(()),
        }
    }

    /// Does something for which no idle sandbox may stand on an image: they end before, and none is made meanwhile.
    pub(crate) async fn without_idle_of<T>(&self, image: &ImageName, work: impl Future<Output = T>) -> T {
        let _work = self.inner.pool_work.lock().await;
        let idle = self.pool(|pool| pool.extract(image.as_str(), |_| true));
        // A client that goes away must not keep them from their end.
        let sessions = self.clone();
        let ended = tokio::spawn(async move { sessions.end_each(idle, PoolEnd::Image).await });
        if let Err(error) = ended.await {
            tracing::error!(%error, "sandboxes of the pool are left to the next start");
        }
        let done = work.await;
        self.inner.pool_changed.notify_one();
        done
    }

    /// Ends what was made of an image that has another content now, or is not there any more.
    async fn replace_outdated(&self) {
        let inner = Arc::clone(&self.inner);
        let images = self.pool(|pool| pool.images());
        let looked = tokio::task::spawn_blocking(move || {
            let digest = |image: &String| Some(inner.images.resolve(&image.parse().ok()?).ok()?.digest);
            images
                .into_iter()
                .map(|image| (digest(&image), image))
                .map(|(digest, image)| (image, digest))
                .collect()
        });
        let digests: BTreeMap<String, Option<String>> = match looked.await {
            Ok(digests) => digests,
            Err(error) => return tracing::error!(%error, "images that changed could not be looked at"),
        };
        for (image, digest) in digests {
            let is_outdated = |idle: &IdleSandbox| digest.as_ref() != Some(&idle.image_digest);
            let outdated = self.pool(|pool| {
                pool.forget_failure(&image);
                pool.extract(&image, is_outdated)
            });
            self.end_all_idle(outdated, PoolEnd::Image).await;
        }
    }

    /// Ends all that nobody has asked for where the host is short of memory, and lets creates that wait for some go on. That programs
    /// wait for memory says too little: those of a session that is at its own limit do.
    async fn give_way(&self) {
        if self.pool(|pool| pool.len()) == 0 || !self.lacks_memory().is_ok_and(|lacks| lacks) {
            return;
        }
        let idle = self.pool(|pool| {
            pool.images().iter().for_each(|image| pool.note_failure(image, Instant::now()));
            pool.empty()
        });
        tracing::warn!(sandboxes = idle.len(), "the host is short of memory: the pool gives way");
        self.end_all_idle(idle, PoolEnd::Memory).await;
        // Not where nothing was ended: whoever waits would find as little as before, and wake this again.
        self.inner.admission.look_again();
    }

    /// Closes the pool, and ends all that is in it.
    pub(crate) async fn end_pool(&self) {
        let idle = self.pool(|pool| pool.close());
        self.inner.pool_changed.notify_one();
        self.end_all_idle(idle, PoolEnd::Shutdown).await;
        // What was being made meanwhile was not taken any more, and has ended.
        drop(self.inner.pool_work.lock().await);
    }

    async fn end_all_idle(&self, idle: Vec<IdleSandbox>, why: PoolEnd) {
        let _work = self.inner.pool_work.lock().await;
        self.end_each(idle, why).await;
    }

    async fn end_each(&self, idle: Vec<IdleSandbox>, why: PoolEnd) {
        idle.iter().for_each(|_| self.inner.metrics.pool_ended(why));
        for ended in join_all(idle.into_iter().map(|idle| self.end_idle(idle))).await {
            if let Err(error) = ended {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "a sandbox of the pool is left to the next start");
            }
        }
    }
}

fn or_warn<T>(made: std::io::Result<T>, what: &str) -> Option<T> {
    made.map_err(|error| tracing::warn!(%error, "{what}")).ok()
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

async fn next_change(changes: Option<&ImageChanges>) -> std::io::Result<()> {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

async fn next_rise(pressure: Option<&MemoryPressure>) -> std::io::Result<()> {
    match pressure {
        Some(pressure) => pressure.rises().await,
        None => std::future::pending().await,
    }
}
