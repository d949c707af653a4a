//! What agents run still works under the profile `strict`, on the image `host`: one file a language or topic. A larger
//! program stands beside its test, as a file of its own language.

mod bash;
mod c;
mod git;
mod go;
mod java;
mod node;
mod npm;
mod pytest;
mod python;
mod shell_tools;
mod sqlite;
mod venv;

use sandkasten_e2e::TestSession;

/// Enough memory for compilers and virtual machines, of which half is what `/workspace` holds, and time for them on a slow
/// machine.
const ROOMY: &str = "defaults:\n  mem_limit_mb: 2048\n  max_exec_timeout_ms: 600000";

/// Says whether the session has all of the programs; where it has not, says that the test is skipped.
#[expect(clippy::print_stderr, reason = "says what is skipped")]
async fn has(session: &TestSession, programs: &[&str]) -> bool {
    for program in programs {
        if session.exec(&format!("command -v {program}")).await.exit_code != 0 {
            eprintln!("SKIP: this host has no {program}, and so its image has none");
            return false;
        }
    }
    true
}

/// Puts a text into `/workspace`.
async fn put(session: &TestSession, path: &str, text: &str) {
    put_bytes(session, path, text.as_bytes()).await;
}

/// Puts bytes into `/workspace`.
async fn put_bytes(session: &TestSession, path: &str, bytes: &[u8]) {
    session
        .client
        .write_file(&session.id, path, bytes)
        .await
        .unwrap_or_else(|error| panic!("{path} was not written: {error}"));
}
