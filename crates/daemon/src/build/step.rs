//! One step: a sandbox on the layers so far, one program in it, and its end.

use std::future::Future;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sandkasten_isolation::error_chain;
use sandkasten_isolation::host::cgroup::SessionCgroup;
use sandkasten_isolation::host::{Fittings, LaunchRequest, Launched, UidLease, launch};
use sandkasten_isolation::plan::{Account, Identity, Owner, RootMode, SandboxPlan, ShellPreference, Tmpfs};
use sandkasten_protocol::{
    Capture, Hearing, Incoming, JobPlan, ProcessInput, Program, Reply, Request, StartProcess,
};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{BuildSandboxes, BuildStepError};
use crate::session::{
    Link, LinkError, OPEN_FILES, ProcessGroups, clear_away, limits, own_files, random_number,
};

/// How long the runner may take to say that a program has started. Only a bound on a hang.
const ANSWER: Duration = Duration::from_secs(20);
/// How often it is looked how much of the disk is left: a step writes to it without any other bound.
const SPACE_INTERVAL: Duration = Duration::from_millis(200);
/// What the runner keeps of the output until it is taken; the program waits for that.
const KEPT_BYTES: u64 = 256 << 10;
/// Of the files that a disk can have, this part is left to others.
const FILES_PART: u64 = 20;
const SHARED_MEMORY_BYTES: u64 = 64 << 20;

/// A program to run on layers.
#[derive(Debug, Clone)]
pub struct BuildStep {
    /// Directories of the layers, topmost first.
    pub layers: Vec<PathBuf>,
    /// A directory, empty and open to nobody but root. What the program changes is below `u` in it afterwards.
    pub kept: PathBuf,
    /// The program and its arguments; without a slash it is looked for in `PATH`.
    pub arguments: Vec<String>,
    /// All of its variables, `NAME=value`.
    pub environment: Vec<String>,
    /// The directory that it begins in.
    pub directory: String,
    /// The user it runs as.
    pub user: u32,
    /// Its group.
    pub group: u32,
    /// Its other groups.
    pub groups: Vec<u32>,
    /// When it is killed.
    pub timeout: Duration,
    /// It is killed when less than this is free on the disk of `kept`, or a twentieth of the files that the disk can have.
    pub reserve_bytes: u64,
}

/// How a step ended. Everything it had started is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepEnd {
    /// By itself, with this status; 128 + N after death by signal N.
    Exited(i32),
    /// By itself, with this status, after the kernel had killed something of it for lack of memory.
    OutOfMemory(i32),
    /// At its timeout.
    TimedOut,
    /// Because the disk is nearly full.
    DiskFull,
    /// Because the caller wanted it.
    Cancelled,
}

/// A sandbox that stands.
struct Standing {
    launched: Launched,
    cgroup: SessionCgroup,
    socket: PathBuf,
    /// Given back when nothing has its ids any more.
    _lease: UidLease,
}

impl BuildSandboxes {
    /// Runs a step to its end and gives its output away as it comes. When this returns, nothing of the sandbox is left but
    /// what was written below `kept`. To end it early, let `cancelled` complete; a future that is dropped leaves the sandbox
    /// for the next daemon to clear away.
    ///
    /// # Errors
    /// [`BuildStepError`].
    pub async fn run(
        self: &Arc<Self>,
        step: &BuildStep,
        output: &mut (dyn FnMut(&[u8]) + Send),
        cancelled: impl Future<Output = ()>,
    ) -> Result<StepEnd, BuildStepError> {
        let (sandboxes, wanted) = (Arc::clone(self), step.clone());
        let standing = blocking(move || sandboxes.stand(&wanted)).await?;
        let followed = follow(&standing, step, output, cancelled).await;
        let ended = blocking(move || standing.end()).await;
        match (followed, ended) {
            (Ok(StepEnd::Exited(status)), Ok(true)) if status != 0 => Ok(StepEnd::OutOfMemory(status)),
            (Ok(end), Ok(_)) => Ok(end),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
            (Err(error), Err(undo)) => Err(with_undo(error, undo)),
        }
    }

    fn stand(&self, step: &BuildStep) -> Result<Standing, BuildStepError> {
        let number = random_number().map_err(|source| BuildStepError::Random { source })?;
        let name = format!("build-{number:016x}");
        let lease = self.leases.take()?;
        let cgroup = SessionCgroup::new(&self.layout, &self.places.instance, &name, lease.range());
        cgroup.create(&limits(&self.config, &self.config.defaults))?;
        let socket = self.places.socket(&name);
        let launched = UnixListener::bind(&socket)
            .map_err(|source| BuildStepError::Bind { source })
            .and_then(|listener| {
                let fittings = Fittings::new(self.config.controls, &cgroup)?;
                self.launch(step, &name, &lease, &fittings, &listener)
            });
        match launched {
            Ok(launched) => Ok(Standing { launched, cgroup, socket, _lease: lease }),
            Err(error) => Err(match clear_away(&cgroup, &socket) {
                Ok(()) => error,
                Err(undo) => with_undo(error, undo.into()),
            }),
        }
    }

