//! The refused system calls, on every way into the kernel.

use sandkasten_attacks::{Outcome, Target};
use sandkasten_isolation::attempt_call;
use sandkasten_isolation::seccomp::{Rule, Way, attempts};

use crate::attack::{Act, Attack, way_word};

pub(crate) fn attacks(target: &Target) -> Vec<Attack> {
    let mut names: Vec<&'static str> = attempts(target.seccomp).map(|attempt| attempt.entry.name).collect();
    names.dedup();
    let attack = |name: &'static str| Attack {
        group: "system calls",
        name: format!("call {name}"),
        act: Act::Call(name),
    };
    names.into_iter().map(attack).collect()
}

/// Makes the call with all arguments that are refused, on one way.
pub(crate) fn carry_out(target: &Target, call: &str, way: Way) -> Outcome {
    let mut tried = 0;
    for attempt in attempts(target.seccomp).filter(|attempt| attempt.entry.name == call) {
        let Some(result) = attempt_call(&attempt, way) else { continue };
        // Only the filter answers so: calls are made with arguments that the kernel itself takes, or refuses otherwise.
        let refusal = match attempt.entry.rule {
            Rule::Absent if way == Way::Native => rustix::io::Errno::NOSYS,
            _ => rustix::io::Errno::PERM,
        };
        tried += 1;
        let answer = match result {
            Ok(value) => format!("it answered {value}"),
            Err(error) if error.raw_os_error() == Some(refusal.raw_os_error()) => continue,
            Err(error) => format!("it answered: {error}"),
        };
        let meaning =
            if attempt.meaning.is_empty() { String::new() } else { format!(" ({})", attempt.meaning) };
        return Outcome::Breach(format!("{call}{meaning} by {} reached the kernel: {answer}", way_word(way)));
    }
    if tried == 0 {
        return Outcome::Skipped(format!("no such call by {}", way_word(way)));
    }
    Outcome::Denied(way_word(way).to_owned())
}

/// Makes one line of what came of a call on each way.
pub(crate) fn merge(outcomes: &[(Way, Outcome)]) -> Outcome {
    let mut denied = Vec::new();
    for (way, outcome) in outcomes {
        match outcome {
            Outcome::Breach(what) => return Outcome::Breach(what.clone()),
            Outcome::Denied(how) if how == way_word(*way) => denied.push(how.clone()),
            Outcome::Denied(how) => denied.push(format!("{} ({how})", way_word(*way))),
            Outcome::Skipped(_) => {}
        }
    }
    if denied.is_empty() {
        return Outcome::Skipped("the call exists on no way".to_owned());
    }
    Outcome::Denied(format!("refused by {}", denied.join(", ")))
}
