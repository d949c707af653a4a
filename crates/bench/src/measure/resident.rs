//! The processes of sessions and the memory they take, as the kernel says it.

use std::collections::HashMap;
use std::fs;
use std::io;

use sandkasten_api::id::SessionId;

/// Finds the processes of sessions by their cgroups, and the parents of these: with cgroups v1 a runner is in none of its
/// session's. Those that the daemon is the parent of count, the daemon itself does not. Blocking.
pub(super) fn processes(
    sessions: &[SessionId],
    daemon: Option<u32>,
) -> io::Result<Vec<(SessionId, Vec<u32>)>> {
    let mut found: Vec<(SessionId, Vec<u32>)> =
        sessions.iter().map(|session| (session.clone(), Vec::new())).collect();
    let places: HashMap<&str, usize> =
        sessions.iter().enumerate().map(|(place, session)| (session.as_str(), place)).collect();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // One that has just ended has no file any more.
        let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let place = cgroups.split(['/', '\n']).find_map(|part| places.get(part).copied());
        let Some((_, processes)) = place.and_then(|place| found.get_mut(place)) else { continue };
        let parent = parent(pid).filter(|parent| daemon.is_some_and(|daemon| *parent != daemon));
        processes.extend([Some(pid), parent].into_iter().flatten());
    }
    for (_, processes) in &mut found {
        processes.sort_unstable();
        processes.dedup();
    }
    Ok(found)
}

/// Reads the proportional set size of a process in bytes: what it has alone, and its share of what it shares.
/// proc_pid_smaps(5), since Linux 4.14. Blocking.
pub(super) fn proportional_bytes(pid: u32) -> Result<f64, String> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    parse_rollup(&text).ok_or_else(|| format!("{path} has no Pss"))
}

/// The same of several processes together.
pub(super) fn proportional_bytes_of(processes: &[u32]) -> Result<f64, String> {
    if processes.is_empty() {
        return Err("no process of the session was found".to_owned());
    }
    processes.iter().map(|pid| proportional_bytes(*pid)).sum()
}

fn parse_rollup(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u32 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(f64::from(kib) * 1024.0)
}

fn parent(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::{parse_rollup, processes, proportional_bytes, proportional_bytes_of};

    #[test]
    fn the_share_is_read_and_nothing_like_it() {
        let text = "5581-7ffd ---p 00000000 00:00 0 [rollup]\nRss:   3004 kB\nPss:                 744 kB\n\
                    Pss_Dirty:    92 kB\n";
        assert_eq!(parse_rollup(text), Some(744.0 * 1024.0));
        assert_eq!(parse_rollup("Rss: 1 kB\nPss_Anon: 3 kB\n"), None);
    }

    #[test]
    fn this_process_takes_memory_and_no_process_none_that_is_known() {
        if !rustix::process::geteuid().is_root() {
            println!("SKIP: needs root of the host");
            return;
        }
        assert!(proportional_bytes(std::process::id()).expect("a size") > 100_000.0);
        assert!(proportional_bytes_of(&[]).is_err() && proportional_bytes_of(&[u32::MAX]).is_err());
    }

    #[test]
    fn a_session_that_is_not_there_has_no_process() {
        let session = "0123abcd-ef01".parse().expect("an id");
        assert_eq!(processes(&[session], None).expect("a look")[0].1, [0_u32; 0]);
    }
}
