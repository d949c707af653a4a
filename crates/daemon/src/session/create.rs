//! Making a session: each step has its own failure, and whatever was made before it is unmade.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use sandkasten_api::id::{SessionId, WorkspaceId};
use sandkasten_api::label::Labels;
use sandkasten_api::name::SessionName;
use sandkasten_api::session::{AcquireSource, Session, SessionStatus};
use sandkasten_image::{HeldLayers, Image, ImageName, ResolveImageError};
use sandkasten_isolation::host::{LaunchRequest, Launched, PathError, RootDirectory, ShellStart, launch};
use sandkasten_isolation::plan::WORKSPACE_DIRECTORY;
use sandkasten_protocol::MAIN_SHELL;

use super::berth::Berth;
use super::jobs::Jobs;
use super::live::{Activity, LiveSession, MAX_FOLLOWERS, UseNote};
use super::process_groups::ProcessGroups;
use super::shell_boot::ShellBoot;
use super::{FileSpace, Inner, SessionError, Sessions, expiry, plan};
use crate::admission::{self, Patience};
use crate::config::DefaultsConfig;
use crate::idempotency::{KeptAnswer, Turn};
use crate::metrics::CreateFailure;
use crate::store::SessionRow;
use crate::workspace::OpenWorkspace;

/// What a session is to be.
#[derive(Debug)]
pub(crate) struct NewSession {
    /// The name of its image; none means the default one.
    pub(crate) image: Option<String>,
    pub(crate) ttl_seconds: u64,
    pub(crate) workspace: Option<WorkspaceId>,
    pub(crate) name: Option<SessionName>,
    pub(crate) labels: Labels,
}

/// The answer to a request that may be repeated, made when the session is and written down with it.
#[derive(Debug)]
pub(crate) struct Keep {
    /// Held until the session is known.
    pub(crate) turn: Turn,
    pub(crate) answer: fn(&Turn, &Session) -> KeptAnswer,
}

impl Sessions {
    /// Makes a session. Returns when its sandbox stands and it is written down, with the answer that is kept for whoever
    /// asks again. A caller that goes away while it waits to be admitted is forgotten; later that changes nothing: the session is
    /// made, or nothing of it is left.
    ///
    /// # Errors
    /// [`SessionError`]; nothing of the session is left then.
    pub(crate) async fn create(
        &self,
        new: NewSession,
        keep: Option<Keep>,
        patience: Patience,
    ) -> Result<(Arc<LiveSession>, Option<KeptAnswer>), SessionError> {
        let began = Instant::now();
        let admitted = self.inner.admission.admit(patience).await;
        let metrics = &self.inner.metrics;
        let admitted = admitted.inspect_err(|error| metrics.create_failed(error.as_failure()))?;
        let sessions = self.clone();
        let made = tokio::spawn(async move {
            let made = sessions.make(new, keep, admitted).await;
            match &made {
                Ok((session, _)) => {
                    let source = session.acquire_source.as_str();
                    sessions.inner.metrics.created(source, began.elapsed());
                }
                Err(_) => sessions.inner.metrics.create_failed(CreateFailure::Other),
            }
            // What it took from the pool is to be replaced, and making that waits for creates.
            sessions.inner.pool_changed.notify_one();
            made
        });
        made.await.map_err(|source| SessionError::Task { source })?
    }

    async fn make(
        &self,
        new: NewSession,
        keep: Option<Keep>,
        admitted: admission::Turn,
    ) -> Result<(Arc<LiveSession>, Option<KeptAnswer>), SessionError> {
        let _name = self.reserve_name(new.name.as_ref(), None)?;
        if let Some(idle) = self.take_idle(&new) {
            return self.hand_out(idle, new, keep, admitted).await;
        }
        self.make_room().await?;
        let inner = Arc::clone(&self.inner);
        // The layers are held until the record says that the session stands on them.
        let (made, layers, _held) = tokio::task::spawn_blocking(move || {
            let (image, held) = inner.resolve(new.image.as_deref().unwrap_or(&inner.config.default_image))?;
            Ok::<_, SessionError>((inner.build(&image, new)?, image.layer_names(), held))
        })
        .await
        .map_err(|source| SessionError::Task { source })??;
        let session = Arc::new(made.session);
        if let Some(boot) = made.boot {
            let session = Arc::clone(&session);
            tokio::task::spawn_blocking(move || boot.finish(&session));
        }
        let started = session.process.started();
        let answer = self.write_down(&session, started, layers, keep.as_ref()).await?;
        admitted.become_session();
        self.make_known(&session);
        self.watch_end(Arc::clone(&session));
        self.make_next_berth();
        self.pool(|pool| pool.end_pause(&session.image, Instant::now()));
        Ok((session, answer))
    }

