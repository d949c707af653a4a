//! Landlock: whether its rules are in force cannot be read anywhere, but it can be counted.

use landlock::{ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus};
use sandkasten_attacks::Outcome;

use crate::attack::Attack;

/// `LANDLOCK_MAX_NUM_LAYERS` of the kernel: so many rulesets stack up on a process, one more is refused with `E2BIG`.
const MOST: usize = 16;

pub(crate) fn attacks() -> Vec<Attack> {
    vec![Attack::once("landlock", "find no landlock rules", |_| count())]
}

fn count() -> Outcome {
    let mut added = 0;
    // One more than there can be, so that a kernel with room for more is noticed.
    while added <= MOST {
        match add() {
            Ok(RulesetStatus::NotEnforced) => {
                return Outcome::Skipped("this kernel has no landlock".to_owned());
            }
            Ok(_) => added += 1,
            Err(_) => break,
        }
    }
    match MOST.checked_sub(added) {
        Some(0) => Outcome::Breach(format!("{MOST} rulesets could be added, so that there was none")),
        Some(found) => Outcome::Denied(format!("there are {found}")),
        None => Outcome::Breach("more rulesets could be added than the kernel should take".to_owned()),
    }
}

/// Adds a ruleset that refuses to make block devices.
fn add() -> Result<RulesetStatus, landlock::RulesetError> {
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V1) & AccessFs::MakeBlock)?
        .create()?
        .no_new_privs(true)
        .restrict_self()?;
    Ok(status.ruleset)
}
