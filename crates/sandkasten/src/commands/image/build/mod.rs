//! `image build`: an image out of a Dockerfile and a directory of files. Needs no daemon: each RUN has a sandbox of its own, in this
//! process.

mod base;
mod failure;
mod stage;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use sandkasten_build::{
    BuildArguments as Values, Dockerfile, IgnoreRules, MAX_DOCKERFILE_BYTES, MAX_IGNORE_BYTES,
};
use sandkasten_daemon::config::Config;
use sandkasten_image::{BuildError, BuiltImage, Context, ContextRules, ImageName, ImageStore, ImportReport};
use serde::Serialize;

use super::debian::DebianArguments;
use super::import;
use super::stop::Stop;
use crate::cli_error::{CliError, Exit};
use crate::{environment_argument, human, output};

use base::WhenToPull;
use stage::Build;

/// Arguments of `image build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    /// The Dockerfile; - for standard input [default: CONTEXT/Dockerfile]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Name of the image, perhaps with a tag; without one the layers are made and kept, and no image
    #[arg(short = 't', long, value_name = "NAME")]
    name: Option<ImageName>,

    /// A value for an ARG; NAME alone takes the value that it has here. May be given several times
    #[arg(long = "build-arg", value_name = "NAME=VALUE", value_parser = environment_argument::parse)]
    values: Vec<(String, String)>,

    /// The stage to build, by its name or number [default: the last one]
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,

    /// Run every step, whatever was built before
    #[arg(long)]
    no_cache: bool,

    /// Which images of FROM and COPY --from to pull: those that are not here, those that were pulled anew as well, or none
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = WhenToPull::Missing)]
    pull: WhenToPull,

    /// How long one RUN may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    timeout: u64,

    /// Print nothing but the name of the image, or its digest where it has no name
    #[arg(short, long)]
    quiet: bool,

    /// Print what was built as JSON
    #[arg(long, conflicts_with = "quiet")]
    json: bool,

    #[command(flatten)]
    debian: DebianArguments,

    /// The directory that files are copied from
    #[arg(value_name = "CONTEXT", required_unless_present = "debian")]
    context: Option<PathBuf>,
}

impl BuildArguments {
    /// There is one wherever there is a Dockerfile.
    fn context(&self) -> &Path {
        self.context.as_deref().unwrap_or(Path::new("."))
    }
}

#[derive(Serialize)]
struct ShownImage<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    digest: &'a str,
    layers: usize,
    size_bytes: u64,
    steps: usize,
    cached_steps: usize,
}

/// Builds an image and prints its name.
pub(super) fn run(
    store: &ImageStore,
    config: Config,
    arguments: &BuildArguments,
) -> Result<ExitCode, CliError> {
    let started = Instant::now();
    if let Some(release) = &arguments.debian.debian {
        let report = arguments.debian.build(store, arguments.name.as_ref(), release)?;
        return print_debian(&report, arguments, started);
    }
    let stop = Stop::listen()?;
    let built = prepare_and_build(store, config, arguments, &stop);
    // Nothing of a build that was told to end is worth a message.
    if let Some(interrupt) = stop.interrupt() {
        output::note("interrupted: no image was made");
        return Ok(ExitCode::from(interrupt.exit_status()));
    }
    let (image, steps, cached_steps) = built?;
    let name = arguments.name.as_ref().map(ImageName::as_str);
    if arguments.json {
        let BuiltImage { digest, layers, bytes, .. } = &image;
        output::print_json(&ShownImage {
            name,
            digest,
            layers: *layers,
            size_bytes: *bytes,
            steps,
            cached_steps,
        })?;
    } else if arguments.quiet {
        output::print(name.unwrap_or(&image.digest))?;
    } else {
        if let Some(digest) = image.replaced.as_ref().filter(|digest| **digest != image.digest) {
            output::note(&format!(
                "replaced {digest}; `sandkasten image prune` frees it once no session uses it"
            ));
        }
        let (size, time) = (human::bytes(image.bytes), started.elapsed().as_secs_f64());
        output::print(&format!(
            "{}  {} layers, {size}, {time:.1} s",
            name.unwrap_or(&image.digest),
            image.layers
        ))?;
    }
    Ok(output::done())
}

fn print_debian(
    report: &ImportReport,
    arguments: &BuildArguments,
    started: Instant,
) -> Result<ExitCode, CliError> {
    if arguments.json {
        output::print_json(&ShownImage {
            name: Some(report.name.as_str()),
            digest: &report.digest,
            layers: report.layers.len(),
            size_bytes: report.summary.bytes,
            steps: 1,
            cached_steps: 0,
        })?;
    } else if arguments.quiet {
        output::print(report.name.as_str())?;
    } else {
        for remark in import::remarks(report) {
            output::note(&remark);
        }
        import::print(report, started)?;
    }
    Ok(output::done())
}

