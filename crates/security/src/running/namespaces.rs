//! The namespaces of a sandbox: eight, none of them the host's, none of them another session's.

use std::fs;
use std::io;
use std::path::PathBuf;

use sandkasten_isolation::report::NAMESPACES;

use super::judge;
use super::process::Process;
use super::sandbox::Sandbox;
use crate::Finding;

const GROUP: &str = "namespaces";

pub(super) fn check(sandbox: &Sandbox) -> io::Result<Vec<Finding>> {
    NAMESPACES
        .into_iter()
        .map(|name| {
            let host = fs::read_link(PathBuf::from("/proc/self/ns").join(name))?;
            let wrong = sandbox.each(|process| {
                let own = namespace(process, name)?;
                Ok((own == host).then(|| format!("is in the host's ({})", host.display())))
            })?;
            Ok(judge(GROUP, &format!("{name} namespace"), wrong, "none of the host's"))
        })
        .collect()
}

fn namespace(process: &Process, name: &str) -> io::Result<PathBuf> {
    // A process enters a time namespace with its children: time_namespaces(7).
    let name = if name == "time" && process.inner_pid == 1 { "time_for_children" } else { name };
    fs::read_link(process.path("ns").join(name))
}

/// Checks that two sandboxes have no namespace in common.
pub(super) fn compare(one: &Sandbox, other: &Sandbox) -> Vec<Finding> {
    let of =
        |sandbox: &Sandbox, name: &str| sandbox.supervisor().and_then(|process| namespace(process, name));
    let shared: Vec<&str> = NAMESPACES
        .into_iter()
        .filter(|name| match (of(one, name), of(other, name)) {
            (Ok(one), Ok(other)) => one == other,
            // What cannot be read may be shared.
            _ => true,
        })
        .collect();
    let wrong = if shared.is_empty() { String::new() } else { format!("they share {}", shared.join(", ")) };
    vec![judge("other sessions", "namespaces of another session", wrong, "two sessions share none")]
}
