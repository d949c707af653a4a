//! The runner's side of the set-up handshake: one message with the plan and its descriptors in, one answer out.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::SendFlags;

use crate::descriptor_message::{self, MAX_DESCRIPTORS};
use crate::plan::{CgroupDescriptors, RootMode, SandboxPlan, SetupReply};
use crate::sys;

/// The largest plan, in bytes; below what a packet socket carries by default.
const MAX_PLAN_BYTES: usize = 160 * 1024;

/// Descriptors that come with the plan, in its order.
#[derive(Debug)]
pub struct Files {
    pub(super) device_tree: OwnedFd,
    pub(super) layers: Vec<OwnedFd>,
    pub(super) binds: Vec<OwnedFd>,
    pub(super) workspace: Option<WorkspaceFiles>,
    /// Where what is written to the root stays, as a mount with the session's ids.
    pub(super) kept: Option<OwnedFd>,
    pub(super) session_tasks: Vec<OwnedFd>,
    pub(super) runner_tasks: Vec<OwnedFd>,
    pub(super) process_group: Option<ProcessGroupFiles>,
    pub(super) uid_lease: OwnedFd,
}

/// The workspace of a session that has one.
#[derive(Debug)]
pub(super) struct WorkspaceFiles {
    /// Its mount, with the session's ids.
    pub(super) mount: OwnedFd,
    /// Says that it is in use, for as long as it is open.
    pub(super) lock: OwnedFd,
}

/// The v2 cgroup that the first shell is started in.
#[derive(Debug)]
pub(super) struct ProcessGroupFiles {
    /// For `CLONE_INTO_CGROUP`.
    pub(super) directory: OwnedFd,
    /// Its `cgroup.procs`, for processes that were started without.
    pub(super) procs: OwnedFd,
}

/// Everything the daemon hands to a runner.
#[derive(Debug)]
pub struct Handover {
    /// What to build.
    pub plan: SandboxPlan,
    /// The mounts and cgroups to build it from.
    pub files: Files,
    /// Where the answer goes.
    pub setup: OwnedFd,
    /// The socket on which the daemon connects, bound outside of the sandbox's root.
    pub listener: OwnedFd,
}

