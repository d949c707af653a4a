//! Instructions: what each may have, and what is refused. Variables in them are not replaced yet.

use crate::flags::{self, Flag};
use crate::heredoc::{self, Heredoc};
use crate::lines::LogicalLine;
use crate::problem::Problem;
use crate::words;

/// A command, in one of its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandForm {
    /// A program and its arguments: `["program", "argument"]`.
    Exec(Vec<String>),
    /// A text for the shell.
    Shell(String),
}

/// A `RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInstruction {
    /// What it runs. Here-documents are in the text already.
    pub command: CommandForm,
}

/// Where the sources of a copy are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyOrigin {
    /// In the context.
    Context,
    /// In an earlier stage, by its place, the first being 0.
    Stage(usize),
    /// In an image.
    Image(String),
}

/// A `COPY` or an `ADD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyInstruction {
    /// Whether archives among the sources are unpacked: it is an `ADD`.
    pub unpacks: bool,
    /// Where the sources are.
    pub origin: CopyOrigin,
    /// Paths, perhaps with wildcards.
    pub sources: Vec<String>,
    /// Files that are in the Dockerfile itself.
    pub heredocs: Vec<Heredoc>,
    /// Where they go.
    pub destination: String,
    /// `USER` or `USER:GROUP`, by name or number.
    pub owner: Option<String>,
    /// Permission bits in octal digits.
    pub mode: Option<String>,
}

/// An instruction of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// `RUN`.
    Run(RunInstruction),
    /// `COPY` and `ADD`.
    Copy(CopyInstruction),
    /// `ENV`, names and values.
    Env(Vec<(String, String)>),
    /// `ARG`, names and defaults.
    Arg(Vec<(String, Option<String>)>),
    /// `LABEL`, names and values.
    Label(Vec<(String, String)>),
    /// `WORKDIR`.
    Workdir(String),
    /// `USER`.
    User(String),
    /// `CMD`.
    Cmd(CommandForm),
    /// `ENTRYPOINT`.
    Entrypoint(CommandForm),
    /// `SHELL`.
    Shell(Vec<String>),
    /// `EXPOSE`.
    Expose(Vec<String>),
    /// `VOLUME`.
    Volume(Vec<String>),
    /// `STOPSIGNAL`.
    StopSignal(String),
    /// `MAINTAINER`.
    Maintainer(String),
    /// `HEALTHCHECK`, which images of OCI have no place for.
    Healthcheck,
}

/// A `FROM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FromInstruction {
    pub(crate) platform: Option<String>,
    pub(crate) image: String,
    pub(crate) name: Option<String>,
}

const AS_FILES: &str = "COPY the files it needs, or RUN what makes them";
const EXEC_OR_TEXT: &str = "needs a command";

pub(crate) fn parse_from(line: &LogicalLine, escape: char) -> Result<FromInstruction, Problem> {
    let (flags, rest) = flags::take(&line.rest, escape);
    let mut platform = None;
    for flag in flags {
        match (flag.name.as_str(), flag.value) {
            ("platform", Some(value)) => platform = Some(value),
            (name, _) => return Err(unknown_flag("FROM", name)),
        }
    }
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (image, name) = match words.as_slice() {
        [image] => (*image, None),
        [image, word, name] if word.eq_ignore_ascii_case("as") => (*image, Some(name.to_ascii_lowercase())),
        _ => return Err(Problem::Arguments { keyword: "FROM", needs: "needs an image, or IMAGE AS NAME" }),
    };
    if let Some(name) = &name
        && !is_stage_name(name)
    {
        let needs = "a letter, then letters, digits, '-', '_' and '.'";
        return Err(Problem::Value { what: "the name of a stage", value: name.clone(), needs });
    }
    words::check(image, escape)?;
    Ok(FromInstruction { platform, image: image.to_owned(), name })
}

fn is_stage_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
}

