//! How much memory the host has available, and how much its processes wait for memory, as the kernel says it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::config::{AdmissionConfig, Automatic};

/// More than either file ever has: meminfo is about 1,500 bytes.
const MOST_BYTES: usize = 8192;
/// A pressure that is never exceeded.
const ANY_PRESSURE: u32 = 100;

/// The host's memory at one moment. What is not wanted, or not to be had, is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct HostMemory {
    /// What programs can have without anything being swapped out: `MemAvailable`.
    pub(super) available_bytes: Option<u64>,
    /// Which part of the last ten seconds all processes waited for memory, in percent: `full avg10`.
    pub(super) full_percent: Option<f64>,
}

/// The kernel's files, open: so that they can be read as well where no descriptor is left.
#[derive(Debug)]
pub(super) struct MemoryFiles {
    total_bytes: u64,
    meminfo: Option<Opened>,
    pressure: Option<Opened>,
}

#[derive(Debug)]
struct Opened {
    file: File,
    path: PathBuf,
}

/// Why the host's memory is not known.
#[derive(Debug, thiserror::Error)]
pub enum HostMemoryError {
    /// A file of the kernel could not be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A file of the kernel lacks what it is read for.
    #[error("{} has no {wanted} that can be read", path.display())]
    Lacks {
        /// Which.
        path: PathBuf,
        /// What it lacks.
        wanted: &'static str,
    },
}

impl MemoryFiles {
    /// Opens what the settings ask for. A kernel that does not tell the pressure is none that refuses anybody for it. Blocking.
    pub(super) fn open(proc: &Path, settings: &AdmissionConfig) -> Result<Self, HostMemoryError> {
        let meminfo = Opened::open(proc.join("meminfo"))?;
        let total_bytes = meminfo.figure("MemTotal", |text| meminfo_bytes(text, "MemTotal"))?;
        let is_wanted = settings.min_free_memory_mb != Automatic::Is(0);
        let pressure = if settings.max_memory_pressure < ANY_PRESSURE {
            open_pressure(proc.join("pressure/memory"))
        } else {
            None
        };
        Ok(Self { total_bytes, meminfo: is_wanted.then_some(meminfo), pressure })
    }

    pub(super) fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Reads what there is now. Two small reads that no disk is behind; none where nothing is wanted.
    pub(super) fn read(&self) -> Result<Option<HostMemory>, HostMemoryError> {
        if self.meminfo.is_none() && self.pressure.is_none() {
            return Ok(None);
        }
        let available =
            |file: &Opened| file.figure("MemAvailable", |text| meminfo_bytes(text, "MemAvailable"));
        let full = |file: &Opened| file.figure("average of `full` over 10 s", full_percent);
        Ok(Some(HostMemory {
            available_bytes: self.meminfo.as_ref().map(available).transpose()?,
            full_percent: self.pressure.as_ref().map(full).transpose()?,
        }))
    }
}

/// Opens the pressure of memory, where this kernel has it: it may be left out, or turned off at boot, which a read says.
fn open_pressure(path: PathBuf) -> Option<Opened> {
    let opened = Opened::open(path).and_then(|file| file.read().map(|_| file));
    opened
        .inspect_err(|error| {
            let error: &dyn std::error::Error = error;
            tracing::info!(
                error,
                "the pressure of memory is not known here, and keeps nobody from making sessions"
            );
        })
        .ok()
}

impl Opened {
    fn open(path: PathBuf) -> Result<Self, HostMemoryError> {
        match File::open(&path) {
            Ok(file) => Ok(Self { file, path }),
            Err(source) => Err(HostMemoryError::Read { path, source }),
        }
    }

    fn figure<T>(
        &self,
        wanted: &'static str,
        find: impl Fn(&str) -> Option<T>,
    ) -> Result<T, HostMemoryError> {
        find(&self.read()?).ok_or_else(|| HostMemoryError::Lacks { path: self.path.clone(), wanted })
    }

    fn read(&self) -> Result<String, HostMemoryError> {
        let mut text = [0; MOST_BYTES];
        let read = self
            .file
            .read_at(&mut text, 0)
            .map_err(|source| HostMemoryError::Read { path: self.path.clone(), source })?;
        Ok(String::from_utf8_lossy(text.get(..read).unwrap_or_default()).into_owned())
    }
}

