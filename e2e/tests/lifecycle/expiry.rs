//! Sessions that end by themselves.

use sandkasten_api::session::CreateSessionRequest;
use sandkasten_e2e::{until, with_config};

#[test]
fn expired_sessions_leave_nothing() {
    with_config("session_ttl_seconds: 1", async |daemon| {
        let client = daemon.client();
        let mut all = Vec::new();
        for ttl_seconds in [None, Some(1), Some(2), None] {
            let request = CreateSessionRequest { ttl_seconds, ..CreateSessionRequest::default() };
            let session = client.create_session(&request).await.expect("a session");
            all.push(daemon.traces(session.id.as_str()));
        }
        let stays = CreateSessionRequest { ttl_seconds: Some(600), ..CreateSessionRequest::default() };
        let stays = client.create_session(&stays).await.expect("a session");
        for traces in all {
            until("everything of it is gone", async || traces.remaining().is_empty()).await;
        }
        let listed = client.list_sessions().await.expect("a list");
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].id, stays.id);
    });
}