/// Parses any instruction but `FROM`. What `--from` names is told by `origin`.
pub(crate) fn parse(
    line: &LogicalLine,
    escape: char,
    origin: &dyn Fn(&str) -> Result<CopyOrigin, Problem>,
) -> Result<Instruction, Problem> {
    let rest = line.rest.as_str();
    let one = |keyword, needs| match rest {
        "" => Err(Problem::Arguments { keyword, needs }),
        text => words::check(text, escape).map(|()| text.to_owned()),
    };
    match line.keyword.as_str() {
        "RUN" => run(line, escape).map(Instruction::Run),
        "COPY" => copy(line, escape, false, origin).map(Instruction::Copy),
        "ADD" => copy(line, escape, true, origin).map(Instruction::Copy),
        "ENV" => pairs(rest, escape, "ENV").map(Instruction::Env),
        "LABEL" => pairs(rest, escape, "LABEL").map(Instruction::Label),
        "ARG" => arguments(rest, escape).map(Instruction::Arg),
        "WORKDIR" => one("WORKDIR", "needs a directory").map(Instruction::Workdir),
        "USER" => one("USER", "needs a user").map(Instruction::User),
        "CMD" => Ok(Instruction::Cmd(command(rest)?)),
        "ENTRYPOINT" => Ok(Instruction::Entrypoint(command(rest)?)),
        "SHELL" => match json(rest)? {
            Some(shell) if !shell.is_empty() => Ok(Instruction::Shell(shell)),
            _ => Err(Problem::Arguments {
                keyword: "SHELL",
                needs: "needs an array of texts in double quotes: [\"/bin/bash\", \"-c\"]",
            }),
        },
        "EXPOSE" => list(rest, escape, "EXPOSE").map(Instruction::Expose),
        "VOLUME" => list(rest, escape, "VOLUME").map(Instruction::Volume),
        "STOPSIGNAL" => one("STOPSIGNAL", "needs a signal").map(Instruction::StopSignal),
        "MAINTAINER" => match rest {
            "" => Err(Problem::Arguments { keyword: "MAINTAINER", needs: "needs a name" }),
            text => Ok(Instruction::Maintainer(text.to_owned())),
        },
        "HEALTHCHECK" => Ok(Instruction::Healthcheck),
        "ONBUILD" => Err(Problem::unsupported(
            "ONBUILD",
            "write the instruction into the Dockerfiles that begin FROM this image",
        )),
        other => Err(Problem::Unknown { keyword: other.chars().take(40).collect() }),
    }
}

fn unknown_flag(keyword: &str, name: &str) -> Problem {
    Problem::unsupported(format!("{keyword} --{name}"), "leave the option out")
}

fn run(line: &LogicalLine, escape: char) -> Result<RunInstruction, Problem> {
    let (flags, rest) = flags::take(&line.rest, escape);
    for Flag { name, value } in flags {
        match (name.as_str(), value.as_deref()) {
            ("network", Some("none" | "default")) | ("security", Some("sandbox")) => {}
            ("network", Some(_)) => {
                return Err(Problem::unsupported("RUN --network", "builds have no network: leave it out"));
            }
            ("mount", _) => return Err(Problem::unsupported("RUN --mount", AS_FILES)),
            (name, _) => return Err(unknown_flag("RUN", name)),
        }
    }
    if rest.is_empty() {
        return Err(Problem::Arguments { keyword: "RUN", needs: EXEC_OR_TEXT });
    }
    let Some(first) = line.heredocs.first() else {
        return Ok(RunInstruction { command: command(rest)? });
    };
    if !heredoc::is_announcement(rest, escape) {
        // The shell takes care of it.
        let documents =
            line.heredocs.iter().map(|document| format!("\n{}{}", document.content, document.name));
        return Ok(RunInstruction {
            command: CommandForm::Shell(documents.fold(rest.to_owned(), |a, b| a + &b)),
        });
    }
    if first.content.starts_with("#!") {
        return Err(Problem::unsupported(
            "a here-document that is a script with an interpreter of its own",
            "name the interpreter before it, as in `RUN python3 <<EOF`",
        ));
    }
    Ok(RunInstruction { command: CommandForm::Shell(first.content.clone()) })
}

