//! Using up what is limited. Everything stops a little above the limit, so that it ends also where there is none.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sandkasten_attacks::{Outcome, Place, Target};

use crate::STAY;
use crate::attack::Attack;
use crate::files::OWN;

const GROUP: &str = "resources";
const CHUNK: usize = 1 << 20;
/// How far above a limit is tried.
const BEYOND: u64 = 16;

pub(crate) fn attacks(target: &Target) -> Vec<Attack> {
    let mut attacks = vec![Attack::once(GROUP, "open files without end", open_files)];
    if let Some(limit) = target.processes {
        attacks.push(Attack::once(GROUP, "start processes without end", move |_| start_processes(limit)));
    }
    if let Some(limit) = target.memory_bytes {
        attacks.push(Attack::killed(GROUP, "take memory without end", move |_| take_memory(limit)));
    }
    for Place { path, bytes, files } in target.writable.clone() {
        if let Some(limit) = bytes {
            let place = path.clone();
            attacks.push(Attack::once(GROUP, format!("fill {} with data", path.display()), move |_| {
                fill(&place, limit)
            }));
        }
        if let Some(limit) = files {
            let place = path.clone();
            attacks.push(Attack::once(GROUP, format!("fill {} with files", path.display()), move |_| {
                fill_with_files(&place, limit)
            }));
        }
    }
    attacks
}

fn open_files(target: &Target) -> Outcome {
    let mut open = Vec::new();
    for count in 0..target.open_files + BEYOND {
        match File::open("/dev/null") {
            Ok(file) => open.push(file),
            Err(error) => return Outcome::Denied(format!("after {count}: {error}")),
        }
        // A soft limit below the hard one is for the program to raise.
        if count == 256 {
            let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
            let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
            if let Err(error) = rustix::process::setrlimit(rustix::process::Resource::Nofile, raised) {
                return Outcome::Breach(format!("could not be tried: {error}"));
            }
        }
    }
    Outcome::Breach(format!("{} files are open at once", open.len()))
}

fn start_processes(limit: u64) -> Outcome {
    let mut started: Vec<Child> = Vec::new();
    let outcome = loop {
        if started.len() as u64 >= limit + BEYOND {
            break Outcome::Breach(format!("{} processes run at once", started.len()));
        }
        // They stay until the pipe to them is closed.
        let child =
            Command::new("/proc/self/exe").arg(STAY).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        match child {
            Ok(child) => started.push(child),
            Err(error) => break Outcome::Denied(format!("after {}: {error}", started.len())),
        }
    };
    for mut child in started {
        drop(child.stdin.take());
        if let Err(error) = child.wait() {
            return Outcome::Breach(format!("a process could not be waited for: {error}"));
        }
    }
    outcome
}

fn take_memory(limit: u64) -> Outcome {
    let wanted = limit + limit / BEYOND;
    let mut taken: Vec<Vec<u8>> = Vec::new();
    while (taken.len() * CHUNK) as u64 <= wanted {
        let mut chunk = Vec::new();
        if let Err(error) = chunk.try_reserve_exact(CHUNK) {
            return Outcome::Denied(format!("after {} MiB: {error}", taken.len()));
        }
        // Written to, so that it is really there, with what cannot be merged or left out.
        chunk.resize(CHUNK, 0x5A);
        taken.push(chunk);
    }
    Outcome::Breach(format!("{} MiB are in use", taken.len()))
}

fn fill(place: &Path, limit: u64) -> Outcome {
    let path = place.join(OWN);
    let filled = write_until_full(&path, limit + CHUNK as u64 * BEYOND);
    finish(filled.map_err(|(bytes, error)| format!("after {bytes} bytes: {error}")), fs::remove_file(&path))
}

fn write_until_full(path: &Path, most: u64) -> Result<String, (u64, io::Error)> {
    let mut file = File::create(path).map_err(|error| (0, error))?;
    let chunk = vec![0_u8; CHUNK];
    let mut written = 0;
    while written < most {
        written += file.write(&chunk).map_err(|error| (written, error))? as u64;
    }
    Ok(format!("{written} bytes were written"))
}

fn fill_with_files(place: &Path, limit: u64) -> Outcome {
    let directory = place.join(OWN);
    let filled = make_until_full(&directory, limit + limit / BEYOND + BEYOND);
    finish(
        filled.map_err(|(files, error)| format!("after {files} files: {error}")),
        fs::remove_dir_all(&directory),
    )
}

fn make_until_full(directory: &Path, most: u64) -> Result<String, (u64, io::Error)> {
    fs::create_dir(directory).map_err(|error| (0, error))?;
    for made in 0..most {
        File::create(directory.join(made.to_string())).map_err(|error| (made, error))?;
    }
    Ok(format!("{most} files were made"))
}

fn finish(filled: Result<String, String>, removed: io::Result<()>) -> Outcome {
    match (filled, removed) {
        (Ok(what), _) => Outcome::Breach(what),
        (Err(how), Ok(())) => Outcome::Denied(how),
        (Err(how), Err(error)) => Outcome::Breach(format!("{how}; what was written stays: {error}")),
    }
}
