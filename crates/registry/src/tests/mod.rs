//! Registries of a few lines on loopback, honest and hostile ones.

mod drawn;
mod hostile;
mod mirrors;
mod pulling;
mod secrets;
mod server;
mod sharing;
mod stored;

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use sandkasten_image::documents::{OCI_MANIFEST, Platform};
use sandkasten_image::{Digest, ImageStore};
use serde_json::{Value, json};
use server::{Asked, Server};

use crate::{
    Credentials, Destination, FetchError, FetchEvent, Patience, PlainHttpHosts, Reference, Registry,
    RegistryOptions, RemoteImage, Secret,
};

const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An image in the registry, below `/v2/app/`, tagged `1`.
#[derive(Clone)]
struct TestImage {
    layers: Vec<Vec<u8>>,
    config: Vec<u8>,
    manifest: Vec<u8>,
}

impl TestImage {
    fn new(layers: &[&[u8]]) -> Self {
        Self::with_manifest(layers, |_| {})
    }

    fn with_manifest(layers: &[&[u8]], change: impl FnOnce(&mut Value)) -> Self {
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
        let config = json!({"rootfs": {"type": "layers", "diff_ids": diff_ids}}).to_string().into_bytes();
        let described = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()});
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": described(CONFIG_TYPE, &config),
            "layers": layers.iter().map(|layer| described(LAYER_TYPE, layer)).collect::<Vec<_>>(),
        });
        change(&mut manifest);
        let layers = layers.iter().map(|layer| layer.to_vec()).collect();
        Self { layers, config, manifest: manifest.to_string().into_bytes() }
    }

    /// Answers as an honest registry does.
    fn answer(&self, asked: &Asked) -> Response {
        let Some(rest) = asked.path.strip_prefix("/v2/app/") else { return status(404) };
        if rest == "manifests/1" || rest == format!("manifests/{}", Digest::of(&self.manifest)) {
            return typed(OCI_MANIFEST, self.manifest.clone());
        }
        let blobs = self.layers.iter().chain([&self.config]);
        let mut found = blobs.filter(|blob| rest == format!("blobs/{}", Digest::of(blob)));
        found.next().map_or_else(|| status(404), |blob| Response::new(Body::from(blob.clone())))
    }

    fn layer_path(&self, index: usize) -> String {
        format!("/v2/app/blobs/{}", Digest::of(&self.layers[index]))
    }
}

fn status(status: u16) -> Response {
    Response::builder().status(status).body(Body::empty()).unwrap()
}

fn typed(media_type: &str, body: impl Into<Body>) -> Response {
    Response::builder().header("content-type", media_type).body(body.into()).unwrap()
}

fn redirect(to: &str) -> Response {
    Response::builder().status(307).header("location", to).body(Body::empty()).unwrap()
}

/// Quick where others are patient.
fn options(servers: &[&Server]) -> RegistryOptions {
    RegistryOptions {
        plain_http: PlainHttpHosts::new(servers.iter().map(|server| &server.address)),
        patience: Patience {
            stall: Duration::from_millis(700),
            document: Duration::from_secs(2),
            pause: Duration::from_millis(1),
            ..Patience::default()
        },
        ..RegistryOptions::default()
    }
}

fn password() -> Credentials {
    Credentials::Password { user: "me".to_owned(), password: Secret::new("hunter2") }
}

/// `me:hunter2`, as HTTP has it.
const BASIC: &str = "Basic bWU6aHVudGVyMg==";

async fn find(server: &Server, options: RegistryOptions) -> Result<RemoteImage, FetchError> {
    let reference: Reference = format!("{}/app:1", server.address).parse().unwrap();
    Registry::new(&reference, options)?.find(&|_| {}).await
}

/// Pulls all of it into a directory.
async fn pull(server: &Server, options: RegistryOptions, into: &Path) -> Result<Vec<FetchEvent>, FetchError> {
    pull_by(&format!("{}/app:1", server.address), options, into).await
}

async fn pull_by(
    reference: &str,
    options: RegistryOptions,
    into: &Path,
) -> Result<Vec<FetchEvent>, FetchError> {
    let store = ImageStore::open(&into.join("data")).unwrap();
    let registry = Registry::new(&reference.parse().unwrap(), options)?;
    let events = Mutex::new(Vec::new());
    let on_event = |event| events.lock().unwrap().push(event);
    let image = registry.find(&on_event).await?;
    let download = store.begin_download().unwrap();
    registry
        .fetch(&image, &Destination { download: &download, is_present: &|_| Ok(false) }, &on_event)
        .await?;
    let blobs = into.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    for blob in std::fs::read_dir(download.path().join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap();
        std::fs::copy(blob.path(), blobs.join(blob.file_name())).unwrap();
    }
    drop(download);
    let left = std::fs::read_dir(into.join("data/layers")).unwrap().count();
    assert_eq!(left, 0, "something is left");
    Ok(events.into_inner().unwrap())
}

fn blob(directory: &Path, bytes: &[u8]) -> Vec<u8> {
    std::fs::read(directory.join("blobs/sha256").join(Digest::of(bytes).hexadecimal())).unwrap()
}

fn index(platforms: &[(&str, &str)], manifest: &[u8]) -> Vec<u8> {
    let described = |(os, architecture): &(&str, &str)| {
        json!({
            "mediaType": OCI_MANIFEST, "digest": Digest::of(manifest), "size": manifest.len(),
            "platform": {"os": os, "architecture": architecture},
        })
    };
    let manifests: Vec<Value> = platforms.iter().map(described).collect();
    json!({"schemaVersion": 2, "manifests": manifests}).to_string().into_bytes()
}

fn this_machine() -> (String, String) {
    let machine = Platform::of_this_machine();
    (machine.os, machine.architecture)
}
