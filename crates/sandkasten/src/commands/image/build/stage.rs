//! The stages of a build, one step after the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sandkasten_api::exec::StreamName;
use sandkasten_build::{
    BuildArguments, CopyOrigin as Origin, CopySource, CopyStep, Dockerfile, Instruction, RunStep,
    StageSource, StageState, Step, Wildcard,
};
use sandkasten_daemon::config::Config;
use sandkasten_daemon::{BuildSandboxes, BuildStep, StepEnd};
use sandkasten_image::{
    BuildError, BuiltConfig, BuiltImage, Context, CopyItem, CopyOrigin, CopyRequest, ImageName, ImageStore,
    StageLayers, StepLayer,
};
use tokio::runtime::Handle;

use super::super::stop::Stop;
use super::base::WhenToPull;
use super::failure::{Failure, Reason};
use crate::output;
use crate::table::printable;

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// A RUN is killed before the disk is full: when less than this is free, or a twentieth of a small disk.
const RESERVE_BYTES: u64 = 1 << 30;
const RESERVE_PART: u64 = 20;
/// As much of a command as a line shows.
const SHOWN_CHARACTERS: usize = 200;

/// A build under way.
pub(super) struct Build<'a> {
    pub(super) store: &'a ImageStore,
    pub(super) config: Config,
    pub(super) dockerfile: &'a Dockerfile,
    pub(super) values: BuildArguments,
    pub(super) context: Context,
    pub(super) stop: &'a Stop,
    pub(super) quiet: bool,
    pub(super) no_cache: bool,
    pub(super) pull: WhenToPull,
    pub(super) timeout: Duration,
    /// Made for the first RUN that is not cached.
    pub(super) sandboxes: Option<Arc<BuildSandboxes>>,
    /// Images that stages begin with or files are copied from, by the names in the Dockerfile. They are held from the beginning.
    pub(super) images: BTreeMap<String, (StageLayers<'a>, BuiltConfig)>,
    /// Stages that are done.
    pub(super) stages: BTreeMap<usize, Stage<'a>>,
    pub(super) steps: usize,
    pub(super) cached: usize,
}

/// A stage, as far as it has come.
pub(super) struct Stage<'a> {
    layers: StageLayers<'a>,
    state: StageState,
}

/// One step on its way.
struct Current<'b> {
    /// As it is written.
    text: &'b str,
    /// `[build 2/5]`.
    label: String,
}

impl<'a> Build<'a> {
    /// Builds what the target needs, and the image.
    pub(super) fn carry_out(
        &mut self,
        target: usize,
        name: Option<&ImageName>,
    ) -> Result<BuiltImage, Failure> {
        let dockerfile = self.dockerfile;
        let needed = dockerfile.needed(target);
        // An image that is missing is to be known before the first step runs.
        for place in &needed {
            self.look_for_images(*place)?;
        }
        let mut line = 1;
        for place in needed {
            let Some(stage) = dockerfile.stages.get(place) else { continue };
            line = stage.line;
            let built = self.stage(place)?;
            self.stages.insert(place, built);
        }
        self.check_interrupt(line)?;
        let Some(Stage { layers, state }) = self.stages.remove(&target) else {
            return Err(Reason::from(BuildError::Empty).at(line));
        };
        layers.finish(name, &config_of(&state)).map_err(|error| Reason::from(error).at(line))
    }

    fn look_for_images(&mut self, place: usize) -> Result<(), Failure> {
        let dockerfile = self.dockerfile;
        let Some(stage) = dockerfile.stages.get(place) else { return Ok(()) };
        if let StageSource::Image(name) = &stage.source {
            self.hold_image(name).map_err(|reason| reason.at(stage.line))?;
        }
        for (line, _, instruction) in &stage.instructions {
            if let Instruction::Copy(copy) = instruction
                && let Origin::Image(name) = &copy.origin
            {
                self.hold_image(name).map_err(|reason| reason.at(*line))?;
            }
        }
        Ok(())
    }

