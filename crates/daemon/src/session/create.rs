//! Making a session: each step has its own failure, and whatever was made before it is unmade.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use sandkasten_api::id::{SessionId, WorkspaceId};
use sandkasten_api::label::Labels;
use sandkasten_api::name::SessionName;
use sandkasten_api::session::{AcquireSource, Session, SessionStatus};
use sandkasten_image::{HeldLayers, Image, ImageName, ResolveImageError};
use sandkasten_isolation::host::cgroup::SessionCgroup;
use sandkasten_isolation::host::{LaunchRequest, Launched, PathError, RootDirectory, UidLease, launch};
use sandkasten_isolation::plan::{SandboxPlan, WORKSPACE_DIRECTORY};
use sandkasten_protocol::MAIN_SHELL;

use super::end::clear_away;
use super::jobs::Jobs;
use super::live::{Activity, LiveSession, MAX_FOLLOWERS};
use super::process_groups::ProcessGroups;
use super::shell_slot::ShellSlot;
use super::{FileSpace, Inner, SessionError, Sessions, expiry, plan};
use crate::idempotency::{KeptAnswer, Turn};
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
    /// Makes a session. Returns when its shell takes commands and it is written down, with the answer that is kept for whoever
    /// asks again. A caller that goes away in between changes nothing: the session is made, or nothing of it is left.
    ///
    /// # Errors
    /// [`SessionError`]; nothing of the session is left then.
    pub(crate) async fn create(
        &self,
        new: NewSession,
        keep: Option<Keep>,
    ) -> Result<(Arc<LiveSession>, Option<KeptAnswer>), SessionError> {
        let sessions = self.clone();
        let made = tokio::spawn(async move { sessions.make(new, keep).await });
        made.await.map_err(|source| SessionError::Task { source })?
    }

    async fn make(
        &self,
        new: NewSession,
        keep: Option<Keep>,
    ) -> Result<(Arc<LiveSession>, Option<KeptAnswer>), SessionError> {
        let _place = self.reserve()?;
        let _name = self.reserve_name(new.name.as_ref(), None)?;
        if let Some(idle) = self.take_idle(&new) {
            return self.hand_out(idle, new, keep).await;
        }
        self.make_room().await?;
        let inner = Arc::clone(&self.inner);
        // The layers are held until the record says that the session stands on them.
        let (session, layers, _held) = tokio::task::spawn_blocking(move || {
            let (image, held) = inner.resolve(new.image.as_deref().unwrap_or(&inner.config.default_image))?;
            Ok::<_, SessionError>((inner.build(&image, new)?, image.layer_names(), held))
        })
        .await
        .map_err(|source| SessionError::Task { source })??;
        let session = Arc::new(session);
        let started = session.process.started();
        let answer = self.write_down(&session, started, layers, keep.as_ref()).await?;
        self.adopt(Arc::clone(&session));
        self.pool(|pool| pool.end_pause(&session.image, Instant::now()));
        Ok((session, answer))
    }

    /// Counts a create that is under way against the limit.
    fn reserve(&self) -> Result<Place<'_>, SessionError> {
        let most = self.inner.config.max_sessions;
        let place = Place(&self.inner);
        let under_way = self.inner.creating.fetch_add(1, Ordering::SeqCst);
        let live = self.read_live(std::collections::HashMap::len);
        if live + under_way < usize::try_from(most).unwrap_or(usize::MAX) {
            Ok(place)
        } else {
            Err(SessionError::TooMany { most })
        }
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

struct Place<'a>(&'a Inner);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.creating.fetch_sub(1, Ordering::SeqCst);
        // What it took from the pool is to be replaced, and making that waits for creates.
        self.0.pool_changed.notify_one();
    }
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
    fn build(&self, image: &Image, mut new: NewSession) -> Result<LiveSession, SessionError> {
        let id = draw_id()?;
        let Some(workspace) = self.workspace_of(&id, new.workspace.take())? else {
            return self.start(id, image, new, None);
        };
        let workspace = self.workspaces.open_or_make(&workspace)?;
        self.start(id, image, new, Some(&workspace)).map_err(|error| match workspace.undo() {
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
        id: SessionId,
        image: &Image,
        new: NewSession,
        workspace: Option<&OpenWorkspace>,
    ) -> Result<LiveSession, SessionError> {
        let lease = self.leases.take()?;
        let cgroup = SessionCgroup::new(&self.layout, &self.places.instance, id.as_str(), lease.range());
        let defaults = self.config.defaults_of(image.name.as_str());
        cgroup.create(&plan::limits(&self.config, &defaults))?;
        let staging = self.places.staging.to_string_lossy();
        let filter = self.filter.as_deref();
        let plan = plan::plan(&self.config, &defaults, &id, image, filter, &staging, workspace);
        let socket = self.places.socket(id.as_str());
        let launched = UnixListener::bind(&socket)
            .map_err(|source| SessionError::Bind { source })
            .and_then(|listener| self.launch(&plan, image, workspace, &lease, &cgroup, &listener));
        let launched = match launched {
            Ok(launched) => launched,
            Err(error) => return Err(undo(error, &cgroup, &socket)),
        };
        let now = super::now();
        let groups = ProcessGroups::new(&cgroup);
        let shell = tokio::sync::Mutex::new(ShellSlot::first(launched.shell));
        Ok(LiveSession {
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
            shells: Mutex::new(HashMap::from([(MAIN_SHELL.to_owned(), Arc::new(shell))])),
            memory_peak: AtomicU64::new(0),
            activity: Mutex::new(Activity {
                cwd: WORKSPACE_DIRECTORY.to_owned(),
                last_activity: now,
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
        })
    }

    fn launch(
        &self,
        plan: &SandboxPlan,
        image: &Image,
        workspace: Option<&OpenWorkspace>,
        lease: &UidLease,
        cgroup: &SessionCgroup,
        listener: &UnixListener,
    ) -> Result<Launched, SessionError> {
        let binds: Vec<_> = image.binds.iter().map(|bind| bind.source.clone()).collect();
        Ok(launch(&LaunchRequest {
            plan,
            lease,
            layers: &image.layers,
            binds: &binds,
            workspace: workspace.map(OpenWorkspace::source),
            kept: None,
            cgroup,
            listener: listener.as_fd(),
            runner: &self.runner,
        })?)
    }
}

fn undo(error: SessionError, cgroup: &SessionCgroup, socket: &Path) -> SessionError {
    match clear_away(cgroup, socket) {
        Ok(()) => error,
        Err(undo) => SessionError::Undo { error: Box::new(error), undo: Box::new(undo.into()) },
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
