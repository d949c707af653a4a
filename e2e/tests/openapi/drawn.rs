//! Requests that schemathesis draws from the document, right and wrong ones. No answer is a fault of the daemon's, and none is
//! another than the document has it.

use std::path::Path;
use std::process::Command;

use sandkasten_e2e::{API_KEY, asked, make_virtual_environment, seed, with_config};

const PACKAGE: &str = "schemathesis==4.32.5";
/// Each run of the suite draws the same requests, unless it is asked for other ones.
const USUAL_SEED: u64 = 5;
const USUAL_REQUESTS: u64 = 5;
/// What every answer is held against. The stateful checks are left out: the hooks decide what requests are about.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,negative_data_rejection,positive_data_acceptance,\
    missing_required_header,unsupported_method,allow_header_conformance,ignored_auth";

#[test]
fn drawn_requests_find_no_fault_and_no_answer_that_is_not_described() {
    let directory = tempfile::tempdir().expect("a directory");
    let environment = directory.path().join("venv");
    if let Err(reason) = make_virtual_environment(&environment, &[PACKAGE]) {
        println!("SKIP: {PACKAGE} could not be installed: {reason}");
        return;
    }
    let more = asked("SANDKASTEN_E2E_REQUESTS");
    let is_usual = more.is_none() && asked("SANDKASTEN_E2E_SEED").is_none();
    let seed = if is_usual { USUAL_SEED } else { seed() };
    let requests = more.unwrap_or(USUAL_REQUESTS);
    println!("{requests} requests for each operation, of seed {seed}");
    let lines = "workspace:\n  enabled: true\n  min_free_mb: 16\ndefaults:\n  max_exec_timeout_ms: 2000";
    with_config(lines, async |daemon| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi");
        let output = Command::new(environment.join("bin/schemathesis"))
            .arg("--no-color")
            .arg("--config-file")
            .arg(here.join("schemathesis.toml"))
            .args(["run", &format!("{}/openapi.json", daemon.url()), "--continue-on-failure"])
            .args(["--checks", CHECKS, "--seed", &seed.to_string(), "--max-examples", &requests.to_string()])
            .current_dir(&directory)
            .env_clear()
            .env("HOME", directory.path())
            .env("PATH", "/usr/bin:/bin")
            .env("PYTHONPATH", &here)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("SCHEMATHESIS_HOOKS", "hooks")
            .env("SANDKASTEN_URL", daemon.url())
            .env("SANDKASTEN_API_KEY", API_KEY)
            .output()
            .expect("schemathesis runs");
        let said = String::from_utf8_lossy(&output.stdout);
        let repeat = format!("repeat with SANDKASTEN_E2E_SEED={seed} SANDKASTEN_E2E_REQUESTS={requests}");
        assert!(output.status.success(), "{repeat}\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
        let total = said.lines().find(|line| line.contains(" generated")).unwrap_or_default();
        println!("{}", total.trim());
        assert!(said.contains("Tested: ") && !said.contains("Tested: 0"), "{said}");
        let log = daemon.log();
        let faults: Vec<_> = log.lines().filter(|line| line.contains("\"ERROR\"")).collect();
        assert!(faults.is_empty(), "{repeat}\n{faults:#?}");
    });
}