/// Returns a line of meminfo in bytes.
pub(crate) fn meminfo_bytes(meminfo: &str, name: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

/// Returns `avg10` of the line `full`.
fn full_percent(pressure: &str) -> Option<f64> {
    let line = pressure.lines().find_map(|line| line.strip_prefix("full "))?;
    line.split(' ').find_map(|word| word.strip_prefix("avg10="))?.parse().ok()
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::path::Path;

    use super::{HostMemory, HostMemoryError, MemoryFiles, full_percent, meminfo_bytes};
    use crate::config::{AdmissionConfig, Automatic};

    const MEMINFO: &str =
        "MemTotal:       24683944 kB\nMemFree:         6543212 kB\nMemAvailable:   23709964 kB\n";
    const PRESSURE: &str = "some avg10=7.50 avg60=0.00 avg300=0.00 total=7278472\n\
                            full avg10=3.25 avg60=9.00 avg300=9.00 total=4773820\n";

    /// Says how much memory a host of a test has; tells no pressure where there is none.
    pub(in crate::admission) fn write_host(proc: &Path, available_mib: u64, full_avg10: Option<&str>) {
        fs::create_dir_all(proc.join("pressure")).expect("a directory");
        let meminfo = format!("MemTotal: {} kB\nMemAvailable: {} kB\n", 4_u64 << 20, available_mib << 10);
        fs::write(proc.join("meminfo"), meminfo).expect("a file");
        if let Some(avg10) = full_avg10 {
            let text = format!("some avg10=99.00 avg60=0.00\nfull avg10={avg10} avg60=0.00\n");
            fs::write(proc.join("pressure/memory"), text).expect("a file");
        }
    }

    #[test]
    fn the_kernels_text_is_read_line_by_line() {
        assert_eq!(meminfo_bytes(MEMINFO, "MemAvailable"), Some(23_709_964 * 1024));
        assert_eq!(meminfo_bytes(MEMINFO, "Mem"), None);
        for odd in ["MemAvailable: x kB", "MemAvailable: 5", "MemAvailable:", "", "MemAvailable: -1 kB"] {
            assert_eq!(meminfo_bytes(odd, "MemAvailable"), None, "{odd}");
        }
        assert_eq!(meminfo_bytes("MemAvailable: 18446744073709551615 kB", "MemAvailable"), None);
        assert_eq!(full_percent(PRESSURE), Some(3.25));
        for odd in ["", "some avg10=1.00", "full", "full avg60=1.00", "full avg10=x avg60=1.00"] {
            assert_eq!(full_percent(odd), None, "{odd}");
        }
    }

    #[test]
    fn this_host_has_memory_and_less_of_it_available() {
        let files = MemoryFiles::open(Path::new("/proc"), &AdmissionConfig::default()).expect("readable");
        let memory = files.read().expect("readable").expect("wanted");
        let available = memory.available_bytes.expect("wanted");
        assert!(available > 0 && available < files.total_bytes(), "{available} {}", files.total_bytes());
    }

    #[test]
    fn what_is_not_wanted_is_not_read_and_a_kernel_without_pressure_has_none() {
        let directory = tempfile::tempdir().expect("a directory");
        write_host(directory.path(), 5, None);
        let open =
            |settings: &AdmissionConfig| MemoryFiles::open(directory.path(), settings).expect("opened");
        let mut settings = AdmissionConfig::default();
        let found = open(&settings).read().expect("read");
        assert_eq!(found, Some(HostMemory { available_bytes: Some(5 << 20), full_percent: None }));
        settings.min_free_memory_mb = Automatic::Is(0);
        assert_eq!(open(&settings).read().expect("read"), None);
        write_host(directory.path(), 5, Some("12.50"));
        let found = open(&settings).read().expect("read");
        assert_eq!(found, Some(HostMemory { available_bytes: None, full_percent: Some(12.5) }));
        settings.max_memory_pressure = 100;
        assert_eq!(open(&settings).read().expect("read"), None);
    }

    #[test]
    fn a_kernel_that_does_not_say_how_much_memory_there_is_is_an_error_by_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = AdmissionConfig::default();
        let error = MemoryFiles::open(directory.path(), &settings).expect_err("no file").to_string();
        assert!(error.contains("meminfo"), "{error}");
        write_host(directory.path(), 5, None);
        let files = MemoryFiles::open(directory.path(), &settings).expect("opened");
        fs::write(directory.path().join("meminfo"), "MemTotal: 5 kB\n").expect("a file");
        let error = files.read().expect_err("nothing is said");
        assert!(matches!(error, HostMemoryError::Lacks { wanted: "MemAvailable", .. }), "{error}");
    }
}
