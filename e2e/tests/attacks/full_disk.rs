//! A full workspace is said clearly, and leaves nothing half written.

use sandkasten_client::RequestError;
use sandkasten_e2e::with_config;

#[test]
fn a_write_that_does_not_fit_is_a_clear_error_and_leaves_nothing() {
    with_config("defaults:\n  workspace_mb: 4", async |daemon| {
        let session = daemon.session().await;
        session.client.write_file(&session.id, "kept", b"old").await.expect("written");
        for path in ["large", "kept"] {
            let error =
                session.client.write_file(&session.id, path, &vec![b'x'; 8 << 20]).await.expect_err(path);
            let RequestError::Refused { status, body } = error else { panic!("{error}") };
            assert!((400..500).contains(&status), "{status} {}", body.message);
            assert!(body.message.contains("space"), "{}", body.message);
        }
        assert_eq!(session.output("ls -A; cat kept").await, "kept\nold");
        session
            .client
            .write_file(&session.id, "small", b"fits")
            .await
            .expect("there is room for a small one");
        assert_eq!(session.client.read_file(&session.id, "small", None).await.expect("read").0, b"fits");
    });
}

#[test]
fn files_and_commands_work_again_once_there_is_room() {
    with_config("defaults:\n  workspace_mb: 4\n  tmp_mb: 1", async |daemon| {
        let session = daemon.session().await;
        session.exec("head -c 100M /dev/zero > full; head -c 100M /dev/zero > /tmp/full; head -c 100M /dev/zero > /run/full").await;
        let error = session.client.write_file(&session.id, "x", b"text").await.expect_err("full");
        assert!(matches!(error, RequestError::Refused { status: 400..500, .. }), "{error}");
        // Execs need no room.
        assert_eq!(session.output("echo alive").await, "alive");
        assert_eq!(session.output(&format!("echo {}", "x".repeat(500_000))).await.len(), 500_000);
        session.output("rm full").await;
        session.client.write_file(&session.id, "x", b"text").await.expect("written");
    });
}

#[test]
fn running_out_of_files_is_a_clear_error() {
    with_config("defaults:\n  workspace_mb: 1", async |daemon| {
        let session = daemon.session().await;
        session.exec("for n in $(seq 2000); do : > f$n; done 2>/dev/null").await;
        let error = session.client.write_file(&session.id, "x", b"text").await.expect_err("full");
        assert!(matches!(error, RequestError::Refused { status: 400..500, .. }), "{error}");
        session.output("rm f*").await;
        session.client.write_file(&session.id, "x", b"text").await.expect("written");
    });
}
