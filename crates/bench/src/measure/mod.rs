//! Measuring: a folder a topic, a function a group. Each gives samples of what it is about, failures among them.

mod cpu;
mod density;
mod exec;
mod files;
mod floor;
mod memory;
mod parallel;
mod pooled;
mod resident;
mod sessions;

pub(crate) use self::floor::write_program;

use std::collections::BTreeSet;
use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use sandkasten_api::exec::{ExecRequest, ExecResult};
use sandkasten_api::id::SessionId;
use sandkasten_api::session::{CreateSessionRequest, Session};
use sandkasten_client::{Client, RequestError};
use sandkasten_isolation::error_chain;

use crate::budget::Circumstances;
use crate::daemon_process::DaemonProcess;
use crate::group::Group;
use crate::machine::Machine;
use crate::peers;
use crate::report::{PeerRow, Report, Row};
use crate::samples::Samples;
use crate::statistics::{Better, Statistics};
use crate::subject::Subject;

/// How many sessions are destroyed at once where that is not what is measured.
const DESTROYED_AT_ONCE: usize = 16;

/// How long nothing is done between groups: the kernel takes network namespaces apart after their processes have ended, and one group
/// is not to pay for what the one before has left.
const REST: Duration = Duration::from_millis(300);

/// After this time nothing of a destroyed session may be left.
const GONE: Duration = Duration::from_secs(1);

/// How much is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How often what takes a short time is done.
    pub samples: usize,
    /// How many cycles the parallel clients make in all.
    pub cycles: usize,
    /// Up to how many live sessions the density goes.
    pub sessions: usize,
    /// What is measured beside the floor.
    pub groups: BTreeSet<Group>,
    /// The image of the sessions; none is the configured one.
    pub image: Option<String>,
}

/// A daemon that is being measured.
pub(crate) struct Bench<'a> {
    pub(crate) client: &'a Client,
    pub(crate) daemon_pid: u32,
    pub(crate) scratch: PathBuf,
    pub(crate) settings: &'a Settings,
    progress: &'a (dyn Fn(&str) + Sync),
}

type Measured = Vec<(Subject, Samples)>;

/// Measures a daemon, and what it is compared with. `pooled` makes the command of a daemon like it that has a pool of so many sandboxes of
/// an image. `progress` is told what is being done. May be dropped at any time: what it has made ends with the daemons.
///
/// # Errors
/// That of the first create, which says more than a report of nothing but failures. Later ones are counted.
pub async fn measure(
    daemon: &DaemonProcess,
    settings: &Settings,
    pooled: &(dyn Fn(&str, usize) -> std::process::Command + Sync),
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Report, RequestError> {
    let bench = Bench {
        client: daemon.client(),
        daemon_pid: daemon.pid(),
        scratch: daemon.scratch().to_owned(),
        settings,
        progress,
    };
    let machine = Machine::look();
    let image = bench.first_session().await?;
    let floor = floor::floor(&bench).await;
    let median = floor.iter().find(|(subject, _)| *subject == Subject::Floor).and_then(|(_, samples)| {
        Statistics::of(samples.values(), Better::Lower).map(|statistics| statistics.p50)
    });
    let circumstances = Circumstances {
        floor: median,
        memory_sessions: bench.memory_sessions(),
        sessions: settings.sessions,
    };
    let mut measured = floor;
    for group in Group::ALL.into_iter().filter(|group| settings.groups.contains(group)) {
        tokio::time::sleep(REST).await;
        measured.extend(bench.rows_of(group).await);
    }
    let pooled = match settings.groups.contains(&Subject::PooledCreate.group()) {
        true => Some(pooled::creates(&bench, pooled(&image, pooled::READY)).await),
        false => None,
    };
    let mut density = Vec::new();
    if settings.groups.contains(&Group::Density) {
        let (steps, teardown) = density::density(&bench, &circumstances).await;
        density = steps;
        measured.push((Subject::Teardown, teardown));
    }
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION"),
        machine,
        image,
        rows: rows(&measured, pooled.as_ref(), &circumstances),
        density,
        peers: Vec::new(),
    };
    report.peers = bench.peers(&report).await;
    Ok(report)
}

/// Puts what was measured into the order of the report.
fn rows(
    measured: &Measured,
    pooled: Option<&Result<Samples, String>>,
    circumstances: &Circumstances,
) -> Vec<Row> {
    let mut rows = Vec::new();
    for subject in Subject::ALL {
        if let Some((_, samples)) = measured.iter().find(|(of, _)| *of == subject) {
            rows.push(Row::measured(subject, samples, circumstances));
        }
        if let (Subject::PooledCreate, Some(pooled)) = (subject, pooled) {
            rows.push(match pooled {
                Ok(samples) => Row::measured(subject, samples, circumstances),
                Err(reason) => Row::not_measured(subject, reason),
            });
        }
    }
    rows
}

