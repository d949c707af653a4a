//! The programs in `examples/`, with nothing installed but our Python SDK.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sandkasten_e2e::{API_KEY, TestDaemon, make_virtual_environment, with_daemon};
use serde_json::{Value, json};

use crate::scripted_endpoint::ScriptedEndpoint;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A Python with our SDK, and a daemon for its programs.
struct Examples<'a> {
    python: PathBuf,
    directory: &'a Path,
    daemon: &'a TestDaemon,
}

impl Examples<'_> {
    /// Runs a program with these variables on top.
    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let (program, rest) = arguments.split_first().expect("a program");
        Command::new(&self.python)
            .arg(Path::new(REPOSITORY).join("examples").join(program))
            .args(rest)
            .current_dir(self.directory)
            .env_clear()
            .env("SANDKASTEN_URL", self.daemon.url())
            .env("SANDKASTEN_API_KEY", API_KEY)
            .envs(variables.iter().copied())
            .output()
            .expect("python runs")
    }

    /// Runs a program that succeeds, and returns what it says.
    fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments, &[]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    fn coding_agent(&self) {
        let said = self.said(&["coding_agent.py"]);
        let failed = said.find("FAILED (failures=1)").expect("the draft fails");
        let passed = said.find("exit status 0").expect("what was mended passes");
        assert!(failed < passed, "{said}");
        assert!(said.ends_with("The tests pass after 5 steps.\n"), "{said}");
    }

    fn coding_agent_with_an_endpoint(&self) {
        for (test, status) in [("True", 0), ("False", 1)] {
            let code =
                format!("import unittest\nclass T(unittest.TestCase):\n  def test_it(self): assert {test}\n");
            let endpoint = ScriptedEndpoint::start(vec![
                write_file(&json!({"path": "test_a.py", "content": code}).to_string()),
                write_file("{}"),
                json!({"role": "assistant", "content": "All tests pass."}),
            ]);
            let variables = [
                ("OPENAI_API_KEY", "sk-scripted"),
                ("OPENAI_BASE_URL", &endpoint.url),
                ("OPENAI_MODEL", "scripted"),
            ];
            let output = self.run(&["coding_agent.py"], &variables);
            let said = String::from_utf8_lossy(&output.stdout);
            // Whether the tests pass is not the model's to say.
            assert_eq!(
                output.status.code(),
                Some(status),
                "{said}\n{}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(said.contains("model: All tests pass."), "{said}");
            let asked = endpoint.asked();
            assert!(
                asked.iter().all(|(key, body)| key == "Bearer sk-scripted" && body["model"] == "scripted")
            );
            let answers = &asked.last().expect("three").1["messages"];
            assert_eq!(answers[2]["role"], "tool", "{answers}");
            assert_eq!(answers[2]["content"], format!("wrote {} bytes", code.len()));
            assert_eq!(answers[4]["content"], "write_file needs 'path'", "a wrong call is answered, too");
        }
    }

    fn web_server(&self) {
        let said = self.said(&["web_server.py"]);
        for part in [
            "  server | listening on port 8000\n",
            "GET /users/7: 200 {\"you asked for\": \"/users/7\"}\n",
            "GET /missing: 404 ",
            "\"GET /users/7 HTTP/1.1\" 200 -\n",
            "running: web, process\n",
            "  server | stopping\nthe server ended: exit, status 0\n",
        ] {
            assert!(said.contains(part), "{part:?} is missing:\n{said}");
        }
    }

    fn data_analysis(&self) {
        let said = self.said(&["data_analysis.py", "plot.png"]);
        assert!(said.starts_with("336 days in 12 months, coldest 1.9, warmest 21.4 degrees\n"), "{said}");
        let png = fs::read(self.directory.join("plot.png")).expect("a plot");
        assert!(said.ends_with(&format!("plot.png: {} bytes\n", png.len())), "{said}");
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n") && png.ends_with(b"IEND\xaeB`\x82"), "no whole PNG");
        assert_eq!(&png[12..16], b"IHDR");
        if said.contains("drawn without matplotlib, by zlib and struct") {
            assert_eq!(png[16..24], [0, 0, 2, 208, 0, 0, 1, 144], "720 by 400");
        }
    }

    fn evaluate(&self) {
        let said = self.said(&["evaluate.py", "100", "8"]);
        for (snippet, verdicts) in [
            ("fork bomb", &["pids_limit", "timeout"][..]),
            ("endless loop", &["timeout"]),
            ("memory hog", &["oom"]),
            ("disk filler", &["disk_full"]),
            ("suicide", &["signal"]),
        ] {
            let row =
                said.lines().find_map(|line| line.strip_prefix(snippet)).unwrap_or_default().trim_start();
            assert!(
                verdicts.iter().any(|verdict| row.starts_with(verdict)) && !row.contains("wrong"),
                "{snippet}:\n{said}"
            );
        }
        assert_eq!(said.matches("  wrong\n").count(), 9, "the snippets that are wrong on purpose:\n{said}");
        assert!(said.contains("\n91 of 100 as expected, 8 at once, in "), "{said}");
    }
}

/// What a model says that wants a file to be written.
fn write_file(arguments: &str) -> Value {
    let call =
        json!({"id": "1", "type": "function", "function": {"name": "write_file", "arguments": arguments}});
    json!({"role": "assistant", "content": null, "tool_calls": [call]})
}

#[test]
fn the_examples_run_to_their_end_with_our_sdk_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let environment = directory.path().join("venv");
    let sdk = format!("{REPOSITORY}/sdk/python");
    if let Err(reason) = make_virtual_environment("python3", &environment, &[&sdk]) {
        println!("SKIP: sandkasten==0.4.0 could not be installed: {reason}");
        return;
    }
    with_daemon(async |daemon| {
        let examples =
            Examples { python: environment.join("bin/python"), directory: directory.path(), daemon };
        examples.coding_agent();
        examples.coding_agent_with_an_endpoint();
        examples.web_server();
        examples.data_analysis();
        examples.evaluate();
        assert!(daemon.client().list_sessions().await.expect("a list").is_empty(), "a session is left");
    });
}

#[test]
fn every_example_is_run_and_short_enough_to_be_read() {
    let mut names: Vec<String> = fs::read_dir(Path::new(REPOSITORY).join("examples"))
        .expect("examples")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name != "__pycache__")
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["coding_agent.py", "data_analysis.py", "evaluate.py", "web_server.py"]);
    for name in names {
        let text = fs::read_to_string(Path::new(REPOSITORY).join("examples").join(&name)).expect("text");
        assert!(text.lines().count() < 150, "{name} has {} lines", text.lines().count());
        assert!(text.contains(&format!("python3 examples/{name}")), "{name} does not say how it is run");
    }
}
