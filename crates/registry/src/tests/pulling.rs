//! What an honest registry gives, on good days and on bad ones.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use sandkasten_image::documents::{OCI_INDEX, OCI_MANIFEST};
use sandkasten_image::{Digest, ImageStore};

use super::server::{Server, cut_off};
use super::{TestImage, blob, index, options, pull, redirect, status, this_machine, typed};
use crate::{Destination, FetchError, FetchEvent, Reference, Registry};

#[tokio::test]
async fn an_image_arrives_as_a_layout_with_each_layer_once() {
    let image = TestImage::new(&[b"one", b"two", b"one", b"three", b"four"]);
    let served = image.clone();
    let server = Server::start(move |asked| served.answer(asked)).await;
    let directory = tempfile::tempdir().unwrap();
    let events = pull(&server, options(&[&server]), directory.path()).await.unwrap();
    for layer in &image.layers {
        assert_eq!(&blob(directory.path(), layer), layer);
    }
    assert_eq!(blob(directory.path(), &image.config), image.config);
    assert_eq!(blob(directory.path(), &image.manifest), image.manifest);
    let finished = events.iter().filter(|event| matches!(event, FetchEvent::Finished { .. })).count();
    assert_eq!((finished, server.asked().len()), (4, 6));
}

#[tokio::test]
async fn layers_that_are_present_are_not_asked_for() {
    let image = TestImage::new(&[b"one", b"two"]);
    let served = image.clone();
    let server = Server::start(move |asked| served.answer(asked)).await;
    let directory = tempfile::tempdir().unwrap();
    let reference: Reference = format!("{}/app:1", server.address).parse().unwrap();
    let registry = Registry::new(&reference, options(&[&server])).unwrap();
    let found = registry.find(&|_| {}).await.unwrap();
    assert_eq!(found.diff_ids(), [Digest::of(b"one"), Digest::of(b"two")]);
    let download = ImageStore::open(directory.path()).unwrap().begin_download().unwrap();
    let to = Destination { download: &download, is_present: &|index| Ok(index == 0) };
    registry.fetch(&found, &to, &|_| {}).await.unwrap();
    let asked: Vec<String> = server.asked().into_iter().map(|asked| asked.path).collect();
    assert!(!asked.contains(&image.layer_path(0)) && asked.contains(&image.layer_path(1)), "{asked:?}");
}

