//! Making a session: each step has its own failure, and whatever was made before it is unmade.

use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use sandkasten_api::id::{SessionId, WorkspaceId};
use sandkasten_api::session::SessionStatus;
use sandkasten_image::{Image, ImageName, ResolveImageError};
use sandkasten_isolation::host::cgroup::SessionCgroup;
use sandkasten_isolation::host::{LaunchRequest, Launched, RootDirectory, UidLease, launch};
use sandkasten_isolation::plan::WORKSPACE_DIRECTORY;

use super::end::clear_away;
use super::live::{Activity, LiveSession};
use super::shell_slot::ShellSlot;
use super::{FileSpace, Inner, SessionError, Sessions, expiry, plan};
use crate::store::SessionRow;
use crate::workspace::OpenWorkspace;

impl Sessions {
    /// Makes a session of the named image, or of the default one, with the named workspace if there is one. Returns when its shell takes commands and it is
    /// written down.
    ///
    /// # Errors
    /// [`SessionError`]; nothing of the session is left then.
    pub(crate) async fn create(
        &self,
        image: Option<&str>,
        ttl_seconds: u64,
        workspace: Option<WorkspaceId>,
    ) -> Result<Arc<LiveSession>, SessionError> {
        let _place = self.reserve()?;
        let inner = Arc::clone(&self.inner);
        let name = image.unwrap_or(&self.inner.config.default_image).to_owned();
        let session = tokio::task::spawn_blocking(move || {
            let image = inner.resolve(&name)?;
            inner.build(&image, ttl_seconds, workspace)
        })
        .await
        .map_err(|source| SessionError::Task { source })??;
        let session = Arc::new(session);
        if let Err(error) = self.write_down(&session).await {
            let undone = self.tear_down(&session).await;
            return Err(match undone {
                Ok(()) => error,
                Err(undo) => SessionError::Undo { error: Box::new(error), undo: Box::new(undo) },
            });
        }
        self.adopt(Arc::clone(&session));
        Ok(session)
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

    async fn write_down(&self, session: &LiveSession) -> Result<(), SessionError> {
        let described = session.describe();
        let row = SessionRow {
            id: session.id.clone(),
            image: session.image.clone(),
            status: SessionStatus::Running,
            cwd: described.cwd,
            ttl_seconds: session.ttl_seconds,
            created_at: session.created_at,
            last_activity: session.created_at,
            expires_at: described.expires_at,
            uid_range: session.range.index(),
            runner_pid: session.process.pid(),
            runner_started: session.process.started()?,
            landlock_abi: session.landlock_abi,
            workspace_id: session.workspace.clone(),
        };
        Ok(self.inner.store.insert(&row).await?)
    }
}

struct Place<'a>(&'a Inner);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.creating.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Inner {
    /// Finds the image, if sessions may use it. Blocking.
    fn resolve(&self, name: &str) -> Result<Image, SessionError> {
        let parsed: ImageName =
            name.parse().map_err(|error| SessionError::Image { reason: format!("{error}") })?;
        if !self.config.allows_image(parsed.as_str()) {
            let reason = format!("the image {name:?} is not in allowed_images of the configuration");
            return Err(SessionError::Image { reason });
        }
        self.images.resolve(&parsed).map_err(|error| match error {
            ResolveImageError::NotPresent { .. } => SessionError::Image {
                reason: format!(
                    "the image {name:?} is not present; import it with `sandkasten image import --name {name} --tar F`"
                ),
            },
            source => SessionError::ReadImage { name: name.to_owned(), source },
        })
    }

    /// Starts a sandbox, with a workspace that is made where there is none. Blocking.
    fn build(
        &self,
        image: &Image,
        ttl_seconds: u64,
        workspace: Option<WorkspaceId>,
    ) -> Result<LiveSession, SessionError> {
        let id = draw_id()?;
        let Some(workspace) = self.workspace_of(&id, workspace)? else {
            return self.start(id, image, ttl_seconds, None);
        };
        let workspace = self.workspaces.open_or_make(&workspace)?;
        self.start(id, image, ttl_seconds, Some(&workspace)).map_err(|error| match workspace.undo() {
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
        let by_default = self.config.workspace.enabled && self.config.workspace.persist_by_default;
        match named {
            None if by_default => {
                id.as_str().parse().map(Some).map_err(|source| SessionError::WorkspaceName { source })
            }
            named => Ok(named),
        }
    }

    fn start(
        &self,
        id: SessionId,
        image: &Image,
        ttl_seconds: u64,
        workspace: Option<&OpenWorkspace>,
    ) -> Result<LiveSession, SessionError> {
        let lease = self.leases.take()?;
        let cgroup = SessionCgroup::new(&self.layout, &self.places.instance, id.as_str(), lease.range());
        cgroup.create(&plan::limits(&self.config))?;
        let socket = self.places.socket(id.as_str());
        let launched = UnixListener::bind(&socket)
            .map_err(|source| SessionError::Bind { source })
            .and_then(|listener| self.launch(&id, image, workspace, &lease, &cgroup, &listener));
        let launched = match launched {
            Ok(launched) => launched,
            Err(error) => return Err(undo(error, &cgroup, &socket)),
        };
        let now = super::now();
        Ok(LiveSession {
            id,
            image: image.name.as_str().to_owned(),
            created_at: now,
            ttl_seconds,
            landlock_abi: launched.landlock_abi,
            cgroup,
            process: launched.process,
            socket,
            range: lease.range(),
            workspace: workspace.map(|workspace| workspace.id().clone()),
            files: FileSpace::new(RootDirectory::new(launched.root, lease.range().sandbox_user())),
            shell: Arc::new(tokio::sync::Mutex::new(ShellSlot::first(launched.shell))),
            activity: Mutex::new(Activity {
                cwd: WORKSPACE_DIRECTORY.to_owned(),
                last_activity: now,
                expires_at: expiry(now, ttl_seconds),
                in_use: 0,
                ended: None,
            }),
        })
    }

    fn launch(
        &self,
        id: &SessionId,
        image: &Image,
        workspace: Option<&OpenWorkspace>,
        lease: &UidLease,
        cgroup: &SessionCgroup,
        listener: &UnixListener,
    ) -> Result<Launched, SessionError> {
        let staging = self.places.staging.to_string_lossy();
        let plan = plan::plan(&self.config, id, image, self.filter.as_deref(), &staging, workspace);
        let binds: Vec<_> = image.binds.iter().map(|bind| bind.source.clone()).collect();
        Ok(launch(&LaunchRequest {
            plan: &plan,
            lease,
            layers: &image.layers,
            binds: &binds,
            workspace: workspace.map(OpenWorkspace::source),
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

fn draw_id() -> Result<SessionId, SessionError> {
    let mut bytes = [0_u8; 6];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|source| SessionError::Random { source: source.into() })?;
    let [a, b, c, d, e, f] = bytes;
    Ok(SessionId::from_random(u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f])))
}
