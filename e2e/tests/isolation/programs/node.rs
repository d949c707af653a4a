//! Node: worker threads, children, files, servers and timers.

use sandkasten_e2e::with_daemon;

use super::{has, put};

#[test]
fn workers_children_servers_and_timers_of_node_work() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        if !has(&session, &["node"]).await {
            return;
        }
        put(&session, "all.js", include_str!("node.js")).await;
        let expected = "\
workers 4000
children FROM A SHELL,21,SIGTERM
files a,text,b,c
server 20
ticks 3
threadPool 16,100000";
        assert_eq!(session.output("node /workspace/all.js").await, expected);
    });
}
