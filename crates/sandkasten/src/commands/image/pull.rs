//! `image pull`: an image out of a registry.

use std::io::{self, IsTerminal, Read};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use sandkasten_daemon::config::{Config, ImagesConfig};
use sandkasten_image::{Download, ImageName, ImageStore, ImportOptions, ImportReport, ImportSource};
use sandkasten_registry::{
    Credentials, Destination, FetchError, MirrorOptions, OnEvent, PlainHttpHosts, Reference, Registry,
    RegistryOptions, Secret, stored_credentials,
};
use tokio::runtime::Handle;

use super::import;
use super::pull_progress::PullProgress;
use super::stop::Stop;
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
pub(crate) struct Pull<'a> {
    pub(crate) reference: &'a Reference,
    /// What it is called here.
    pub(crate) name: &'a ImageName,
    pub(crate) credentials: Credentials,
    /// What the configuration says of registries.
    pub(crate) images: &'a ImagesConfig,
    /// What may end it, where that is not the end of the process.
    pub(crate) stop: Option<&'a Stop>,
    /// Nothing is said of how far it is.
    pub(crate) quiet: bool,
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
    let report =
        Pull { reference, name: &name, credentials, images: &config.images, stop: None, quiet: false }
            .carry_out(store, runtime)?;
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
        let Self { reference, name, .. } = self;
        if name.is_reserved() {
            return Err(CliError {
                what: self.what(),
                why: format!("the name {name} is reserved for the built-in image"),
                hint: "choose another name for it with --name".to_owned(),
                exit: Exit::Refused,
            });
        }
        let download = store.begin_download().map_err(|error| {
            CliError::ours(self.what(), &error, "check data_dir and the space on its disk")
        })?;
        let registry =
            Registry::new(reference, self.options(runtime)?).map_err(|error| self.failed(&error))?;
        let progress = PullProgress::new();
        let on_event = |event| {
            if !self.quiet {
                progress.show(&event);
            }
        };
        let fetched = runtime.block_on(async {
            tokio::select! {
                fetched = fetch(&registry, store, &download, &on_event) => Some(fetched),
                () = self.stopped() => None,
            }
        });
        progress.clear();
        match fetched {
            Some(fetched) => fetched.map_err(|error| self.failed(&error))?,
            None => return Err(self.interrupted()),
        }
        self.unpack(store, &download)
    }

    fn options(&self, runtime: &Handle) -> Result<RegistryOptions, CliError> {
        let mut mirrors = Vec::new();
        for mirror in self.images.mirrors_of(self.reference.registry()) {
            let credentials = known_credentials(runtime, &mirror.reference(self.reference))?;
            mirrors.push(MirrorOptions { mirror, credentials });
        }
        Ok(RegistryOptions {
            credentials: self.credentials.clone(),
            mirrors,
            plain_http: PlainHttpHosts::new(&self.images.insecure_registries),
            ..RegistryOptions::default()
        })
    }

    fn unpack(&self, store: &ImageStore, download: &Download) -> Result<ImportReport, CliError> {
        let mut line = ProgressLine::new();
        let options = ImportOptions { origin: Some(self.reference.to_string()), ..ImportOptions::default() };
        let source = ImportSource::Directory(download.path());
        let result = store.import(self.name, source, &options, &mut |now| {
            if !self.quiet {
                let entries = human::grouped(now.entries);
                line.show(|| format!("unpacking: {entries} entries, {}", human::bytes(now.archive_bytes)));
            }
            if self.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        drop(line);
        result.map_err(|error| {
            let (hint, exit) = import::advice(&error);
            CliError { exit, ..CliError::ours(self.what(), &error, hint) }
        })
    }

    fn is_stopped(&self) -> bool {
        self.stop.is_some_and(|stop| stop.interrupt().is_some())
    }

    async fn stopped(&self) {
        match self.stop {
            Some(stop) => stop.wait().await,
            None => std::future::pending().await,
        }
    }

    fn what(&self) -> String {
        format!("cannot pull {} as image {}", self.reference, self.name)
    }

    fn failed(&self, error: &FetchError) -> CliError {
        let (hint, exit) = advice(error);
        CliError { what: self.what(), why: error.with_root_cause(), hint: hint.to_owned(), exit }
    }

    fn interrupted(&self) -> CliError {
        CliError {
            what: self.what(),
            why: "it was interrupted".to_owned(),
            hint: "nothing was changed".to_owned(),
            exit: Exit::Ours,
        }
    }
}

async fn fetch(
    registry: &Registry,
    store: &ImageStore,
    download: &Download,
    on_event: OnEvent<'_>,
) -> Result<(), FetchError> {
    let image = registry.find(on_event).await?;
    let is_present = |index| store.keep_layer(image.diff_ids(), index, download);
    registry.fetch(&image, &Destination { download, is_present: &is_present }, on_event).await
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
        FetchError::Space { .. }
        | FetchError::Write { .. }
        | FetchError::Share { .. }
        | FetchError::Present { .. } => {
            ("check the space on the disk of data_dir; nothing was changed", Exit::Ours)
        }
        _ => ("the registry is broken or lies: ask whoever runs it; nothing was changed", Exit::Refused),
    }
}
