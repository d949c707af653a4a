//! Who the processes are and what they may: ids, capabilities, privileges, the filter.

use std::fs;
use std::io;

use sandkasten_daemon::config::{Config, SeccompProfile};
use sandkasten_isolation::plan::{FIRST_HOST_ID, RANGE_IDS, SANDBOX_ID};

use super::judge;
use super::process::{Process, field};
use super::sandbox::Sandbox;
use crate::{Finding, Part};

const GROUP: &str = "identity";
const CAPABILITIES: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

pub(super) fn check(config: &Config, sandbox: &Sandbox) -> io::Result<Vec<Finding>> {
    let supervisor = sandbox.supervisor()?;
    let mut findings = vec![uid_maps(supervisor)?, user_ids(sandbox)?, supervisor_ids(supervisor)?];
    findings.push(judge(
        GROUP,
        "supplementary groups",
        sandbox.each(|process| {
            // The group that a process has anyway is none to worry about.
            let status = process.text("status")?;
            let own = field(&status, "Gid").split_whitespace().next().unwrap_or_default();
            let other = field(&status, "Groups").split_whitespace().find(|group| *group != own);
            Ok(other.map(|group| format!("is in group {group} of the host")))
        })?,
        "none",
    ));
    for set in CAPABILITIES {
        findings.push(judge(
            GROUP,
            &format!("capability set {set}"),
            sandbox.each(|process| {
                let status = process.text("status")?;
                let value = field(&status, set).to_owned();
                // A field that is missing counts as full.
                Ok((u64::from_str_radix(&value, 16) != Ok(0)).then(|| format!("holds {value:?}")))
            })?,
            "empty for every process",
        ));
    }
    findings.push(flag(sandbox, "no new privileges", "NoNewPrivs", "1")?);
    findings.push(filter(config, sandbox)?);
    Ok(findings)
}

fn flag(sandbox: &Sandbox, name: &str, in_status: &str, wanted: &str) -> io::Result<Finding> {
    let wrong = sandbox.each(|process| {
        let status = process.text("status")?;
        let value = field(&status, in_status);
        Ok((value != wanted).then(|| format!("{in_status} is {value:?}")))
    })?;
    Ok(judge(GROUP, name, wrong, format!("{in_status} is {wanted} for every process")))
}

fn filter(config: &Config, sandbox: &Sandbox) -> io::Result<Finding> {
    let name = "system call filter";
    if config.security.seccomp == SeccompProfile::Off {
        return Ok(Finding::fail(
            Part::Sandbox,
            GROUP,
            name,
            "none is configured",
            "set security.seccomp to strict",
        ));
    }
    let wrong = sandbox.each(|process| {
        let status = process.text("status")?;
        let (mode, filters) = (field(&status, "Seccomp"), field(&status, "Seccomp_filters"));
        Ok((mode != "2" || filters == "0").then(|| format!("mode {mode:?}, {filters:?} filters")))
    })?;
    Ok(judge(GROUP, name, wrong, format!("profile {} on every process", config.security.seccomp)))
}

/// The range of the host's ids that a sandbox has.
fn range(process: &Process, file: &str) -> io::Result<Option<(u32, u32)>> {
    let map = process.text(file)?;
    let numbers: Vec<u32> = map.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    Ok(match numbers.as_slice() {
        [0, first, count] => Some((*first, *count)),
        _ => None,
    })
}

fn uid_maps(supervisor: &Process) -> io::Result<Finding> {
    let mut wrong = Vec::new();
    let mut right = String::new();
    for file in ["uid_map", "gid_map"] {
        match range(supervisor, file)? {
            Some((first, count)) if first >= FIRST_HOST_ID && count == RANGE_IDS => {
                right = format!("{count} ids from {first} on");
                wrong.extend(account_within(first, count)?);
            }
            found => wrong.push(format!("{file} is {found:?}")),
        }
    }
    Ok(judge(GROUP, "id maps", wrong.join("; "), right))
}

/// Says which account of the host has an id of the range.
fn account_within(first: u32, count: u32) -> io::Result<Option<String>> {
    let accounts = fs::read_to_string("/etc/passwd")?;
    let within = accounts.lines().find(|line| {
        let id = line.split(':').nth(2).and_then(|id| id.parse::<u32>().ok());
        id.is_some_and(|id| (first..first + count).contains(&id))
    });
    Ok(within
        .map(|line| format!("{:?} is an account of the host", line.split(':').next().unwrap_or_default())))
}

/// Real, effective, saved and filesystem id, as the host sees them.
fn ids(process: &Process, name: &str) -> io::Result<Vec<u32>> {
    let status = process.text("status")?;
    Ok(field(&status, name).split_whitespace().filter_map(|id| id.parse().ok()).collect())
}

fn user_ids(sandbox: &Sandbox) -> io::Result<Finding> {
    let mut wrong = Vec::new();
    for process in sandbox.commands() {
        for (kind, map) in [("Uid", "uid_map"), ("Gid", "gid_map")] {
            let first = range(process, map)?.map_or(u32::MAX, |(first, _)| first);
            let found = ids(process, kind)?;
            if found != [first.saturating_add(SANDBOX_ID); 4] {
                wrong.push(format!("{}: {kind} {found:?}", process.role()));
            }
        }
    }
    let right = format!("user and group {SANDBOX_ID} inside, for shell and commands");
    Ok(judge(GROUP, "ids of commands", wrong.join("; "), right))
}

/// It must match no command in its real and effective id: kill(2), ptrace(2).
fn supervisor_ids(supervisor: &Process) -> io::Result<Finding> {
    let first = range(supervisor, "uid_map")?.map_or(u32::MAX, |(first, _)| first);
    let found = ids(supervisor, "Uid")?;
    let wrong = match found.as_slice() {
        [real, effective, ..] if [*real, *effective] == [first; 2] => String::new(),
        other => format!("Uid {other:?}"),
    };
    Ok(judge(GROUP, "ids of the supervisor", wrong, "another user than commands"))
}

/// Checks that two sandboxes have no id in common.
pub(super) fn compare(one: &Sandbox, other: &Sandbox) -> Finding {
    let first = |sandbox: &Sandbox| sandbox.supervisor().and_then(|process| range(process, "uid_map"));
    let wrong = match (first(one), first(other)) {
        (Ok(Some((one, count))), Ok(Some((other, _)))) if one.abs_diff(other) >= count => String::new(),
        (one, other) => format!("{one:?} and {other:?}"),
    };
    judge("other sessions", "ids of another session", wrong, "two sessions share none")
}
