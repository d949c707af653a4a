//! From the configuration and an image to the plan of a sandbox. Pure.

use sandkasten_api::id::SessionId;
use sandkasten_image::Image;
use sandkasten_isolation::controls::{Control, Controls};
use sandkasten_isolation::host::cgroup::Limits;
use sandkasten_isolation::plan::{
    HOME_DIRECTORY, Identity, Owner, RootMode, SandboxPlan, ShellPreference, Tmpfs, WORKSPACE_DIRECTORY,
};
use sandkasten_isolation::seccomp::{Instruction, compile};

use crate::config::{self, Config, DefaultsConfig};
use crate::workspace::OpenWorkspace;

const MIB: u64 = 1 << 20;
pub(crate) const OPEN_FILES: u64 = 65_536;
/// An inode for each page: a tmpfs full of empty files costs the kernel no more than one full of data.
const BYTES_PER_INODE: u64 = 4_096;
/// How many times larger a limit is that a test turns off.
const WEAKENED: u64 = 8;

/// Returns the limits of the cgroup of a session that has these defaults.
pub(crate) fn limits(config: &Config, defaults: &DefaultsConfig) -> Limits {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the configuration allows 0.01 to 1024 cores"
    )]
    let cpu_millis = (defaults.cpu_limit * 1_000.0).round() as u64;
    let factor = |control| if config.controls.keep(control) { 1 } else { WEAKENED };
    Limits {
        cpu_millis: cpu_millis * factor(Control::CpuLimit),
        memory_bytes: defaults.mem_limit_mb * MIB * factor(Control::MemoryLimit),
        pids: u64::from(defaults.pids_limit) * factor(Control::PidsLimit),
    }
}

/// Compiles the filter of all sessions; none where the profile is `off`.
pub(crate) fn filter(config: &Config) -> Option<Vec<Instruction>> {
    if [Control::Filter, Control::NoNewPrivileges].into_iter().any(|control| !config.controls.keep(control)) {
        return None;
    }
    #[cfg_attr(not(feature = "weaken"), expect(unused_mut, reason = "only a weakened filter is changed"))]
    let mut filter = compile(config.security.seccomp.into())?;
    #[cfg(feature = "weaken")]
    config.controls.weaken_filter(&mut filter);
    Some(filter)
}

/// Returns the plan of a session's sandbox. `staging` is the host directory that its root is assembled on; without a
/// `workspace` that outlives the session, it has a tmpfs in its place.
pub(super) fn plan(
    config: &Config,
    defaults: &DefaultsConfig,
    id: &SessionId,
    image: &Image,
    filter: Option<&[Instruction]>,
    staging: &str,
    workspace: Option<&OpenWorkspace>,
) -> SandboxPlan {
    SandboxPlan {
        hostname: id.as_str().to_owned(),
        staging: staging.to_owned(),
        layers: image.layers.len(),
        binds: image.binds.iter().map(|bind| bind.target.to_string_lossy().into_owned()).collect(),
        root: root(config.controls, defaults),
        identity: Identity::Sandbox,
        tmpfs: writable_mounts(config.controls, defaults)
            .into_iter()
            .filter(|mount| workspace.is_none() || mount.target != WORKSPACE_DIRECTORY)
            .collect(),
        workspace: workspace.map(|_| WORKSPACE_DIRECTORY.to_owned()),
        files: own_files(id.as_str()),
        environment: environment(config, image),
        shell: match defaults.shell_prefer {
            config::ShellPreference::Bash => ShellPreference::Bash,
            config::ShellPreference::Sh => ShellPreference::Sh,
        },
        working_directory: WORKSPACE_DIRECTORY.to_owned(),
        seccomp: filter.map(<[Instruction]>::to_vec),
        open_files: OPEN_FILES,
        controls: config.controls,
    }
}

/// The files that a sandbox of this host name has in place of its image's.
pub(crate) fn own_files(hostname: &str) -> Vec<(String, String)> {
    vec![
        ("/etc/hostname".to_owned(), format!("{hostname}\n")),
        ("/etc/hosts".to_owned(), format!("127.0.0.1 localhost {hostname}\n::1 localhost\n")),
        ("/etc/resolv.conf".to_owned(), "# This sandbox has no network.\n".to_owned()),
    ]
}

fn root(controls: Controls, defaults: &DefaultsConfig) -> RootMode {
    if defaults.readonly_rootfs && controls.keep(Control::RootReadOnly) {
        RootMode::ReadOnly
    } else {
        RootMode::Writable { size_bytes: share(defaults, u64::MAX, 1, 8) }
    }
}

