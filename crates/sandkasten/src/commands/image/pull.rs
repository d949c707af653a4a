//! `image pull`: an image out of a registry.

use std::io::{self, IsTerminal, Read};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use sandkasten_daemon::config::Config;
use sandkasten_image::{
    Download, ImageName, ImageStore, ImportOptions, ImportReport, ImportSource, UnpackLimits,
};
use sandkasten_registry::{
    Credentials, FetchError, PlainHttpHosts, Reference, Registry, RegistryOptions, Secret, stored_credentials,
};
use tokio::runtime::Handle;

use super::import;
use super::pull_progress::PullProgress;
use crate::cli_error::{CliError, Exit};
use crate::progress_line::ProgressLine;
use crate::{human, output};

/// As long as any password or token is.
const LONGEST_PASSWORD: u64 = 64 * 1024;

/// Arguments of `image pull`.
#[derive(Debug, Args)]
pub(crate) struct PullArguments {
    /// Name of the image here, perhaps with a tag [default: the last part of REFERENCE, with its tag unless that is latest]
    #[arg(long, value_name = "NAME")]
    name: Option<ImageName>,

    /// User of the registry [default: what docker login has stored, or nobody]
    #[arg(long, value_name = "USER", requires = "password_stdin")]
    username: Option<String>,

    /// Read the password of that user from standard input
    #[arg(long, requires = "username")]
    password_stdin: bool,

    /// The image: python:3.12-slim of Docker Hub, registry.example/team/app:1, or either with @sha256:…
    #[arg(value_name = "REFERENCE")]
    reference: Reference,
}

/// What is to be pulled.
#[derive(Debug)]
pub(crate) struct Pull<'a> {
    pub(crate) reference: &'a Reference,
    /// What it is called here.
    pub(crate) name: &'a ImageName,
    pub(crate) credentials: Credentials,
    /// The registries that are spoken to without TLS.
    pub(crate) plain_http: &'a [String],
}

/// Pulls an image and prints its name. To be called on a thread that may block.
pub(super) fn run(
    store: &ImageStore,
    config: &Config,
    runtime: &Handle,
    arguments: &PullArguments,
) -> Result<ExitCode, CliError> {
    let started = Instant::now();
    let reference = &arguments.reference;
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => name_of(reference)?,
    };
    let credentials = credentials(runtime, arguments)?;
    let plain_http = &config.images.insecure_registries;
    let report = Pull { reference, name: &name, credentials, plain_http }.carry_out(store, runtime)?;
    for remark in import::remarks(&report) {
        output::note(&remark);
    }
    output::note(&format!("{reference} is {}", report.digest));
    import::print(&report, started)?;
    Ok(output::done())
}

impl Pull<'_> {
    /// Fetches and imports it, with a line on a terminal that says how far it is. To be called on a thread that may block.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub(crate) fn carry_out(self, store: &ImageStore, runtime: &Handle) -> Result<ImportReport, CliError> {
        let Self { reference, name, credentials, plain_http } = self;
        let what = || format!("cannot pull {reference} as image {name}");
        if name.is_reserved() {
            return Err(CliError {
                what: what(),
                why: format!("the name {name} is reserved for the built-in image"),
                hint: "choose another name for it with --name".to_owned(),
                exit: Exit::Refused,
            });
        }
        let mut download = store
            .begin_download()
            .map_err(|error| CliError::ours(what(), &error, "check data_dir and the space on its disk"))?;
        let options = RegistryOptions {
            credentials,
            plain_http: PlainHttpHosts::new(plain_http),
            ..RegistryOptions::default()
        };
        let failed = |error: FetchError| {
            let (hint, exit) = advice(&error);
            CliError { what: what(), why: error.with_root_cause(), hint: hint.to_owned(), exit }
        };
        let registry = Registry::new(reference, options).map_err(failed)?;
        let image = runtime.block_on(registry.find(reference)).map_err(failed)?;
        let present = store
            .keep_layers(image.diff_ids(), &mut download)
            .map_err(|error| CliError::ours(what(), &error, "check data_dir; nothing was changed"))?;
        let progress = PullProgress::new();
        let on_event = |event| progress.show(&event);
        let result = runtime.block_on(registry.fetch(&image, &present, download.path(), &on_event));
        progress.clear();
        result.map_err(failed)?;
        unpack(store, name, &download, &what)
    }
}

