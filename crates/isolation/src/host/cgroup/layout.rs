//! Which hierarchies this host has, read from `/proc/self/mountinfo`, and the daemon's own directory in each.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::hierarchy::read_keyed;
use crate::host::PathError;

/// A resource that sessions are limited in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Controller {
    /// CPU time.
    Cpu,
    /// Memory and swap.
    Memory,
    /// Number of processes and threads.
    Pids,
    /// CPU accounting, a controller of its own in v1.
    CpuAccounting,
    /// Freezing, a controller of its own in v1.
    Freezer,
}

impl Controller {
    /// The controllers without which no session is started.
    pub const REQUIRED: [Self; 3] = [Self::Cpu, Self::Memory, Self::Pids];

    /// Returns the kernel's name of the controller.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::CpuAccounting => "cpuacct",
            Self::Freezer => "freezer",
        }
    }
}

/// The two interfaces of the kernel: cgroups(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy a controller.
    V1,
    /// One hierarchy for all.
    V2,
}

/// Where each controller of this host is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The v2 hierarchy and the controllers available in it.
    pub(super) unified: Option<(PathBuf, Vec<Controller>)>,
    /// The v1 hierarchies.
    pub(super) legacy: BTreeMap<Controller, PathBuf>,
}

/// Why sessions cannot be limited on this host.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// The mount table could not be read.
    #[error(transparent)]
    Read(#[from] PathError),
    /// A controller is in no hierarchy.
    #[error(
        "the cgroup controller {controller} is neither in a v2 nor in a v1 hierarchy; mount cgroup2 on /sys/fs/cgroup \
         and boot with the controller enabled"
    )]
    Missing {
        /// Its name.
        controller: &'static str,
    },
    /// Neither the v2 hierarchy nor the v1 freezer is mounted.
    #[error("neither cgroup2 nor the v1 freezer is mounted: processes of an exec could not be told apart")]
    NoGroups,
}

impl Layout {
    /// Finds out the layout of this host. Reads two files; blocking.
    ///
    /// # Errors
    /// [`DetectError::Missing`] or [`DetectError::NoGroups`] where sessions could not be limited or killed.
    pub fn detect() -> Result<Self, DetectError> {
        let path = Path::new("/proc/self/mountinfo");
        let mountinfo = fs::read_to_string(path).map_err(PathError::of("read", path))?;
        let mut layout = Self::parse(&mountinfo);
        if let Some((root, controllers)) = &mut layout.unified {
            let path = root.join("cgroup.controllers");
            let available = fs::read_to_string(&path).map_err(PathError::of("read", &path))?;
            controllers.extend(
                Controller::REQUIRED
                    .into_iter()
                    .filter(|controller| available.split_whitespace().any(|name| name == controller.name())),
            );
        }
        layout.check()?;
        Ok(layout)
    }

    /// Reads how often the kernel has killed a runner for lack of memory where it counts those of all sessions together; 0 where
    /// it does not. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of a file that cannot be read.
    pub fn runner_oom_kills(&self, instance: &str) -> Result<u64, PathError> {
        match self.locate(Controller::Memory) {
            Some((Version::V1, root)) => read_keyed(&root.join(instance), "memory.oom_control", "oom_kill"),
            _ => Ok(0),
        }
    }

    /// Reads a mount table; the controllers of the v2 hierarchy are not in it.
    fn parse(mountinfo: &str) -> Self {
        let mut layout = Self { unified: None, legacy: BTreeMap::new() };
        for line in mountinfo.lines() {
            let Some((mount, filesystem)) = line.split_once(" - ") else { continue };
            let Some(point) = mount.split(' ').nth(4) else { continue };
            let mut fields = filesystem.split(' ');
            match fields.next() {
                Some("cgroup2") if layout.unified.is_none() => {
                    layout.unified = Some((PathBuf::from(point), Vec::new()));
                }
                Some("cgroup") => {
                    let options = fields.nth(1).unwrap_or_default();
                    for controller in [
                        Controller::Cpu,
                        Controller::Memory,
                        Controller::Pids,
                        Controller::CpuAccounting,
                        Controller::Freezer,
                    ] {
                        if options.split(',').any(|option| option == controller.name()) {
                            layout.legacy.entry(controller).or_insert_with(|| PathBuf::from(point));
                        }
                    }
                }
                _ => {}
            }
        }
        layout
    }

    fn check(&self) -> Result<(), DetectError> {
        for controller in Controller::REQUIRED {
            if self.locate(controller).is_none() {
                return Err(DetectError::Missing { controller: controller.name() });
            }
        }
        if self.unified.is_none() && !self.legacy.contains_key(&Controller::Freezer) {
            return Err(DetectError::NoGroups);
        }
        Ok(())
    }

    /// Returns where a controller is, v2 first.
    #[must_use]
    pub fn locate(&self, controller: Controller) -> Option<(Version, &Path)> {
        if let Some((root, controllers)) = &self.unified
            && controllers.contains(&controller)
        {
            return Some((Version::V2, root));
        }
        self.legacy.get(&controller).map(|root| (Version::V1, root.as_path()))
    }

