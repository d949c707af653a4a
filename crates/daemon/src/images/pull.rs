//! Pulls for clients: what they may pull is the configuration's matter, who they are to a registry is in their request, and
//! one that nobody waits for any more ends.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use sandkasten_api::image::{PullDone, PullImageRequest, PullPhase, PullProgress, RegistryPassword};
use sandkasten_image::{
    Digest, Download, ImageName, ImageStore, ImportOptions, ImportReport, ImportSource, Progress,
};
use sandkasten_registry::{
    Credentials, Destination, FetchEvent, MirrorOptions, PlainHttpHosts, Reference, Registry,
    RegistryOptions, Secret,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{BeginPullError, Images, PullError};
use crate::config::Config;

/// So many pulls may be under way at once: each fetches three layers at a time, and unpacking one keeps a core busy.
const MOST_PULLS: usize = 2;

/// The places of pulls, and what ends them all.
#[derive(Debug, Clone)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    stop: watch::Sender<bool>,
}

impl Default for Places {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(MOST_PULLS)), stop: watch::Sender::new(false) }
    }
}

/// A pull that may begin. It has its place as long as it lives, or as long as it unpacks.
#[derive(Debug)]
pub(crate) struct Pull {
    images: Images,
    reference: Reference,
    name: ImageName,
    credentials: Credentials,
    place: OwnedSemaphorePermit,
}

impl Images {
    /// Checks a request, of which nothing is sent anywhere yet.
    ///
    /// # Errors
    /// [`BeginPullError`] has a variant for each thing that may be wrong.
    pub(crate) fn begin_pull(&self, request: PullImageRequest) -> Result<Pull, BeginPullError> {
        let reference: Reference = request.reference.parse()?;
        let credentials = credentials(request.username, request.password)?;
        let name = name(&self.config, &reference, request.name)?;
        if !self.config.images.allows_pulls_from(reference.registry()) {
            return Err(BeginPullError::Registry { registry: reference.registry().to_owned() });
        }
        let place = Arc::clone(&self.pulls.free)
            .try_acquire_owned()
            .map_err(|_| BeginPullError::Busy { most: MOST_PULLS })?;
        Ok(Pull { images: self.clone(), reference, name, credentials, place })
    }

    /// Ends all pulls, those that begin later as well.
    pub(crate) fn end_pulls(&self) {
        self.pulls.stop.send_replace(true);
    }
}

impl Pull {
    /// Returns what is pulled.
    pub(crate) const fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Pulls, and says in `progress` how far it is. Dropped, it ends: nothing is left of what was fetched. What is being
    /// unpacked then is given up as soon as nobody looks at `progress` any more.
    ///
    /// # Errors
    /// [`PullError`]. An older image of the name is as it was.
    pub(crate) async fn run(self, progress: watch::Sender<PullProgress>) -> Result<PullDone, PullError> {
        let mut stop = self.images.pulls.stop.subscribe();
        tokio::select! {
            biased;
            // Its sender lives as long as the images.
            _ = stop.wait_for(|stop| *stop) => Err(PullError::Stopped),
            done = self.carry_out(Arc::new(Observer::new(progress))) => done,
        }
    }

    async fn carry_out(self, observer: Arc<Observer>) -> Result<PullDone, PullError> {
        let Self { images, reference, name, credentials, place } = self;
        let failed = |error| PullError::Fetch { reference: reference.to_string(), source: Box::new(error) };
        // What is stored on this host for a mirror is no client's.
        let mirrors = images.config.images.mirrors_of(reference.registry());
        let mirrors = mirrors.map(|mirror| MirrorOptions { mirror, credentials: Credentials::Anonymous });
        let options = RegistryOptions {
            credentials,
            mirrors: mirrors.collect(),
            plain_http: PlainHttpHosts::new(&images.config.images.insecure_registries),
            ..RegistryOptions::default()
        };
        let registry = {
            // The certificates of the host are read from its disk.
            let reference = reference.clone();
            blocking(move || Ok(Registry::new(&reference, options))).await?.map_err(failed)?
        };
        let on_event = |event| observer.fetched(event);
        let image = registry.find(&on_event).await.map_err(failed)?;
        let digest = image.digest().to_string();
        if !images.config.allows_image_content(name.as_str(), &digest) {
            return Err(PullError::Content { reference: reference.to_string(), digest, name });
        }
        // The last of the two to be dropped is the removal.
        let (removal, download) = begin_download(&images.store).await?;
        {
            let is_present = |index| images.store.keep_layer(image.diff_ids(), index, &download);
            let to = Destination { download: &download, is_present: &is_present };
            registry.fetch(&image, &to, &on_event).await.map_err(failed)?;
        }
        observer.unpacking();
        let (store, importing, seen) = (images.store.clone(), name.clone(), Arc::clone(&observer));
        let import = move || {
            // Until it has ended, whoever waits for it.
            let _place = place;
            let options = ImportOptions { origin: Some(reference.to_string()), ..ImportOptions::default() };
            let source = ImportSource::Directory(download.path());
            let imported = store.import(&importing, source, &options, &mut |now| seen.unpacked(now));
            drop(download);
            removal.now();
            imported.map_err(|source| PullError::Import { source })
        };
        let report = blocking(import).await?;
        observer.imported(&report);
        Ok(PullDone { image: images.show(name).await?, digest })
    }
}

