//! What is tried from inside: the program runs as a command does, and says what came of it.

use sandkasten_attacks::{Attempted, Outcome, Place, Target};
use sandkasten_isolation::plan::{HOME_DIRECTORY, WORKSPACE_DIRECTORY};

use super::{Canary, CanaryError, PROGRAM, TARGET};
use crate::{Finding, Part, Verdict};

/// Up to this much is filled, in bytes, files or processes; above, only what the kernel says is read.
const MOST_BYTES: u64 = 2 << 30;
const MOST_FILES: u64 = 1 << 18;
const MOST_PROCESSES: u64 = 4_096;
const ADVICE: &str =
    "do not run hostile code on this host; report it as SECURITY.md says, with the output of this command";

impl Canary<'_> {
    /// What the program is told to attack.
    pub(super) fn target(&self) -> Target {
        let defaults = &self.config.defaults;
        let memory = defaults.mem_limit_mb << 20;
        Target {
            seccomp: self.config.security.seccomp.into(),
            readonly_rootfs: defaults.readonly_rootfs,
            supervisor: 1,
            processes: Some(u64::from(defaults.pids_limit)).filter(|limit| *limit <= MOST_PROCESSES),
            memory_bytes: Some(memory).filter(|limit| *limit <= MOST_BYTES),
            open_files: 65_536,
            writable: [WORKSPACE_DIRECTORY, "/tmp", "/dev/shm", HOME_DIRECTORY, "/run"]
                .into_iter()
                // No writable place holds more than half of the memory, nor more files than pages.
                .map(|path| Place {
                    path: path.into(),
                    bytes: Some(memory / 2).filter(|limit| *limit <= MOST_BYTES),
                    files: Some(memory / 2 / 4_096).filter(|limit| *limit <= MOST_FILES),
                })
                .collect(),
            unwritable: ["/", "/usr", "/usr/bin", "/etc", "/var", "/dev", "/proc"].map(Into::into).to_vec(),
            host: self.baits.bait.clone(),
        }
    }

    /// Runs the program, as any command is run.
    pub(super) async fn attack(&self) -> Result<Vec<Finding>, CanaryError> {
        let (status, output) = self.exec(format!("/workspace/{PROGRAM} /workspace/{TARGET}")).await?;
        let mut findings: Vec<Finding> = Vec::new();
        for line in output.lines() {
            match serde_json::from_str::<Attempted>(line) {
                Ok(attempted) => findings.push(finding(attempted)),
                Err(_) => return Err(CanaryError::Program { what: line.to_owned() }),
            }
        }
        if status == 0 && !findings.is_empty() {
            Ok(findings)
        } else {
            Err(CanaryError::Program { what: format!("it ended with status {status}") })
        }
    }
}

fn finding(attempted: Attempted) -> Finding {
    let Attempted { group, name, outcome } = attempted;
    let (verdict, detail, advice) = match outcome {
        Outcome::Denied(how) => (Verdict::Ok, without_numbers(&how), ""),
        Outcome::Breach(what) => (Verdict::Fail, without_numbers(&what), ADVICE),
        Outcome::Skipped(why) => (Verdict::Skip, why, ""),
    };
    Finding::new(Part::Attack, &group, &name, verdict, detail, advice)
}

/// Takes the number off that is put behind an error's words: for people it says nothing more.
fn without_numbers(text: &str) -> String {
    match text.split_once(" (os error ") {
        Some((words, rest)) => format!("{words}{}", rest.split_once(')').map_or("", |(_, rest)| rest)),
        None => text.to_owned(),
    }
}

/// Makes the finding of an attack that is judged from outside.
pub(super) fn judged(group: &str, name: &str, breach: Option<String>, denied: &str) -> Finding {
    match breach {
        None => Finding::ok(Part::Attack, group, name, denied),
        Some(what) => Finding::fail(Part::Attack, group, name, what, ADVICE),
    }
}

#[cfg(test)]
mod tests {
    use super::without_numbers;

    #[test]
    fn only_the_number_of_an_error_is_left_out() {
        let text = "after 3 (of 5): No space left on device (os error 28); that was all";
        assert_eq!(without_numbers(text), "after 3 (of 5): No space left on device; that was all");
        assert_eq!(without_numbers("mode 0600"), "mode 0600");
    }
}
