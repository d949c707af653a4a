//! The limits of sessions, against what the host has.

use sandkasten_daemon::config::Config;

use super::{HostSize, finding};
use crate::{Finding, Verdict};

const MIB: u64 = 1 << 20;
/// Above this many processes a fork bomb slows the host down before it stops.
const MANY_PROCESSES: u32 = 4_096;
/// Seconds after which an idle session is a forgotten one.
const LONG_TTL: u64 = 6 * 3600;
/// Milliseconds after which a command is a stuck one.
const LONG_EXEC: u64 = 300_000;

pub(super) fn check(config: &Config, host: HostSize) -> Vec<Finding> {
    vec![cpu(config, host), memory(config, host), processes(config), exec_timeout(config), ttl(config)]
}

fn judge(name: &str, detail: String, objection: Option<(String, &str)>) -> Finding {
    match objection {
        None => finding(name, Verdict::Ok, detail, ""),
        Some((why, advice)) => finding(name, Verdict::Warn, format!("{detail}: {why}"), advice),
    }
}

fn cpu(config: &Config, host: HostSize) -> Finding {
    let limit = config.defaults.cpu_limit;
    #[expect(clippy::cast_precision_loss, reason = "hosts have fewer cores than a float has whole numbers")]
    let cores = host.cores as f64;
    let objection = (limit > cores)
        .then(|| ("one session can take all of this host".to_owned(), "lower defaults.cpu_limit"));
    judge("cpu limit", format!("{limit} of {cores} cores"), objection)
}

fn memory(config: &Config, host: HostSize) -> Finding {
    let limit = config.defaults.mem_limit_mb;
    let all = limit.saturating_mul(MIB).saturating_mul(u64::from(config.max_sessions));
    let host_mib = host.memory_bytes / MIB;
    let objection = if limit > host_mib {
        let why = format!("this host has {host_mib} MiB, so that the limit is none");
        Some((why, "lower defaults.mem_limit_mb"))
    } else if all > host.memory_bytes {
        let why = format!(
            "max_sessions is {}, which together can take more than the {host_mib} MiB of this host",
            config.max_sessions
        );
        Some((why, "lower max_sessions or defaults.mem_limit_mb until their product fits"))
    } else {
        None
    };
    judge("memory limit", format!("{limit} MiB"), objection)
}

fn processes(config: &Config) -> Finding {
    let limit = config.defaults.pids_limit;
    let objection = (limit > MANY_PROCESSES)
        .then(|| ("a fork bomb of that size slows the host down".to_owned(), "lower defaults.pids_limit"));
    judge("process limit", format!("{limit} processes and threads"), objection)
}

fn exec_timeout(config: &Config) -> Finding {
    let limit = config.defaults.max_exec_timeout_ms;
    let objection = (limit > LONG_EXEC).then(|| {
        let why = "a stuck command keeps its session busy that long".to_owned();
        (why, "lower defaults.max_exec_timeout_ms; requests may name less, not more")
    });
    judge("exec timeout", format!("{limit} ms"), objection)
}

fn ttl(config: &Config) -> Finding {
    let limit = config.session_ttl_seconds;
    let objection = (limit > LONG_TTL)
        .then(|| ("forgotten sessions stay that long".to_owned(), "lower session_ttl_seconds"));
    judge("session time to live", format!("{limit} s of idleness"), objection)
}

#[cfg(test)]
mod tests {
    use sandkasten_daemon::config::Config;

    use super::{MIB, check};
    use crate::Verdict::{self, Ok, Warn};
    use crate::configuration::HostSize;

    fn verdicts(change: impl FnOnce(&mut Config)) -> Vec<Verdict> {
        let mut config = Config::default();
        config.max_sessions = 10;
        change(&mut config);
        let host = HostSize { cores: 2, memory_bytes: 8192 * MIB };
        check(&config, host).into_iter().map(|finding| finding.verdict).collect()
    }

    #[test]
    fn limits_are_judged_against_the_host() {
        assert_eq!(verdicts(|_| {}), [Ok; 5]);
        assert_eq!(verdicts(|config| config.defaults.cpu_limit = 2.5)[0], Warn);
        assert_eq!(verdicts(|config| config.defaults.mem_limit_mb = 9000)[1], Warn);
        assert_eq!(verdicts(|config| config.max_sessions = 17)[1], Warn);
        assert_eq!(verdicts(|config| config.max_sessions = 16)[1], Ok);
        assert_eq!(verdicts(|config| config.defaults.pids_limit = 5000)[2], Warn);
        assert_eq!(verdicts(|config| config.defaults.max_exec_timeout_ms = 600_000)[3], Warn);
        assert_eq!(verdicts(|config| config.session_ttl_seconds = 86_400)[4], Warn);
    }
}
