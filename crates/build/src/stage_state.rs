//! A stage while it is built: variables, the directory, the user, what the image will say of itself; and what each instruction
//! is to do, with all variables replaced.

use std::collections::{BTreeMap, BTreeSet};

use crate::dockerfile::Dockerfile;
use crate::heredoc::Heredoc;
use crate::ignore::cleaned;
use crate::instruction::{CommandForm, CopyInstruction, CopyOrigin, Instruction, refuse_remote};
use crate::problem::Problem;
use crate::words;

/// Arguments of a build: names and values.
pub type BuildArguments = BTreeMap<String, String>;

/// Arguments that need no `ARG`.
const PREDEFINED: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// What an instruction is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Run something.
    Run(RunStep),
    /// Copy files.
    Copy(CopyStep),
    /// Make the working directory, where it is not there.
    Directory(String),
    /// Nothing: only what the image says of itself has changed.
    Configuration,
}

/// Something to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStep {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// Its variables, apart from those that every process has.
    pub environment: Vec<(String, String)>,
}

/// One source of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySource {
    /// A path, perhaps with wildcards.
    Path(String),
    /// A file that is in the Dockerfile, its variables replaced.
    Inline {
        /// Its name, where the destination is a directory.
        name: String,
        /// What is in it.
        content: String,
    },
}

/// Files to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyStep {
    /// Whether archives are unpacked.
    pub unpacks: bool,
    /// Where the sources are.
    pub origin: CopyOrigin,
    /// What is copied.
    pub sources: Vec<CopySource>,
    /// Where to, absolute. A slash at its end says that it is a directory.
    pub destination: String,
    /// `USER` or `USER:GROUP`.
    pub owner: Option<String>,
    /// Permission bits.
    pub mode: Option<u32>,
}

/// What a stage has come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StageState {
    /// `ENV`, in their order.
    pub environment: Vec<(String, String)>,
    /// The directory that commands begin in, absolute; empty means the root.
    pub directory: String,
    /// Who commands run as; empty means root.
    pub user: String,
    /// The program of the image.
    pub entrypoint: Vec<String>,
    /// What comes behind it.
    pub command: Vec<String>,
    /// What the image says of itself.
    pub labels: BTreeMap<String, String>,
    /// What commands in text are given to; none means `/bin/sh -c`.
    pub shell: Vec<String>,
    /// `EXPOSE`, each with its protocol.
    pub ports: BTreeSet<String>,
    /// `VOLUME`.
    pub volumes: BTreeSet<String>,
    /// `STOPSIGNAL`.
    pub stop_signal: Option<String>,
    /// `MAINTAINER`.
    pub author: Option<String>,
    /// `ARG`s that have a value here.
    arguments: BuildArguments,
    /// Whether the stage itself has a `CMD`.
    command_is_own: bool,
}

impl StageState {
    /// Begins a stage of its own on what is inherited: arguments are not.
    pub fn begin(&mut self) {
        self.arguments.clear();
        self.command_is_own = false;
    }

    /// Carries out an instruction as far as it is about the image itself, and says what else is to be done. `given` are the
    /// arguments of the build.
    ///
    /// # Errors
    /// A variable that has to have a value has none, or a value is not what it has to be.
    pub fn apply(
        &mut self,
        instruction: &Instruction,
        dockerfile: &Dockerfile,
        given: &BuildArguments,
    ) -> Result<Step, Problem> {
        let escape = dockerfile.escape;
        let known = self.clone();
        let expand = |text: &str| words::expand(text, escape, &|name| known.value(name));
        let expand_all =
            |texts: &[String]| texts.iter().map(|text| expand(text)).collect::<Result<Vec<_>, _>>();
        match instruction {
            Instruction::Run(run) => {
                let arguments = self.arguments_of(&run.command);
                return Ok(Step::Run(RunStep { arguments, environment: self.run_environment(given) }));
            }
            Instruction::Copy(copy) => return self.copy(copy, escape).map(Step::Copy),
            Instruction::Workdir(directory) => {
                self.directory = joined(&self.directory, &expand(directory)?);
                return Ok(Step::Directory(self.directory.clone()));
            }
            Instruction::Env(pairs) => {
                for (name, value) in pairs {
                    let (name, value) = (expand(name)?, expand(value)?);
                    self.environment.retain(|(known, _)| *known != name);
                    self.environment.push((name, value));
                }
            }
            Instruction::Label(pairs) => {
                for (name, value) in pairs {
                    self.labels.insert(expand(name)?, expand(value)?);
                }
            }
            Instruction::Arg(arguments) => {
                for (name, default) in arguments {
                    self.declare(name, default.as_deref(), dockerfile, given)?;
                }
            }
            Instruction::User(user) => self.user = expand(user)?,
            Instruction::Cmd(command) => {
                self.command = self.arguments_of(command);
                self.command_is_own = true;
            }
            Instruction::Entrypoint(command) => {
                self.entrypoint = self.arguments_of(command);
                // What the base has is for the base's own program.
                if !self.command_is_own {
                    self.command.clear();
                }
            }
            Instruction::Shell(shell) => self.shell.clone_from(shell),
            Instruction::Expose(ports) => {
                for port in expand_all(ports)?.iter().flat_map(|ports| ports.split_whitespace()) {
                    self.ports.insert(port_of(port)?);
                }
            }
            Instruction::Volume(volumes) => self.volumes.extend(expand_all(volumes)?),
            Instruction::StopSignal(signal) => self.stop_signal = Some(expand(signal)?),
            Instruction::Maintainer(author) => self.author = Some(author.clone()),
            Instruction::Healthcheck => {}
        }
        Ok(Step::Configuration)
    }

