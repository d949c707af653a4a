//! The 32-bit entry to the kernel, where every call has another number, is shut.
#![cfg(target_arch = "x86_64")]

use std::process::Command;

use sandkasten_e2e::{TestDaemon, TestSession, with_config};

const SOURCE: &str = r#"
#include <stdio.h>
static int call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c)
                     : "memory", "r8", "r9", "r10", "r11");
    return (int)result;
}
int main(void) {
    static const struct { const char *name; long number, a, b, c; } calls[] = {
        {"getpid", 20, 0, 0, 0}, {"mount", 21, 0, 0, 0}, {"ptrace", 26, 0, 0, 0}, {"chroot", 61, 0, 0, 0},
        {"socketcall", 102, 1, 0, 0}, {"clone", 120, 0x10000011, 0, 0}, {"personality", 136, 0x400000, 0, 0},
        {"keyctl", 288, 0, -3, 1}, {"unshare", 310, 0x10000000, 0, 0}, {"setns", 346, -1, 0, 0},
        {"process_vm_readv", 347, 0, 0, 0}, {"bpf", 357, 0, 0, 0}, {"socket", 359, 40, 1, 0},
        {"io_uring_setup", 425, 0, 0, 0}, {"clone3", 435, 0, 0, 0}, {"execve", 11, 0, 0, 0},
    };
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (calls[i].number == 120) { fflush(stdout); }
        printf("%s %d\n", calls[i].name, call(calls[i].number, calls[i].a, calls[i].b, calls[i].c));
    }
}
"#;

#[expect(clippy::print_stderr, reason = "says what is skipped")]
/// Builds the program on the host and puts it into the session; says no where the host has no compiler.
async fn upload_program(daemon: &TestDaemon, session: &TestSession) -> bool {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let (source, program) = (directory.path().join("calls.c"), directory.path().join("calls"));
    std::fs::write(&source, SOURCE).expect("a source can be written");
    let built = Command::new("gcc").args(["-static", "-O1", "-w", "-o"]).args([&program, &source]).status();
    if !built.is_ok_and(|status| status.success()) {
        eprintln!("SKIP: no gcc that links statically");
        return false;
    }
    let bytes = std::fs::read(&program).expect("a built program");
    daemon.client().write_file(&session.id, "calls", &bytes).await.expect("written");
    session.output("chmod +x /workspace/calls").await;
    true
}

#[test]
fn calls_of_the_32_bit_entry_are_refused_in_every_profile_with_a_filter() {
    for profile in ["strict", "mvp"] {
        with_config(&format!("security:\n  seccomp: {profile}"), async |daemon| {
            let session = daemon.session().await;
            if !upload_program(daemon, &session).await {
                return;
            }
            let printed = session.output("/workspace/calls").await;
            assert_eq!(printed.lines().count(), 16, "{profile}: {printed}");
            assert!(printed.lines().all(|line| line.ends_with(" -1")), "{profile}: {printed}");
        });
    }
}

#[test]
fn without_the_filter_the_32_bit_entry_is_open() {
    with_config("security:\n  seccomp: \"off\"", async |daemon| {
        let session = daemon.session().await;
        if !upload_program(daemon, &session).await {
            return;
        }
        let result = session.exec("/workspace/calls").await;
        if result.exit_code == 139 {
            eprintln!(
                "SKIP: this kernel has no 32-bit entry, so that the filter cannot be told from the kernel"
            );
            return;
        }
        let getpid =
            result.output.lines().find_map(|line| line.strip_prefix("getpid ")).expect("getpid was called");
        assert!(getpid.parse::<i32>().expect("a number") > 0, "{}", result.output);
    });
}