impl Bench<'_> {
    async fn rows_of(&self, group: Group) -> Measured {
        match group {
            Group::Sessions => sessions::sessions(self).await,
            Group::Exec => exec::exec(self).await,
            Group::Files => files::files(self).await,
            Group::Parallel => parallel::parallel(self).await,
            Group::Memory => memory::memory(self).await,
            Group::Cpu => cpu::cpu(self).await,
            // These have rows of their own kinds, or are measured already.
            Group::Floor | Group::Density | Group::Peers => Vec::new(),
        }
    }

    async fn peers(&self, report: &Report) -> Vec<PeerRow> {
        if !self.settings.groups.contains(&Group::Peers) {
            return Vec::new();
        }
        let (floor, cycle) = (report.median(Subject::Floor), report.median(Subject::Cycle));
        peers::peers(self, floor, cycle).await
    }

    /// Makes a session and says which image it has; one that names none has the configured one.
    async fn first_session(&self) -> Result<String, RequestError> {
        let session = self.client.create_session(&self.create_request()).await?;
        self.destroy_all(vec![session.id]).await;
        Ok(session.image)
    }

    fn create_request(&self) -> CreateSessionRequest {
        CreateSessionRequest { image: self.settings.image.clone(), ..CreateSessionRequest::default() }
    }

    pub(crate) fn say(&self, what: &str) {
        (self.progress)(what);
    }

    /// How often something is done before it counts.
    pub(crate) fn warm_up(&self) -> usize {
        (self.settings.samples / 10).clamp(1, 20)
    }

    /// How often something is done that takes much longer than the rest.
    pub(crate) fn few(&self) -> usize {
        (self.settings.samples / 20).clamp(3, 20)
    }

    fn memory_sessions(&self) -> usize {
        self.few()
    }

    /// Creates a session, and says how many milliseconds that took.
    pub(crate) async fn create(&self) -> Result<(Session, f64), String> {
        timed(self.client.create_session(&self.create_request())).await
    }

    /// Runs a command that has to succeed, and says how many milliseconds that took.
    pub(crate) async fn run(&self, id: &SessionId, command: &str) -> Result<f64, String> {
        self.exec(id, command).await.map(|(_, took)| took)
    }

    /// The same, with the answer.
    async fn exec(&self, id: &SessionId, command: &str) -> Result<(ExecResult, f64), String> {
        let request = ExecRequest { cmd: Some(command.to_owned()), ..ExecRequest::default() };
        let (result, took) = timed(self.client.exec(id, &request)).await?;
        if result.exit_code == 0 {
            Ok((result, took))
        } else {
            Err(format!("{command} exited with {}: {}", result.exit_code, result.output.trim()))
        }
    }

    /// Destroys a session, and says how many milliseconds that took.
    pub(crate) async fn destroy(&self, id: &SessionId) -> Result<f64, String> {
        timed(self.client.destroy_session(id)).await.map(|((), took)| took)
    }

    /// Creates, runs a program, destroys, and says how many milliseconds that took.
    pub(crate) async fn cycle(&self) -> Result<f64, String> {
        let (session, create) = self.create().await?;
        let ran = self.run(&session.id, "/bin/true").await;
        let destroy = self.destroy(&session.id).await?;
        Ok(create + ran? + destroy)
    }

    /// Counts destroys as failed of whose sessions a process is left some time later.
    pub(crate) async fn look_for_left(&self, ended: Vec<SessionId>, destroys: &mut Samples) {
        tokio::time::sleep(GONE).await;
        let left = blocking(move || {
            let of_sessions = resident::processes(&ended, None).map_err(|error| error.to_string())?;
            Ok(of_sessions.into_iter().filter(|(_, processes)| !processes.is_empty()).collect::<Vec<_>>())
        });
        match left.await {
            Ok(left) => left.iter().for_each(|(id, processes)| {
                destroys.fail(&format!("processes {processes:?} of session {id} are left 1 s later"));
            }),
            Err(reason) => destroys.fail(&reason),
        }
    }

    /// Destroys sessions that have been measured. What cannot be destroyed now is tried again at the end of the daemon.
    pub(crate) async fn destroy_all(&self, ids: Vec<SessionId>) {
        let destroyed = stream::iter(&ids).map(|id| self.destroy(id));
        destroyed.buffer_unordered(DESTROYED_AT_ONCE).for_each(|_| std::future::ready(())).await;
    }
}

/// Waits for a request, and says how many milliseconds it took.
pub(crate) async fn timed<T, E: Error>(
    request: impl Future<Output = Result<T, E>>,
) -> Result<(T, f64), String> {
    let started = Instant::now();
    let answer = request.await.map_err(|error| error_chain(&error))?;
    Ok((answer, milliseconds(started.elapsed())))
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Runs what blocks on a thread for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::rows;
    use crate::budget::Circumstances;
    use crate::report::Status;
    use crate::samples::Samples;
    use crate::subject::Subject;

    #[test]
    fn rows_are_in_order_and_what_could_not_be_measured_says_why_where_it_was_asked_for() {
        let measured = vec![
            (Subject::Destroy, Samples::from_iter([2.0])),
            (Subject::ColdCreate, Samples::from_iter([3.0])),
        ];
        let circumstances = Circumstances { floor: Some(1.0), memory_sessions: 0, sessions: 0 };
        for (pooled, status) in [
            (Ok(Samples::from_iter([0.5])), Status::Measured),
            (Err("no daemon".to_owned()), Status::NotMeasured),
        ] {
            let with = rows(&measured, Some(&pooled), &circumstances);
            let found: Vec<_> = with.iter().map(|row| (row.subject, row.status)).collect();
            assert_eq!(
                found,
                [
                    (Subject::ColdCreate, Status::Measured),
                    (Subject::PooledCreate, status),
                    (Subject::Destroy, Status::Measured)
                ]
            );
        }
        assert_eq!(rows(&Vec::new(), None, &circumstances), []);
    }
}