    fn stage(&mut self, place: usize) -> Result<Stage<'a>, Failure> {
        let dockerfile = self.dockerfile;
        let Some(described) = dockerfile.stages.get(place) else {
            return Err(Reason::from(BuildError::Empty).at(1));
        };
        let total = described.instructions.len() + 1;
        let name = described.name.clone().unwrap_or_else(|| match dockerfile.stages.len() {
            1 => String::new(),
            _ => format!("stage-{place}"),
        });
        let label = |number: usize| match name.as_str() {
            "" => format!("[{number}/{total}]"),
            name => format!("[{name} {number}/{total}]"),
        };
        let at = |reason: Reason| reason.at(described.line);
        let (mut stage, from) = match &described.source {
            StageSource::Scratch => {
                let layers = self.store.stage_of_nothing();
                (Stage { layers, state: StageState::default() }, "scratch".to_owned())
            }
            StageSource::Image(image) => {
                let (layers, config) = self.images.get(image).ok_or_else(|| at(BuildError::Empty.into()))?;
                let layers = layers.fork().map_err(|error| at(error.into()))?;
                (Stage { layers, state: state_of(config.clone()) }, image.clone())
            }
            StageSource::Stage(source) => match self.stages.get(source) {
                Some(stage) => {
                    let layers = stage.layers.fork().map_err(|error| at(error.into()))?;
                    (Stage { layers, state: stage.state.clone() }, format!("stage {source}"))
                }
                None => return Err(at(BuildError::Empty.into())),
            },
        };
        stage.state.begin();
        self.say(&format!("{} FROM {from}", label(1)));
        for (index, (line, text, instruction)) in described.instructions.iter().enumerate() {
            self.check_interrupt(*line)?;
            let current = Current { text, label: label(index + 2) };
            self.step(&mut stage, instruction, &current).map_err(|reason| reason.at(*line))?;
        }
        Ok(stage)
    }

    fn step(
        &mut self,
        stage: &mut Stage<'a>,
        instruction: &Instruction,
        current: &Current<'_>,
    ) -> Result<(), Reason> {
        let step = stage.state.apply(instruction, self.dockerfile, &self.values)?;
        self.steps += 1;
        let layer = match step {
            Step::Run(run) => self.run(stage, &run, current)?,
            Step::Copy(copy) => self.copy(stage, &copy, current)?,
            Step::Directory(path) => {
                self.announce(current, false);
                let user = stage.state.user.clone();
                stage.layers.add_directory(&path, &user, self.stop.go_on())?
            }
            Step::Configuration => {
                self.announce(current, false);
                if *instruction == Instruction::Healthcheck {
                    self.say("left out: images here have no HEALTHCHECK, and nothing would run it");
                }
                stage.layers.nothing()
            }
        };
        if layer.skipped_nodes > 0 {
            self.say(&format!("left out {} pipes, sockets and devices", layer.skipped_nodes));
        }
        stage.layers.note(printable(&shortened(current.text)), layer.created_at, layer.has_layer);
        Ok(())
    }

    fn copy(
        &mut self,
        stage: &mut Stage<'a>,
        copy: &CopyStep,
        current: &Current<'_>,
    ) -> Result<StepLayer, Reason> {
        let missing = || Reason::from(BuildError::Empty);
        let origin = match &copy.origin {
            Origin::Context => CopyOrigin::Context(&self.context),
            Origin::Stage(place) => CopyOrigin::Stage(&self.stages.get(place).ok_or_else(missing)?.layers),
            Origin::Image(name) => CopyOrigin::Stage(&self.images.get(name).ok_or_else(missing)?.0),
        };
        let request = CopyRequest {
            items: copy.sources.iter().map(item).collect::<Result<_, _>>()?,
            destination: copy.destination.clone(),
            owner: copy.owner.clone(),
            mode: copy.mode,
            unpacks: copy.unpacks,
        };
        let plan = stage.layers.plan_copy(&origin, &request, self.stop.go_on())?;
        let mut key = stage.layers.key();
        key.part("copy");
        key.part(&plan.digest());
        let cached = if self.no_cache { None } else { stage.layers.take_cached(&key)? };
        self.announce(current, cached.is_some());
        let layer = match cached {
            Some(layer) => layer,
            None => stage.layers.add_copy(&origin, &plan, &key, self.stop.go_on())?,
        };
        self.cached += usize::from(cached.is_some());
        Ok(layer)
    }

    fn run(
        &mut self,
        stage: &mut Stage<'a>,
        run: &RunStep,
        current: &Current<'_>,
    ) -> Result<StepLayer, Reason> {
        let layers = stage.layers.paths();
        if layers.is_empty() {
            return Err(Reason::NothingToRun);
        }
        let account = stage.layers.account(&stage.state.user)?;
        let directory = match stage.state.directory.as_str() {
            "" => "/",
            directory => directory,
        };
        let mut environment = vec![PATH.to_owned(), format!("HOME={}", account.home)];
        for (name, value) in &run.environment {
            let prefix = format!("{name}=");
            environment.retain(|variable| !variable.starts_with(&prefix));
            environment.push(format!("{prefix}{value}"));
        }
        let mut key = stage.layers.key();
        key.part("run");
        for list in [run.arguments.as_slice(), environment.as_slice()] {
            key.part(&list.len().to_string());
            list.iter().for_each(|text| key.part(text));
        }
        key.part(directory);
        key.part(&format!("{account:?}"));
        if !self.no_cache
            && let Some(layer) = stage.layers.take_cached(&key)?
        {
            self.announce(current, true);
            self.cached += 1;
            return Ok(layer);
        }
        self.announce(current, false);
        let scratch = self.store.scratch()?;
        let step = BuildStep {
            layers,
            kept: scratch.path(),
            arguments: run.arguments.clone(),
            environment,
            directory: directory.to_owned(),
            user: account.user,
            group: account.group,
            groups: account.groups,
            timeout: self.timeout,
            reserve_bytes: self.reserve()?,
        };
        self.run_in_sandbox(&step, current)?;
        Ok(stage.layers.add_changes(&scratch, &key, self.stop.go_on())?)
    }

    fn run_in_sandbox(&mut self, step: &BuildStep, current: &Current<'_>) -> Result<(), Reason> {
        let sandboxes = match &self.sandboxes {
            Some(sandboxes) => Arc::clone(sandboxes),
            None => Arc::new(BuildSandboxes::open(&self.config)?),
        };
        self.sandboxes = Some(Arc::clone(&sandboxes));
        let quiet = self.quiet;
        let mut ended_line = true;
        let mut show = |bytes: &[u8]| {
            if !quiet && !bytes.is_empty() {
                ended_line = bytes.ends_with(b"\n");
                // A reader that went away does not end the build.
                drop(output::write_stream(StreamName::Stderr, bytes));
            }
        };
        let running = sandboxes.run(step, &mut show, self.stop.wait());
        let end = Handle::current().block_on(running)?;
        if !ended_line {
            self.say("");
        }
        let command = printable(&shortened(current.text));
        match end {
            StepEnd::Exited(0) => Ok(()),
            StepEnd::Exited(status) => Err(Reason::Status { command, status }),
            StepEnd::OutOfMemory(status) => Err(Reason::Memory { command, status }),
            StepEnd::TimedOut => Err(Reason::Timeout { command, seconds: self.timeout.as_secs() }),
            StepEnd::DiskFull => Err(Reason::Disk { command }),
            StepEnd::Cancelled => Err(Reason::Interrupted),
        }
    }

    fn reserve(&self) -> Result<u64, Reason> {
        let space = rustix::fs::statvfs(&self.config.data_dir)
            .map_err(|error| Reason::Space { reason: error.to_string() })?;
        let whole = space.f_blocks.saturating_mul(space.f_frsize);
        Ok(RESERVE_BYTES.min(whole / RESERVE_PART))
    }

    fn check_interrupt(&self, line: usize) -> Result<(), Failure> {
        if self.stop.interrupt().is_some() { Err(Reason::Interrupted.at(line)) } else { Ok(()) }
    }

    fn announce(&self, current: &Current<'_>, cached: bool) {
        let cached = if cached { "CACHED " } else { "" };
        self.say(&format!("{} {cached}{}", current.label, printable(&shortened(current.text))));
    }

    pub(super) fn say(&self, text: &str) {
        if !self.quiet {
            output::note(text);
        }
    }
}

