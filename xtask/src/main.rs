//! Chores of the repository: `tidy` checks rules that no compiler knows, `contract` keeps generated documents true.
//!
//! Reads the tree and never the network. What it checks is written down in ARCHITECTURE.md and CONTRIBUTING.md.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a tool speaks through its output")]

mod contract;
mod tidy;

mod cargo_manifest;
mod markdown;
mod rust_source;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo run -p xtask -- <task>

  tidy                                 check the rules of the tree
  contract [--check] [--binary FILE]   write, or compare, docs/contract/; with --binary its command line too";

fn main() -> Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let root = repository();
    match words.as_slice() {
        ["tidy"] => tidy::run(&root),
        ["contract", options @ ..] => contract::run(&root, &contract::Options::parse(options)?),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("no task {:?}\n{USAGE}", words.join(" ")),
    }
}

/// The repository that this program was built from.
fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
