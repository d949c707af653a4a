//! The network of a sandbox.

use std::io;

use super::judge;
use super::sandbox::Sandbox;
use crate::Finding;

pub(super) fn check(sandbox: &Sandbox) -> io::Result<Vec<Finding>> {
    let supervisor = sandbox.supervisor()?;
    let interfaces = supervisor.text("net/dev")?;
    let others: Vec<&str> = interfaces
        .lines()
        .skip(2)
        .filter_map(|line| line.split(':').next().map(str::trim))
        .filter(|name| *name != "lo")
        .collect();
    let routes = supervisor.text("net/route")?;
    let routed: Vec<&str> = routes.lines().skip(1).collect();
    Ok(vec![
        judge("network", "interfaces", others.join(", "), "loopback alone"),
        judge("network", "routes", routed.join("; "), "none"),
    ])
}
