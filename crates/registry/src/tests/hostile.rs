//! Registries that lie, that never end, and that lead elsewhere.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use sandkasten_image::documents::{OCI_INDEX, OCI_MANIFEST};
use serde_json::json;

use super::server::{Server, cut_off, dripping, endless, silent};
use super::{TestImage, find, options, pull, redirect, typed};
use crate::{FetchError, RegistryOptions};

/// Pulls an image whose layer is sent as told.
async fn with_layer(answer: impl Fn() -> Response + Send + Sync + 'static) -> FetchError {
    let image = TestImage::new(&[b"the layer"]);
    let path = image.layer_path(0);
    let server = Server::start(move |asked| match asked.path == path {
        true => answer(),
        false => image.answer(asked),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    pull(&server, options(&[&server]), directory.path()).await.unwrap_err()
}

/// Pulls an image whose manifest is changed so.
async fn with_manifest(change: impl FnOnce(&mut serde_json::Value)) -> FetchError {
    let image = TestImage::with_manifest(&[b"1", b"2"], change);
    let server = Server::start(move |asked| image.answer(asked)).await;
    let directory = tempfile::tempdir().unwrap();
    pull(&server, options(&[&server]), directory.path()).await.unwrap_err()
}

#[tokio::test]
async fn without_tls_nothing_is_sent_unless_the_host_is_listed() {
    let server = Server::start(|_| panic!("it was asked")).await;
    let error = find(&server, RegistryOptions { plain_http: Default::default(), ..options(&[]) }).await;
    // It is spoken to by TLS, which it does not speak.
    assert!(matches!(error.unwrap_err(), FetchError::Request { .. }));
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn redirects_end_and_do_not_lead_out_of_tls() {
    let server = Server::start(|asked| redirect(&format!("{}x", asked.path))).await;
    let error = find(&server, options(&[&server])).await.unwrap_err();
    assert!(matches!(error, FetchError::Redirects { allowed: 5, .. }), "{error}");
    assert_eq!(server.asked().len(), 6);

    let other = Server::start(|_| panic!("it was asked")).await;
    let to = other.url("/x?secret=1");
    let server = Server::start(move |_| redirect(&to)).await;
    let error = find(&server, options(&[&server])).await.unwrap_err();
    assert!(matches!(error, FetchError::PlainHttp { .. }), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");

    for to in ["file:///etc/passwd", "", "http://", "data:,x", "unix:/run/x"] {
        let server = Server::start(move |_| redirect(to)).await;
        let error = find(&server, options(&[&server])).await.unwrap_err();
        let refused = matches!(error, FetchError::Location { .. } | FetchError::PlainHttp { .. });
        assert!(refused, "{to}: {error}");
    }
}

#[tokio::test]
async fn a_manifest_without_end_is_given_up() {
    let server = Server::start(|_| typed(OCI_MANIFEST, endless())).await;
    let error = find(&server, options(&[&server])).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { allowed: 4_194_304, .. }), "{error}");

    let started = Instant::now();
    let server = Server::start(|_| typed(OCI_MANIFEST, dripping())).await;
    let error = find(&server, options(&[&server])).await.unwrap_err();
    assert!(matches!(error, FetchError::Slow { .. }), "{error}");

    let server = Server::start(|_| typed(OCI_MANIFEST, silent(b"{"))).await;
    let error = find(&server, options(&[&server])).await.unwrap_err();
    assert!(matches!(error, FetchError::Request { .. } | FetchError::Slow { .. }), "{error}");
    assert!(started.elapsed().as_secs() < 60);
}

#[tokio::test]
async fn a_layer_that_is_something_else_is_refused() {
    let error = with_layer(|| Response::new(Body::from("Another!!"))).await;
    assert!(matches!(error, FetchError::Digest { .. }), "{error}");
    let error = with_layer(|| Response::new(Body::from("the layer and more"))).await;
    assert!(matches!(error, FetchError::Size { expected: 9, found: 18, .. }), "{error}");
    let error = with_layer(|| Response::new(Body::from("short"))).await;
    assert!(matches!(error, FetchError::Size { expected: 9, found: 5, .. }), "{error}");
    let error = with_layer(|| Response::new(endless())).await;
    assert!(matches!(error, FetchError::TooLarge { allowed: 9, .. }), "{error}");
}

#[tokio::test]
async fn a_layer_that_never_gets_further_is_given_up() {
    let error = with_layer(|| Response::new(cut_off(b""))).await;
    assert!(matches!(error, FetchError::Request { .. } | FetchError::Cut { .. }), "{error}");
    let error = with_layer(|| Response::new(silent(b""))).await;
    assert!(matches!(error, FetchError::Request { .. }), "{error}");
}

#[tokio::test]
async fn a_layer_that_comes_too_slowly_is_given_up_in_time() {
    let image = TestImage::new(&[b"the layer"]);
    let path = image.layer_path(0);
    let server = Server::start(move |asked| match asked.path == path {
        true => Response::new(dripping()),
        false => image.answer(asked),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let mut options = options(&[&server]);
    options.limits.max_duration = Duration::from_millis(300);
    let error = pull(&server, options, directory.path()).await.unwrap_err();
    assert!(matches!(error, FetchError::Duration { .. }), "{error}");
}

#[tokio::test]
async fn a_part_that_was_not_asked_for_is_refused() {
    let image = TestImage::new(&[b"the layer"]);
    let path = image.layer_path(0);
    let server = Server::start(move |asked| match asked.range {
        Some(_) => {
            let part = Response::builder().status(206).header("content-range", "bytes 0-8/9");
            part.body(Body::from("the layer")).unwrap()
        }
        None if asked.path == path => {
            Response::builder().header("content-length", 9).body(cut_off(b"the")).unwrap()
        }
        None => image.answer(asked),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let error = pull(&server, options(&[&server]), directory.path()).await.unwrap_err();
    assert!(matches!(error, FetchError::Range { .. }), "{error}");
}

#[tokio::test]
async fn sizes_that_lie_are_refused_before_anything_is_fetched() {
    let error = with_manifest(|manifest| manifest["layers"][0]["size"] = json!(u64::MAX)).await;
    assert!(matches!(error, FetchError::LayersTooLarge { .. }), "{error}");
    let error = with_manifest(|manifest| manifest["layers"][0]["size"] = json!(65_u64 << 30)).await;
    assert!(matches!(error, FetchError::LayersTooLarge { .. }), "{error}");
    let error = with_manifest(|manifest| manifest["layers"][0]["size"] = json!(-1)).await;
    assert!(matches!(error, FetchError::Parse { .. }), "{error}");
    let error = with_manifest(|manifest| manifest["config"]["size"] = json!(u64::MAX)).await;
    assert!(matches!(error, FetchError::TooLarge { .. }), "{error}");
    let padding = "x".repeat(1 << 20);
    let error = with_manifest(|manifest| manifest["annotations"] = json!({"a": padding})).await;
    assert!(matches!(error, FetchError::TooLarge { allowed: 1_048_576, .. }), "{error}");
    let error = with_manifest(|manifest| manifest["config"]["size"] = json!(1)).await;
    assert!(matches!(error, FetchError::TooLarge { allowed: 1, .. }), "{error}");
}

#[tokio::test]
async fn manifests_that_are_none_are_named() {
    let error = with_manifest(|manifest| manifest["layers"][0]["digest"] = json!("sha256:../../x")).await;
    assert!(matches!(error, FetchError::Parse { .. }), "{error}");
    let error = with_manifest(|manifest| {
        manifest["layers"].as_array_mut().unwrap().pop();
    })
    .await;
    assert!(matches!(error, FetchError::LayerCount { configured: 2, stored: 1 }), "{error}");
    let chart = "application/vnd.cncf.helm.config.v1+json";
    let error = with_manifest(|manifest| manifest["config"]["mediaType"] = json!(chart)).await;
    assert!(matches!(&error, FetchError::NoImage { media_type, .. } if media_type == chart), "{error}");
    let old = "application/vnd.docker.distribution.manifest.v1+json";
    let error = with_manifest(|manifest| manifest["mediaType"] = json!(old)).await;
    assert!(matches!(&error, FetchError::NoImage { media_type, .. } if media_type == old), "{error}");
    let error = with_manifest(|manifest| manifest["mediaType"] = json!(OCI_INDEX)).await;
    assert!(matches!(error, FetchError::NoImage { .. }), "{error}");
    let error = with_manifest(|manifest| manifest["manifests"] = json!([])).await;
    assert!(matches!(error, FetchError::NoImage { .. }), "{error}");
    let many = vec![json!({"mediaType": "x", "digest": format!("sha256:{}", "0".repeat(64)), "size": 0}); 64];
    let error = with_manifest(|manifest| manifest["layers"] = json!(many)).await;
    assert!(matches!(error, FetchError::TooManyLayers { allowed: 63 }), "{error}");
    let long = "\u{1b}x".repeat(100_000);
    let error = with_manifest(|manifest| manifest["schemaVersion"] = json!(long)).await;
    assert!(matches!(error, FetchError::Parse { .. }), "{error}");
    let text = error.to_string();
    assert!(text.len() < 1000 && !text.contains('\u{1b}'), "{text}");
    let server = Server::start(|_| typed("text/html", "<html>")).await;
    let error = find(&server, options(&[&server])).await.unwrap_err();
    assert!(matches!(error, FetchError::Parse { .. }), "{error}");
}

#[tokio::test]
async fn indexes_that_lead_to_one_another_end() {
    // Each is asked for by its digest, so a chain has to be as long as it is deep.
    let mut chain = vec![TestImage::new(&[]).manifest];
    for _ in 0..8 {
        let below = chain.last().unwrap();
        let digest = sandkasten_image::Digest::of(below);
        let entry = json!({"mediaType": OCI_INDEX, "digest": digest, "size": below.len()});
        chain.push(json!({"schemaVersion": 2, "manifests": [entry]}).to_string().into_bytes());
    }
    let server = Server::start(move |asked| {
        let found = chain
            .iter()
            .find(|document| asked.path.ends_with(&sandkasten_image::Digest::of(document).to_string()));
        typed("", found.or(chain.last()).unwrap().clone())
    })
    .await;
    let error = find(&server, options(&[&server])).await.unwrap_err();
    assert!(matches!(error, FetchError::Nested { allowed: 4 }), "{error}");
}
