//! The directories, links and generated files of the built-in image, and what is bound over them.

use std::fs;
use std::path::{Path, PathBuf};

use super::RefreshHostError;
use crate::account;
use crate::image::HostBind;
use crate::planned_layer::PlannedLayer;

/// The user of sessions, and its group.
const SESSION_ID: u32 = 1000;
/// Beside `/usr`, where programs and libraries are on hosts that have not merged the two. Names beginning with `lib` are
/// looked for too.
const PROGRAM_DIRECTORIES: [&str; 2] = ["bin", "sbin"];
/// Directories that a usual root has, each with its mode.
const DIRECTORIES: [(&str, u32); 16] = [
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("media", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("srv", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("var/cache", 0o755),
    ("var/lib", 0o755),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
];
/// Files and DNS: the session has no other services that could be asked.
const NAME_SERVICES: &[u8] = b"passwd: files
group: files
shadow: files
hosts: files dns
networks: files
\
    protocols: files
services: files
ethers: files
rpc: files
";

/// The part of the built-in image that does not come from the host's configuration.
pub(super) struct Skeleton {
    pub(super) layer: PlannedLayer,
    pub(super) binds: Vec<HostBind>,
}

/// Plans it for a host.
pub(super) fn plan(host_root: &Path) -> Result<Skeleton, RefreshHostError> {
    let mut layer = PlannedLayer::default();
    let mut binds = Vec::new();
    let usr = host_root.join("usr");
    // A link would be resolved again at every mount, by whoever may have changed it since.
    let usr =
        fs::canonicalize(&usr).map_err(|source| RefreshHostError::Programs { path: usr.clone(), source })?;
    layer.directory("usr", 0o755);
    binds.push(HostBind { source: usr, target: PathBuf::from("/usr") });
    for name in program_directories(host_root) {
        let path = host_root.join(&name);
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if found.is_dir() {
            layer.directory(&name, 0o755);
            binds.push(HostBind { source: path, target: Path::new("/").join(&name) });
        } else if let Some(target) = link_into_usr(&path) {
            layer.symlink(&name, &target);
        }
    }
    for (path, mode) in DIRECTORIES {
        layer.directory(path, mode);
    }
    layer.owned_directory("home/sandbox", 0o755, SESSION_ID);
    layer.owned_directory("workspace", 0o755, SESSION_ID);
    layer.symlink("var/run", "../run");
    layer.symlink("etc/mtab", "../proc/self/mounts");
    let shell = if host_root.join("bin/bash").exists() { "/bin/bash" } else { "/bin/sh" };
    let (passwd, group) = account::minimal_files(shell);
    layer.file("etc/passwd", passwd);
    layer.file("etc/group", group);
    layer.file("etc/nsswitch.conf", NAME_SERVICES.to_vec());
    Ok(Skeleton { layer, binds })
}

fn program_directories(host_root: &Path) -> Vec<String> {
    let mut names: Vec<String> = PROGRAM_DIRECTORIES.map(str::to_owned).to_vec();
    // A root that cannot be listed has been refused before, for having no /usr.
    for entry in fs::read_dir(host_root).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.strip_prefix("lib").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        {
            names.push(name);
        }
    }
    names.sort();
    names
}

/// Reads a link of the host's root, if it leads into `/usr` without detours; its target becomes relative.
fn link_into_usr(path: &Path) -> Option<String> {
    let target = fs::read_link(path).ok()?.into_os_string().into_string().ok()?;
    let target = target.trim_start_matches('/').trim_end_matches('/').to_owned();
    let climbs = target.split('/').any(|component| component == "..");
    (target.starts_with("usr/") && !climbs).then_some(target)
}
