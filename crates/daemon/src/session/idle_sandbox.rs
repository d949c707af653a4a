//! Sandboxes of the pool: made as for any session, and idle until a create takes one. Nothing has run in one but its own shell's
//! start, and it belongs to nobody.

use std::pin::pin;
use std::sync::{Arc, LazyLock, PoisonError};
use std::time::Instant;

use sandkasten_api::id::SessionId;
use sandkasten_api::label::Labels;
use sandkasten_api::session::AcquireSource;
use sandkasten_image::{Image, ImageName};
use sandkasten_isolation::plan::WORKSPACE_DIRECTORY;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use super::berth::Berth;
use super::create::{Made, workspace_id};
use super::live::EndWatch;
use super::shell_boot::ShellBoot;
use super::{Inner, Keep, LiveSession, NewSession, RUNNER, SessionError, Sessions, expiry, now, plan};
use crate::admission;
use crate::idempotency::KeptAnswer;
use crate::pool::Pool;
use crate::store::{IdleSandboxRow, StoreError};
use crate::workspace::OpenWorkspace;

/// Tells one runner's program from another's.
static RUNNER_DIGEST: LazyLock<[u8; 32]> = LazyLock::new(|| Sha256::digest(RUNNER).into());

/// A sandbox that stands, and that nobody has asked for yet.
#[derive(Debug)]
pub(super) struct IdleSandbox {
    pub(super) session: Box<LiveSession>,
    /// The content of the image that it was made from.
    pub(super) image_digest: String,
    /// The names of the layers that it stands on.
    layers: Vec<String>,
    runner_started: u64,
    /// Told who it has become; dropped where it is ended.
    taken: oneshot::Sender<Arc<LiveSession>>,
}

/// A sandbox that stands, before it is one of the pool.
#[derive(Debug)]
pub(super) struct Standing {
    session: LiveSession,
    image_digest: String,
    recipe: String,
    layers: Vec<String>,
    runner_started: u64,
}

