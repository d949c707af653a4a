//! `kill -9` of the daemon loses nothing.

use sandkasten_e2e::with_daemon;

#[test]
fn a_session_survives_the_death_of_its_daemon_with_its_variables() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("export COLOUR=blue; cd /tmp; greet() { echo hello; }").await;
        daemon.kill_and_restart();
        let session = sandkasten_e2e::TestSession { client: daemon.client(), ..session };
        assert_eq!(session.output("echo $COLOUR; pwd; greet").await, "blue\n/tmp\nhello");
        let listed = daemon.client().list_sessions().await.expect("a list");
        assert_eq!(listed.len(), 1);
        daemon.client().destroy_session(&session.id).await.expect("destroyed");
        assert!(daemon.leaks(Some(session.id.as_str())).is_empty());
    });
}
