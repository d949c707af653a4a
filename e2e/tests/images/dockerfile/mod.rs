//! `image build`: what Dockerfiles come to, and what hostile ones do not.

mod bases;
mod cache;
mod copies;
mod ends;
mod hostile_contexts;
mod hostile_steps;
mod stages;
mod steps;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sandkasten_e2e::{RootArchive, TestDaemon};
use serde_json::Value;

use crate::whole_way::import;

/// Programs that the tests' steps use.
const PROGRAMS: [&str; 21] = [
    "cat", "chmod", "chown", "cp", "dd", "env", "grep", "id", "ln", "ls", "mkdir", "mkfifo", "mknod", "mv",
    "readlink", "rm", "setsid", "sleep", "stat", "tail", "touch",
];

/// A context, and a daemon whose images it is built on.
struct Kitchen<'a> {
    daemon: &'a TestDaemon,
    context: tempfile::TempDir,
    /// Where images are pulled from, where they are.
    registries: Vec<(&'static str, String)>,
}

/// How a build ended.
#[derive(Debug)]
struct Built {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl<'a> Kitchen<'a> {
    /// With the image `base` to build on.
    fn new(daemon: &'a TestDaemon) -> Self {
        import(daemon, "base", &RootArchive::of_programs(&PROGRAMS).path());
        Self { daemon, context: tempfile::tempdir().expect("a directory"), registries: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.context.path().join(name)
    }

    /// Writes a file of the context.
    fn file(&self, name: &str, contents: &str) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, contents).expect("a file");
        self
    }

    fn command(&self, options: &[&str]) -> Command {
        let context = self.context.path().to_string_lossy().into_owned();
        let mut arguments = vec!["image", "build"];
        arguments.extend(options);
        arguments.push(&context);
        let mut command = self.daemon.command(&arguments);
        command.envs(self.registries.iter().cloned());
        command
    }

    /// Builds the image `made` of a Dockerfile.
    fn build(&self, dockerfile: &str, options: &[&str]) -> Built {
        self.file("Dockerfile", dockerfile);
        let options: Vec<&str> = ["--name", "made"].iter().chain(options).copied().collect();
        Built::of(self.command(&options).output().expect("it runs"))
    }

    /// Builds an image that has to come about.
    fn cook(&self, dockerfile: &str) -> Built {
        let built = self.build(dockerfile, &[]);
        assert_eq!(built.code, Some(0), "{built:?}");
        built
    }

    /// What a command prints in a session of the image.
    fn taste(&self, command: &str) -> String {
        let run = ["run", "--image", "made", "--", "sh", "-c", command];
        let output = self.daemon.command(&run).output().expect("it runs");
        let Built { stdout, stderr, .. } = Built::of(output);
        format!("{stdout}{stderr}").trim_end().to_owned()
    }

    /// What the image says of itself.
    fn config(&self) -> Value {
        let output = self.daemon.command(&["image", "list", "--json"]).output().expect("it runs");
        let listed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let mut images = listed.as_array().expect("images").iter();
        images.find(|image| image["name"] == "made").expect("the image")["config"].clone()
    }

    fn is_made(&self) -> bool {
        let output = self.daemon.command(&["image", "list", "-q"]).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).lines().any(|name| name == "made")
    }

    /// What is left of builds besides layers and what is remembered of them.
    fn left_over(&self) -> Vec<String> {
        let data = self.daemon.data_dir();
        let mut left = Vec::new();
        for directory in ["layers", "images", "build-cache", "run"] {
            let Ok(entries) = fs::read_dir(data.join(directory)) else { continue };
            let names =
                entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
            left.extend(
                names.filter(|name| {
                    (name.starts_with('.') && name != ".lock") || name.starts_with("private-")
                }),
            );
        }
        left
    }
}

impl Built {
    fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Asserts that it failed and that what is said has all of these parts.
    fn failed(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in {self:?}");
        }
    }

    fn has(&self, part: &str) -> bool {
        self.stderr.contains(part)
    }
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
}