/// What kept the runner from getting its plan.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The agreed descriptors are not there: the program was not started by the daemon.
    #[error("failed to take the descriptors of the launch; this program is started by the daemon only")]
    Descriptors {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The message could not be received.
    #[error("failed to receive the plan")]
    Receive {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The message is no plan.
    #[error("failed to decode the plan")]
    Decode {
        /// What the decoder says.
        source: postcard::Error,
    },
    /// The plan names more or fewer descriptors than came.
    #[error("the plan names {expected} descriptors, {received} came")]
    Count {
        /// What the plan names.
        expected: usize,
        /// What came.
        received: usize,
    },
}

/// Takes the inherited descriptors and waits for the plan. Blocks until the daemon has sent it or is gone.
///
/// # Errors
/// Any [`HandoverError`]; the runner then exits.
pub fn receive() -> Result<Handover, HandoverError> {
    let setup = sys::inherited::take_inherited(sys::clone::SETUP_DESCRIPTOR)
        .map_err(|source| HandoverError::Descriptors { source })?;
    let listener = sys::inherited::take_inherited(sys::clone::LISTENER_DESCRIPTOR)
        .map_err(|source| HandoverError::Descriptors { source })?;
    let (bytes, received) = descriptor_message::receive(setup.as_fd(), MAX_PLAN_BYTES, MAX_DESCRIPTORS)
        .map_err(|source| HandoverError::Receive { source })?;
    let (plan, files) = take_apart(&bytes, received)?;
    Ok(Handover { plan, files, setup, listener })
}

/// Decodes the plan and gives each descriptor its meaning.
fn take_apart(bytes: &[u8], received: Vec<OwnedFd>) -> Result<(SandboxPlan, Files), HandoverError> {
    let (cgroups, plan): (CgroupDescriptors, SandboxPlan) =
        postcard::from_bytes(bytes).map_err(|source| HandoverError::Decode { source })?;
    let CgroupDescriptors { session_tasks, runner_tasks, process_group } = cgroups;
    let workspace = if plan.workspace.is_some() { 2 } else { 0 };
    let kept = usize::from(plan.root == RootMode::Kept);
    let expected =
        [plan.layers, plan.binds.len(), workspace, kept, session_tasks, runner_tasks, process_group]
            .into_iter()
            .fold(2_usize, usize::saturating_add);
    if received.len() != expected {
        return Err(HandoverError::Count { expected, received: received.len() });
    }
    let mut received = received.into_iter();
    let mut take = |count: usize| received.by_ref().take(count).collect::<Vec<_>>();
    let missing = || HandoverError::Count { expected, received: 0 };
    let device_tree = take(1).pop().ok_or_else(missing)?;
    let files = Files {
        layers: take(plan.layers),
        binds: take(plan.binds.len()),
        workspace: match <[OwnedFd; 2]>::try_from(take(workspace)) {
            Ok([mount, lock]) => Some(WorkspaceFiles { mount, lock }),
            Err(_) => None,
        },
        kept: take(kept).pop(),
        session_tasks: take(session_tasks),
        runner_tasks: take(runner_tasks),
        process_group: match <[OwnedFd; 2]>::try_from(take(process_group)) {
            Ok([directory, procs]) => Some(ProcessGroupFiles { directory, procs }),
            Err(_) => None,
        },
        device_tree,
        uid_lease: take(1).pop().ok_or_else(missing)?,
    };
    Ok((plan, files))
}

/// Tells the daemon that the sandbox stands, with its root directory and its shell's process descriptor, if it has a shell.
///
/// # Errors
/// The kernel's, where the daemon is gone.
pub fn answer_ready(
    setup: BorrowedFd<'_>,
    landlock_abi: u32,
    root: BorrowedFd<'_>,
    shell: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let descriptors: Vec<_> = [root].into_iter().chain(shell).collect();
    answer(setup, &SetupReply::Ready { landlock_abi }, &descriptors)
}

/// Tells the daemon that the shell takes commands.
///
/// # Errors
/// The kernel's, where the daemon is gone.
pub fn answer_shell_ready(setup: BorrowedFd<'_>) -> io::Result<()> {
    answer(setup, &SetupReply::ShellReady, &[])
}

/// Tells the daemon what failed: [`SetupReply::Failed`] or [`SetupReply::UnusableImage`].
///
/// # Errors
/// The kernel's, where the daemon is gone.
pub fn answer_failed(setup: BorrowedFd<'_>, failure: &SetupReply) -> io::Result<()> {
    answer(setup, failure, &[])
}

fn answer(setup: BorrowedFd<'_>, reply: &SetupReply, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = postcard::to_stdvec(reply).map_err(io::Error::other)?;
    descriptor_message::send(setup, &bytes, descriptors, SendFlags::empty()).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::{HandoverError, take_apart};
    use crate::plan::{CgroupDescriptors, Identity, RootMode, SandboxPlan, ShellPreference};

    fn plan(layers: usize, binds: usize) -> SandboxPlan {
        SandboxPlan {
            hostname: "box".to_owned(),
            staging: "/run/staging".to_owned(),
            layers,
            binds: vec!["/usr".to_owned(); binds],
            root: RootMode::ReadOnly,
            identity: Identity::Sandbox,
            tmpfs: Vec::new(),
            workspace: None,
            files: vec![("/etc/hosts".to_owned(), "127.0.0.1 localhost".to_owned())],
            environment: vec!["HOME=/".to_owned()],
            shell: ShellPreference::Bash,
            working_directory: "/".to_owned(),
            seccomp: None,
            open_files: 64,
            controls: crate::controls::Controls::default(),
        }
    }

    fn encoded(layers: usize, binds: usize, cgroups: [usize; 3]) -> Vec<u8> {
        let [session_tasks, runner_tasks, process_group] = cgroups;
        let cgroups = CgroupDescriptors { session_tasks, runner_tasks, process_group };
        postcard::to_stdvec(&(cgroups, plan(layers, binds))).expect("it can be encoded")
    }

    fn descriptors(count: usize) -> Vec<OwnedFd> {
        (0..count).map(|_| std::io::pipe().expect("a pipe").0.into()).collect()
    }

    #[test]
    fn every_descriptor_gets_its_meaning() {
        let (plan, files) = take_apart(&encoded(2, 1, [1, 1, 2]), descriptors(9)).expect("a sound plan");
        assert_eq!((plan.layers, files.layers.len(), files.binds.len()), (2, 2, 1));
        assert!(files.process_group.is_some());
    }

    #[test]
    fn a_workspace_comes_with_its_mount_and_its_lock_or_not_at_all() {
        let cgroups = CgroupDescriptors { session_tasks: 0, runner_tasks: 0, process_group: 0 };
        let plan = SandboxPlan { workspace: Some("/workspace".to_owned()), ..plan(1, 0) };
        let bytes = postcard::to_stdvec(&(cgroups, plan)).expect("it can be encoded");
        assert!(take_apart(&bytes, descriptors(5)).expect("a sound plan").1.workspace.is_some());
        for received in [3, 4, 6] {
            assert!(matches!(take_apart(&bytes, descriptors(received)), Err(HandoverError::Count { .. })));
        }
    }

    #[test]
    fn what_is_kept_of_the_root_comes_with_its_plan_alone() {
        let cgroups = CgroupDescriptors { session_tasks: 0, runner_tasks: 0, process_group: 0 };
        let plan = SandboxPlan { root: RootMode::Kept, ..plan(1, 0) };
        let bytes = postcard::to_stdvec(&(cgroups, plan)).expect("it can be encoded");
        assert!(take_apart(&bytes, descriptors(4)).expect("a sound plan").1.kept.is_some());
        assert!(matches!(take_apart(&bytes, descriptors(3)), Err(HandoverError::Count { .. })));
        assert!(take_apart(&encoded(1, 0, [0; 3]), descriptors(3)).expect("a sound plan").1.kept.is_none());
    }

    #[test]
    fn counts_that_are_not_those_of_the_descriptors_are_refused_however_large() {
        for (layers, cgroups, received) in [
            (1, [0, 0, 0], 2),
            (1, [0, 0, 0], 4),
            (usize::MAX, [0, 0, 0], 1),
            (usize::MAX, [3, 0, 0], 4),
            (usize::MAX - 1, [0, 0, 0], 0),
            (0, [usize::MAX, usize::MAX, usize::MAX], 0),
        ] {
            let refused = take_apart(&encoded(layers, 0, cgroups), descriptors(received));
            assert!(matches!(refused, Err(HandoverError::Count { .. })), "{layers} {cgroups:?} {received}");
        }
    }

    #[test]
    fn random_and_damaged_plans_are_refused_without_a_panic() {
        let mut random = fastrand::Rng::with_seed(6);
        for _ in 0..20_000 {
            let mut bytes = encoded(1, 1, [1, 0, 0]);
            match random.u8(..3) {
                0 => bytes = (0..random.usize(..400)).map(|_| random.u8(..)).collect(),
                1 => bytes.truncate(random.usize(..bytes.len())),
                _ => {
                    for _ in 0..random.usize(1..4) {
                        let at = random.usize(..bytes.len());
                        bytes[at] = random.u8(..);
                    }
                }
            }
            if let Ok((plan, _)) = take_apart(&bytes, Vec::new()) {
                panic!("a plan without descriptors: {plan:?}");
            }
        }
    }
}
