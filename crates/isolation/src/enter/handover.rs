//! The runner's side of the set-up handshake: one message with the plan and its descriptors in, one answer out.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::SendFlags;

use crate::descriptor_message;
use crate::plan::{CgroupDescriptors, SandboxPlan, SetupReply};
use crate::sys;

/// The largest plan, in bytes; below what a packet socket carries by default.
const MAX_PLAN_BYTES: usize = 160 * 1024;

/// Descriptors that come with the plan, in its order.
#[derive(Debug)]
pub struct Files {
    pub(super) device_tree: OwnedFd,
    pub(super) layers: Vec<OwnedFd>,
    pub(super) binds: Vec<OwnedFd>,
    pub(super) session_tasks: Vec<OwnedFd>,
    pub(super) runner_tasks: Vec<OwnedFd>,
    pub(super) process_group: Option<ProcessGroupFiles>,
    pub(super) uid_lease: OwnedFd,
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
    let (bytes, received) = descriptor_message::receive(setup.as_fd(), MAX_PLAN_BYTES)
        .map_err(|source| HandoverError::Receive { source })?;
    let (cgroups, plan): (CgroupDescriptors, SandboxPlan) =
        postcard::from_bytes(&bytes).map_err(|source| HandoverError::Decode { source })?;
    let CgroupDescriptors { session_tasks, runner_tasks, process_group } = cgroups;
    let expected = 2 + plan.layers + plan.binds.len() + session_tasks + runner_tasks + process_group;
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
        session_tasks: take(session_tasks),
        runner_tasks: take(runner_tasks),
        process_group: match <[OwnedFd; 2]>::try_from(take(process_group)) {
            Ok([directory, procs]) => Some(ProcessGroupFiles { directory, procs }),
            Err(_) => None,
        },
        device_tree,
        uid_lease: take(1).pop().ok_or_else(missing)?,
    };
    Ok(Handover { plan, files, setup, listener })
}

/// Tells the daemon that the sandbox stands, with its root directory and the shell's process descriptor.
///
/// # Errors
/// The kernel's, where the daemon is gone.
pub fn answer_ready(
    setup: BorrowedFd<'_>,
    landlock_abi: u32,
    root: BorrowedFd<'_>,
    shell: BorrowedFd<'_>,
) -> io::Result<()> {
    answer(setup, &SetupReply::Ready { landlock_abi }, &[root, shell])
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
    descriptor_message::send(setup, &bytes, descriptors, SendFlags::empty())
}
