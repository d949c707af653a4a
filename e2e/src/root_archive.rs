//! A small root file system for images, put together from programs of this host and the libraries they need.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tar archive of a root file system.
#[derive(Debug)]
pub struct RootArchive {
    directory: tempfile::TempDir,
}

impl RootArchive {
    /// Packs bash as `/bin/sh` and `/bin/bash`, and the programs named, with a few lines of `/etc`.
    ///
    /// # Panics
    /// Where a program is not on this host or cannot be packed.
    #[must_use]
    pub fn of_programs(programs: &[&str]) -> Self {
        Self::with_links(programs, &[])
    }

    /// Packs one shell of the host as `/bin/sh`, without any other, and the programs named; `None` where this host has no
    /// such shell. The programs of busybox are links to it.
    ///
    /// # Panics
    /// Where a program is not on this host or cannot be packed.
    #[must_use]
    pub fn of_shell(shell: &str, programs: &[&str]) -> Option<Self> {
        let found = ["/usr/bin", "/bin"].iter().any(|directory| Path::new(directory).join(shell).is_file());
        found.then(|| {
            if shell == "busybox" {
                let names: Vec<_> =
                    programs.iter().chain(&["sh"]).map(|name| format!("bin/{name}")).collect();
                let links: Vec<_> = names.iter().map(|name| (name.as_str(), shell)).collect();
                return Self::pack(&[(shell, shell)], &links);
            }
            let packed = programs.iter().map(|name| (*name, *name));
            Self::pack(&packed.chain([("sh", shell)]).collect::<Vec<_>>(), &[])
        })
    }

    /// Packs the same, with symbolic links (name, target) in the places of directories.
    ///
    /// # Panics
    /// Where a program is not on this host or cannot be packed.
    #[must_use]
    pub fn with_links(programs: &[&str], links: &[(&str, &str)]) -> Self {
        let programs = programs.iter().chain(&["bash"]).map(|name| (*name, *name));
        Self::pack(&programs.chain([("sh", "bash")]).collect::<Vec<_>>(), links)
    }

    /// Packs programs under their names in `/bin`: (name, program of the host).
    fn pack(programs: &[(&str, &str)], links: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let file = fs::File::create(directory.path().join("root.tar")).expect("an archive can be made");
        let mut archive = tar::Builder::new(file);
        for name in ["bin", "etc", "lib", "lib64", "proc", "dev", "tmp", "workspace", "usr/bin"] {
            if links.iter().all(|(link, _)| *link != name) {
                append_directory(&mut archive, name);
            }
        }
        for (name, target) in links {
            append_link(&mut archive, name, target);
        }
        if links.iter().all(|(link, _)| *link != "etc") {
            append_bytes(&mut archive, "etc/passwd", b"root:x:0:0::/root:/bin/sh\n");
            append_bytes(&mut archive, "etc/made-for-a-test", b"yes\n");
        }
        let mut libraries = BTreeSet::new();
        for (name, program) in programs {
            let program = locate(program);
            libraries.extend(needed_libraries(&program));
            append_program(&mut archive, &format!("bin/{name}"), &program);
        }
        for library in libraries {
            let inside = library.strip_prefix("/").unwrap_or(&library).to_string_lossy().into_owned();
            append_program(&mut archive, &inside, &library);
        }
        archive.finish().expect("an archive can be written");
        Self { directory }
    }

    /// Where the archive is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("root.tar")
    }
}

fn locate(program: &str) -> PathBuf {
    ["/usr/bin", "/bin", "/usr/local/bin"]
        .iter()
        .map(|directory| Path::new(directory).join(program))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{program} is not on this host"))
}

/// The libraries of a program, by the names it looks for them; none where it is static.
fn needed_libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().expect("ldd runs");
    String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

fn append_directory(archive: &mut tar::Builder<fs::File>, name: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o755);
    header.set_size(0);
    archive.append_data(&mut header, name, std::io::empty()).expect("an entry can be written");
}

fn append_link(archive: &mut tar::Builder<fs::File>, name: &str, target: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_mode(0o777);
    header.set_size(0);
    archive.append_link(&mut header, name, target).expect("an entry can be written");
}

fn append_program(archive: &mut tar::Builder<fs::File>, name: &str, program: &Path) {
    append(archive, name, &fs::read(program).expect("a program can be read"), 0o755);
}

fn append_bytes(archive: &mut tar::Builder<fs::File>, name: &str, content: &[u8]) {
    append(archive, name, content, 0o644);
}

fn append(archive: &mut tar::Builder<fs::File>, name: &str, content: &[u8], mode: u32) {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, name, content).expect("an entry can be written");
}