/// Why a sandbox of an earlier daemon's pool is not taken over.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotAdopted {
    /// Another would be made in its place today.
    #[error("the image or the configuration has changed since it was made")]
    Outdated,
    /// Something has been done with it.
    #[error("it is not idle")]
    Used,
    /// It does not answer, or its image cannot be used.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl Sessions {
    pub(super) fn pool<T>(&self, work: impl FnOnce(&mut Pool<IdleSandbox>) -> T) -> T {
        work(&mut self.inner.pool.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a sandbox of the pool that lives and is what a create would make now. Nobody else gets it. A few small reads; does
    /// not block for long.
    pub(super) fn take_idle(&self, new: &NewSession) -> Option<IdleSandbox> {
        let config = &self.inner.config;
        let name: ImageName = new.image.as_deref().unwrap_or(&config.default_image).parse().ok()?;
        if !self.pool(|pool| pool.has(name.as_str())) || !self.inner.is_for_pool(new) {
            return None;
        }
        while let Some(mut idle) = self.pool(|pool| pool.take(name.as_str())) {
            if idle.session.process.is_alive() && self.inner.is_current(&name, &idle) {
                match self.inner.name_workspace(&mut idle.session, new) {
                    Ok(()) => {
                        self.inner.metrics.pool_asked(name.as_str(), true);
                        return Some(idle);
                    }
                    // Somebody else has come by the name meanwhile. A session that is made for it can share it, or says what is wrong.
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::debug!(error, "a workspace of the pool got no name");
                        self.discard(idle);
                        return None;
                    }
                }
            }
            self.discard(idle);
        }
        self.pool(|pool| pool.note_miss(name.as_str(), Instant::now()));
        self.inner.metrics.pool_asked(name.as_str(), false);
        None
    }

    /// Makes a session of a sandbox of the pool. It becomes one, and none of the pool any more, in one transaction: whenever the
    /// daemon dies, it is one of both.
    ///
    /// # Errors
    /// [`SessionError`]; nothing of the sandbox is left then.
    pub(super) async fn hand_out(
        &self,
        idle: IdleSandbox,
        new: NewSession,
        keep: Option<Keep>,
        admitted: admission::Turn,
    ) -> Result<(Arc<LiveSession>, Option<KeptAnswer>), SessionError> {
        let IdleSandbox { mut session, layers, runner_started, taken, .. } = idle;
        session.begin(new);
        let session = Arc::new(*session);
        let answer = self.write_down(&session, Ok(runner_started), layers, keep.as_ref()).await?;
        admitted.become_session();
        self.make_known(&session);
        // Whoever watches it listens until it is told, or this is dropped.
        taken.send(Arc::clone(&session)).ok();
        Ok((session, answer))
    }

    /// Lets a sandbox of the pool be ended in the background, or at once by the end of the daemon.
    fn discard(&self, idle: IdleSandbox) {
        if self.pool(|pool| pool.discard(idle)).is_err() {
            // The pool was closed in between; its row stays, and the next start ends it.
            tracing::warn!("a sandbox of the pool is left to the next start");
        }
        self.inner.pool_changed.notify_one();
    }

    /// Makes a sandbox that nobody has asked for and writes it down. Nothing of it is left after an error.
    ///
    /// # Errors
    /// [`SessionError`].
    pub(super) async fn make_idle(&self, image: &str) -> Result<(), SessionError> {
        let (inner, name) = (Arc::clone(&self.inner), image.to_owned());
        // The layers are held until the record says that something stands on them.
        let (standing, _held) = tokio::task::spawn_blocking(move || {
            let (image, held) = inner.resolve(&name)?;
            Ok::<_, SessionError>((inner.build_idle(&image)?, held))
        })
        .await
        .map_err(|source| SessionError::Task { source })??;
        let written = self.inner.store.insert_idle(&standing.record()).await;
        if let Err(error) = written {
            return Err(self.undo(error.into(), &Arc::new(standing.session)).await);
        }
        self.shelve(standing).await
    }

    /// Puts a sandbox that is written down into the pool, and watches for its end. One that is not wanted any more is ended.
    async fn shelve(&self, standing: Standing) -> Result<(), SessionError> {
        let Standing { session, image_digest, layers, runner_started, .. } = standing;
        let (id, image) = (session.id.clone(), session.image.clone());
        let watched = EndWatch::of(&session.process);
        let (taken, becomes) = oneshot::channel();
        let session = Box::new(session);
        let idle = IdleSandbox { session, image_digest, layers, runner_started, taken };
        let watch = match watched {
            Ok(watch) => watch,
            Err(source) => {
                self.end_idle(idle).await?;
                return Err(SessionError::Watch { source });
            }
        };
        match self.pool(|pool| pool.put(&image, idle)) {
            Ok(()) => {
                tokio::spawn(self.clone().watch_idle(watch, id, image, becomes));
                Ok(())
            }
            Err(idle) => self.end_idle(idle).await,
        }
    }

    /// Waits for the end of a sandbox, whether it is one of the pool then or a session.
    async fn watch_idle(
        self,
        watch: EndWatch,
        id: SessionId,
        image: String,
        mut becomes: oneshot::Receiver<Arc<LiveSession>>,
    ) {
        let mut end = pin!(watch.ended());
        let taken = tokio::select! {
            taken = &mut becomes => Some(taken),
            () = &mut end => None,
        };
        let session = match taken {
            Some(Ok(session)) => {
                end.await;
                session
            }
            // It is being ended.
            Some(Err(_)) => return,
            None => {
                for idle in self.pool(|pool| pool.extract(&image, |idle| idle.session.id == id)) {
                    self.note_idle_end(idle).await;
                }
                // Somebody may be taking it at this instant.
                let Ok(session) = becomes.await else { return };
                session
            }
        };
        self.note_crash(&session).await;
    }

    async fn note_idle_end(&self, idle: IdleSandbox) {
        let sessions = self.clone();
        let told = tokio::task::spawn_blocking(move || {
            let reason = sessions.crash_reason(&idle.session);
            tracing::warn!(sandbox = %idle.session.id, reason, "a sandbox of the pool ended by itself");
            sessions.discard(idle);
        });
        if let Err(error) = told.await {
            tracing::error!(%error, "a sandbox of the pool that ended is left to the next start");
        }
    }

    /// Ends a sandbox of the pool. It is written down until nothing of it is left.
    ///
    /// # Errors
    /// The kernel's or the store's.
    pub(super) async fn end_idle(&self, idle: IdleSandbox) -> Result<(), SessionError> {
        let IdleSandbox { session, taken, .. } = idle;
        drop(taken);
        let session = Arc::new(*session);
        self.tear_down(&session).await?;
        if self.inner.config.workspace.is_for_every_session() {
            let (workspaces, own) = (self.inner.workspaces.clone(), workspace_id(&session.id)?);
            let removed = tokio::task::spawn_blocking(move || workspaces.remove_idle(&own)).await;
            removed.map_err(|source| SessionError::Task { source })??;
        }
        Ok(self.inner.store.forget_idle(&session.id).await?)
    }

    /// Takes over the sandboxes of an earlier daemon's pool that would be made in the same way today. What is left of the
    /// others are orphans.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn adopt_pool(&self) -> Result<(), StoreError> {
        for row in self.inner.store.idle().await? {
            let (id, inner) = (row.id.clone(), Arc::clone(&self.inner));
            let adopted = tokio::task::spawn_blocking(move || inner.adopt_idle(row)).await;
            let shelved = match adopted {
                Ok(Ok(standing)) => self.shelve(standing).await.map_err(NotAdopted::from),
                Ok(Err(reason)) => Err(reason),
                Err(source) => Err(SessionError::Task { source }.into()),
            };
            if let Err(reason) = shelved {
                let reason = &reason as &dyn std::error::Error;
                tracing::info!(sandbox = %id, reason, "a sandbox of the pool is not taken over");
                self.inner.store.forget_idle(&id).await?;
            }
        }
        Ok(())
    }

    /// The sandboxes of the pool, by the process ids of their runners.
    pub(crate) fn idle_sandboxes(&self) -> Vec<(i32, SessionId)> {
        self.pool(|pool| pool.map(|idle| (idle.session.process.pid(), idle.session.id.clone())))
    }
}