fn item(source: &CopySource) -> Result<CopyItem, Reason> {
    Ok(match source {
        CopySource::Inline { name, content } => {
            CopyItem::Inline { name: name.clone(), content: content.clone() }
        }
        CopySource::Path(path) if Wildcard::is_in(path) => {
            let text = path.trim_start_matches("./").trim_matches('/').to_owned();
            let wildcard =
                Wildcard::new(&text).ok_or_else(|| BuildError::Pattern { pattern: path.clone() })?;
            CopyItem::Pattern { text, fits: Box::new(move |path| wildcard.fits(path)) }
        }
        CopySource::Path(path) => CopyItem::Path(path.clone()),
    })
}

fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let cut = line.chars().count() > SHOWN_CHARACTERS || text.lines().count() > 1;
    let start: String = line.chars().take(SHOWN_CHARACTERS).collect();
    if cut { format!("{start}…") } else { start }
}

fn state_of(config: BuiltConfig) -> StageState {
    let mut state = StageState::default();
    state.environment = config.environment;
    state.directory = config.directory;
    state.user = config.user;
    state.entrypoint = config.entrypoint;
    state.command = config.command;
    state.labels = config.labels;
    state.shell = config.shell;
    state.ports = config.ports;
    state.volumes = config.volumes;
    state.stop_signal = config.stop_signal;
    state.author = config.author;
    state
}

fn config_of(state: &StageState) -> BuiltConfig {
    BuiltConfig {
        environment: state.environment.clone(),
        directory: state.directory.clone(),
        user: state.user.clone(),
        entrypoint: state.entrypoint.clone(),
        command: state.command.clone(),
        labels: state.labels.clone(),
        shell: state.shell.clone(),
        ports: state.ports.clone(),
        volumes: state.volumes.clone(),
        stop_signal: state.stop_signal.clone(),
        author: state.author.clone(),
    }
}
