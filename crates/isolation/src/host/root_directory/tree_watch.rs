//! What changes in a directory, by inotify(7). The kernel watches directories, not paths: each is opened inside of the root
//! as for reading, and watched by its descriptor, so that no name of the sandbox is resolved twice.
//!
//! A directory may be filled before it is watched; what is in it is told when it is first looked at. What was lost cannot
//! be known, so a watch that overflows ends.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat2, statat};
use rustix::io::Errno;

use super::bounds::RunningBounds;
use super::file_change::{ChangeKind, WatchEvent, change};
use super::file_error::{explain, explain_io};
use super::watch_allowance::{WatchAllowance, WatchPermit};
use super::watched_directories::{LONGEST_PATH, Place, TooDeep, WatchedDirectories, join};
use super::{FileError, RootDirectory, TreeBounds, is_temporary};

/// Events of the kernel that one [`TreeWatch::read`] goes through, at most.
const BATCH: usize = 1_024;
const BUFFER_BYTES: usize = 32 << 10;
/// How long the paths may be together that one look at new directories tells, or has still to look at.
const LOOK_BYTES: usize = 4 << 20;

/// How far down a watch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchDepth {
    /// The directory itself.
    Single,
    /// All that is below it as well, as far as the sandbox user may read it.
    Tree,
}

/// What a watch may take.
#[derive(Debug, Clone)]
pub struct WatchBounds {
    /// Its directories come out of this.
    pub allowance: Arc<WatchAllowance>,
    /// What it goes through, once at the beginning, and again whenever directories appear.
    pub tree: TreeBounds,
}

/// A watch on a directory. Dropped, it leaves nothing in the kernel.
#[derive(Debug)]
pub struct TreeWatch {
    events: Arc<OwnedFd>,
    root: RootDirectory,
    /// The directory, which is not held open: while it is, its end is not told.
    base: (u64, u64),
    path: String,
    depth: WatchDepth,
    bounds: WatchBounds,
    watched: WatchedDirectories,
    base_watch: i32,
    /// What was told when its directory was first looked at, and in which reading. The kernel's own word for it may be in
    /// the queue.
    told: HashMap<Vec<u8>, u64>,
    reading: u64,
    drained: bool,
    /// The first half of a rename.
    moving: Option<Moving>,
}

/// A look at directories that are new.
struct Look<'a> {
    events: Option<&'a mut Vec<WatchEvent>>,
    bounds: RunningBounds,
    seen: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Moving {
    cookie: u32,
    place: Place,
    path: Vec<u8>,
    is_directory: bool,
}

/// One event of the kernel.
struct Notice {
    watch: i32,
    flags: ReadFlags,
    cookie: u32,
    name: Option<Vec<u8>>,
}

impl RootDirectory {
    /// Begins to watch a directory, links followed inside the root. Blocking.
    ///
    /// # Errors
    /// [`FileError`]: [`FileError::TooMuch`] where it is larger than the bounds, [`FileError::Unwatchable`] where the
    /// allowance or the kernel has no more watches.
    pub fn watch(&self, path: &str, depth: WatchDepth, bounds: WatchBounds) -> Result<TreeWatch, FileError> {
        self.as_sandbox_user(path, || {
            let failed = |error: Errno| explain("watch", path, error);
            let root = self.root.try_clone().map_err(|error| explain_io("watch", path, error))?;
            let directory = self.open_directory(path)?;
            let status = fstat(&directory).map_err(failed)?;
            let events =
                inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(|error| match error {
                    Errno::MFILE | Errno::NFILE => FileError::Unwatchable { path: path.to_owned() },
                    error => failed(error),
                })?;
            let mut watch = TreeWatch {
                events: Arc::new(events),
                root: RootDirectory { root, actor: self.actor, reserve: self.reserve },
                base: (status.st_dev, status.st_ino),
                path: path.to_owned(),
                depth,
                bounds,
                watched: WatchedDirectories::default(),
                base_watch: 0,
                told: HashMap::new(),
                reading: 0,
                drained: true,
                moving: None,
            };
            let permit = watch.permit()?;
            watch.base_watch = add(&watch.events, &directory).map_err(|error| watch.unwatchable(error))?;
            watch.watched.insert(watch.base_watch, None, permit);
            if depth == WatchDepth::Tree {
                watch.scan((watch.base_watch, Vec::new(), directory), None)?;
            }
            Ok(watch)
        })
    }

