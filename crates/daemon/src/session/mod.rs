//! Sessions: the service behind the API. Knows sandboxes, images and the store; must not know HTTP.

mod adopt;
mod archive;
mod berth;
mod crash;
mod create;
mod edit;
mod end;
mod escape_sequence;
mod events;
mod exec;
mod file_content;
mod file_space;
mod file_watch;
mod files;
mod force;
mod glob;
mod idle_sandbox;
mod job;
mod jobs;
mod keep_pool;
mod link;
mod listing;
mod live;
mod measure;
mod names;
mod outcome;
mod output_text;
mod plan;
mod process_groups;
mod processes;
mod proven_shells;
mod relay;
mod replay;
mod resume;
mod run_command;
mod run_process;
mod search;
mod session_error;
mod shell_boot;
mod shell_slot;
mod terminal;
mod unified_diff;
mod update;
mod verdict;
mod workspace_files;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, RwLock};

use jiff::Timestamp;
use sandkasten_api::id::SessionId;
use sandkasten_api::name::SessionName;
use sandkasten_api::session::{Session, SessionIsolation, SessionStats, SessionStatus};
use sandkasten_image::ImageStore;
use sandkasten_isolation::host::cgroup::Layout;
use sandkasten_isolation::host::{LEASE_DIRECTORY, RunnerImage, UidLeases};
use sandkasten_isolation::report::Enforced;
use sandkasten_isolation::seccomp::Instruction;
use tokio::sync::{Notify, Semaphore};

use crate::admission::Admission;
use crate::config::Config;
use crate::daemon::StartError;
use crate::idempotency::Idempotency;
use crate::metrics::{Metrics, Standing};
use crate::places::Places;
use crate::pool::Pool;
use crate::store::{SessionRow, Store};
use crate::workspace::Workspaces;

pub(crate) use archive::{ArchiveFormat, UnpackArchiveError};
pub(crate) use create::{Keep, NewSession, random_number};
pub(crate) use edit::{Change, EditError, Occurrences, Replacement};
pub(crate) use end::clear_away;
pub(crate) use events::{EventId, Notice, Watch};
pub(crate) use exec::{Audience, Begun, ExecEvent, ExecFailure, ExecOptions, Work};
pub(crate) use file_content::{OpenFile, PIECE_BYTES, Upload};
pub(crate) use file_space::FileSpace;
pub(crate) use file_watch::{Awaited, FileWatch};
pub(crate) use files::{FilePath, InvalidPath, SessionFiles};
pub(crate) use glob::{Glob, InvalidGlob};
pub(crate) use job::{Job, JobEnd, JobState, RequestKey, milliseconds};
pub(crate) use link::{Link, LinkError};
pub(crate) use listing::{Listing, Position};
pub(crate) use live::{InUse, LiveSession};
pub(crate) use output_text::OutputText;
pub(crate) use plan::{OPEN_FILES, filter, limits, own_files};
pub(crate) use process_groups::ProcessGroups;
pub(crate) use processes::{Following, Listening, LogEvent, ProcessError};
pub(crate) use replay::Replay;
pub(crate) use search::{Pattern, Search};
pub(crate) use session_error::SessionError;
pub(crate) use unified_diff::UnifiedDiff;
pub(crate) use update::Update;
pub(crate) use verdict::parse_signal;
pub(crate) use workspace_files::{MissingWorkspace, WorkspaceFiles};

use file_watch::WatchLimits;
use idle_sandbox::IdleSandbox;
use live::UseNote;
use proven_shells::ProvenShells;
use workspace_files::WorkspaceTurns;

/// The runner's program, embedded by the build script.
pub(crate) static RUNNER: &[u8] = include_bytes!(env!("SANDKASTEN_RUNNER_PATH"));

/// How long the daemon's end waits for ends of sessions that are under way.
const SETTLE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// How long uses of a session are gathered before they are written down: the daemon's death costs no more of a session's time to live.
const USE_NOTE_DELAY: std::time::Duration = std::time::Duration::from_millis(500);

