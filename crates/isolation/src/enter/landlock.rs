//! Landlock: a second, independent fence around what may be written, and around signals.
//!
//! One ruleset for the runner and everything it starts. It holds where a mount flag were ever lost: only the places
//! that the plan makes writable can be written to, nothing can make a device node, and no signal or connection to an
//! abstract socket leaves the sandbox (ABI 6, since Linux 6.12).

use std::io;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};

use crate::plan::{RootMode, SandboxPlan};

/// The newest ABI whose rights are used, where the kernel has them.
const NEWEST: ABI = ABI::V6;

/// Which step of putting landlock in force failed.
#[derive(Debug, thiserror::Error)]
pub enum LandlockError {
    /// The ruleset could not be made.
    #[error("failed to make the landlock ruleset")]
    Ruleset {
        /// The library's reason.
        source: landlock::RulesetError,
    },
    /// A directory named in a rule could not be opened.
    #[error("failed to open {path} for a landlock rule")]
    Open {
        /// Which one.
        path: String,
        /// The library's reason.
        source: landlock::PathFdError,
    },
    /// The kernel has landlock, but took none of the rules.
    #[error("the kernel has landlock ABI {abi} but enforces none of the rules")]
    NotEnforced {
        /// The ABI the kernel reports.
        abi: u32,
    },
    /// The version could not be asked.
    #[error("failed to ask for the landlock ABI")]
    Version {
        /// The kernel's reason.
        source: io::Error,
    },
}

/// Restricts the calling process and all to come, and returns the ABI in force: 0 where the kernel has no landlock,
/// which the session's report then says.
pub(super) fn restrict(plan: &SandboxPlan) -> Result<u32, LandlockError> {
    let abi = crate::sys::landlock_version::abi().map_err(|source| LandlockError::Version { source })?;
    if abi == 0 {
        return Ok(0);
    }
    let ruleset = |source| LandlockError::Ruleset { source };
    let read = AccessFs::from_read(NEWEST);
    let write = AccessFs::from_all(NEWEST) & !(AccessFs::MakeBlock | AccessFs::MakeChar);
    let mut created = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .map_err(ruleset)?
        .scope(BitFlags::<Scope>::from(Scope::AbstractUnixSocket) | Scope::Signal)
        .map_err(ruleset)?
        .create()
        .map_err(ruleset)?
        .add_rules(path_beneath_rules(["/"], read))
        .map_err(ruleset)?;
    let root = (plan.root != RootMode::ReadOnly).then_some("/");
    let terminals = ["/dev"];
    let writable = plan.tmpfs.iter().map(|tmpfs| &tmpfs.target).chain(&plan.workspace).map(String::as_str);
    for path in writable.chain(root).chain(terminals) {
        let directory =
            PathFd::new(path).map_err(|source| LandlockError::Open { path: path.to_owned(), source })?;
        let allowed = if path == "/dev" { read | AccessFs::WriteFile | AccessFs::IoctlDev } else { write };
        created = created.add_rule(PathBeneath::new(directory, allowed)).map_err(ruleset)?;
    }
    // The crate sets no_new_privs again, which is harmless.
    let status = created.restrict_self().map_err(ruleset)?;
    if status.ruleset == RulesetStatus::NotEnforced {
        Err(LandlockError::NotEnforced { abi })
    } else {
        Ok(abi)
    }
}