impl Standing {
    fn record(&self) -> IdleSandboxRow {
        IdleSandboxRow {
            id: self.session.id.clone(),
            image: self.session.image.clone(),
            image_digest: self.image_digest.clone(),
            recipe: self.recipe.clone(),
            layers: self.layers.clone(),
            uid_range: self.session.range.index(),
            runner_pid: self.session.process.pid(),
            runner_started: self.runner_started,
            landlock_abi: self.session.landlock_abi,
        }
    }
}

impl LiveSession {
    /// Becomes what a client asked for, at this instant.
    fn begin(&mut self, new: NewSession) {
        let now = now();
        self.created_at = now;
        self.acquire_source = AcquireSource::Pool;
        let activity = self.activity.get_mut().unwrap_or_else(PoisonError::into_inner);
        activity.name = new.name;
        activity.labels = new.labels;
        activity.ttl_seconds = new.ttl_seconds;
        activity.last_activity = now;
        activity.expires_at = expiry(now, new.ttl_seconds);
    }
}

impl Inner {
    /// Whether a sandbox of the pool can become such a session: where every session has a workspace, they have one without a name,
    /// which can get any that is free; elsewhere they have none.
    fn is_for_pool(&self, new: &NewSession) -> bool {
        match &new.workspace {
            None => true,
            Some(name) => self.config.workspace.is_for_every_session() && self.workspaces.is_free(name),
        }
    }

    /// Gives the workspace of a sandbox of the pool its name, where it has one.
    fn name_workspace(&self, session: &mut LiveSession, new: &NewSession) -> Result<(), SessionError> {
        if self.config.workspace.is_for_every_session() {
            let own = workspace_id(&session.id)?;
            let name = new.workspace.clone().unwrap_or_else(|| own.clone());
            self.workspaces.name_idle(&own, &name)?;
            session.workspace = Some(name);
        }
        Ok(())
    }

    /// Whether the image of a sandbox has still the content that it was made from.
    fn is_current(&self, name: &ImageName, idle: &IdleSandbox) -> bool {
        self.images.resolve(name).is_ok_and(|image| image.digest == idle.image_digest)
    }