    /// Reads what has changed since the last time, without waiting; [`TreeWatch::events`] is readable when there is something.
    /// At most about a thousand changes, but for those in new directories. Blocking, for as long as those are looked at.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn read_changes(&self, watch: &mut TreeWatch) -> Result<Vec<WatchEvent>, FileError> {
        let path = watch.path.clone();
        self.as_sandbox_user(&path, || watch.read())
    }
}

impl TreeWatch {
    /// A descriptor that is readable when something has changed, for waiting and nothing else.
    #[must_use]
    pub fn events(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.events)
    }

    /// How many directories are watched.
    #[must_use]
    pub fn directories(&self) -> usize {
        self.watched.len()
    }

    /// Whether the last reading has left nothing for the next one.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.drained
    }

    /// Whether the first half of a rename waits for its second, which comes at once where there is one.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        self.moving.is_some()
    }

    /// Takes a rename whose second half has not come for what it is: out of what is watched.
    pub fn end_move(&mut self) -> Option<WatchEvent> {
        let Moving { place, path, is_directory, .. } = self.moving.take()?;
        if is_directory {
            for watch in self.watched.take_tree(&place) {
                // It may have gone by itself.
                inotify::remove_watch(&self.events, watch).ok();
            }
        }
        self.told.remove(&path);
        Some(change(path, ChangeKind::Removed, is_directory))
    }

    fn read(&mut self) -> Result<Vec<WatchEvent>, FileError> {
        self.reading += 1;
        let (notices, drained) = self.take_notices()?;
        let mut events = Vec::new();
        for notice in notices {
            let before = events.len();
            match self.interpret(notice, &mut events) {
                Ok(()) => {}
                Err(FileError::TooMuch { limit, .. }) => {
                    events.push(WatchEvent::Overflow { reason: limit });
                }
                Err(FileError::Changed { .. }) => events.push(WatchEvent::Gone),
                Err(error @ FileError::Unwatchable { .. }) => {
                    events.push(WatchEvent::Overflow { reason: error.to_string() });
                }
                Err(error) => return Err(error),
            }
            if matches!(events.last(), Some(WatchEvent::Overflow { .. } | WatchEvent::Gone)) {
                return Ok(events);
            }
            // Writes come in many pieces; one after the other they say nothing new.
            if before > 0 && events.len() == before + 1 && events.last() == events.get(before - 1) {
                events.pop();
            }
        }
        self.drained = drained;
        if drained {
            // All that was queued by the end of the reading before this one has been read.
            let this = self.reading;
            self.told.retain(|_, reading| *reading == this);
        }
        Ok(events)
    }

    fn take_notices(&self) -> Result<(Vec<Notice>, bool), FileError> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut reader = inotify::Reader::new(&self.events, &mut buffer);
        let mut notices = Vec::new();
        while notices.len() < BATCH || !reader.is_buffer_empty() {
            match reader.next() {
                Ok(event) => notices.push(Notice {
                    watch: event.wd(),
                    flags: event.events(),
                    cookie: event.cookie(),
                    name: event.file_name().map(|name| name.to_bytes().to_owned()),
                }),
                Err(Errno::AGAIN) => return Ok((notices, true)),
                Err(Errno::INTR) => {}
                Err(error) => return Err(explain("watch", &self.path, error)),
            }
        }
        Ok((notices, false))
    }

    fn interpret(&mut self, notice: Notice, events: &mut Vec<WatchEvent>) -> Result<(), FileError> {
        let Notice { watch, flags, cookie, name } = notice;
        let second_half = flags.contains(ReadFlags::MOVED_TO)
            && self.moving.as_ref().is_some_and(|moving| moving.cookie == cookie);
        if !second_half {
            events.extend(self.end_move());
        }
        if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            events.push(WatchEvent::Overflow { reason: "more has changed than was read in time".to_owned() });
            return Ok(());
        }
        if flags.intersects(ReadFlags::IGNORED) {
            self.watched.remove(watch);
            return Ok(());
        }
        if !self.watched.contains(watch) {
            return Ok(());
        }
        let is_directory = flags.contains(ReadFlags::ISDIR);
        let Some(name) = name else {
            if watch == self.base_watch {
                let gone = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT;
                if flags.intersects(gone) {
                    events.push(WatchEvent::Gone);
                } else if flags.contains(ReadFlags::ATTRIB) {
                    events.push(change(Vec::new(), ChangeKind::Attributes, true));
                }
            }
            // Of any other directory the one that it is in tells the same, with its name.
            return Ok(());
        };
        if is_temporary(&name) {
            // A write or copy of the daemon's own; what comes of it is told when it takes its name.
            return Ok(());
        }
        let place = Place { above: watch, name };
        let path = self.watched.path_of(&place, self.bounds.tree.depth);
        let Some(path) = path.map_err(|TooDeep| self.too_deep())? else { return Ok(()) };
        if flags.contains(ReadFlags::MOVED_FROM) {
            self.moving = Some(Moving { cookie, place, path, is_directory });
        } else if flags.contains(ReadFlags::MOVED_TO) {
            let from = self.moving.take().filter(|_| second_half);
            self.appear(place, path, from, is_directory, events)?;
        } else if flags.contains(ReadFlags::CREATE) {
            self.appear(place, path, None, is_directory, events)?;
        } else if flags.contains(ReadFlags::DELETE) {
            self.told.remove(&path);
            events.push(change(path, ChangeKind::Removed, is_directory));
        } else if self.has_no_name(&path) {
            // What comes of it is told when it takes one.
        } else if flags.contains(ReadFlags::MODIFY) {
            events.push(change(path, ChangeKind::Modified, is_directory));
        } else if flags.contains(ReadFlags::ATTRIB) {
            events.push(change(path.clone(), ChangeKind::Attributes, is_directory));
            if is_directory {
                // It may have become readable.
                self.look(place, path, events)?;
            }
        }
        Ok(())
    }

    /// Something has a name that it had not before.
    fn appear(
        &mut self,
        place: Place,
        path: Vec<u8>,
        from: Option<Moving>,
        is_directory: bool,
        events: &mut Vec<WatchEvent>,
    ) -> Result<(), FileError> {
        match from {
            Some(Moving { place: old, path: from, .. }) => {
                if is_directory {
                    self.watched.rename(&old, &place);
                }
                self.told.remove(&from);
                events.push(change(path.clone(), ChangeKind::Renamed { from }, is_directory));
            }
            None if self.told.remove(&path).is_some() => {}
            None => events.push(change(path.clone(), ChangeKind::Created, is_directory)),
        }
        if is_directory { self.look(place, path, events) } else { Ok(()) }
    }

    /// Watches the directory that has this name now, unless it is watched already, and tells what is in it.
    fn look(&mut self, place: Place, path: Vec<u8>, events: &mut Vec<WatchEvent>) -> Result<(), FileError> {
        if self.depth == WatchDepth::Tree
            && let Some((watch, directory)) = self.enter(place, &path)?
        {
            self.scan((watch, path, directory), Some(events))?;
        }
        Ok(())
    }

    /// Goes through a directory that is watched, and all below it, watching each before it is read.
    fn scan(
        &mut self,
        first: (i32, Vec<u8>, OwnedFd),
        events: Option<&mut Vec<WatchEvent>>,
    ) -> Result<(), FileError> {
        let mut look = Look { events, bounds: self.bounds.tree.begin(), seen: 0, bytes: 0 };
        let mut next = Vec::new();
        self.tell(first, &mut next, &mut look)?;
        while let Some((place, path)) = next.pop() {
            if look.events.is_none() {
                look.bytes -= path.len();
            }
            if let Some((watch, directory)) = self.enter(place, &path)? {
                self.tell((watch, path, directory), &mut next, &mut look)?;
            }
        }
        Ok(())
    }

    /// Tells what is in a directory, where it is to be told, and returns the directories in it.
    fn tell(
        &mut self,
        (watch, above, directory): (i32, Vec<u8>, OwnedFd),
        next: &mut Vec<(Place, Vec<u8>)>,
        look: &mut Look<'_>,
    ) -> Result<(), FileError> {
        let failed = |error| explain("read", &self.path, error);
        for entry in Dir::read_from(&directory).map_err(failed)? {
            let Ok(entry) = entry else { break };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") || is_temporary(name.to_bytes()) {
                continue;
            }
            look.seen += 1;
            if look.seen > self.bounds.tree.entries {
                return Err(look.bounds.too_many(&self.path));
            }
            let kind = match entry.file_type() {
                // Not every filesystem tells.
                FileType::Unknown => statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_or(FileType::Unknown, |status| FileType::from_raw_mode(status.st_mode)),
                kind => kind,
            };
            let is_directory = kind == FileType::Directory;
            if !is_directory && look.events.is_none() {
                continue;
            }
            let path = join(&above, name.to_bytes());
            look.bytes += path.len();
            if look.bytes > LOOK_BYTES {
                return Err(look.bounds.too_many(&self.path));
            }
            if is_directory {
                next.push((Place { above: watch, name: name.to_bytes().to_owned() }, path.clone()));
            }
            if let Some(events) = look.events.as_deref_mut()
                && self.told.insert(path.clone(), self.reading).is_none()
            {
                events.push(change(path, ChangeKind::Created, is_directory));
            }
        }
        look.bounds.check_time(&self.path)
    }

    /// Opens a directory and watches it. None where it is watched already, has gone, or may not be read.
    fn enter(&mut self, place: Place, path: &[u8]) -> Result<Option<(i32, OwnedFd)>, FileError> {
        if path.len() > LONGEST_PATH
            || path.iter().filter(|byte| **byte == b'/').count() >= self.bounds.tree.depth
        {
            return Err(self.too_deep());
        }
        let directory = match self.open(&self.open_base()?, path) {
            Ok(directory) => directory,
            Err(Errno::NAMETOOLONG) => return Err(self.too_deep()),
            Err(Errno::MFILE | Errno::NFILE) => {
                return Err(FileError::Unwatchable { path: self.path.clone() });
            }
            // It has gone, is a link by now, or is not the sandbox user's to read: none of it can be told.
            Err(_) => return Ok(None),
        };
        let permit = self.permit()?;
        let watch = match add(&self.events, &directory) {
            Ok(watch) => watch,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => return Ok(None),
            Err(error) => return Err(self.unwatchable(error)),
        };
        // Its name may have changed hands before it was looked at first: this is the one it has now.
        if self.watched.put(watch, &place) {
            return Ok(None);
        }
        self.watched.insert(watch, Some(place), permit);
        Ok(Some((watch, directory)))
    }

    /// Whether a change is one of a file that was made without a name, by `O_TMPFILE`: the kernel calls it `#` and its number meanwhile,
    /// a name that a file can also have.
    fn has_no_name(&self, path: &[u8]) -> bool {
        let cut = path.iter().rposition(|byte| *byte == b'/');
        let (above, name) = cut.map_or((&[][..], path), |cut| (&path[..cut], &path[cut + 1..]));
        let is_number = |digits: &[u8]| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        if !name.strip_prefix(b"#").is_some_and(is_number) {
            return false;
        }
        let Ok(base) = self.open_base() else { return false };
        let directory = if above.is_empty() { Ok(base) } else { self.open(&base, above) };
        let found = directory.and_then(|directory| statat(directory, name, AtFlags::SYMLINK_NOFOLLOW));
        matches!(found, Err(Errno::NOENT))
    }

    fn too_deep(&self) -> FileError {
        self.bounds.tree.begin().too_deep(&self.path)
    }

    fn permit(&self) -> Result<WatchPermit, FileError> {
        self.bounds.allowance.take().ok_or_else(|| FileError::Unwatchable { path: self.path.clone() })
    }

    fn unwatchable(&self, error: Errno) -> FileError {
        match error {
            Errno::NOSPC => FileError::Unwatchable { path: self.path.clone() },
            error => explain("watch", &self.path, error),
        }
    }

    /// Opens a directory of the tree: no link, no way up, no other mount.
    fn open(&self, base: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
        let flags =
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        openat2(base, path, flags, Mode::empty(), resolve)
    }

    /// Opens the directory that is watched, which must be the one that it was.
    fn open_base(&self) -> Result<OwnedFd, FileError> {
        let lost = || FileError::Changed { path: self.path.clone() };
        let base = self.root.open_directory(&self.path).map_err(|_| lost())?;
        match fstat(&base) {
            Ok(status) if (status.st_dev, status.st_ino) == self.base => Ok(base),
            _ => Err(lost()),
        }
    }
}

/// Watches the directory behind a descriptor. The path is one of the daemon's own.
fn add(events: &OwnedFd, directory: &OwnedFd) -> Result<i32, Errno> {
    let flags = WatchFlags::CREATE
        | WatchFlags::MODIFY
        | WatchFlags::DELETE
        | WatchFlags::MOVE
        | WatchFlags::ATTRIB
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR
        | WatchFlags::EXCL_UNLINK;
    inotify::add_watch(events, format!("/proc/self/fd/{}", directory.as_raw_fd()), flags)
}
