//! Other sandboxes: the same work, as far as they do it, by what is installed here. Each runs a program that does nothing, in a
//! fresh sandbox without a network, on a root that holds nothing else: what would count against them is left out.

mod attempt;
mod bubblewrap;
mod containers;
mod firejail;
mod nsjail;
mod runtime;

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::attempt::{Undo, attempt};
use self::bubblewrap::Bubblewrap;
use self::containers::Containers;
use self::firejail::Firejail;
use self::nsjail::Nsjail;
use self::runtime::Runtime;
use crate::measure::{Bench, blocking, write_program};
use crate::program;
use crate::report::PeerRow;
use crate::samples::Samples;

/// The program in the root of every peer.
const PROGRAM: &str = "/exit";
/// After so many failures without a success no more tries are made.
const HOPELESS: usize = 3;

/// Another sandbox.
trait Peer: Send + Sync {
    /// Its program, as it is found in `PATH`.
    fn name(&self) -> &'static str;

    /// Commands that prepare it. What they make is taken away by [`clear`](Peer::clear).
    ///
    /// # Errors
    /// Why its files could not be written.
    fn prepare(&self, _place: &Place) -> Result<Vec<Command>, String> {
        Ok(Vec::new())
    }

    /// The command that runs the program in a fresh sandbox; `name` is nobody else's.
    fn run(&self, place: &Place, name: &str) -> Command;

    /// The command that takes away what a run has left that failed or was ended.
    fn undo(&self, _place: &Place, _name: &str) -> Option<Command> {
        None
    }

    /// The command that takes away what was prepared.
    fn clear(&self, _place: &Place) -> Option<Command> {
        None
    }
}

/// Files for all of them.
struct Place {
    /// A root with the program, and the directories that others mount on.
    root: PathBuf,
    /// For files of their own.
    directory: PathBuf,
    /// What names are made of that are seen outside of these directories.
    tag: String,
}

/// Measures those that are installed.
pub(crate) async fn peers(bench: &Bench<'_>, floor: Option<f64>, cycle: Option<f64>) -> Vec<PeerRow> {
    let all: [Box<dyn Peer>; 7] = [
        Box::new(Bubblewrap),
        Box::new(Runtime("runc")),
        Box::new(Runtime("crun")),
        Box::new(Nsjail),
        Box::new(Firejail),
        Box::new(Containers("docker")),
        Box::new(Containers("podman")),
    ];
    let scratch = bench.scratch.join("peers");
    let place = match blocking(move || Place::make(scratch)).await {
        Ok(place) => place,
        Err(reason) => {
            let rows = all.iter().filter(|peer| is_installed(peer.name())).map(|peer| {
                PeerRow::measured(peer.name(), String::new(), &Samples::failed(&reason), floor, cycle)
            });
            return rows.collect();
        }
    };
    let mut rows = Vec::new();
    for peer in all.into_iter().filter(|peer| is_installed(peer.name())) {
        bench.say(peer.name());
        let samples = samples(&*peer, &place, (bench.settings.samples / 4).clamp(3, 50)).await;
        rows.push(PeerRow::measured(peer.name(), version(peer.name()).await, &samples, floor, cycle));
    }
    rows
}

/// Runs a peer so many times, and once before that does not count.
async fn samples(peer: &dyn Peer, place: &Place, number: usize) -> Samples {
    let mut samples = Samples::default();
    // Also where this ends early: what was prepared does not stay.
    let _cleared = Undo::new(peer.clear(place));
    let prepared = match peer.prepare(place) {
        Ok(commands) => commands,
        Err(reason) => return Samples::failed(&reason),
    };
    for command in prepared {
        if let Err(reason) = attempt(command, None).await {
            return Samples::failed(&reason);
        }
    }
    for round in 0..=number {
        let name = format!("{}-{round}", place.tag);
        let outcome = attempt(peer.run(place, &name), peer.undo(place, &name)).await;
        if round > 0 || outcome.is_err() {
            samples.record(outcome);
        }
        if samples.values().is_empty() && samples.failures() == HOPELESS {
            break;
        }
    }
    samples
}

impl Place {
    fn make(directory: PathBuf) -> Result<Self, String> {
        let root = directory.join("root");
        let made = ["proc", "dev", "tmp"]
            .iter()
            .try_for_each(|name| fs::create_dir_all(root.join(name)))
            .and_then(|()| write_program(&root.join(PROGRAM.trim_start_matches('/')), &program::exit()))
            // Those that change their user have to get at it.
            .and_then(|()| fs::set_permissions(&root, fs::Permissions::from_mode(0o755)));
        made.map_err(|error| format!("{}: {error}", root.display()))?;
        Ok(Self { root, directory, tag: format!("sandkasten-bench-{}", std::process::id()) })
    }
}

/// Tells whether a program is in `PATH`.
fn is_installed(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| is_program(&directory.join(name)))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Asks a program what its version is; empty where it does not say.
async fn version(name: &'static str) -> String {
    let asked = blocking(move || {
        let output = Command::new(name).arg("--version").output().map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    });
    parse_version(&asked.await.unwrap_or_default()).to_owned()
}

/// Finds the first word that begins with a digit.
fn parse_version(text: &str) -> &str {
    let words = text.split_whitespace().map(|word| word.trim_end_matches(','));
    words.into_iter().find(|word| word.starts_with(|first: char| first.is_ascii_digit())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Place, is_installed, parse_version};

    #[test]
    fn versions_are_found_in_what_programs_say_about_themselves() {
        for (text, version) in [
            ("bubblewrap 0.8.0\n", "0.8.0"),
            ("runc version 1.1.5+ds1\ncommit: 1.1.5\n", "1.1.5+ds1"),
            ("Docker version 20.10.24+dfsg1, build 297e128\n", "20.10.24+dfsg1"),
            ("usage: nsjail\n", ""),
        ] {
            assert_eq!(parse_version(text), version);
        }
    }

    #[test]
    fn only_programs_count_as_installed() {
        assert!(is_installed("sh"));
        assert!(!is_installed("sandkasten-no-such-program"));
    }

    #[test]
    fn a_place_has_a_root_that_others_can_mount_on() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = Place::make(directory.path().join("peers")).expect("a place");
        assert!(place.root.join("exit").is_file() && place.root.join("proc").is_dir());
    }
}