    /// Writes a sandbox that stands down as a session, with the answer that is kept. `started` is when its runner did.
    ///
    /// # Errors
    /// [`SessionError`]; nothing of the sandbox is left then.
    pub(super) async fn write_down(
        &self,
        session: &Arc<LiveSession>,
        started: Result<u64, PathError>,
        layers: Vec<String>,
        keep: Option<&Keep>,
    ) -> Result<Option<KeptAnswer>, SessionError> {
        let described = session.describe();
        let answer = keep.map(|keep| (keep.answer)(&keep.turn, &described));
        let written = match started {
            Ok(started) => {
                let row = record(session, described, started, layers);
                self.inner.store.insert(&row, answer.as_ref()).await.map_err(SessionError::from)
            }
            Err(error) => Err(error.into()),
        };
        match written {
            Ok(()) => Ok(answer),
            Err(error) => Err(self.undo(error, session).await),
        }
    }

    /// Ends a sandbox whose making has failed, and says why it has.
    pub(super) async fn undo(&self, error: SessionError, session: &Arc<LiveSession>) -> SessionError {
        match self.tear_down(session).await {
            Ok(()) => error,
            Err(undo) => SessionError::Undo { error: Box::new(error), undo: Box::new(undo) },
        }
    }
}

fn record(session: &LiveSession, described: Session, started: u64, layers: Vec<String>) -> SessionRow {
    SessionRow {
        id: described.id,
        image: described.image,
        layers: Some(layers),
        status: SessionStatus::Running,
        cwd: described.cwd,
        ttl_seconds: described.ttl_seconds,
        created_at: session.created_at,
        last_activity: session.created_at,
        expires_at: described.expires_at,
        uid_range: session.range.index(),
        runner_pid: session.process.pid(),
        runner_started: started,
        landlock_abi: session.landlock_abi,
        workspace_id: described.workspace_id,
        name: described.name,
        labels: described.labels,
        reason: None,
        acquire_source: described.acquire_source,
    }
}

/// A session whose sandbox stands.
pub(super) struct Made {
    pub(super) session: LiveSession,
    /// What is left of the start of its shell.
    pub(super) boot: Option<ShellBoot>,
}

impl Inner {
    /// Finds the image, if sessions may use it. Blocking.
    pub(super) fn resolve(&self, name: &str) -> Result<(Image, HeldLayers), SessionError> {
        let parsed: ImageName =
            name.parse().map_err(|error| SessionError::Image { reason: format!("{error}") })?;
        if !self.config.allows_image_name(parsed.as_str()) {
            let reason = format!("the image {name:?} is not in allowed_images of the configuration");
            return Err(SessionError::Image { reason });
        }
        let (image, held) = self.images.hold(&parsed).map_err(|error| match error {
            ResolveImageError::NotPresent { .. } => SessionError::Image {
                reason: format!(
                    "the image {name:?} is not present; import it with `sandkasten image import --name {name} --tar F`"
                ),
            },
            source => SessionError::ReadImage { name: name.to_owned(), source },
        })?;
        if !self.config.allows_image(&image) {
            let digest = &image.digest;
            let reason = format!(
                "the image {name:?} has the digest {digest}, which is not in allowed_images of the configuration"
            );
            return Err(SessionError::Image { reason });
        }
        Ok((image, held))
    }

    /// Starts a sandbox, with a workspace that is made where there is none. Blocking.
    fn build(&self, image: &Image, mut new: NewSession) -> Result<Made, SessionError> {
        let berth = self.berth()?;
        let opened = self
            .workspace_of(&berth.id, new.workspace.take())
            .and_then(|workspace| Ok(workspace.map(|id| self.workspaces.open_or_make(&id)).transpose()?));
        let workspace = match opened {
            Ok(Some(workspace)) => workspace,
            Ok(None) => return self.start(berth, image, new, None),
            Err(error) => return Err(berth.undo(error)),
        };
        self.start(berth, image, new, Some(&workspace)).map_err(|error| match workspace.undo() {
            Ok(()) => error,
            Err(undo) => SessionError::Undo { error: Box::new(error), undo: Box::new(undo.into()) },
        })
    }

