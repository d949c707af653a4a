//! The TypeScript SDK: its own checks and tests against a daemon, and its package as a stranger uses it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sandkasten_e2e::{API_KEY, RootArchive, TestDaemon, with_config};

/// What is built or fetched, and what no copy needs.
const NOT_COPIED: [&str; 4] = ["node_modules", "dist", "build", "target"];
/// What npm says where there is no network, or a mirror that has not everything.
const NOT_TO_BE_HAD: [&str; 11] = [
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "ENOTFOUND",
    "ERR_SOCKET_TIMEOUT",
    "ETARGET",
    "ETIMEDOUT",
    "E403",
    "E404",
];
const OLDEST_NODE: u32 = 20;
/// The image that the SDK's tests remove.
const REMOVABLE: &str = "removable:1";

#[test]
fn the_typescript_sdk_drives_the_daemon_and_its_package_works_for_a_stranger() {
    if let Some(lacking) = lacks_node() {
        println!("SKIP: {lacking}");
        return;
    }
    let tree = SourceTree::copy();
    if let Err(said) = tree.npm(None, &["ci", "--no-audit", "--no-fund", "--fetch-retries", "1"]) {
        // A lockfile that does not fit, or a package that is not what it says, is no reason to skip.
        let code = said.lines().find_map(|line| line.strip_prefix("npm error code ")).unwrap_or("none");
        assert!(NOT_TO_BE_HAD.contains(&code), "npm ci:\n{said}");
        println!("SKIP: npm packages could not be installed: {code}");
        return;
    }
    with_config("workspace:\n  enabled: true\n  min_free_mb: 16", async |daemon| {
        let archive = RootArchive::of_programs(&[]);
        let path = archive.path().to_string_lossy().into_owned();
        let imported =
            daemon.command(&["image", "import", "--name", REMOVABLE, &path]).output().expect("it runs");
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));

        tree.npm(None, &["run", "lint"]).unwrap_or_else(|said| panic!("npm run lint:\n{said}"));
        let said = tree.npm(Some(daemon), &["test"]).unwrap_or_else(|said| panic!("npm test:\n{said}"));
        for count in ["fail 0", "cancelled 0", "skipped 0", "todo 0"] {
            assert!(said.lines().any(|line| line.ends_with(count)), "expected {count}:\n{said}");
        }
        println!("{}", said.lines().find(|line| line.contains("tests ")).unwrap_or_default());

        let stranger = Stranger::install(&tree);
        stranger.compile("tsconfig.browser.json");
        let guide = tree.root.path().join("docs/sdk-typescript.md");
        stranger.snippets(daemon, &["write", &guide.to_string_lossy(), "."]);
        stranger.compile("tsconfig.json");
        let said = stranger.snippets(daemon, &["run", "."]);
        println!("{}", said.lines().last().unwrap_or_default());
        assert!(daemon.client().list_sessions().await.expect("a list").is_empty());
    });
}

/// Says what this host lacks to run the SDK.
fn lacks_node() -> Option<String> {
    for program in ["node", "npm"] {
        if Command::new(program).arg("--version").output().is_err() {
            return Some(format!("this host has no {program}, which the TypeScript SDK needs"));
        }
    }
    let output = Command::new("node").arg("--version").output().ok()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    (major.unwrap_or(0) < OLDEST_NODE)
        .then(|| format!("this host has no node, version {OLDEST_NODE} or newer: it is {version}"))
}

/// A copy of the SDK and of the pages that it is held against, where npm may write.
struct SourceTree {
    root: tempfile::TempDir,
}

impl SourceTree {
    fn copy() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for part in ["sdk/typescript", "docs/contract", "docs/sdk-typescript.md"] {
            copy(&repository.join(part), &root.path().join(part));
        }
        Self { root }
    }

    fn sdk(&self) -> PathBuf {
        self.root.path().join("sdk/typescript")
    }

    /// Runs npm in the SDK. Both outputs are answered, as an error where it fails.
    fn npm(&self, daemon: Option<&TestDaemon>, arguments: &[&str]) -> Result<String, String> {
        run(Command::new("npm").args(arguments).current_dir(self.sdk()), daemon)
    }
}

/// A project beside the SDK that has nothing but its package.
struct Stranger {
    directory: PathBuf,
    compiler: PathBuf,
}

impl Stranger {
    fn install(tree: &SourceTree) -> Self {
        let packed = tree.npm(None, &["pack", "--silent", "--pack-destination", "../.."]);
        let packed = packed.unwrap_or_else(|said| panic!("npm pack:\n{said}"));
        let package =
            packed.lines().rfind(|line| line.ends_with(".tgz")).expect("npm names the package").to_owned();
        let directory = tree.root.path().join("stranger");
        copy(&tree.sdk().join("tests/consumer"), &directory);
        fs::write(directory.join("package.json"), r#"{"private": true, "type": "module"}"#).expect("written");
        let install = ["install", "--offline", "--no-audit", "--no-fund", &format!("../{package}")];
        run(Command::new("npm").args(install).current_dir(&directory), None)
            .unwrap_or_else(|said| panic!("the package cannot be installed without anything else:\n{said}"));
        // What its samples are compiled with comes from the SDK's own packages, so that nothing is fetched again.
        for name in ["@types/node", "@types/ws", "undici-types", "ws"] {
            let packages = tree.sdk().join("node_modules");
            copy(&packages.join(name), &directory.join("node_modules").join(name));
        }
        Self { directory, compiler: tree.sdk().join("node_modules/.bin/tsc") }
    }

    /// Checks the types of the programs of a project, and compiles them where it says so.
    fn compile(&self, project: &str) {
        run(Command::new(&self.compiler).args(["--project", project]).current_dir(&self.directory), None)
            .unwrap_or_else(|said| panic!("tsc --project {project}:\n{said}"));
    }

    fn snippets(&self, daemon: &TestDaemon, arguments: &[&str]) -> String {
        let mut command = Command::new("node");
        command.arg("snippets.mjs").args(arguments).current_dir(&self.directory);
        run(&mut command, Some(daemon)).unwrap_or_else(|said| panic!("snippets {arguments:?}:\n{said}"))
    }
}

fn run(command: &mut Command, daemon: Option<&TestDaemon>) -> Result<String, String> {
    command.env_remove("SANDKASTEN_URL").env_remove("SANDKASTEN_API_KEY").env("NO_COLOR", "1");
    if let Some(daemon) = daemon {
        command.env("SANDKASTEN_URL", daemon.url()).env("SANDKASTEN_API_KEY", API_KEY);
    }
    let output = command.output().map_err(|error| error.to_string())?;
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    if output.status.success() { Ok(said) } else { Err(said) }
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("a directory can be made");
        for entry in fs::read_dir(from).expect("a directory can be read") {
            let name = entry.expect("an entry").file_name();
            if !NOT_COPIED.iter().any(|left_out| name == *left_out) {
                copy(&from.join(&name), &to.join(&name));
            }
        }
    } else {
        fs::create_dir_all(to.parent().expect("a parent")).expect("a directory can be made");
        fs::copy(from, to).unwrap_or_else(|error| panic!("copying {}: {error}", from.display()));
    }
}