/// What a tmpfs may hold: the configured size, but never more than its share of the session's memory. All shares
/// together leave room, so that a full filesystem is `ENOSPC` for one write and not the end of every process.
fn share(defaults: &DefaultsConfig, configured_mib: u64, parts: u64, of: u64) -> u64 {
    let memory = defaults.mem_limit_mb * MIB;
    configured_mib.saturating_mul(MIB).min(memory * parts / of)
}

/// Where a command can write, apart from a writable root.
pub(super) const WRITABLE_DIRECTORIES: [&str; 5] =
    [WORKSPACE_DIRECTORY, "/tmp", HOME_DIRECTORY, "/run", "/dev/shm"];

fn writable_mounts(controls: Controls, defaults: &DefaultsConfig) -> Vec<Tmpfs> {
    let factor = |control| if controls.keep(control) { 1 } else { WEAKENED };
    let mount = |target: &str, size_bytes: u64, mode, owner| Tmpfs {
        target: target.to_owned(),
        size_bytes: size_bytes * factor(Control::TmpfsSize),
        inodes: (size_bytes / BYTES_PER_INODE).max(64) * factor(Control::TmpfsInodes),
        mode,
        owner,
    };
    // A writable root takes its share from the workspace's.
    let workspace_parts = if defaults.readonly_rootfs { 4 } else { 3 };
    vec![
        mount("/run", share(defaults, 16, 1, 32), 0o755, Owner::Sandbox),
        mount("/tmp", share(defaults, defaults.tmp_mb, 1, 8), 0o1777, Owner::Root),
        mount("/dev/shm", share(defaults, 64, 1, 16), 0o1777, Owner::Root),
        mount(HOME_DIRECTORY, share(defaults, defaults.tmp_mb, 1, 8), 0o700, Owner::Sandbox),
        mount(
            WORKSPACE_DIRECTORY,
            share(defaults, defaults.workspace_mb, workspace_parts, 8),
            0o755,
            Owner::Sandbox,
        ),
    ]
}

/// The shell's whole environment: ours, then the image's, then what is configured for the image, the later winning.
fn environment(config: &Config, image: &Image) -> Vec<String> {
    let ours = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", HOME_DIRECTORY),
        ("USER", "sandbox"),
        ("LOGNAME", "sandbox"),
        ("LANG", "C.UTF-8"),
        ("TERM", "dumb"),
        // Output goes to a pipe, where Python would hold it back until the end.
        ("PYTHONUNBUFFERED", "1"),
    ];
    let mut environment: Vec<String> = ours.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let own = config.image_defaults(image.name.as_str()).map(|own| &own.env);
    let own = own.into_iter().flatten().map(|(name, value)| format!("{name}={value}"));
    for variable in image.config.env.iter().cloned().chain(own) {
        let Some((name, _)) = variable.split_once('=') else { continue };
        environment.retain(|known| known.split_once('=').is_none_or(|(known, _)| known != name));
        environment.push(variable);
    }
    environment
}

#[cfg(test)]
mod tests {
    use sandkasten_isolation::plan::RootMode;

    use super::{MIB, limits, root, writable_mounts};
    use crate::config::Config;

    #[test]
    fn everything_writable_together_leaves_room_in_memory() {
        for (mem_limit_mb, readonly_rootfs) in
            [16, 512, 65_536].into_iter().flat_map(|memory| [(memory, true), (memory, false)])
        {
            let mut config = Config::default();
            config.defaults.mem_limit_mb = mem_limit_mb;
            config.defaults.readonly_rootfs = readonly_rootfs;
            config.defaults.workspace_mb = 1_000_000;
            config.defaults.tmp_mb = 1_000_000;
            let (controls, defaults) = (config.controls, &config.defaults);
            let root = match root(controls, defaults) {
                RootMode::Kept => panic!("no session keeps its root"),
                RootMode::ReadOnly => 0,
                RootMode::Writable { size_bytes } => size_bytes,
            };
            let mounts: u64 = writable_mounts(controls, defaults).iter().map(|mount| mount.size_bytes).sum();
            let total = mounts + root;
            assert!(total <= mem_limit_mb * MIB * 7 / 8, "{total} of {mem_limit_mb} MiB");
        }
    }

    #[test]
    fn parts_of_a_core_become_thousandths() {
        let mut config = Config::default();
        config.defaults.cpu_limit = 0.35;
        assert_eq!(limits(&config, &config.defaults).cpu_millis, 350);
    }
}
