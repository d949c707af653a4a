//! What `run --report` says: what isolates the session, and how long everything took.

use std::time::Duration;

use sandkasten_api::session::{Session, SessionIsolation};

use crate::human;
use crate::output::{Colour, paint};
use crate::stream_command::Ending;
use crate::table::printable;

/// The ids of a session's range.
const RANGE_IDS: u64 = 65_536;
/// Width of the labels.
const LABEL: usize = 14;

/// Renders what the kernel enforces on a session.
pub(super) fn isolation(session: &Session, colour: Colour) -> String {
    let title = format!("session {} on image {}", session.id, printable(&session.image));
    let mut lines = vec![paint("1", &title, colour)];
    match &session.isolation {
        Some(isolation) => lines.extend(mechanisms(isolation, colour)),
        None => lines.push("  the daemon does not say what isolates it".to_owned()),
    }
    lines.join("\n")
}

/// Renders how long everything took, as this process saw it.
pub(super) fn times(create: Duration, exec: Duration, ending: Ending, colour: Colour) -> String {
    let exec = match ending {
        Ending::Exited { code, duration_ms } => {
            format!("{} ({duration_ms} ms in the sandbox), exit status {code}", human::milliseconds(exec))
        }
        Ending::Interrupted(_) | Ending::Unread => format!("{}, stopped", human::milliseconds(exec)),
    };
    [row("create", &human::milliseconds(create), colour), row("exec", &exec, colour)].join("\n")
}

fn mechanisms(isolation: &SessionIsolation, colour: Colour) -> Vec<String> {
    let ids = format!("{} of its own, from host id {}", human::grouped(RANGE_IDS), isolation.uid_base);
    let sets = ["inheritable", "permitted", "effective", "bounding", "ambient"];
    let held: Vec<String> = sets
        .iter()
        .zip(isolation.capabilities)
        .filter(|(_, set)| *set != 0)
        .map(|(name, set)| format!("{name} {set:#x}"))
        .collect();
    let capabilities = if held.is_empty() { "none, in all five sets".to_owned() } else { held.join(", ") };
    let privileges = if isolation.no_new_privs { "cannot grow (no_new_privs)" } else { "can grow" };
    let landlock = match isolation.landlock_abi {
        0 => "not in this kernel".to_owned(),
        abi => format!("in force, ABI {abi}"),
    };
    let root = if isolation.readonly_rootfs { "read-only" } else { "writable" };
    [
        ("namespaces", isolation.namespaces.join(" ")),
        ("user ids", ids),
        ("capabilities", capabilities),
        ("privileges", privileges.to_owned()),
        ("system calls", isolation.seccomp.clone()),
        ("landlock", landlock),
        ("root", root.to_owned()),
        ("limits", format!("cgroup {}", isolation.cgroup)),
    ]
    .iter()
    .map(|(label, text)| row(label, &printable(text), colour))
    .collect()
}

fn row(label: &str, text: &str, colour: Colour) -> String {
    format!("  {} {text}", paint("2", &format!("{label:<LABEL$}"), colour))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sandkasten_api::label::Labels;
    use sandkasten_api::session::{AcquireSource, Session, SessionIsolation, SessionStatus};

    use super::{isolation, times};
    use crate::output::Colour;
    use crate::stream_command::Ending;

    fn session(isolation: Option<SessionIsolation>) -> Session {
        Session {
            id: "0123abcd-ef01".parse().expect("an id"),
            image: "host".to_owned(),
            name: None,
            labels: Labels::default(),
            reason: None,
            ttl_seconds: 1_800,
            status: SessionStatus::Running,
            cwd: "/workspace".to_owned(),
            workspace_id: None,
            created_at: "2026-11-24T12:00:00Z".parse().expect("a time"),
            expires_at: "2026-11-24T12:30:00Z".parse().expect("a time"),
            acquire_source: AcquireSource::Cold,
            last_activity: None,
            isolation,
        }
    }

    #[test]
    fn the_report_names_every_mechanism() {
        let enforced = SessionIsolation {
            namespaces: vec!["mnt".to_owned(), "pid".to_owned()],
            uid_base: 0x7000_0000,
            capabilities: [0; 5],
            no_new_privs: true,
            seccomp: "2 (1 filter)".to_owned(),
            landlock_abi: 6,
            readonly_rootfs: true,
            cgroup: "v1".to_owned(),
        };
        let expected = "session 0123abcd-ef01 on image host\n\
                        \x20 namespaces     mnt pid\n\
                        \x20 user ids       65,536 of its own, from host id 1879048192\n\
                        \x20 capabilities   none, in all five sets\n\
                        \x20 privileges     cannot grow (no_new_privs)\n\
                        \x20 system calls   2 (1 filter)\n\
                        \x20 landlock       in force, ABI 6\n\
                        \x20 root           read-only\n\
                        \x20 limits         cgroup v1";
        assert_eq!(isolation(&session(Some(enforced)), Colour::Off), expected);
    }

    #[test]
    fn what_is_missing_is_said() {
        let weak = SessionIsolation { capabilities: [0, 0, 5, 0, 0], ..SessionIsolation::default() };
        let text = isolation(&session(Some(weak)), Colour::Off);
        for expected in ["effective 0x5", "can grow", "not in this kernel", "writable"] {
            assert!(text.contains(expected), "{text}");
        }
        assert!(isolation(&session(None), Colour::Off).contains("does not say"));
    }

    #[test]
    fn times_are_aligned_with_the_mechanisms() {
        let ending = Ending::Exited { code: 3, duration_ms: 4 };
        assert_eq!(
            times(Duration::from_micros(12_300), Duration::from_micros(5_600), ending, Colour::Off),
            "  create         12.3 ms\n  exec           5.6 ms (4 ms in the sandbox), exit status 3"
        );
    }
}