fn copy(
    line: &LogicalLine,
    escape: char,
    unpacks: bool,
    origin: &dyn Fn(&str) -> Result<CopyOrigin, Problem>,
) -> Result<CopyInstruction, Problem> {
    let keyword = if unpacks { "ADD" } else { "COPY" };
    let (flags, rest) = flags::take(&line.rest, escape);
    let (mut from, mut owner, mut mode) = (CopyOrigin::Context, None, None);
    for Flag { name, value } in flags {
        match (name.as_str(), value) {
            ("from", Some(value)) if !unpacks => from = origin(&value)?,
            ("chown", Some(value)) => owner = Some(value),
            ("chmod", Some(value)) => mode = Some(value),
            // Layers here say nothing of those below them as it is.
            ("link", None) => {}
            ("link", Some(value)) if matches!(value.as_str(), "true" | "false") => {}
            (name, _) => return Err(unknown_flag(keyword, name)),
        }
    }
    for value in owner.iter().chain(&mode) {
        words::check(value, escape)?;
    }
    let mut words = match json(rest)? {
        Some(words) => words,
        None => rest.split_whitespace().map(str::to_owned).collect(),
    };
    let needs = "needs at least one source and a destination";
    let destination = words.pop().ok_or(Problem::Arguments { keyword, needs })?;
    if !line.heredocs.is_empty() {
        words.retain(|word| !heredoc::is_announcement(word, escape));
    }
    if words.is_empty() && line.heredocs.is_empty() {
        return Err(Problem::Arguments { keyword, needs });
    }
    for word in words.iter().chain([&destination]) {
        words::check(word, escape)?;
    }
    for source in words.iter().filter(|_| unpacks) {
        refuse_remote(source)?;
    }
    let heredocs = line.heredocs.clone();
    Ok(CopyInstruction { unpacks, origin: from, sources: words, heredocs, destination, owner, mode })
}

/// An `ADD` takes files of the context alone.
pub(crate) fn refuse_remote(source: &str) -> Result<(), Problem> {
    let remote = ["http://", "https://", "git://", "ssh://", "git@"];
    if remote.iter().any(|scheme| source.starts_with(scheme)) {
        let what = format!("ADD {}", source.chars().take(200).collect::<String>());
        return Err(Problem::unsupported(what, "download it into the context first, and COPY it"));
    }
    Ok(())
}

/// `NAME=VALUE …`, or the older `NAME VALUE`.
fn pairs(rest: &str, escape: char, keyword: &'static str) -> Result<Vec<(String, String)>, Problem> {
    let needs = "needs NAME=VALUE";
    let words = words::split(rest, escape);
    let first = words.first().ok_or(Problem::Arguments { keyword, needs })?;
    let pairs = if first.contains('=') {
        let pair =
            |word: &String| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let pairs: Option<Vec<_>> = words.iter().map(pair).collect();
        pairs.ok_or(Problem::Arguments { keyword, needs })?
    } else {
        let (name, value) =
            rest.split_once(char::is_whitespace).ok_or(Problem::Arguments { keyword, needs })?;
        vec![(name.to_owned(), value.trim_start().to_owned())]
    };
    for (name, value) in &pairs {
        if name.is_empty() {
            return Err(Problem::Arguments { keyword, needs: "needs a name before the =" });
        }
        words::check(name, escape)?;
        words::check(value, escape)?;
    }
    Ok(pairs)
}

pub(crate) fn arguments(rest: &str, escape: char) -> Result<Vec<(String, Option<String>)>, Problem> {
    let words = words::split(rest, escape);
    if words.is_empty() {
        return Err(Problem::Arguments { keyword: "ARG", needs: "needs NAME or NAME=DEFAULT" });
    }
    let mut arguments = Vec::new();
    for word in words {
        words::check(&word, escape)?;
        let (name, default) = match word.split_once('=') {
            Some((name, default)) => (name, Some(default.to_owned())),
            None => (word.as_str(), None),
        };
        if name.is_empty() || name.contains(['"', '\'', '$']) {
            let needs = "a name without quotes and variables";
            return Err(Problem::Value { what: "the name of an ARG", value: name.to_owned(), needs });
        }
        arguments.push((name.to_owned(), default));
    }
    Ok(arguments)
}

fn list(rest: &str, escape: char, keyword: &'static str) -> Result<Vec<String>, Problem> {
    let words = match json(rest)? {
        Some(words) => words,
        None => rest.split_whitespace().map(str::to_owned).collect(),
    };
    if words.is_empty() {
        return Err(Problem::Arguments { keyword, needs: "needs at least one value" });
    }
    words.iter().try_for_each(|word| words::check(word, escape))?;
    Ok(words)
}

fn command(rest: &str) -> Result<CommandForm, Problem> {
    Ok(match json(rest)? {
        Some(words) => CommandForm::Exec(words),
        None => CommandForm::Shell(rest.to_owned()),
    })
}

/// An array of texts in JSON; none where it is not even JSON, and so the other form.
fn json(rest: &str) -> Result<Option<Vec<String>>, Problem> {
    if !rest.starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(rest) else { return Ok(None) };
    let texts: Option<Vec<String>> = values.iter().map(|value| value.as_str().map(str::to_owned)).collect();
    texts.map(Some).ok_or_else(|| Problem::Value {
        what: "an array",
        value: rest.chars().take(200).collect(),
        needs: "texts in double quotes, and nothing else",
    })
}