    fn value(&self, name: &str) -> Option<String> {
        let environment = self.environment.iter().rev().find(|(known, _)| known == name);
        environment.map(|(_, value)| value.clone()).or_else(|| self.arguments.get(name).cloned())
    }

    fn declare(
        &mut self,
        name: &str,
        default: Option<&str>,
        dockerfile: &Dockerfile,
        given: &BuildArguments,
    ) -> Result<(), Problem> {
        let value = match (given.get(name), default) {
            (Some(value), _) => Some(value.clone()),
            (None, Some(default)) => {
                Some(words::expand(default, dockerfile.escape, &|variable| self.value(variable))?)
            }
            (None, None) => dockerfile.global.get(name).cloned(),
        };
        if let Some(value) = value {
            self.arguments.insert(name.to_owned(), value);
        }
        Ok(())
    }

    /// The shell's command line for a text, or the arguments themselves.
    fn arguments_of(&self, command: &CommandForm) -> Vec<String> {
        match command {
            CommandForm::Exec(arguments) => arguments.clone(),
            CommandForm::Shell(text) if self.shell.is_empty() => {
                vec!["/bin/sh".to_owned(), "-c".to_owned(), text.clone()]
            }
            CommandForm::Shell(text) => self.shell.iter().chain([text]).cloned().collect(),
        }
    }

    fn run_environment(&self, given: &BuildArguments) -> Vec<(String, String)> {
        let predefined = PREDEFINED.iter().filter_map(|name| given.get_key_value(*name));
        let arguments = predefined.chain(&self.arguments);
        let hidden = |name: &str| self.environment.iter().any(|(known, _)| known == name);
        arguments
            .filter(|(name, _)| !hidden(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .chain(self.environment.iter().cloned())
            .collect()
    }

    fn copy(&self, copy: &CopyInstruction, escape: char) -> Result<CopyStep, Problem> {
        let expand = |text: &str| words::expand(text, escape, &|name| self.value(name));
        let inline = |document: &Heredoc| {
            let content = match document.expand {
                true => words::expand_text(&document.content, escape, &|name| self.value(name))?,
                false => document.content.clone(),
            };
            Ok(CopySource::Inline { name: document.name.clone(), content })
        };
        let mut sources = Vec::new();
        for source in &copy.sources {
            let source = expand(source)?;
            if copy.unpacks {
                refuse_remote(&source)?;
            }
            sources.push(CopySource::Path(source));
        }
        for document in &copy.heredocs {
            sources.push(inline(document)?);
        }
        let destination = joined(&self.directory, &expand(&copy.destination)?);
        if sources.len() > 1 && !destination.ends_with('/') {
            let needs = "a directory, with a slash at its end, as there are several sources";
            return Err(Problem::Value { what: "the destination", value: destination, needs });
        }
        Ok(CopyStep {
            unpacks: copy.unpacks,
            origin: copy.origin.clone(),
            sources,
            destination,
            owner: copy.owner.as_deref().map(expand).transpose()?.filter(|owner| !owner.is_empty()),
            mode: copy.mode.as_deref().map(|mode| mode_of(&expand(mode)?)).transpose()?,
        })
    }
}

/// The names in `given` that no `ARG` of the Dockerfile asks for.
pub(crate) fn unused<'a>(given: &'a BuildArguments, dockerfile: &Dockerfile) -> Vec<&'a str> {
    let declared = |name: &str| {
        let instructions = dockerfile.stages.iter().flat_map(|stage| &stage.instructions);
        let mut arguments = instructions.filter_map(|(_, _, instruction)| match instruction {
            Instruction::Arg(arguments) => Some(arguments),
            _ => None,
        });
        arguments.any(|arguments| arguments.iter().any(|(known, _)| known == name))
            || dockerfile.global.contains_key(name)
    };
    given.keys().map(String::as_str).filter(|name| !PREDEFINED.contains(name) && !declared(name)).collect()
}

impl Dockerfile {
    /// Returns the names of arguments that nothing in it asks for.
    #[must_use]
    pub fn unused<'a>(&self, given: &'a BuildArguments) -> Vec<&'a str> {
        unused(given, self)
    }
}

fn mode_of(text: &str) -> Result<u32, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if digits && mode <= 0o7777 => Ok(mode),
        _ => Err(Problem::Value {
            what: "--chmod",
            value: text.to_owned(),
            needs: "octal digits, as 0755; letters are not supported",
        }),
    }
}

fn port_of(text: &str) -> Result<String, Problem> {
    let needs = "a port or a range of ports, as 80, 53/udp or 8000-8010";
    let wrong = || Problem::Value { what: "EXPOSE", value: text.to_owned(), needs };
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let sound = ports.split('-').all(|port| port.parse::<u16>().is_ok()) && ports.split('-').count() <= 2;
    let known = matches!(protocol.to_ascii_lowercase().as_str(), "tcp" | "udp" | "sctp");
    if sound && known { Ok(format!("{ports}/{}", protocol.to_ascii_lowercase())) } else { Err(wrong()) }
}

/// A path from a directory, without `.`, `..` and double slashes; a slash at its end stays.
fn joined(directory: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{directory}/{path}") };
    let cleaned = cleaned(&whole);
    let is_directory =
        path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..") || matches!(path, "." | "..");
    match (cleaned.is_empty(), is_directory) {
        (true, _) => "/".to_owned(),
        (false, true) => format!("/{cleaned}/"),
        (false, false) => format!("/{cleaned}"),
    }
}
