//! The program that attacks a sandbox from inside. Static, so that it runs in every image.
//!
//! `sandkasten-attacks FILE` reads what to attack, tries everything, and prints a line of JSON for each attempt. Every attempt
//! is made in a process of its own, this program with the attempt as second argument: some of them die, and none may change what the
//! next one meets.
#![forbid(unsafe_code)]

mod attack;
mod calls;
mod devices;
mod files;
mod forge;
mod host;
mod identity;
mod landlock_layers;
mod network;
mod proc_files;
mod resources;
mod supervisor;
mod trial;

use std::io::{self, Write};
use std::process::ExitCode;
use std::{env, fs, thread};

use sandkasten_attacks::Target;

use crate::attack::all;

/// What a process is told that only stays until its input ends, so that it counts.
const STAY: &str = "stay";
/// What a process is told that stays until it is ended, so that it can be looked at.
const HOLD: &str = "hold";
/// What a process is told that pretends to be the runner.
const FORGE: &str = "forge";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        [STAY] => io::copy(&mut io::stdin(), &mut io::sink()).map(|_| ExitCode::SUCCESS),
        [HOLD] => hold(),
        [FORGE] => Ok(forge::forge()),
        [path] => read(path).and_then(|target| try_all(&target, path)),
        [path, name] => read(path).and_then(|target| trial::carry_out(&target, name)),
        _ => Err(io::Error::other("expected the file of a target, as `sandkasten security` writes it")),
    };
    done.unwrap_or_else(|error| {
        // There is nowhere left to complain to where this fails.
        drop(writeln!(io::stderr(), "sandkasten-attacks: {error}"));
        ExitCode::from(2)
    })
}

fn read(path: &str) -> io::Result<Target> {
    serde_json::from_slice(&fs::read(path)?).map_err(io::Error::other)
}

fn try_all(target: &Target, path: &str) -> io::Result<ExitCode> {
    for attack in all(target) {
        let attempted = trial::attempt(&attack, path);
        let line = serde_json::to_string(&attempted).map_err(io::Error::other)?;
        writeln!(io::stdout(), "{line}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn hold() -> io::Result<ExitCode> {
    writeln!(io::stdout(), "holding")?;
    loop {
        thread::park();
    }
}