/// All sessions of the daemon. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Arc<Config>,
    places: Places,
    layout: Layout,
    leases: UidLeases,
    next_berth: berth::NextBerth,
    runner: RunnerImage,
    filter: Option<Vec<Instruction>>,
    images: ImageStore,
    proven_shells: ProvenShells,
    store: Store,
    workspaces: Workspaces,
    watch_limits: WatchLimits,
    workspace_turns: WorkspaceTurns,
    live: RwLock<HashMap<SessionId, Arc<LiveSession>>>,
    admission: Admission,
    /// Turns to tear a sandbox down, in order.
    teardowns: Semaphore,
    expiry_changed: Notify,
    /// Sandboxes that nobody has asked for yet.
    pool: Mutex<Pool<IdleSandbox>>,
    /// Is notified when there may be something to be done about the pool.
    pool_changed: Notify,
    /// Held by whoever makes or ends sandboxes of the pool in the background.
    pool_work: tokio::sync::Mutex<()>,
    /// Names that are about to be some session's.
    reserved_names: Mutex<HashSet<SessionName>>,
    idempotency: Idempotency,
    events: events::Events,
    metrics: Metrics,
    /// Runners that the kernel has killed for lack of memory where it counts those of all sessions together, as far as their
    /// ends are explained.
    explained_oom_kills: std::sync::atomic::AtomicU64,
}

