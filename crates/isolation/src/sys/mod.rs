//! The only unsafe code of the workspace: system calls that rustix does not offer.
//!
//! Each file holds one group of calls behind a safe function; nothing here decides anything.
#![expect(unsafe_code, reason = "raw system calls live here and nowhere else")]

pub(crate) mod attempted_call;
pub(crate) mod clone;
pub(crate) mod filesystem_ids;
pub(crate) mod floor_process;
pub(crate) mod inherited;
pub(crate) mod interface;
pub(crate) mod keyring;
pub(crate) mod landlock_version;
pub(crate) mod late_namespaces;
pub(crate) mod mount_attributes;
mod mount_calls;
pub(crate) mod probe_calls;
pub(crate) mod process_exit;
pub(crate) mod process_info;
pub(crate) mod seccomp_filter;
pub(crate) mod signals;
pub(crate) mod socket_queue;
pub(crate) mod spawn;