    fn launch(
        &self,
        step: &BuildStep,
        name: &str,
        lease: &UidLease,
        fittings: &Fittings,
        listener: &UnixListener,
    ) -> Result<Launched, BuildStepError> {
        let plan = self.plan(step, name);
        Ok(launch(&LaunchRequest {
            plan: &plan,
            lease,
            layers: &step.layers,
            binds: &[],
            workspace: None,
            kept: Some(&step.kept),
            fittings,
            listener: listener.as_fd(),
            runner: &self.runner,
        })?)
    }

    fn plan(&self, step: &BuildStep, name: &str) -> SandboxPlan {
        SandboxPlan {
            hostname: name.to_owned(),
            staging: self.places.staging.to_string_lossy().into_owned(),
            layers: step.layers.len(),
            binds: Vec::new(),
            root: RootMode::Kept,
            identity: Identity::Builder(Account {
                user: step.user,
                group: step.group,
                groups: step.groups.clone(),
            }),
            tmpfs: vec![Tmpfs {
                target: "/dev/shm".to_owned(),
                size_bytes: SHARED_MEMORY_BYTES,
                inodes: SHARED_MEMORY_BYTES / 4096,
                mode: 0o1777,
                owner: Owner::Root,
            }],
            workspace: None,
            files: own_files(name),
            environment: step.environment.clone(),
            shell: ShellPreference::Sh,
            working_directory: "/".to_owned(),
            seccomp: self.filter.clone(),
            open_files: OPEN_FILES,
            controls: self.config.controls,
        }
    }
}

impl Standing {
    /// Kills everything in it and removes what it had. Returns whether something was killed for lack of memory.
    fn end(self) -> Result<bool, BuildStepError> {
        let usage = self.cgroup.usage();
        // PID 1 is waited for, and the kernel lets it end only after everything else in its namespace.
        self.launched.process.kill_and_wait().map_err(|source| BuildStepError::End { source })?;
        clear_away(&self.cgroup, &self.socket)?;
        Ok(usage.is_ok_and(|usage| usage.oom_kills > 0))
    }
}

async fn follow(
    standing: &Standing,
    step: &BuildStep,
    output: &mut (dyn FnMut(&[u8]) + Send),
    cancelled: impl Future<Output = ()>,
) -> Result<StepEnd, BuildStepError> {
    let (_, group) = ProcessGroups::new(&standing.cgroup).create_open()?;
    let request = Request::Start(StartProcess {
        plan: JobPlan {
            job: 1,
            note: Vec::new(),
            capture: Capture { head: 0, tail: KEPT_BYTES },
            separate: false,
            hearing: Hearing::Paced,
        },
        program: Program::Arguments(step.arguments.clone()),
        environment: Vec::new(),
        directory: Some(step.directory.clone()),
        input: ProcessInput::Closed,
        terminal: None,
    });
    let opening = timeout(ANSWER, Link::open_with(&standing.socket, &request, Some(group.as_fd())));
    let mut link = opening.await.unwrap_or(Err(LinkError::Silent)).map_err(lost)?;
    let deadline = Instant::now() + step.timeout;
    let mut look = interval(SPACE_INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(cancelled);
    loop {
        tokio::select! {
            biased;
            () = &mut cancelled => return Ok(StepEnd::Cancelled),
            () = tokio::time::sleep_until(deadline) => return Ok(StepEnd::TimedOut),
            _ = look.tick() => {
                if is_nearly_full(&step.kept, step.reserve_bytes)? {
                    return Ok(StepEnd::DiskFull);
                }
            }
            frame = link.next() => match frame.map_err(lost)? {
                Incoming::Output(piece) => output(&piece.bytes),
                Incoming::Reply(Reply::Started) => {}
                Incoming::Reply(Reply::Finished(finished)) => return Ok(StepEnd::Exited(finished.status)),
                Incoming::Reply(Reply::Failed { reason }) => return Err(BuildStepError::Link { reason }),
                Incoming::Reply(_) => return Err(lost(LinkError::Unexpected)),
            },
        }
    }
}

/// Whether the disk of a directory has less than `reserve` bytes left, or a twentieth of its files, where it counts them.
fn is_nearly_full(path: &Path, reserve: u64) -> Result<bool, BuildStepError> {
    let space =
        rustix::fs::statvfs(path).map_err(|source| BuildStepError::Space { source: source.into() })?;
    let bytes = space.f_bavail.saturating_mul(space.f_frsize);
    Ok(bytes < reserve || space.f_favail < space.f_files / FILES_PART)
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn lost(error: LinkError) -> BuildStepError {
    BuildStepError::Link { reason: error_chain(&error) }
}

fn with_undo(error: BuildStepError, undo: BuildStepError) -> BuildStepError {
    BuildStepError::Undo { error: Box::new(error), undo: Box::new(undo) }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BuildStepError> + Send + 'static,
) -> Result<T, BuildStepError> {
    tokio::task::spawn_blocking(work).await.map_err(|source| BuildStepError::Task { source })?
}