impl Sessions {
    /// Prepares everything that sessions share. Blocking.
    ///
    /// # Errors
    /// What the kernel refuses, with the reason.
    pub(crate) fn new(
        config: Arc<Config>,
        places: Places,
        images: ImageStore,
        store: Store,
    ) -> Result<Self, StartError> {
        let layout = Layout::detect().map_err(|source| StartError::Cgroups { source })?;
        layout.prepare(&places.instance).map_err(|source| StartError::PrepareCgroups { source })?;
        let leases =
            UidLeases::open(Path::new(LEASE_DIRECTORY)).map_err(|source| StartError::UidLeases { source })?;
        let runner = RunnerImage::new(RUNNER).map_err(|source| StartError::Runner { source })?;
        let filter = plan::filter(&config);
        let workspaces = Workspaces::new(&config);
        if config.workspace.enabled {
            workspaces.prepare()?;
        }
        let oom_kills = layout
            .runner_oom_kills(&places.instance)
            .map_err(|source| StartError::PrepareCgroups { source })?;
        let idempotency = Idempotency::new(store.clone());
        let admission = Admission::new(&config).map_err(|source| StartError::HostMemory { source })?;
        let pool = Mutex::new(Pool::new(&config.kept_ready()));
        let epoch = create::random_number().map_err(|source| StartError::Random { source })?;
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                places,
                layout,
                leases,
                next_berth: berth::NextBerth::default(),
                runner,
                filter,
                images,
                proven_shells: ProvenShells::default(),
                store,
                workspaces,
                watch_limits: WatchLimits::of_this_host(),
                workspace_turns: WorkspaceTurns::default(),
                live: RwLock::default(),
                admission,
                teardowns: Semaphore::new(end::TEARDOWNS),
                expiry_changed: Notify::new(),
                pool,
                pool_changed: Notify::new(),
                pool_work: tokio::sync::Mutex::default(),
                reserved_names: Mutex::default(),
                idempotency,
                events: events::Events::new(epoch),
                metrics: Metrics::new(),
                explained_oom_kills: oom_kills.into(),
            }),
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.inner.config
    }

    pub(crate) fn places(&self) -> &Places {
        &self.inner.places
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.inner.layout
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn workspaces(&self) -> &Workspaces {
        &self.inner.workspaces
    }

    pub(crate) fn idempotency(&self) -> &Idempotency {
        &self.inner.idempotency
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// What there is now, for whoever reads the metrics.
    pub(crate) fn standing(&self) -> Standing {
        let (creating, waiting) = self.inner.admission.creates();
        let sessions = self.read_live(HashMap::len);
        Standing { sessions, creating, waiting, pool: self.pool(|pool| pool.counts()) }
    }

    /// Is notified when a session appears or its time to live changes, so that the reaper can look at its expiry.
    pub(crate) fn expiry_changed(&self) -> &Notify {
        &self.inner.expiry_changed
    }

    /// Returns the live sessions, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<LiveSession>> {
        let mut all: Vec<_> = self.read_live(|live| live.values().cloned().collect());
        all.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        all
    }

    /// Finds a live session, or says why there is none.
    ///
    /// # Errors
    /// [`SessionError::NotFound`], [`SessionError::Expired`] or [`SessionError::NotRunning`].
    pub(crate) async fn find(&self, id: &SessionId) -> Result<Arc<LiveSession>, SessionError> {
        if let Some(session) = self.live(id) {
            return session.check_live().map(|()| session);
        }
        Err(match self.inner.store.find(id).await?.map(|row| row.status) {
            None => SessionError::NotFound { id: id.clone() },
            Some(SessionStatus::Running) => SessionError::of_ended(id, SessionStatus::Crashed),
            Some(status) => SessionError::of_ended(id, status),
        })
    }

    /// Describes one session, ended ones of the last day included; of a live one also what the kernel enforces.
    ///
    /// # Errors
    /// [`SessionError::NotFound`], or the store's.
    pub(crate) async fn describe(&self, id: &SessionId) -> Result<Session, SessionError> {
        if let Some(live) = self.live(id) {
            let mut session = live.describe();
            session.last_activity = Some(live.last_activity());
            let version = self.inner.layout.version_name();
            session.isolation = tokio::task::spawn_blocking(move || read_isolation(&live, version))
                .await
                .map_err(|source| SessionError::Task { source })?;
            return Ok(session);
        }
        match self.inner.store.find(id).await? {
            Some(row) => Ok(describe_row(row)),
            None => Err(SessionError::NotFound { id: id.clone() }),
        }
    }

    /// Reads what a session uses. A few small reads; does not block for long.
    ///
    /// # Errors
    /// Those of [`Sessions::find`], or the kernel's.
    pub(crate) async fn stats(&self, id: &SessionId) -> Result<SessionStats, SessionError> {
        let session = self.find(id).await?;
        let usage = session.cgroup.usage()?;
        let limits = session.cgroup.limits()?;
        Ok(SessionStats {
            memory_bytes: usage.memory_bytes,
            memory_limit: limits.memory_bytes,
            memory_peak_bytes: usage.memory_peak_bytes.max(session.memory_peak.load(Ordering::Relaxed)),
            cpu_usage_usec: usage.cpu_usec,
            cpu_limit_millis: limits.cpu_millis,
            pids: usage.pids,
            pids_limit: limits.pids,
            oom_kills: usage.oom_kills,
        })
    }

    /// Returns a session that has not ended.
    fn live(&self, id: &SessionId) -> Option<Arc<LiveSession>> {
        self.read_live(|live| live.get(id).cloned())
    }

    /// Notes a use of a session, with the shell's directory where it has become known. Written down a little later, together with
    /// those that come until then: no answer depends on it.
    pub(crate) fn note_use(&self, session: &Arc<LiveSession>, cwd: Option<&str>) {
        if session.touch(now(), cwd) == UseNote::Pending {
            return;
        }
        let (sessions, session) = (self.clone(), Arc::downgrade(session));
        tokio::spawn(async move {
            tokio::time::sleep(USE_NOTE_DELAY).await;
            if let Some(session) = session.upgrade() {
                sessions.write_use(&session).await;
            }
        });
    }

    /// Writes down the last use of a session, where that has not been done.
    async fn write_use(&self, session: &LiveSession) {
        let Some((cwd, at)) = session.take_use_note() else { return };
        if let Err(error) = self.inner.store.touch(&session.id, &cwd, at).await {
            tracing::warn!(session = %session.id, error = &error as &dyn std::error::Error, "use not noted");
        }
    }

    fn read_live<T>(&self, read: impl FnOnce(&HashMap<SessionId, Arc<LiveSession>>) -> T) -> T {
        read(&self.inner.live.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn change_live<T>(&self, change: impl FnOnce(&mut HashMap<SessionId, Arc<LiveSession>>) -> T) -> T {
        change(&mut self.inner.live.write().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Waits until sessions that are being made stand, and those that are ending have ended. For the daemon's own end.
    pub(crate) async fn settle(&self) {
        let deadline = tokio::time::Instant::now() + SETTLE_PATIENCE;
        let unsettled = || {
            self.inner.admission.is_busy() || self.all().iter().any(|session| session.end_status().is_some())
        };
        while unsettled() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        for session in self.all() {
            self.write_use(&session).await;
        }
    }

    /// Refuses creates that wait, and those that come. For the daemon's own end.
    pub(crate) fn admit_no_more(&self) {
        self.inner.admission.close();
    }

    /// Finds the sandbox of a session that was written down, with the jobs that its runner has.
    ///
    /// # Errors
    /// [`SessionError`] where the sandbox has ended or does not answer; what is left of it is an orphan.
    pub(crate) async fn reopen(
        &self,
        row: SessionRow,
    ) -> Result<(Arc<LiveSession>, Vec<sandkasten_protocol::JobState>), SessionError> {
        let inner = Arc::clone(&self.inner);
        let adopted = tokio::task::spawn_blocking(move || inner.adopt_sandbox(row)).await;
        let (session, jobs) = adopted.map_err(|source| SessionError::Task { source })??;
        Ok((Arc::new(session), jobs))
    }

    /// Makes a sandbox that stands known as a session. It is counted already.
    fn make_known(&self, session: &Arc<LiveSession>) {
        self.change_live(|live| live.insert(session.id.clone(), Arc::clone(session)));
        self.inner.expiry_changed.notify_one();
        self.inner.events.publish(session.state_event(SessionStatus::Running, session.created_at));
    }

    /// Makes an earlier daemon's session known, and watches for its end.
    pub(crate) fn adopt(&self, session: Arc<LiveSession>) {
        self.inner.admission.session_adopted();
        self.make_known(&session);
        self.watch_end(session);
    }

    /// Watches for the end of a sandbox under its session.
    fn watch_end(&self, session: Arc<LiveSession>) {
        let sessions = self.clone();
        tokio::spawn(async move {
            session.ended().await;
            sessions.note_crash(&session).await;
        });
    }
}

/// Reads the enforced state of the shell's world; none where it cannot be read, because the session has just ended.
fn read_isolation(live: &LiveSession, version: &str) -> Option<SessionIsolation> {
    let enforced = Enforced::read(&live.process).ok()?;
    let mode = if enforced.seccomp_mode == 2 { "filter" } else { "none" };
    Some(SessionIsolation {
        namespaces: enforced.namespaces,
        uid_base: enforced.uid_map.0,
        capabilities: enforced.capabilities,
        no_new_privs: enforced.no_new_privs,
        seccomp: format!("{mode} x{}", enforced.seccomp_filters),
        landlock_abi: live.landlock_abi,
        readonly_rootfs: enforced.readonly_rootfs,
        cgroup: version.to_owned(),
    })
}

fn describe_row(row: SessionRow) -> Session {
    // A row that says so without a live sandbox is one that has just died.
    let status = if row.status == SessionStatus::Running { SessionStatus::Crashed } else { row.status };
    Session {
        id: row.id,
        image: row.image,
        name: row.name,
        labels: row.labels,
        status,
        reason: row.reason,
        cwd: row.cwd,
        workspace_id: row.workspace_id,
        created_at: row.created_at,
        ttl_seconds: row.ttl_seconds,
        expires_at: row.expires_at,
        acquire_source: row.acquire_source,
        last_activity: Some(row.last_activity),
        isolation: None,
    }
}

/// Returns the present, to the millisecond, as the store keeps it.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// Returns when an idle session ends. Saturates at the end of time.
fn expiry(from: Timestamp, ttl_seconds: u64) -> Timestamp {
    let ttl = jiff::SignedDuration::from_secs(i64::try_from(ttl_seconds).unwrap_or(i64::MAX));
    from.saturating_add(ttl).unwrap_or(Timestamp::MAX)
}
