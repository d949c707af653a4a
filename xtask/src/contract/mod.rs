//! `contract`: documents that are generated from the code, so that they cannot say anything else than it does.
//!
//! Two come from libraries. The help of the command line, the description of the API and the schema of the configuration come from a built binary, and only
//! where one is named; the page about the configuration is then compared with the keys of that binary, too.

mod cli_help;
mod configuration;
mod error_codes;
mod printed;
mod system_calls;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

/// Where the documents are.
const DIRECTORY: &str = "docs/contract";

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Whether documents are compared instead of written.
    check: bool,
    /// The program whose help and whose API are documents, too.
    binary: Option<PathBuf>,
}

impl Options {
    /// Reads the command line.
    pub(crate) fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--check" => options.check = true,
                "--binary" => {
                    options.binary =
                        Some(words.next().context("--binary needs the path of a program")?.into());
                }
                other => bail!("contract has no option {other:?}"),
            }
        }
        Ok(options)
    }
}

/// Writes or compares the documents; a comparison that finds a difference fails.
pub(crate) fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let mut documents = vec![("error-codes.md", error_codes::page()?)];
    match system_calls::page() {
        Some(page) => documents.push(("seccomp.md", page)),
        None => println!("seccomp.md is about x86-64; it is left as it is on this architecture"),
    }
    if let Some(binary) = &options.binary {
        documents.push(("cli-help.txt", cli_help::page(binary)?));
        documents.push(("openapi.json", printed::page(binary, &["openapi"])?));
        documents.push(("config-schema.json", printed::page(binary, &["config", "schema"])?));
    }
    let mut stale = 0;
    for (name, page) in &documents {
        let path = root.join(DIRECTORY).join(name);
        if !options.check {
            fs::create_dir_all(root.join(DIRECTORY)).context("making the directory of the contract")?;
            fs::write(&path, page).with_context(|| format!("writing {}", path.display()))?;
            println!("wrote {DIRECTORY}/{name}");
            continue;
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        if let Some(difference) = first_difference(&written, page) {
            stale += 1;
            println!("error: {DIRECTORY}/{name} is not what the code says: {difference}");
        }
    }
    if let Some(binary) = &options.binary {
        let page = fs::read_to_string(root.join(configuration::PAGE)).unwrap_or_default();
        let missing = configuration::missing(binary, &page)?;
        for what in &missing {
            println!("error: {} {what}", configuration::PAGE);
        }
        if !missing.is_empty() {
            return Ok(ExitCode::FAILURE);
        }
    }
    if stale > 0 {
        println!("regenerate with `make contract`, and look at what changed");
        return Ok(ExitCode::FAILURE);
    }
    if options.check {
        println!("contract: {} documents are what the code says", documents.len());
    }
    Ok(ExitCode::SUCCESS)
}

/// Describes the first line in which two texts differ.
fn first_difference(written: &str, generated: &str) -> Option<String> {
    if written == generated {
        return None;
    }
    let (mut old, mut new) = (written.lines(), generated.lines());
    for number in 1.. {
        match (old.next(), new.next()) {
            (None, None) => break,
            (one, two) if one == two => {}
            (one, two) => {
                let show = |line: Option<&str>| line.map_or("nothing".to_owned(), |line| format!("{line:?}"));
                return Some(format!("line {number} is {}, should be {}", show(one), show(two)));
            }
        }
    }
    Some("the line breaks at its end".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Options, first_difference};

    #[test]
    fn options_are_read_and_unknown_ones_refused() {
        let options = Options::parse(&["--check", "--binary", "bin/x"]).expect("valid");
        assert_eq!(options, Options { check: true, binary: Some("bin/x".into()) });
        for wrong in [&["--binary"][..], &["--chek"], &["x"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_difference_is_named_by_its_line() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        let difference = first_difference("a\nb\n", "a\nc\n").expect("different");
        assert_eq!(difference, "line 2 is \"b\", should be \"c\"");
        assert!(first_difference("a\n", "a\nb\n").expect("different").contains("nothing"));
        assert!(first_difference("a", "a\n").is_some());
    }
}
