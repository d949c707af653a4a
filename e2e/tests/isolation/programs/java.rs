//! Java: compiled and started, and started from its source; threads, children, sockets, garbage collection.

use sandkasten_e2e::{with_config, with_daemon};

use super::{ROOMY, has, put};

const EXPECTED: &str = "\
threads 16
pools 499536
THROUGH A PIPE 0
killed true
over a socket
text
262144 collected";

#[test]
fn a_java_program_is_compiled_inside_and_runs() {
    with_config(ROOMY, async |daemon| {
        let session = daemon.session().await;
        if !has(&session, &["java", "javac"]).await {
            return;
        }
        put(&session, "Everything.java", include_str!("Everything.java")).await;
        session.output("cd /workspace && javac -d classes Everything.java").await;
        assert_eq!(session.output("java -cp classes Everything").await, EXPECTED);
        // The collectors differ in the threads and the memory they use.
        for collector in ["SerialGC", "ParallelGC", "G1GC"] {
            assert_eq!(
                session.output(&format!("java -XX:+Use{collector} -cp classes Everything")).await,
                EXPECTED,
                "{collector}"
            );
        }
    });
}

/// Java sizes its heap by the memory of the machine, which is not the session's: it has to be told.
#[test]
fn a_java_program_is_started_from_its_source_within_the_default_memory() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        if !has(&session, &["java", "javac"]).await {
            return;
        }
        put(&session, "Everything.java", include_str!("Everything.java")).await;
        let command = "cd /workspace && java -XX:MaxRAM=512m Everything.java";
        assert_eq!(session.output(command).await, EXPECTED);
    });
}
