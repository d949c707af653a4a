//! Mirrors, which are asked first, and what happens where they do not have it.

use axum::response::Response;
use sandkasten_image::Digest;

use super::server::{Asked, Server, cut_off};
use super::{BASIC, TestImage, blob, options, password, pull_by, status, typed};
use crate::{Credentials, FetchError, FetchEvent, MirrorOptions, RegistryOptions};

/// Those of the registry, with mirrors of it.
fn mirrored(registry: &Server, mirrors: &[(&Server, &str, Credentials)]) -> RegistryOptions {
    let servers: Vec<&Server> = mirrors.iter().map(|(server, ..)| *server).chain([registry]).collect();
    let mirror = |(server, path, credentials): &(&Server, &str, Credentials)| MirrorOptions {
        mirror: format!("{}{path}", server.address).parse().unwrap(),
        credentials: credentials.clone(),
    };
    RegistryOptions { mirrors: mirrors.iter().map(mirror).collect(), ..options(&servers) }
}

fn skipped(events: &[FetchEvent]) -> Vec<&String> {
    events
        .iter()
        .filter_map(|event| match event {
            FetchEvent::Skipped { registry, .. } => Some(registry),
            _ => None,
        })
        .collect()
}

/// Answers for an image below a path of its own.
fn below(image: &TestImage, path: &str, asked: &Asked) -> Response {
    match asked.path.strip_prefix(path) {
        Some(rest) => image.answer(&Asked { path: format!("/v2/{rest}"), ..asked.clone() }),
        None => status(404),
    }
}

#[tokio::test]
async fn what_a_mirror_has_is_not_asked_of_the_registry() {
    let image = TestImage::new(&[b"one", b"two"]);
    let served = image.clone();
    let mirror = Server::start(move |asked| below(&served, "/v2/cache/hub/", asked)).await;
    let registry = Server::start(|_| panic!("it was asked")).await;
    let directory = tempfile::tempdir().unwrap();
    let options = mirrored(&registry, &[(&mirror, "/cache/hub", Credentials::Anonymous)]);
    let events = pull_by(&format!("{}/app:1", registry.address), options, directory.path()).await.unwrap();
    assert_eq!(blob(directory.path(), b"two"), b"two");
    assert!(skipped(&events).is_empty() && registry.asked().is_empty(), "{events:?}");
}

#[tokio::test]
async fn what_mirrors_do_not_have_or_lie_about_comes_from_the_next() {
    let image = TestImage::new(&[b"one", b"two"]);
    let (honest, lying) = (image.clone(), image.clone());
    let nobody = Server::start(|_| status(404)).await;
    let first = image.layer_path(0);
    let liar = Server::start(move |asked| match asked.path == first {
        true => Response::new("two".into()),
        false => lying.answer(asked),
    })
    .await;
    let registry = Server::start(move |asked| honest.answer(asked)).await;
    let directory = tempfile::tempdir().unwrap();
    let anonymous = || Credentials::Anonymous;
    let options = mirrored(&registry, &[(&nobody, "", anonymous()), (&liar, "", anonymous())]);
    let events = pull_by(&format!("{}/app:1", registry.address), options, directory.path()).await.unwrap();
    assert_eq!(skipped(&events), [&nobody.address, &liar.address]);
    assert_eq!(
        (blob(directory.path(), b"one"), blob(directory.path(), b"two")),
        (b"one".into(), b"two".into())
    );
    let asked: Vec<String> = registry.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(asked, [image.layer_path(0)]);
}

#[tokio::test]
async fn a_layer_that_breaks_off_at_a_mirror_begins_again_at_the_registry() {
    let layer = vec![7; 300_000];
    let image = TestImage::new(&[&layer]);
    let (path, broken, bytes) = (image.layer_path(0), image.clone(), layer.clone());
    let mirror = Server::start(move |asked| match asked.path == path {
        // From the second attempt on it is gone.
        true if asked.before > 0 => status(404),
        true => {
            Response::builder().header("content-length", bytes.len()).body(cut_off(&bytes[..1000])).unwrap()
        }
        false => broken.answer(asked),
    })
    .await;
    let registry = Server::start(move |asked| image.answer(asked)).await;
    let directory = tempfile::tempdir().unwrap();
    let options = mirrored(&registry, &[(&mirror, "", Credentials::Anonymous)]);
    pull_by(&format!("{}/app:1", registry.address), options, directory.path()).await.unwrap();
    assert_eq!(blob(directory.path(), &layer), layer);
    assert_eq!(registry.asked()[0].range, None);
}

#[tokio::test]
async fn a_password_goes_to_the_registry_that_it_is_for_alone() {
    let image = TestImage::new(&[b"one"]);
    let asks = |asked: &Asked| {
        (asked.authorization.as_deref() != Some(BASIC)).then(|| {
            Response::builder().status(401).header("www-authenticate", "Basic").body("".into()).unwrap()
        })
    };
    let mirror = Server::start(move |asked| asks(asked).unwrap_or_else(|| status(500))).await;
    let registry = Server::start(move |asked| asks(asked).unwrap_or_else(|| image.answer(asked))).await;
    let directory = tempfile::tempdir().unwrap();
    let options = mirrored(&registry, &[(&mirror, "", Credentials::Anonymous)]);
    let options = RegistryOptions { credentials: password(), ..options };
    pull_by(&format!("{}/app:1", registry.address), options, directory.path()).await.unwrap();
    assert!(!mirror.asked().is_empty() && mirror.asked().iter().all(|asked| asked.authorization.is_none()));
}

#[tokio::test]
async fn a_mirror_is_held_to_the_digest_and_the_error_is_the_registrys() {
    let image = TestImage::new(&[b"one"]);
    let other = TestImage::new(&[b"two"]).manifest;
    let mirror =
        Server::start(move |_| typed(sandkasten_image::documents::OCI_MANIFEST, other.clone())).await;
    let registry = Server::start(|_| status(404)).await;
    let directory = tempfile::tempdir().unwrap();
    let options = mirrored(&registry, &[(&mirror, "", Credentials::Anonymous)]);
    let reference = format!("{}/app@{}", registry.address, Digest::of(&image.manifest));
    let error = pull_by(&reference, options, directory.path()).await.unwrap_err();
    assert!(matches!(&error, FetchError::NotFound { url, .. } if url.contains(&registry.address)), "{error}");
}