    /// Describes the layout in one line, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        let place = |controller: Controller| match self.locate(controller) {
            Some((Version::V2, _)) => format!("{} v2", controller.name()),
            Some((Version::V1, _)) => format!("{} v1", controller.name()),
            None => format!("{} missing", controller.name()),
        };
        let groups = if self.unified.is_some() { "process groups v2" } else { "process groups v1 freezer" };
        let controllers: Vec<String> = Controller::REQUIRED.into_iter().map(place).collect();
        format!("{}, {groups}", controllers.join(", "))
    }

    /// Returns `v2` where every limit is set through v2, else `v1` or `v1+v2`.
    #[must_use]
    pub fn version_name(&self) -> &'static str {
        let v2 = |controller: &Controller| matches!(self.locate(*controller), Some((Version::V2, _)));
        match Controller::REQUIRED.iter().filter(|controller| v2(controller)).count() {
            0 => "v1",
            3 => "v2",
            _ => "v1+v2",
        }
    }

    /// Makes the daemon's own directory `name` (`sandkasten-…`) in every hierarchy that is used. Blocking; doing it
    /// twice is harmless.
    ///
    /// # Errors
    /// The [`PathError`] of the first step that fails.
    pub fn prepare(&self, name: &str) -> Result<(), PathError> {
        for root in self.roots() {
            make_directory(&root.join(name))?;
        }
        if let Some((root, controllers)) = &self.unified {
            enable(controllers, root)?;
            enable(controllers, &root.join(name))?;
        }
        Ok(())
    }

    /// Removes the daemon's own directories where no session is left in them. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of a directory that is not empty.
    pub fn release(&self, name: &str) -> Result<(), PathError> {
        self.roots().into_iter().try_for_each(|root| remove_directory(&root.join(name)))
    }

    /// Returns the names of the session directories below the daemon's own, in any hierarchy. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of a directory that cannot be listed.
    pub fn sessions(&self, name: &str) -> Result<Vec<String>, PathError> {
        let mut found = std::collections::BTreeSet::new();
        for root in self.roots() {
            let directory = root.join(name);
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(PathError::of("list", &directory)(error)),
            };
            for entry in entries {
                let entry = entry.map_err(PathError::of("list", &directory))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if entry.path().is_dir() {
                    found.insert(name);
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Returns the runners that are in no session's cgroup, in the host's numbering: all of them on a host without the v2
    /// hierarchy, else none. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of a file that cannot be read.
    pub fn runners(&self, name: &str) -> Result<Vec<i32>, PathError> {
        let Some(root) = self.legacy.get(&Controller::Freezer).filter(|_| self.unified.is_none()) else {
            return Ok(Vec::new());
        };
        let path = root.join(name).join("cgroup.procs");
        match fs::read_to_string(&path) {
            Ok(text) => {
                Ok(text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(PathError::of("read", &path)(error)),
        }
    }

    /// Returns every hierarchy that sessions have a directory in, each once.
    pub(super) fn roots(&self) -> Vec<PathBuf> {
        let unified = self.unified.iter().map(|(root, _)| root.clone());
        unified.chain(self.legacy_roots()).collect()
    }

    /// Returns the v1 hierarchies among them.
    pub(super) fn legacy_roots(&self) -> Vec<PathBuf> {
        let mut roots: Vec<PathBuf> = Vec::new();
        let mut used = Controller::REQUIRED.to_vec();
        if self.unified.is_none() {
            used.extend([Controller::CpuAccounting, Controller::Freezer]);
        }
        for controller in used {
            if let Some((Version::V1, root)) = self.locate(controller)
                && !roots.iter().any(|known| known == root)
            {
                roots.push(root.to_owned());
            }
        }
        roots
    }
}

/// Makes controllers available to the cgroups in a directory; none are left alone.
pub(super) fn enable(controllers: &[Controller], directory: &Path) -> Result<(), PathError> {
    if controllers.is_empty() {
        return Ok(());
    }
    let wanted: Vec<String> =
        controllers.iter().map(|controller| format!("+{}", controller.name())).collect();
    super::hierarchy::write(directory, "cgroup.subtree_control", &wanted.join(" "))
        .map_err(|error| PathError { action: "enable controllers in", ..error })
}

pub(super) fn make_directory(path: &Path) -> Result<(), PathError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(PathError::of("make the cgroup", path)(error))
        }
        _ => Ok(()),
    }
}

pub(super) fn remove_directory(path: &Path) -> Result<(), PathError> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(PathError::of("remove the cgroup", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Controller, DetectError, Layout, Version};

    const HYBRID: &str = "\
30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";

    #[test]
    fn hybrid_takes_limits_from_v1_and_groups_from_v2() {
        let layout = Layout::parse(HYBRID);
        assert!(layout.check().is_ok());
        assert!(matches!(layout.locate(Controller::Memory), Some((Version::V1, _))));
        assert_eq!(layout.version_name(), "v1");
        assert_eq!(layout.roots().len(), 4);
        assert_eq!(layout.describe(), "cpu v1, memory v1, pids v1, process groups v2");
    }

    #[test]
    fn v2_alone_has_one_root() {
        let mut layout = Layout::parse("25 20 0:22 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw");
        layout.unified.as_mut().expect("a v2 hierarchy").1.extend(Controller::REQUIRED);
        assert!(layout.check().is_ok());
        assert_eq!(layout.version_name(), "v2");
        assert_eq!(layout.roots().len(), 1);
    }

    #[test]
    fn v1_alone_needs_the_freezer() {
        let without: Vec<&str> = HYBRID.lines().filter(|line| !line.contains("cgroup2")).collect();
        let layout = Layout::parse(&without.join("\n"));
        assert!(matches!(layout.check(), Err(DetectError::NoGroups)));
        let with = format!(
            "{}\n35 30 0:31 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer",
            without.join("\n")
        );
        assert!(Layout::parse(&with).check().is_ok());
    }

    #[test]
    fn a_missing_controller_is_named() {
        let without: Vec<&str> = HYBRID.lines().filter(|line| !line.contains("pids")).collect();
        let error = Layout::parse(&without.join("\n")).check().expect_err("no pids controller");
        assert!(error.to_string().contains("pids"), "{error}");
    }
}
