//! Signal masks, dispositions and signal descriptors.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Blocks every signal for the calling thread and returns the mask from before.
pub(crate) fn block_all() -> io::Result<libc::sigset_t> {
    // SAFETY: both sets are valid for the calls; sigfillset initialises the first, pthread_sigmask the second.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        match libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) {
            0 => Ok(before),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Puts the calling thread's signal mask back.
pub(crate) fn restore(mask: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: `mask` is an initialised set.
    match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, std::ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Unblocks every signal and gives each its default action, as a program expects after exec.
pub(crate) fn reset_all() {
    // SAFETY: only async-signal-safe calls with initialised arguments; signals that cannot be changed (KILL, STOP,
    // those libc keeps to itself) are refused by the kernel without effect.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Makes a non-blocking signalfd(2) for `SIGCHLD`. The caller has the signal blocked.
pub(crate) fn child_signal_descriptor() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised before use; a descriptor that is returned is new and ours.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        let descriptor = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if descriptor < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(descriptor)) }
    }
}
