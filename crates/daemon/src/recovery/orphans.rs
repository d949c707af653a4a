//! Sandboxes of an earlier daemon that are no sessions: ended, with everything they had.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::Pid;
use sandkasten_isolation::host::cgroup::{Layout, SessionCgroup};
use sandkasten_isolation::host::{PathError, ProcessError, SandboxProcess};
use sandkasten_isolation::plan::UidRange;

use super::RecoveryError;
use crate::session::Sessions;

/// Kills runners that belong to no session and are not in the pool, then removes cgroups and sockets without one. Blocking.
///
/// # Errors
/// [`RecoveryError`], for the first thing that stays.
pub(super) fn clean(sessions: &Sessions) -> Result<(), RecoveryError> {
    let (live, idle) = (sessions.all(), sessions.idle_sandboxes());
    let (layout, instance) = (sessions.layout(), sessions.places().instance.as_str());
    let mut runners: BTreeSet<i32> = live.iter().map(|session| session.process.pid()).collect();
    let mut names: BTreeSet<&str> = live.iter().map(|session| session.id.as_str()).collect();
    runners.extend(idle.iter().map(|(runner, _)| runner));
    names.extend(idle.iter().map(|(_, id)| id.as_str()));
    end_sandboxes(layout, instance, &runners, &names)?;
    let directory = &sessions.places().sockets;
    for entry in fs::read_dir(directory).map_err(PathError::of("list", directory))? {
        let path = entry.map_err(PathError::of("list", directory))?.path();
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if !names.contains(name.as_str()) {
            fs::remove_file(&path).map_err(PathError::of("remove", &path))?;
        }
    }
    Ok(())
}

/// Ends every sandbox of a daemon's cgroups but those of the `kept` runners and session names.
pub(super) fn end_sandboxes(
    layout: &Layout,
    instance: &str,
    kept_runners: &BTreeSet<i32>,
    kept_names: &BTreeSet<&str>,
) -> Result<(), RecoveryError> {
    for pid in layout.runners(instance)? {
        if !kept_runners.contains(&pid) {
            kill(pid)?;
        }
    }
    for name in layout.sessions(instance)? {
        if !kept_names.contains(name.as_str()) {
            // Whose range it was does not matter any more.
            let cgroup = SessionCgroup::new(layout, instance, &name, UidRange::default());
            cgroup.kill_all()?;
            cgroup.remove()?;
            tracing::info!(session = %name, "cleared away what an earlier daemon left");
        }
    }
    Ok(())
}

/// Kills a runner, and with it its sandbox.
fn kill(pid: i32) -> Result<(), RecoveryError> {
    let Some(raw) = Pid::from_raw(pid) else { return Ok(()) };
    let opened = rustix::process::pidfd_open(raw, rustix::process::PidfdFlags::empty());
    let process = match opened {
        Ok(descriptor) => SandboxProcess::from_descriptor(descriptor),
        Err(_) => return Ok(()),
    };
    match process {
        Ok(process) => Ok(process.kill_and_wait()?),
        Err(ProcessError::Ended) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
