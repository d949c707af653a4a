//! Files between the sandbox and the host.

use std::fs;
use std::os::unix::fs::symlink;

use sandkasten_e2e::with_daemon;
use serde_json::{Value, json};

use crate::stdio_agent::{StdioAgent, text};

#[test]
fn without_a_directory_contents_travel_in_messages() {
    with_daemon(async |daemon| {
        let mut agent = StdioAgent::start(daemon, &[]).await;
        agent.tool("upload", json!({"path": "in.bin", "content_base64": "AAEC/w=="})).await;
        let result = agent.call("download", json!({"path": "in.bin"})).await;
        let resource = &result["content"][0]["resource"];
        assert_eq!(resource["blob"], "AAEC/w==");
        assert!(resource["uri"].as_str().expect("a URI").ends_with("/workspace/in.bin"));
        let refused = agent.call("upload", json!({"path": "x", "local_path": "/etc/passwd"})).await;
        assert!(text(&refused).contains("unknown field `local_path`"), "{refused}");
        assert!(agent.close().await.success());
    });
}

#[test]
fn with_a_directory_files_are_copied_below_it_alone() {
    with_daemon(async |daemon| {
        let place = tempfile::tempdir().expect("a directory");
        let (open, secret) = (place.path().join("open"), place.path().join("secret"));
        fs::create_dir(&open).expect("made");
        fs::write(&secret, "secret").expect("written");
        fs::write(open.join("in.txt"), "from the host").expect("written");
        symlink(&secret, open.join("link")).expect("a link");
        symlink(place.path(), open.join("out")).expect("a link");
        let mut agent = StdioAgent::start(daemon, &["--directory", open.to_str().expect("text")]).await;

        agent.tool("upload", json!({"local_path": "in.txt", "path": "in.txt"})).await;
        let seen = agent.tool("exec", json!({"cmd": "cat in.txt; echo made > out.txt"})).await;
        assert_eq!(seen["output"], "from the host");
        let there = open.join("sub/out.txt");
        let down = |overwrite: bool| -> Value {
            json!({"path": "out.txt", "local_path": there.to_str(), "overwrite": overwrite})
        };
        agent.tool("download", down(false)).await;
        assert_eq!(fs::read_to_string(&there).expect("there"), "made\n");
        let exists = agent.call("download", down(false)).await;
        assert!(text(&exists).contains("give overwrite: true"), "{exists}");
        agent.tool("download", down(true)).await;

        for path in ["../secret", "/etc/passwd", secret.to_str().expect("text"), "link", "out/secret", "."] {
            let up = agent.call("upload", json!({"local_path": path, "path": "stolen"})).await;
            assert_eq!(up["isError"], true, "{path}: {up}");
            let down = json!({"path": "out.txt", "local_path": path, "overwrite": true});
            agent.call("download", down).await;
        }
        assert_eq!(fs::read_to_string(&secret).expect("there"), "secret");
        let stolen = agent.tool("exec", json!({"cmd": "ls stolen 2>/dev/null | wc -l"})).await;
        assert_eq!(stolen["output"], "0\n");
        assert!(agent.close().await.success());
    });
}

#[test]
fn a_directory_that_is_not_there_is_refused_at_the_start() {
    with_daemon(async |daemon| {
        let output = daemon.command(&["mcp", "--directory", "/nonexistent/x"]).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("/nonexistent/x") && said.contains("correct --directory"), "{said}");
        assert!(output.stdout.is_empty());
    });
}