fn prepare_and_build(
    store: &ImageStore,
    config: Config,
    arguments: &BuildArguments,
    stop: &Stop,
) -> Result<(BuiltImage, usize, usize), CliError> {
    if arguments.name.as_ref().is_some_and(ImageName::is_reserved) {
        return Err(refused(arguments, "the name is that of the built-in image", "choose another name"));
    }
    let files =
        Context::open(arguments.context(), ContextRules::keeping_all()).map_err(|error| CliError {
            exit: Exit::Usage,
            ..CliError::ours(
                what(arguments),
                &error,
                "name the directory that has the Dockerfile and its files",
            )
        })?;
    let (path, text) = dockerfile(arguments, &files)?;
    let values: Values = arguments.values.iter().cloned().collect();
    let dockerfile =
        Dockerfile::parse(&text, &values, &sandkasten_image::platform()).map_err(|error| CliError {
            what: what(arguments),
            why: format!("{path}:{}: {}", error.line, error.problem),
            hint: error.problem.advice().to_owned(),
            exit: Exit::Refused,
        })?;
    let Some(target) = dockerfile.target(arguments.target.as_deref()) else {
        let wanted = arguments.target.as_deref().unwrap_or_default();
        return Err(refused(
            arguments,
            &format!("{path} has no stage {wanted:?}"),
            "name one by AS in a FROM",
        ));
    };
    for name in dockerfile.unused(&values) {
        output::warn(&format!("nothing in {path} asks for the --build-arg {name}"));
    }
    let context = context(arguments, &files)?;
    let mut build = Build {
        store,
        config,
        dockerfile: &dockerfile,
        values,
        context,
        stop,
        quiet: arguments.quiet,
        no_cache: arguments.no_cache,
        pull: arguments.pull,
        timeout: Duration::from_secs(arguments.timeout),
        sandboxes: None,
        images: BTreeMap::new(),
        stages: BTreeMap::new(),
        steps: 0,
        cached: 0,
    };
    let image = build
        .carry_out(target, arguments.name.as_ref())
        .map_err(|failure| failure.into_error(what(arguments), &path))?;
    Ok((image, build.steps, build.cached))
}

fn what(arguments: &BuildArguments) -> String {
    match &arguments.name {
        Some(name) => format!("cannot build image {name}"),
        None => format!("cannot build {}", arguments.context().display()),
    }
}

fn refused(arguments: &BuildArguments, why: &str, hint: &str) -> CliError {
    CliError { what: what(arguments), why: why.to_owned(), hint: hint.to_owned(), exit: Exit::Refused }
}

/// Reads the Dockerfile, which may lie outside of the context only where it is named. Returns its path for messages, too.
fn dockerfile(arguments: &BuildArguments, files: &Context) -> Result<(String, String), CliError> {
    let path = arguments.file.clone().unwrap_or_else(|| arguments.context().join("Dockerfile"));
    let shown = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let unusable = |why: String| CliError {
        what: what(arguments),
        why,
        hint: "name the Dockerfile with -f".to_owned(),
        exit: Exit::Usage,
    };
    let mut bytes = Vec::new();
    let most = MAX_DOCKERFILE_BYTES + 1;
    let read = match &arguments.file {
        None => match files.read("Dockerfile", MAX_DOCKERFILE_BYTES) {
            Ok(Some(found)) => {
                bytes = found;
                Ok(bytes.len())
            }
            Ok(None) => Err(std::io::ErrorKind::NotFound.into()),
            Err(error) => return Err(unusable(crate::cli_error::with_causes(&error))),
        },
        Some(path) if path == Path::new("-") => std::io::stdin().lock().take(most).read_to_end(&mut bytes),
        Some(path) => std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)),
    };
    read.map_err(|error| unusable(format!("{shown}: {error}")))?;
    if bytes.len() as u64 > MAX_DOCKERFILE_BYTES {
        return Err(unusable(format!("{shown} has more than {MAX_DOCKERFILE_BYTES} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| unusable(format!("{shown} is no text in UTF-8")))?;
    Ok((shown, text))
}

/// Opens the context with what `.dockerignore` says; one that belongs to the Dockerfile alone comes first.
fn context(arguments: &BuildArguments, files: &Context) -> Result<Context, CliError> {
    let unusable = |why: String| refused(arguments, &why, "correct the file; nothing was run");
    let own = arguments.file.as_ref().map(|path| {
        let mut name = path.clone().into_os_string();
        name.push(".dockerignore");
        PathBuf::from(name)
    });
    let mut found = None;
    if let Some(path) = own.filter(|path| path.is_file()) {
        let text = std::fs::read(&path).map_err(|error| unusable(format!("{}: {error}", path.display())))?;
        found = Some((path.display().to_string(), text));
    }
    if found.is_none() {
        let bytes = files.read(".dockerignore", MAX_IGNORE_BYTES);
        let bytes = bytes.map_err(|error| unusable(crate::cli_error::with_causes(&error)))?;
        found = bytes.map(|bytes| (".dockerignore".to_owned(), bytes));
    }
    let rules = match found {
        None => IgnoreRules::default(),
        Some((name, text)) => IgnoreRules::parse(&String::from_utf8_lossy(&text))
            .map_err(|error| unusable(format!("{name}: {error}")))?,
    };
    let has_exceptions = rules.has_exceptions();
    let rules = ContextRules { leaves_out: Box::new(move |path| rules.leaves_out(path)), has_exceptions };
    Context::open(arguments.context(), rules).map_err(|error: BuildError| CliError {
        exit: Exit::Usage,
        ..CliError::ours(what(arguments), &error, "name a directory")
    })
}
