//! SQLite: a write-ahead log shared by processes, which takes file locks and shared memory.

use sandkasten_e2e::with_daemon;

use super::{has, put};

#[test]
fn two_processes_write_to_one_database_while_a_third_reads() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        put(&session, "writers.py", include_str!("writers.py")).await;
        let expected = "\
snapshot 0
rows [('a', 200), ('b', 200)]
check ok
checkpoint 0
vacuum []";
        assert_eq!(session.output("python3 /workspace/writers.py").await, expected);
        assert_eq!(session.output("ls /workspace").await, "shared.db\nwriters.py");
    });
}

#[test]
fn the_shell_of_sqlite_keeps_a_write_ahead_log_beside_an_open_database() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        if !has(&session, &["sqlite3"]).await {
            return;
        }
        let script = "pragma journal_mode=wal; create table t (x); insert into t values (1), (2);\n\
                      .shell ls /workspace\n\
                      select sum(x) from t;";
        assert_eq!(
            session.output(&format!("sqlite3 /workspace/cli.db <<'END'\n{script}\nEND")).await,
            "wal\ncli.db\ncli.db-shm\ncli.db-wal\n3"
        );
    });
}
