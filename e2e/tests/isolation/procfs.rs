//! `/proc` shows the session, hides the host's tables, and takes no write.

use sandkasten_e2e::with_daemon;

#[test]
fn tables_of_the_host_are_masked() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let probe = "\
import os
files = ('kcore keys key-users kmsg kallsyms kpagecgroup kpagecount kpageflags cmdline config.gz interrupts iomem '
         'ioports latency_stats modules sched_debug slabinfo sysrq-trigger timer_list').split()
for name in files:
    path = '/proc/' + name
    if not os.path.exists(path): continue
    with open(path, 'rb') as file:
        if file.read(1): print(name, 'is readable')
for name in ('acpi', 'irq', 'scsi', 'fs'):
    path = '/proc/' + name
    if os.path.isdir(path) and name != 'fs' and os.listdir(path): print(name, os.listdir(path))
for name in ('vmallocinfo', 'pagetypeinfo', 'sys/kernel/kptr_restrict'):
    pass
print('end')";
        assert_eq!(session.python(probe).await, "end");
    });
}

#[test]
fn no_file_below_proc_opens_for_writing() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        // Links (`exe`, `fd/1`) lead elsewhere, and a masked file is the null device.
        let walk = "\
import errno, os, stat
tried = 0
for top, directories, files in os.walk('/proc'):
    for name in files:
        path = os.path.join(top, name)
        try:
            if stat.S_ISLNK(os.lstat(path).st_mode): continue
            for flags in (os.O_WRONLY, os.O_RDWR):
                tried += 1
                try: descriptor = os.open(path, flags | os.O_NONBLOCK)
                except OSError: continue
                if os.fstat(descriptor).st_rdev != os.makedev(1, 3): print(path)
                os.close(descriptor)
        except FileNotFoundError: pass
        except ProcessLookupError: pass
print(tried > 500)";
        assert_eq!(session.python(walk).await, "True", "what opens before the end");
    });
}

#[test]
fn kernel_settings_that_run_programs_on_the_host_cannot_be_set() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for path in [
            "/proc/sys/kernel/core_pattern",
            "/proc/sys/kernel/modprobe",
            "/proc/sys/kernel/hotplug",
            "/proc/sys/fs/binfmt_misc/register",
            "/proc/sys/kernel/hostname",
            "/proc/sys/net/ipv4/ip_forward",
            "/proc/sysrq-trigger",
            "/proc/self/oom_score_adj",
            "/proc/self/mem",
            "/proc/self/attr/current",
            "/proc/$$/oom_score_adj",
        ] {
            let written =
                session.output(&format!("echo 0 2>/dev/null > {path} && stat -c %t:%T {path}; true")).await;
            assert!(written.is_empty() || written == "1:3" || written.contains(path), "{path}: {written}");
            assert!(
                written.lines().all(|line| line.starts_with("bash:") || line == "1:3"),
                "{path}: {written}"
            );
        }
    });
}
