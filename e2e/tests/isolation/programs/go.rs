//! Go: a program compiled inside, with goroutines, sockets, children and signals.

use sandkasten_e2e::with_config;

use super::{ROOMY, has, put};

#[test]
fn a_go_program_is_compiled_inside_and_runs() {
    with_config(ROOMY, async |daemon| {
        let session = daemon.session().await;
        // Where it puts itself, and where it looks for the network and for other versions of itself.
        session
            .output(
                "export PATH=$PATH:/usr/local/go/bin GOPATH=/workspace/go GOCACHE=/workspace/cache \
                 GOTMPDIR=/workspace GOPROXY=off GOTOOLCHAIN=local GOFLAGS=-mod=mod; cd /workspace",
            )
            .await;
        if !has(&session, &["go"]).await {
            return;
        }
        put(&session, "main.go", include_str!("concurrency.go")).await;
        session.output("go mod init example && go vet . && go build -o program .").await;
        let expected = "\
goroutines 4950
over tcp
over unix
THROUGH A PIPE
signal: killed
user defined signal 1";
        assert_eq!(session.output("./program").await, expected);
    });
}
