//! Standard output and error: the only places that print.

use std::env;
use std::io::{self, IsTerminal, Write};

use rustix::fs::fstat;
use sandkasten_api::exec::StreamName;
use serde::Serialize;

use crate::cli_error::{CliError, Exit};
use crate::table::printable;

/// Whether text may carry colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// A person looks at it.
    On,
    /// A program reads it, or the user asked for none.
    Off,
}

/// Tells how standard output is to be written.
pub(crate) fn stdout_colour() -> Colour {
    colour(io::stdout().is_terminal(), env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()))
}

/// Tells how standard error is to be written.
pub(crate) fn stderr_colour() -> Colour {
    colour(io::stderr().is_terminal(), env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()))
}

/// Writes text to standard output as it is, at once. A reader that went away is an error of kind `BrokenPipe`.
pub(crate) fn write(text: &str) -> io::Result<()> {
    write_bytes(text.as_bytes())
}

/// Writes bytes as [`write()`] does it.
pub(crate) fn write_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Writes bytes to standard output or error as they are, at once. A reader that went away is an error of kind `BrokenPipe`.
pub(crate) fn write_stream(stream: StreamName, bytes: &[u8]) -> io::Result<()> {
    match stream {
        StreamName::Stdout => write_bytes(bytes),
        StreamName::Stderr => io::stderr().lock().write_all(bytes),
    }
}

/// Whether standard output and standard error are the same file, pipe or terminal.
pub(crate) fn is_one_place() -> bool {
    let [output, error] = [fstat(rustix::stdio::stdout()), fstat(rustix::stdio::stderr())];
    output.is_ok_and(|output| {
        error.is_ok_and(|error| (output.st_dev, output.st_ino) == (error.st_dev, error.st_ino))
    })
}

/// Prints text and a line end.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    match write(&format!("{}\n", text.trim_end_matches('\n'))) {
        // `sandkasten ps | head -1` is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => {
            result.map_err(|error| CliError::ours("cannot print", &error, "check where the output goes"))
        }
    }
}

/// Prints a value as JSON for programs.
pub(crate) fn print_json<T: Serialize>(value: &T) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| CliError::ours("cannot print JSON", &error, "this is a bug: please report it"))?;
    print(&text)
}

/// Prints names, one a line, and nothing at all where there are none.
pub(crate) fn print_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), CliError> {
    let names: Vec<&str> = names.into_iter().collect();
    if names.is_empty() { Ok(()) } else { print(&names.join("\n")) }
}

/// Prints a remark to standard error.
pub(crate) fn note(text: &str) {
    // There is nowhere left to complain to.
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Replaces the line that a terminal's cursor is on.
pub(crate) fn note_in_place(text: &str) {
    // As in `note`.
    drop(write!(io::stderr().lock(), "\r\x1b[K{text}"));
}

/// Puts a question to whoever is at the terminal, without a line end.
pub(crate) fn ask(question: &str) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(question.as_bytes())?;
    stderr.flush()
}

/// Prints a warning to standard error.
pub(crate) fn warn(text: &str) {
    note(&format!("{}: {text}", paint("33", "warning", stderr_colour())));
}

/// Prints a failure: one line what, one line why, one line what to do.
pub(crate) fn report(error: &CliError) {
    note(&render(error, stderr_colour()));
}

/// Paints text with an SGR code.
pub(crate) fn paint(code: &str, text: &str, colour: Colour) -> String {
    match colour {
        Colour::On => format!("\x1b[{code}m{text}\x1b[0m"),
        Colour::Off => text.to_owned(),
    }
}

/// Ends a command that printed a listing.
pub(crate) fn done() -> std::process::ExitCode {
    Exit::Success.into()
}

fn colour(terminal: bool, refused: bool) -> Colour {
    if terminal && !refused { Colour::On } else { Colour::Off }
}

fn render(error: &CliError, colour: Colour) -> String {
    let label = paint("31;1", "error", colour);
    // A reason with an excerpt of a file has more lines; they stay together. Names in it may be a sandbox's.
    let why: Vec<String> = error.why.lines().map(printable).collect();
    let mut text = format!("{label}: {}\n  why: {}", printable(&error.what), why.join("\n       "));
    if !error.hint.is_empty() {
        text.push_str(&format!("\n  try: {}", error.hint));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Colour, colour, paint, render};
    use crate::cli_error::{CliError, Exit};

    #[test]
    fn a_failure_is_three_lines() {
        let error = CliError {
            what: "cannot list sessions".to_owned(),
            why: "connection refused".to_owned(),
            hint: "start a daemon".to_owned(),
            exit: Exit::Unreachable,
        };
        let expected = "error: cannot list sessions\n  why: connection refused\n  try: start a daemon";
        assert_eq!(render(&error, Colour::Off), expected);
    }

    #[test]
    fn colour_needs_a_terminal_and_no_objection() {
        assert_eq!(colour(true, false), Colour::On);
        for (terminal, refused) in [(true, true), (false, false), (false, true)] {
            assert_eq!(colour(terminal, refused), Colour::Off);
        }
        assert_eq!(paint("1", "x", Colour::Off), "x");
    }
}