#[tokio::test]
async fn of_an_index_the_image_for_this_machine_is_taken() {
    let image = TestImage::new(&[b"one"]);
    let (os, architecture) = this_machine();
    let list = index(&[("plan9", "mips"), (&os, &architecture)], &image.manifest);
    let server = Server::start(move |asked| match asked.path.as_str() {
        "/v2/app/manifests/1" => typed(OCI_INDEX, list.clone()),
        _ => image.answer(asked),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    pull(&server, options(&[&server]), directory.path()).await.unwrap();
}

#[tokio::test]
async fn an_index_without_this_machine_says_what_there_is() {
    let image = TestImage::new(&[b"one"]);
    let list = index(&[("plan9", "mips"), ("linux", "z80\u{1b}[2J")], &image.manifest);
    let server = Server::start(move |_| typed(OCI_INDEX, list.clone())).await;
    let error = super::find(&server, options(&[&server])).await.unwrap_err();
    assert!(matches!(error, FetchError::Platform { .. }), "{error}");
    assert!(error.to_string().contains(r"plan9/mips, linux/z80\u{1b}[2J"), "{error}");
}

#[tokio::test]
async fn a_layer_that_breaks_off_goes_on_where_it_was() {
    let layer: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let image = TestImage::new(&[&layer]);
    let (path, bytes) = (image.layer_path(0), layer.clone());
    let server = Server::start(move |asked| {
        if asked.path != path {
            return image.answer(asked);
        }
        let from: usize = asked.range.as_deref().map_or(0, |range| {
            range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap()
        });
        let rest = &bytes[from..];
        let body = if asked.before < 2 { cut_off(&rest[..200_000]) } else { Body::from(rest.to_vec()) };
        let response = Response::builder().header("content-length", rest.len());
        let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
        let response = if from > 0 { response.status(206).header("content-range", range) } else { response };
        response.body(body).unwrap()
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let events = pull(&server, options(&[&server]), directory.path()).await.unwrap();
    assert_eq!(blob(directory.path(), &layer), layer);
    let whys: Vec<&String> = events
        .iter()
        .filter_map(|event| match event {
            FetchEvent::Retrying { why, .. } => Some(why),
            _ => None,
        })
        .collect();
    assert_eq!(whys.len(), 2);
    // They say more than what was asked.
    assert!(!whys.iter().any(|why| why.ends_with(&Digest::of(&layer).to_string())), "{whys:?}");
    let ranges: Vec<Option<String>> = server.asked().into_iter().skip(2).map(|asked| asked.range).collect();
    assert_eq!(ranges[0], None);
    assert!(ranges[1..].iter().all(Option::is_some), "{ranges:?}");
}

#[tokio::test]
async fn a_registry_that_knows_no_ranges_sends_it_again_from_the_beginning() {
    let layer = vec![7; 300_000];
    let image = TestImage::new(&[&layer]);
    let (path, bytes) = (image.layer_path(0), layer.clone());
    let server = Server::start(move |asked| {
        if asked.path != path || asked.before > 0 {
            return image.answer(asked);
        }
        Response::builder().header("content-length", bytes.len()).body(cut_off(&bytes[..100_000])).unwrap()
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    pull(&server, options(&[&server]), directory.path()).await.unwrap();
    assert_eq!(blob(directory.path(), &layer), layer);
}

#[tokio::test]
async fn a_busy_registry_is_asked_again_and_then_no_more() {
    let image = TestImage::new(&[b"one"]);
    let layer = image.layer_path(0);
    let server = Server::start(move |asked| match asked.before {
        0 => Response::builder().status(429).header("retry-after", "0").body(Body::empty()).unwrap(),
        1 if asked.path == layer => status(503),
        _ => image.answer(asked),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    pull(&server, options(&[&server]), directory.path()).await.unwrap();

    let server = Server::start(|_| status(503)).await;
    let error = super::find(&server, options(&[&server])).await.unwrap_err();
    assert!(matches!(&error, FetchError::Status { status, .. } if status.as_u16() == 503), "{error}");
    assert_eq!(server.asked().len(), 5);
}

#[tokio::test]
async fn who_cannot_be_reached_is_asked_again_only_after_somebody_has_answered() {
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let mut patient = options(&[]);
    patient.patience.pause = Duration::from_secs(3600);
    let reference: Reference = format!("{nobody}/app:1").parse().unwrap();
    let registry = Registry::new(&reference, patient).unwrap();
    let found = tokio::time::timeout(Duration::from_secs(60), registry.find(&|_| {})).await;
    let error = found.expect("it is not tried again").unwrap_err();
    assert!(matches!(error, FetchError::Request { .. }), "{error}");

    let image = TestImage::new(&[b"one"]);
    let (layer, to) = (image.layer_path(0), format!("https://{nobody}/"));
    let path = layer.clone();
    let server = Server::start(move |asked| match asked.path == path {
        true => redirect(&to),
        false => image.answer(asked),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let error = pull(&server, options(&[&server]), directory.path()).await.unwrap_err();
    assert!(matches!(error, FetchError::Request { .. }), "{error}");
    assert_eq!(server.asked().iter().filter(|asked| asked.path == layer).count(), 5);
}

#[tokio::test]
async fn what_is_not_there_is_asked_for_once_and_the_registry_says_why() {
    let body = r#"{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "no \u001b[31m such tag"}]}"#;
    let server =
        Server::start(move |_| Response::builder().status(404).body(Body::from(body)).unwrap()).await;
    let error = super::find(&server, options(&[&server])).await.unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("MANIFEST_UNKNOWN") && !text.contains('\u{1b}'), "{text}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_digest_is_asked_for_by_itself_and_is_checked() {
    let image = TestImage::new(&[b"one"]);
    let digest = Digest::of(&image.manifest);
    let other = TestImage::new(&[b"two"]);
    for (served, works) in [(image.manifest.clone(), true), (other.manifest, false)] {
        let honest = image.clone();
        let server = Server::start(move |asked| match asked.path.contains("manifests") {
            true => typed(OCI_MANIFEST, served.clone()),
            false => honest.answer(asked),
        })
        .await;
        let reference: Reference = format!("{}/app:other@{digest}", server.address).parse().unwrap();
        let found = Registry::new(&reference, options(&[&server])).unwrap().find(&|_| {}).await;
        assert_eq!(server.asked()[0].path, format!("/v2/app/manifests/{digest}"));
        match found {
            Ok(found) => assert!(works && found.digest() == digest),
            Err(error) => assert!(!works && matches!(error, FetchError::Digest { .. }), "{error}"),
        }
    }
}