fn unpack(
    store: &ImageStore,
    name: &ImageName,
    download: &Download,
    what: &dyn Fn() -> String,
) -> Result<ImportReport, CliError> {
    let mut line = ProgressLine::new();
    let options = ImportOptions { limits: UnpackLimits::default(), reference: None };
    let result = store.import(name, ImportSource::Directory(download.path()), &options, &mut |now| {
        let entries = human::grouped(now.entries);
        line.show(|| format!("unpacking: {entries} entries, {}", human::bytes(now.archive_bytes)));
        ControlFlow::Continue(())
    });
    drop(line);
    result.map_err(|error| {
        let (hint, exit) = import::advice(&error);
        CliError { exit, ..CliError::ours(what(), &error, hint) }
    })
}

/// Returns what an image is called here where nobody says otherwise.
///
/// # Errors
/// Where that is no name of an image.
pub(crate) fn name_of(reference: &Reference) -> Result<ImageName, CliError> {
    let short = reference.short_name();
    short.parse().map_err(|error| CliError {
        exit: Exit::Usage,
        ..CliError::ours(format!("cannot call an image {short}"), &error, "choose a name for it with --name")
    })
}

/// Returns what docker login has stored for the registry of an image, or nobody's.
///
/// # Errors
/// Where what is stored cannot be used.
pub(crate) fn known_credentials(runtime: &Handle, reference: &Reference) -> Result<Credentials, CliError> {
    runtime.block_on(stored_credentials(reference)).map_err(|error| CliError {
        exit: Exit::Usage,
        ..CliError::ours(
            format!("cannot find the credentials for {}", reference.registry()),
            &error,
            "repair them with docker login, or give --username and --password-stdin",
        )
    })
}

fn credentials(runtime: &Handle, arguments: &PullArguments) -> Result<Credentials, CliError> {
    let Some(user) = &arguments.username else { return known_credentials(runtime, &arguments.reference) };
    let unusable = |why: String| CliError {
        what: "cannot read the password from standard input".to_owned(),
        why,
        hint: "give it the password and nothing else: printf %s \"$PASSWORD\" | sandkasten image pull …"
            .to_owned(),
        exit: Exit::Usage,
    };
    if io::stdin().is_terminal() {
        // Which would show it, to whoever looks on and in what it keeps.
        return Err(unusable("it is a terminal".to_owned()));
    }
    let mut password = String::new();
    let read = io::stdin().lock().take(LONGEST_PASSWORD + 1).read_to_string(&mut password);
    read.map_err(|error| unusable(error.to_string()))?;
    if password.len() as u64 > LONGEST_PASSWORD {
        return Err(unusable("it has more than 64 KiB".to_owned()));
    }
    // As `echo` and editors end it.
    let password = password.strip_suffix('\n').map_or(password.as_str(), |line| line.trim_end_matches('\r'));
    if password.is_empty() {
        return Err(unusable("it is empty".to_owned()));
    }
    Ok(Credentials::Password { user: user.clone(), password: Secret::new(password) })
}

/// Tells apart what the registry refuses, what it is at fault for, and what is wrong with this host.
const fn advice(error: &FetchError) -> (&'static str, Exit) {
    match error {
        FetchError::NotFound { .. } => (
            "check the name and the tag; a private image may need --username; nothing was changed",
            Exit::Refused,
        ),
        FetchError::Denied { with_credentials: true, .. } => (
            "check the user, the password, and that the user may pull it; nothing was changed",
            Exit::Refused,
        ),
        FetchError::Denied { .. } => (
            "give --username and --password-stdin, or run docker login as root; nothing was changed",
            Exit::Refused,
        ),
        FetchError::PlainHttp { .. } => (
            "use a registry with TLS, or list its host and port in images.insecure_registries; nothing was changed",
            Exit::Refused,
        ),
        FetchError::Platform { .. } => {
            ("pull an image that is made for this machine; nothing was changed", Exit::Refused)
        }
        FetchError::TooManyLayers { .. } => {
            ("have the image built with fewer layers; nothing was changed", Exit::Refused)
        }
        FetchError::NoImage { .. } => ("pull an image of containers; nothing was changed", Exit::Refused),
        FetchError::Request { .. } => (
            "check the name of the registry, the network, and whether it speaks TLS (if not: images.insecure_registries); \
             nothing was changed",
            Exit::Unreachable,
        ),
        FetchError::Cut { .. }
        | FetchError::Slow { .. }
        | FetchError::Duration { .. }
        | FetchError::Status { .. } => ("try again later; nothing was changed", Exit::Unreachable),
        FetchError::Setup { .. } => ("install ca-certificates; nothing was changed", Exit::Ours),
        FetchError::Space { .. } | FetchError::Write { .. } => {
            ("check the space on the disk of data_dir; nothing was changed", Exit::Ours)
        }
        _ => ("the registry is broken or lies: ask whoever runs it; nothing was changed", Exit::Refused),
    }
}
