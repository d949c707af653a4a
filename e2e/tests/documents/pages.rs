//! Commands in the documents are executed, here as they are copied, or by tests that the table names; it also says which are not.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::page::blocks;
use crate::reader::{REPOSITORY, Reader};

/// A daemon as the quickstart leaves it behind.
const DAEMON: &str = r#"
export SANDKASTEN_API_KEY=sk-of-these-pages-0123456789
printf 'workspace: {enabled: true, min_free_mb: 16}\n' > sandkasten.yaml
chmod 600 sandkasten.yaml
sandkasten daemon --detach
"#;

/// What the pages behind the tour speak of: a session with files, and files of this host.
const SESSION: &str = r#"
api=http://127.0.0.1:8080/v1/sessions auth="Authorization: Bearer $SANDKASTEN_API_KEY"
id=$(sandkasten create)
sandkasten exec $id -- bash -c 'mkdir -p a src out; echo "x = 1" > main.py; echo "def main(): pass  # TODO" > src/main.py; echo pdf > out/report.pdf'
"#;
const FILES: &str = r#"
mkdir src
echo "def f(): pass" > src/main.py
seq 10000 > model.bin
curl -s -H "$auth" -X PATCH -d '{"name": "builder"}' $api/$id
"#;

/// Who else runs the commands of a page, or why nobody does.
const ELSEWHERE: [(&str, &str); 9] = [
    ("docs/agents.md", "its pieces by e2e/tests/sdk/integrations.rs; the installation by hand"),
    ("docs/development.md", "for developers: `make` and `cargo`"),
    ("docs/images.md", "e2e/tests/images and e2e/tests/cli/image.rs, with a registry of their own"),
    ("docs/mcp.md", "e2e/tests/mcp"),
    ("docs/operations.md", "e2e/tests/packaging; what needs apt, systemd or docker by hand"),
    ("docs/performance.md", "e2e/tests/cli/bench.rs"),
    ("docs/sdk-python.md", "sdk/python/tests/test_guide.py"),
    ("docs/sdk-typescript.md", "e2e/tests/sdk/typescript.rs"),
    ("docs/security.md", "e2e/tests/cli/security_guide.rs"),
];

/// Pages that are read from their first command to the last.
const READ: [&str; 7] = [
    "README.md",
    "docs/api.md",
    "docs/exec.md",
    "docs/files.md",
    "docs/quickstart.md",
    "docs/sessions.md",
    "docs/troubleshooting.md",
];

fn read(page: &str, before: &str) -> String {
    let outcome = Reader::new().follow(page, before);
    if let Some(package) = outcome.lacks {
        return format!("SKIP: the packages that tests of sdk/python need could not be installed: {package}");
    }
    assert!(outcome.steps > 0, "{page}: {outcome:?}");
    format!("{page}: {} steps; not run: {:?}", outcome.steps, outcome.not_run)
}

#[test]
fn the_readme_does_what_it_says() {
    println!("{}", read("README.md", ""));
}

#[test]
fn the_tour_of_the_api_prints_what_it_shows() {
    println!("{}", read("docs/api.md", DAEMON));
}

#[test]
fn the_page_about_sessions_does_what_it_says() {
    println!("{}", read("docs/sessions.md", &format!("{DAEMON}{SESSION}")));
}

#[test]
fn the_page_about_files_does_what_it_says() {
    println!("{}", read("docs/files.md", &format!("{DAEMON}{SESSION}{FILES}")));
}

#[test]
fn the_page_about_commands_does_what_it_says() {
    let makefile = "sandkasten exec $id -- bash -c 'printf \"all:\\n\\techo \\$(CC)\\n\" > src/Makefile'";
    println!("{}", read("docs/exec.md", &format!("{DAEMON}{SESSION}{FILES}{makefile}\n")));
}

#[test]
fn what_is_looked_at_first_when_something_fails_can_be_looked_at() {
    println!("{}", read("docs/troubleshooting.md", DAEMON));
}

#[test]
fn the_quickstart_works_as_copied() {
    println!("{}", read("docs/quickstart.md", ""));
}

#[test]
fn every_page_with_commands_has_somebody_who_runs_them() {
    let pages = fs::read_dir(Path::new(REPOSITORY).join("docs")).expect("pages").flatten();
    let pages = pages.filter_map(|page| Some(format!("docs/{}", page.file_name().to_str()?)));
    let pages = pages.filter(|page| page.ends_with(".md")).chain(["README.md".to_owned()]);
    let with_commands: BTreeSet<String> =
        pages.filter(|page| !blocks(&Path::new(REPOSITORY).join(page)).is_empty()).collect();
    let known: BTreeSet<&str> = READ.into_iter().chain(ELSEWHERE.into_iter().map(|(page, _)| page)).collect();
    let unknown: Vec<_> = with_commands.iter().filter(|page| !known.contains(page.as_str())).collect();
    assert!(unknown.is_empty(), "nobody runs the commands of {unknown:?}");
    let idle: Vec<_> = known.iter().filter(|page| !with_commands.contains(**page)).collect();
    assert!(idle.is_empty(), "{idle:?} have no commands any more");
}
