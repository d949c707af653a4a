//! The tools of a shell: pipes, archives, parallel commands.

use sandkasten_e2e::with_daemon;

#[test]
fn shell_tools_and_pipelines_work() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let script = "set -o pipefail; mkdir -p a/b && tar -C a -czf a.tgz b && tar tzf a.tgz | sort; \
                      seq 1000 | xargs -P 4 -n 100 echo | wc -w; cat <(echo substituted); \
                      timeout 5 true; nohup true 2>/dev/null; find . -name b -type d; sort -R <(seq 9) | wc -l";
        assert_eq!(
            session.output(&format!("cd /workspace; {script}")).await,
            "b/\n1000\nsubstituted\n./a/b\n9"
        );
    });
}