    /// The workspace of a session that names none is called as the session is, where sessions have one by default.
    fn workspace_of(
        &self,
        id: &SessionId,
        named: Option<WorkspaceId>,
    ) -> Result<Option<WorkspaceId>, SessionError> {
        let by_default = self.config.workspace.is_for_every_session();
        match named {
            None if by_default => workspace_id(id).map(Some),
            named => Ok(named),
        }
    }

    pub(super) fn start(
        &self,
        berth: Berth,
        image: &Image,
        new: NewSession,
        workspace: Option<&OpenWorkspace>,
    ) -> Result<Made, SessionError> {
        let defaults = self.config.defaults_of(image.name.as_str());
        let launched = self.launch(&berth, image, &defaults, workspace);
        let launched = match launched.and_then(|launched| self.prove_shell(image, launched)) {
            Ok(launched) => launched,
            Err(error) => return Err(berth.undo(error)),
        };
        let Berth { id, lease, cgroup, socket, .. } = berth;
        let now = super::now();
        let groups = ProcessGroups::new(&cgroup);
        let (shell, boot) = ShellBoot::begin(launched.shell, launched.shell_start);
        let session = LiveSession {
            id,
            image: image.name.as_str().to_owned(),
            defaults,
            created_at: now,
            acquire_source: AcquireSource::Cold,
            landlock_abi: launched.landlock_abi,
            cgroup,
            process: launched.process,
            socket,
            range: lease.range(),
            workspace: workspace.map(|workspace| workspace.id().clone()),
            files: FileSpace::new(RootDirectory::new(launched.root, lease.range().sandbox_user())),
            groups,
            jobs: Jobs::default(),
            followers: Arc::new(tokio::sync::Semaphore::new(MAX_FOLLOWERS)),
            shells: Mutex::new(HashMap::from([(MAIN_SHELL.to_owned(), shell)])),
            memory_peak: AtomicU64::new(0),
            activity: Mutex::new(Activity {
                cwd: WORKSPACE_DIRECTORY.to_owned(),
                last_activity: now,
                use_note: UseNote::Written,
                expires_at: expiry(now, new.ttl_seconds),
                name: new.name,
                labels: new.labels,
                ttl_seconds: new.ttl_seconds,
                in_use: 0,
                ended: None,
                reason: None,
            }),
            terminals: tokio::sync::Mutex::default(),
            changing: tokio::sync::Mutex::default(),
        };
        Ok(Made { session, boot })
    }

    /// Waits for the shell of an image whose shell has not taken commands yet in this daemon's time, so that an image that cannot
    /// be used makes no session.
    fn prove_shell(&self, image: &Image, mut launched: Launched) -> Result<Launched, SessionError> {
        if self.proven_shells.contain(image) {
            return Ok(launched);
        }
        match launched.shell_start.take().map(ShellStart::wait).transpose() {
            Ok(started) => {
                if started.is_some() {
                    self.proven_shells.add(image);
                }
                Ok(launched)
            }
            Err(error) => {
                // The error at hand says more than one of the kill could.
                launched.process.kill_and_wait().ok();
                Err(error.into())
            }
        }
    }

    fn launch(
        &self,
        berth: &Berth,
        image: &Image,
        defaults: &DefaultsConfig,
        workspace: Option<&OpenWorkspace>,
    ) -> Result<Launched, SessionError> {
        berth.cgroup.limit(&plan::limits(&self.config, defaults))?;
        let staging = self.places.staging.to_string_lossy();
        let filter = self.filter.as_deref();
        let plan = plan::plan(&self.config, defaults, &berth.id, image, filter, &staging, workspace);
        let binds: Vec<_> = image.binds.iter().map(|bind| bind.source.clone()).collect();
        Ok(launch(&LaunchRequest {
            plan: &plan,
            lease: &berth.lease,
            layers: &image.layers,
            binds: &binds,
            workspace: workspace.map(OpenWorkspace::source),
            kept: None,
            fittings: &berth.fittings,
            listener: berth.listener.as_fd(),
            runner: &self.runner,
        })?)
    }
}

/// Draws a number that nobody can guess.
pub(crate) fn random_number() -> std::io::Result<u64> {
    let mut bytes = [0_u8; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_be_bytes(bytes))
}

/// The workspace that is called as a session is.
pub(super) fn workspace_id(id: &SessionId) -> Result<WorkspaceId, SessionError> {
    id.as_str().parse().map_err(|source| SessionError::WorkspaceName { source })
}

pub(super) fn draw_id() -> Result<SessionId, SessionError> {
    let number = random_number().map_err(|source| SessionError::Random { source })?;
    let [a, b, c, d, e, f, ..] = number.to_be_bytes();
    Ok(SessionId::from_random(u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f])))
}