    /// Starts a sandbox that nobody has asked for. Blocking.
    fn build_idle(&self, image: &Image) -> Result<Standing, SessionError> {
        let nobodys = NewSession {
            image: None,
            ttl_seconds: self.config.session_ttl_seconds,
            workspace: None,
            name: None,
            labels: Labels::default(),
        };
        // The one that was made ahead is left to a create that waits.
        let berth = self.make_berth()?;
        let made = if self.config.workspace.is_for_every_session() {
            workspace_id(&berth.id).and_then(|own| Ok(Some(self.workspaces.make_idle(&own)?)))
        } else {
            Ok(None)
        };
        let workspace = match made {
            Ok(workspace) => workspace,
            Err(error) => return Err(berth.undo(error)),
        };
        match self.start_idle(berth, image, nobodys, workspace.as_ref()) {
            Ok((session, runner_started)) => Ok(Standing {
                session,
                image_digest: image.digest.clone(),
                recipe: self.recipe(image),
                layers: image.layer_names(),
                runner_started,
            }),
            Err(error) => {
                if let Some(workspace) = &workspace {
                    self.workspaces.remove_idle(workspace.id())?;
                }
                Err(error)
            }
        }
    }

    /// Starts a sandbox and waits until its shell is up. Blocking.
    fn start_idle(
        &self,
        berth: Berth,
        image: &Image,
        new: NewSession,
        workspace: Option<&OpenWorkspace>,
    ) -> Result<(LiveSession, u64), SessionError> {
        let Made { session, boot } = self.start(berth, image, new, workspace)?;
        let is_up = boot.map_or(Ok(()), ShellBoot::wait);
        match is_up.and_then(|()| Ok(session.process.started()?)) {
            Ok(started) => Ok((session, started)),
            Err(error) => {
                session.process.kill_and_wait()?;
                super::clear_away(&session.cgroup, &session.socket)?;
                Err(error)
            }
        }
    }

    /// Finds a sandbox of an earlier daemon's pool. Blocking.
    fn adopt_idle(&self, row: IdleSandboxRow) -> Result<Standing, NotAdopted> {
        if !self.pool.lock().unwrap_or_else(PoisonError::into_inner).has(&row.image) {
            return Err(NotAdopted::Outdated);
        }
        let (image, _held) = self.resolve(&row.image)?;
        if image.digest != row.image_digest || self.recipe(&image) != row.recipe {
            return Err(NotAdopted::Outdated);
        }
        // It has a name by now where the earlier daemon was killed within a hand-out.
        let has_workspace = self.config.workspace.is_for_every_session();
        if has_workspace && !self.workspaces.has_idle(&workspace_id(&row.id)?) {
            return Err(NotAdopted::Used);
        }
        let ttl_seconds = self.config.session_ttl_seconds;
        let (session, jobs) = self.adopt_sandbox(row.as_session(ttl_seconds, now()))?;
        if !jobs.is_empty() || session.activity().cwd != WORKSPACE_DIRECTORY {
            return Err(NotAdopted::Used);
        }
        let (recipe, layers) = (row.recipe, row.layers);
        Ok(Standing {
            session,
            image_digest: image.digest,
            recipe,
            layers,
            runner_started: row.runner_started,
        })
    }

    /// Digests all that decides how a sandbox of an image is made, apart from what differs for each session.
    fn recipe(&self, image: &Image) -> String {
        let defaults = self.config.defaults_of(image.name.as_str());
        let nobody = SessionId::from_random(0, 0);
        let staging = self.places.staging.to_string_lossy();
        let plan =
            plan::plan(&self.config, &defaults, &nobody, image, self.filter.as_deref(), &staging, None);
        let limits = plan::limits(&self.config, &defaults);
        let sources: Vec<_> = image.binds.iter().map(|bind| &bind.source).collect();
        let limits = (limits.cpu_millis, limits.memory_bytes, limits.pids);
        let has_workspace = self.config.workspace.is_for_every_session();
        let all = (plan, limits, image.layer_names(), sources, *RUNNER_DIGEST, has_workspace);
        let bytes = serde_json::to_vec(&all).expect("numbers, texts and lists of them are JSON");
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
