//! Somebody who copies the commands of a page into a shell, one after another.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sandkasten_e2e::{Leaks, binary};

use crate::page::{Step, blocks, is_as_shown};

pub(crate) const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What comes before all pages. The words of a page that are about the whole host mean a directory of this test's own: the configuration
/// is where commands look for it first, and root is who runs tests anyway.
const BEFORE: &str = r#"
set -o pipefail
trap 'echo "failed: $BASH_COMMAND" >&2; echo "$BASH_COMMAND" >> failed' ERR
sudo() { while [[ $1 == --preserve-env=* ]]; do shift; done; "$@"; }
sandkasten() {
    if [[ $1 == init ]]; then
        command sandkasten "$@" --config sandkasten.yaml --data-dir "$SANDKASTEN_DATA_DIR" --listen "$SANDKASTEN_LISTEN"
    else
        command sandkasten "$@"
    fi
}
"#;

/// What comes after all pages, whatever they left running, and however they ended.
const AFTER: &str = r#"
trap - ERR
exec > after.out 2>&1
if command sandkasten status > /dev/null 2>&1; then
    running=$(command sandkasten ps -q)
    [ -z "$running" ] || command sandkasten rm $running
    command sandkasten stop
fi
"#;

/// A bound on hangs.
const PATIENCE: &str = "300";
/// Places of the whole host that no page's command may touch here.
const OF_THE_HOST: [&str; 5] = ["/etc/sandkasten", "/var/lib/sandkasten", "/usr/local", "/opt/", "sudo make"];
/// How pip says that it cannot have a package.
const NOT_TO_BE_HAD: &str = "ERROR: No matching distribution found for ";

/// A directory that looks to a page's commands as a checkout does in which the binary was built, on a host of its own.
pub(crate) struct Reader {
    directory: tempfile::TempDir,
    port: u16,
}

/// How a page went.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) steps: usize,
    /// Why blocks were not run, as the page says it.
    pub(crate) not_run: Vec<String>,
    /// What pip could not have; the page ends there.
    pub(crate) lacks: Option<String>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("sk-page-").tempdir().expect("a directory");
        let place = directory.path();
        for name in ["bin", "data", "path"] {
            fs::create_dir(place.join(name)).expect("a directory");
        }
        fs::set_permissions(place.join("data"), fs::Permissions::from_mode(0o700)).expect("a mode");
        let program = fs::canonicalize(binary()).expect("the binary is built");
        symlink(&program, place.join("bin/sandkasten")).expect("a link");
        symlink(&program, place.join("path/sandkasten")).expect("a link");
        symlink(Path::new(REPOSITORY).join("examples"), place.join("examples")).expect("a link");
        // Packages are built where they lie.
        let copied = Command::new("cp").args(["-r", &format!("{REPOSITORY}/sdk")]).arg(place).status();
        assert!(copied.expect("cp runs").success());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        Self { directory, port }
    }

    fn place(&self) -> &Path {
        self.directory.path()
    }

    /// What the page says, for this host.
    fn here(&self, text: &str) -> String {
        text.replace("127.0.0.1:8080", &format!("127.0.0.1:{}", self.port))
            .replace("/etc/sandkasten/sandkasten.yaml", "sandkasten.yaml")
    }

    /// Runs a page behind some lines of shell.
    ///
    /// # Panics
    /// Where a command fails, or prints something else than the page shows.
    pub(crate) fn follow(&self, page: &str, before: &str) -> Outcome {
        let mut outcome = Outcome::default();
        let mut steps = vec![Step { line: 0, commands: before.to_owned(), output: Vec::new() }];
        for block in blocks(&Path::new(REPOSITORY).join(page)) {
            match block.not_run {
                Some(reason) => outcome.not_run.push(reason),
                None => steps.extend(block.steps),
            }
        }
        outcome.steps = steps.len() - 1;
        let mut script = format!("{BEFORE}\nafter() {{ {AFTER} }}\ntrap after EXIT\n");
        for (number, step) in steps.iter().enumerate() {
            let commands = self.here(&step.commands);
            let touched = OF_THE_HOST.iter().find(|place| commands.contains(**place));
            assert_eq!(
                touched, None,
                "{page}:{}: say in the page why this is not run here\n{commands}",
                step.line
            );
            fs::write(self.file(number, "sh"), commands).expect("written");
            // What fails ends the page.
            script.push_str(&format!(
                "source {number}.sh > {number}.out 2> {number}.err < /dev/null\n[ ! -e failed ] || exit 1\n"
            ));
        }
        fs::write(self.place().join("page.sh"), script).expect("written");
        let ran = self.shell().output().expect("bash runs");
        let left = Leaks::find(&self.place().join("data"), None);
        outcome.lacks = steps.iter().enumerate().find_map(|(number, _)| self.not_to_be_had(number));
        if outcome.lacks.is_some() {
            return outcome;
        }
        for (number, step) in steps.iter().enumerate() {
            self.compare(page, number, step);
        }
        assert!(ran.status.success(), "{page}: {ran:?}");
        assert!(left.is_empty(), "{page} left something behind: {left:#?}");
        outcome
    }

    fn shell(&self) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("timeout");
        shell
            .args(["--kill-after=30", PATIENCE, "bash", "page.sh"])
            .current_dir(self.place())
            .env_clear()
            .env("PATH", format!("{}:{path}", self.place().join("path").display()))
            .env("HOME", self.place())
            .env("LANG", "C.UTF-8")
            .env("SANDKASTEN_DATA_DIR", self.place().join("data"))
            .env("SANDKASTEN_LISTEN", format!("127.0.0.1:{}", self.port))
            .stdin(Stdio::null());
        shell
    }

    fn file(&self, number: usize, kind: &str) -> PathBuf {
        self.place().join(format!("{number}.{kind}"))
    }

    fn not_to_be_had(&self, number: usize) -> Option<String> {
        let said = fs::read_to_string(self.file(number, "err")).ok()?;
        said.lines().find_map(|line| line.strip_prefix(NOT_TO_BE_HAD)).map(str::to_owned)
    }

    fn compare(&self, page: &str, number: usize, step: &Step) {
        let read = |kind| {
            String::from_utf8_lossy(&fs::read(self.file(number, kind)).unwrap_or_default()).into_owned()
        };
        let (printed, said) = (read("out"), read("err"));
        let (line, commands) = (step.line, &step.commands);
        assert!(
            !said.lines().any(|line| line.starts_with("failed: ")),
            "{page}:{line}\n{commands}\n{printed}\n{said}"
        );
        let is_refused = printed.contains("\"error_code\":")
            && !step.output.iter().any(|line| line.contains("error_code"));
        assert!(!is_refused, "{page}:{line}\n{commands}\n{printed}");
        let mut shown: Vec<String> = step.output.iter().map(|line| self.here(line)).collect();
        // What commands before the last print comes first.
        if let Some(first) = shown.first_mut().filter(|_| commands.lines().count() > 1) {
            first.insert(0, '…');
        }
        assert!(
            shown.is_empty() || is_as_shown(&shown, &printed),
            "{page}:{line}\n{commands}\n--- the page shows\n{}\n--- it prints\n{printed}\n{said}",
            shown.join("\n")
        );
    }
}
