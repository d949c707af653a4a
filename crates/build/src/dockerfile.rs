//! A whole Dockerfile: its stages, what each begins with, and which of them a target needs.

use std::collections::BTreeSet;

use crate::instruction::{self, CopyOrigin, Instruction};
use crate::lines::{self, LogicalLine};
use crate::problem::{DockerfileError, Problem};
use crate::stage_state::BuildArguments;
use crate::words;

/// What a stage begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageSource {
    /// Nothing.
    Scratch,
    /// An earlier stage, by its place.
    Stage(usize),
    /// An image.
    Image(String),
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The line of its `FROM`.
    pub line: usize,
    /// Its name, in small letters.
    pub name: Option<String>,
    /// What it begins with.
    pub source: StageSource,
    /// Its instructions, each with the line that it begins at and its text as it is written.
    pub instructions: Vec<(usize, String, Instruction)>,
}

/// A Dockerfile that can be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// The character that escapes.
    pub escape: char,
    /// Its stages in their order.
    pub stages: Vec<Stage>,
    /// The `ARG`s before the first stage, as they are with the arguments of this build.
    pub(crate) global: BuildArguments,
}

impl Dockerfile {
    /// Parses a Dockerfile. `given` are the arguments of this build, which names of images may depend on, and `platform` is what
    /// images here are for, `linux/amd64`.
    ///
    /// # Errors
    /// The first thing that is wrong or not supported, with its line; in stages that are not built as well.
    pub fn parse(text: &str, given: &BuildArguments, platform: &str) -> Result<Self, DockerfileError> {
        let lines = lines::read(text)?;
        let escape = lines.escape;
        let mut global = platform_arguments(platform);
        let mut stages: Vec<Stage> = Vec::new();
        for line in &lines.lines {
            let at = |problem: Problem| problem.at(line.number);
            if line.keyword == "FROM" {
                let stage = begin_stage(line, escape, &stages, &global, platform).map_err(at)?;
                stages.push(stage);
                continue;
            }
            let Some((current, earlier)) = stages.split_last_mut() else {
                declare_global(line, escape, &mut global, given).map_err(at)?;
                continue;
            };
            let origin = |name: &str| origin(name, earlier);
            let parsed = instruction::parse(line, escape, &origin).map_err(at)?;
            let written = format!("{} {}", line.keyword, line.rest);
            current.instructions.push((line.number, written, parsed));
        }
        if stages.is_empty() {
            return Err(Problem::NoStage.at(1));
        }
        Ok(Self { escape, stages, global })
    }

    /// Finds the stage to build: the last one, or that of a name or number.
    #[must_use]
    pub fn target(&self, name: Option<&str>) -> Option<usize> {
        match name {
            None => self.stages.len().checked_sub(1),
            Some(name) => find_stage(name, &self.stages),
        }
    }

    /// Returns which stages the target needs, itself included.
    #[must_use]
    pub fn needed(&self, target: usize) -> BTreeSet<usize> {
        let mut needed = BTreeSet::from([target]);
        // Stages need earlier ones alone.
        for place in (0..=target).rev() {
            let Some(stage) = self.stages.get(place).filter(|_| needed.contains(&place)) else { continue };
            if let StageSource::Stage(source) = stage.source {
                needed.insert(source);
            }
            for (_, _, instruction) in &stage.instructions {
                if let Instruction::Copy(copy) = instruction
                    && let CopyOrigin::Stage(source) = copy.origin
                {
                    needed.insert(source);
                }
            }
        }
        needed
    }
}

fn platform_arguments(platform: &str) -> BuildArguments {
    let (os, architecture) = platform.split_once('/').unwrap_or(("linux", platform));
    let mut arguments = BuildArguments::new();
    for whose in ["TARGET", "BUILD"] {
        for (what, value) in [("PLATFORM", platform), ("OS", os), ("ARCH", architecture), ("VARIANT", "")] {
            arguments.insert(format!("{whose}{what}"), value.to_owned());
        }
    }
    arguments
}

fn declare_global(
    line: &LogicalLine,
    escape: char,
    global: &mut BuildArguments,
    given: &BuildArguments,
) -> Result<(), Problem> {
    if line.keyword != "ARG" {
        return Err(Problem::BeforeFrom { keyword: line.keyword.chars().take(40).collect() });
    }
    for (name, default) in instruction::arguments(&line.rest, escape)? {
        let value = match (given.get(&name), default) {
            (Some(value), _) => value.clone(),
            (None, Some(default)) => {
                words::expand(&default, escape, &|variable| global.get(variable).cloned())?
            }
            (None, None) => continue,
        };
        global.insert(name, value);
    }
    Ok(())
}

fn begin_stage(
    line: &LogicalLine,
    escape: char,
    earlier: &[Stage],
    global: &BuildArguments,
    platform: &str,
) -> Result<Stage, Problem> {
    let from = instruction::parse_from(line, escape)?;
    let expand = |text: &str| words::expand(text, escape, &|name| global.get(name).cloned());
    if let Some(wanted) = &from.platform {
        let wanted = expand(wanted)?;
        if wanted != platform {
            return Err(Problem::unsupported(
                format!("FROM --platform={wanted}"),
                "build on a machine of that platform; here are images for this machine alone",
            ));
        }
    }
    if let Some(name) = &from.name
        && earlier.iter().any(|stage| stage.name.as_ref() == Some(name))
    {
        return Err(Problem::DuplicateStage { name: name.clone() });
    }
    let image = expand(&from.image)?;
    if image.is_empty() {
        let needs = "a name: give the ARG in it a value with --build-arg, or a default";
        return Err(Problem::Value { what: "the image of a FROM", value: from.image, needs });
    }
    let named = |stage: &Stage| stage.name.as_deref() == Some(image.to_ascii_lowercase().as_str());
    let source = match earlier.iter().position(named) {
        Some(place) => StageSource::Stage(place),
        None if image == "scratch" => StageSource::Scratch,
        None => StageSource::Image(image),
    };
    Ok(Stage { line: line.number, name: from.name, source, instructions: Vec::new() })
}

fn find_stage(name: &str, stages: &[Stage]) -> Option<usize> {
    let lower = name.to_ascii_lowercase();
    let named = stages.iter().position(|stage| stage.name.as_deref() == Some(lower.as_str()));
    named.or_else(|| name.parse().ok().filter(|place| *place < stages.len()))
}

/// What `--from` names: a stage that comes before, or an image.
fn origin(name: &str, earlier: &[Stage]) -> Result<CopyOrigin, Problem> {
    if name.contains('$') {
        return Err(Problem::unsupported(
            "a variable in COPY --from",
            "give the image a stage of its own, `FROM ${V} AS name`, and copy from that",
        ));
    }
    match find_stage(name, earlier) {
        Some(place) => Ok(CopyOrigin::Stage(place)),
        None if name.is_empty() || name.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(Problem::NoSuchStage { name: name.to_owned() })
        }
        None => Ok(CopyOrigin::Image(name.to_owned())),
    }
}