/// Removes a download, on a thread that may block. To be dropped after all others who have it.
struct Removal(Option<Arc<Download>>);

impl Removal {
    /// Removes it at once. To be called on a thread that may block.
    fn now(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        if let Some(download) = self.0.take() {
            tokio::task::spawn_blocking(move || drop(download));
        }
    }
}

async fn begin_download(store: &ImageStore) -> Result<(Removal, Arc<Download>), PullError> {
    let store = store.clone();
    blocking(move || {
        let download = Arc::new(store.begin_download()?);
        Ok((Removal(Some(Arc::clone(&download))), download))
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PullError> + Send + 'static,
) -> Result<T, PullError> {
    tokio::task::spawn_blocking(work).await.map_err(|source| PullError::Task { source })?
}

/// Whoever wants to know how far a pull is.
struct Observer {
    progress: watch::Sender<PullProgress>,
    /// Of each layer, so much as was last heard.
    received: Mutex<BTreeMap<Digest, u64>>,
}

impl Observer {
    fn new(progress: watch::Sender<PullProgress>) -> Self {
        Self { progress, received: Mutex::default() }
    }

    fn fetched(&self, event: FetchEvent) {
        match event {
            FetchEvent::Skipped { registry, next, why } => {
                tracing::warn!(registry, next, why, "a mirror did not give an image");
            }
            FetchEvent::Begun { layers, bytes } => self.progress.send_modify(|progress| {
                progress.phase = PullPhase::Fetching;
                progress.layers_total = layers as u64;
                progress.bytes_total = bytes;
            }),
            FetchEvent::Received { layer, bytes } => {
                let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
                let before = received.insert(layer, bytes).unwrap_or_default();
                self.progress.send_modify(|progress| {
                    progress.bytes_done = (progress.bytes_done + bytes).saturating_sub(before);
                });
            }
            FetchEvent::Finished { .. } => self.progress.send_modify(|progress| progress.layers_done += 1),
            FetchEvent::Started { .. } | FetchEvent::Waiting { .. } | FetchEvent::Retrying { .. } => {}
        }
    }

    fn unpacking(&self) {
        self.progress.send_modify(|progress| progress.phase = PullPhase::Unpacking);
    }

    /// What was unpacked is told now and then, and of what is small not at all.
    fn imported(&self, report: &ImportReport) {
        self.progress.send_modify(|progress| {
            progress.entries_unpacked = report.summary.entries;
            progress.bytes_unpacked = progress.bytes_unpacked.max(report.summary.bytes);
        });
    }

    /// Ends it where nobody looks any more.
    fn unpacked(&self, now: Progress) -> ControlFlow<()> {
        self.progress.send_modify(|progress| {
            (progress.entries_unpacked, progress.bytes_unpacked) = (now.entries, now.archive_bytes);
        });
        if self.progress.is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn name(config: &Config, reference: &Reference, given: Option<String>) -> Result<ImageName, BeginPullError> {
    let text = given.unwrap_or_else(|| reference.short_name());
    let name: ImageName = match text.parse() {
        Ok(name) => name,
        Err(source) => return Err(BeginPullError::Name { name: text.chars().take(200).collect(), source }),
    };
    if name.is_reserved() {
        return Err(BeginPullError::Reserved { name });
    }
    if !config.allows_image_name(name.as_str()) {
        return Err(BeginPullError::NotAllowed { name });
    }
    Ok(name)
}

/// What is stored on this host is root's, and no client's.
fn credentials(
    user: Option<String>,
    password: Option<RegistryPassword>,
) -> Result<Credentials, BeginPullError> {
    let problem = match (user, password) {
        (None, None) => return Ok(Credentials::Anonymous),
        (None, Some(_)) => "username: missing, and there is a password",
        (Some(_), None) => "password: missing, and there is a username",
        // What follows the colon would be taken for the password.
        (Some(user), _) if user.is_empty() || user.contains(':') => "username: is empty or has a colon",
        (_, Some(password)) if password.expose().is_empty() => "password: is empty",
        (Some(user), Some(password)) => {
            return Ok(Credentials::Password { user, password: Secret::new(password.expose()) });
        }
    };
    Err(BeginPullError::Credentials { problem })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sandkasten_api::image::{PullImageRequest, PullProgress, RegistryPassword};
    use sandkasten_image::ImageStore;
    use tokio::sync::watch;

    use super::{BeginPullError, Digest, FetchEvent, Images, MOST_PULLS, Observer, Progress, PullError};
    use crate::config::Config;

    fn images(directory: &tempfile::TempDir, lines: &str) -> Images {
        let path = directory.path().join("sandkasten.yaml");
        std::fs::write(&path, lines).expect("written");
        let config = Config::load(Some(&path), &std::collections::BTreeMap::new()).expect("a configuration");
        Images::new(Arc::new(config), ImageStore::open(directory.path()).expect("a store"))
    }

    fn request(reference: &str) -> PullImageRequest {
        PullImageRequest { reference: reference.to_owned(), name: None, username: None, password: None }
    }

    #[test]
    fn what_may_not_be_pulled_is_refused_before_anybody_is_asked() {
        let directory = tempfile::tempdir().expect("a directory");
        let lines = "allowed_images: [\"py*\", a, pull, a.example]\nimages: {pull_registries: [docker.io, \"R.example:5000\"]}\n";
        let images = images(&directory, lines);
        type Expected = fn(&BeginPullError) -> bool;
        let cases: &[(&str, Option<&str>, Expected)] = &[
            ("https://docker.io/python", None, |e| matches!(e, BeginPullError::Reference(_))),
            ("python", Some("No"), |e| matches!(e, BeginPullError::Name { .. })),
            ("python", Some("../x"), |e| matches!(e, BeginPullError::Name { .. })),
            ("python", Some("host"), |e| matches!(e, BeginPullError::Reserved { .. })),
            ("team/host:1", None, |e| matches!(e, BeginPullError::Reserved { .. })),
            ("python", Some("node"), |e| matches!(e, BeginPullError::NotAllowed { .. })),
            ("node", None, |e| matches!(e, BeginPullError::NotAllowed { .. })),
            ("r.example/a", None, |e| matches!(e, BeginPullError::Registry { .. })),
            ("r.example:5001/a", None, |e| matches!(e, BeginPullError::Registry { .. })),
            ("127.0.0.1/a", None, |e| matches!(e, BeginPullError::Registry { .. })),
            ("[::1]:5000/a", None, |e| matches!(e, BeginPullError::Registry { .. })),
            ("docker.io:443/a", None, |e| matches!(e, BeginPullError::Registry { .. })),
            ("docker.io.evil.example/a", None, |e| matches!(e, BeginPullError::Registry { .. })),
        ];
        for (reference, name, expected) in cases {
            let request = PullImageRequest { name: name.map(str::to_owned), ..request(reference) };
            let error = images.begin_pull(request).expect_err(reference);
            assert!(expected(&error), "{reference} {name:?}: {error}");
        }
        for reference in
            ["python:3", "index.docker.io/library/python", "r.example:5000/a", "R.Example:5000/a"]
        {
            assert!(images.begin_pull(request(reference)).is_ok(), "{reference}");
        }
    }

    #[test]
    fn of_a_user_and_a_password_there_are_both_or_neither_and_no_message_has_them() {
        let directory = tempfile::tempdir().expect("a directory");
        let images = images(&directory, "");
        for (user, password, is_sound) in [
            (None, None, true),
            (Some("me"), Some("hunter2"), true),
            (Some("me"), None, false),
            (None, Some("hunter2"), false),
            (Some(""), Some("hunter2"), false),
            (Some("me:hunter2"), Some("x"), false),
            (Some("me"), Some(""), false),
        ] {
            let request = PullImageRequest {
                username: user.map(str::to_owned),
                password: password.map(RegistryPassword::new),
                ..request("python")
            };
            let result = images.begin_pull(request);
            assert_eq!(result.is_ok(), is_sound, "{user:?} {password:?}");
            assert!(!format!("{result:?}").contains("hunter2"), "{result:?}");
        }
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_its_pull_has_gone_and_the_end_of_the_daemon_ends_pulls() {
        let directory = tempfile::tempdir().expect("a directory");
        let images = images(&directory, "");
        let pull = || images.begin_pull(request("python"));
        let mut pulls: Vec<_> = (0..MOST_PULLS).map(|_| pull().expect("a place")).collect();
        let busy = pull().expect_err("no place");
        assert!(matches!(busy, BeginPullError::Busy { most: MOST_PULLS }), "{busy}");
        pulls.pop();
        let pull = pull().expect("a place");
        images.end_pulls();
        let ended = pull.run(watch::Sender::new(PullProgress::default())).await;
        assert!(matches!(ended, Err(PullError::Stopped)), "{ended:?}");
    }

    #[test]
    fn a_layer_that_begins_again_is_counted_once_and_nothing_is_unpacked_for_nobody() {
        let (sender, seen) = watch::channel(PullProgress::default());
        let observer = Observer::new(sender);
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        for (layer, bytes) in [(one, 10), (two, 5), (one, 30), (one, 4), (one, 20)] {
            observer.fetched(FetchEvent::Received { layer, bytes });
        }
        observer.fetched(FetchEvent::Finished { layer: one });
        assert_eq!((seen.borrow().bytes_done, seen.borrow().layers_done), (25, 1));
        let now = Progress { entries: 7, archive_bytes: 9 };
        assert!(observer.unpacked(now).is_continue());
        assert_eq!((seen.borrow().entries_unpacked, seen.borrow().bytes_unpacked), (7, 9));
        drop(seen);
        assert!(observer.unpacked(now).is_break());
    }
}
