//! The process groups of a session: numbered as they are needed, removed when their last process has ended.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sandkasten_isolation::host::PathError;
use sandkasten_isolation::host::cgroup::{FIRST_PROCESS_GROUP, ProcessGroup, SessionCgroup};

/// More than a session can make in its life.
const MAX_NUMBER: u64 = 1 << 53;

/// Hands out the groups of one session.
#[derive(Debug)]
pub(crate) struct ProcessGroups {
    cgroup: SessionCgroup,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u64,
    /// Groups of ended jobs that left something in the background.
    left: Vec<u64>,
    /// What groups had used when their last job ended, in microseconds. Nothing runs in a group between two jobs but an
    /// idle shell.
    used: HashMap<u64, u64>,
}

impl ProcessGroups {
    /// Of a session that has just been made: only the first group is there.
    pub(crate) fn new(cgroup: &SessionCgroup) -> Self {
        Self::numbered_from(cgroup, FIRST_PROCESS_GROUP + 1)
    }

    /// Of a session that an earlier daemon made. Blocking.
    ///
    /// # Errors
    /// The cgroup's.
    pub(crate) fn adopted(cgroup: &SessionCgroup) -> Result<Self, PathError> {
        let highest = cgroup.process_group_numbers()?.into_iter().max().unwrap_or(FIRST_PROCESS_GROUP);
        Ok(Self::numbered_from(cgroup, highest + 1))
    }

    fn numbered_from(cgroup: &SessionCgroup, next: u64) -> Self {
        Self {
            cgroup: cgroup.clone(),
            state: Mutex::new(State { next, left: Vec::new(), used: HashMap::new() }),
        }
    }

    /// Returns the group with a number.
    pub(crate) fn get(&self, number: u64) -> ProcessGroup {
        self.cgroup.process_group(number)
    }

    /// Makes a new group, and removes earlier ones that are empty by now. A few small writes.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn create(&self) -> Result<u64, PathError> {
        let number = {
            let mut state = self.state();
            state.next += 1;
            let State { left, used, .. } = &mut *state;
            left.retain(|number| self.get(*number).remove().is_err());
            used.retain(|number, _| !left.contains(number));
            state.next - 1
        };
        self.get(number).create()?;
        Ok(number)
    }

    /// Gives no number below `next` out any more: what an ended job is still known by is never another's.
    pub(super) fn count_from(&self, next: u64) {
        // A number that no sound daemon has given out would leave none for those to come.
        if next < MAX_NUMBER {
            let mut state = self.state();
            state.next = state.next.max(next);
        }
    }

    /// Makes a new group, with the file by which a process puts itself into it.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn create_open(&self) -> Result<(u64, OwnedFd), PathError> {
        let number = self.create()?;
        Ok((number, self.get(number).open_membership()?))
    }

    /// Returns how much processor time a group has used until its next job begins, in microseconds.
    ///
    /// # Errors
    /// The cgroup's.
    pub(super) fn cpu_usec(&self, number: u64) -> Result<u64, PathError> {
        let known = self.state().used.get(&number).copied();
        known.map_or_else(|| Ok(self.get(number).cpu_usec()?.unwrap_or(0)), Ok)
    }

    /// Reads how much processor time a group has used at the end of its job, in microseconds; none where the kernel does not
    /// keep it.
    ///
    /// # Errors
    /// The cgroup's.
    pub(super) fn note_cpu_usec(&self, number: u64) -> Result<Option<u64>, PathError> {
        let used = self.get(number).cpu_usec()?;
        if let Some(usec) = used {
            self.state().used.insert(number, usec);
        }
        Ok(used)
    }

    /// Gives a group back: it is removed now, or when what is in it has ended. The first one stays.
    pub(super) fn give_back(&self, number: u64) {
        if number == FIRST_PROCESS_GROUP {
            return;
        }
        let removed = self.get(number).remove().is_ok();
        let mut state = self.state();
        state.used.remove(&number);
        if !removed {
            state.left.push(number);
        }
    }

    /// Gives a group back that is still to be asked what its processes used: it is removed when the next one is made.
    pub(super) fn give_back_later(&self, number: u64) {
        if number != FIRST_PROCESS_GROUP {
            self.state().left.push(number);
        }
    }

    /// Finds the group that a process is in. Blocking.
    ///
    /// # Errors
    /// The cgroup's.
    pub(super) fn find(&self, pid: i32) -> Result<Option<u64>, PathError> {
        for number in self.cgroup.process_group_numbers()? {
            match self.get(number).members() {
                Ok(members) if members.contains(&pid) => return Ok(Some(number)),
                Ok(_) => {}
                Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
