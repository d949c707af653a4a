//! Pulls of the same layers at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::response::Response;
use sandkasten_image::{Download, ImageStore};
use tokio::sync::{Notify, Semaphore};

use super::server::{Server, dripping};
use super::{TestImage, options};
use crate::{Destination, FetchError, FetchEvent, OnEvent, Registry};

async fn fetch(registry: &Registry, download: &Download, on_event: OnEvent<'_>) -> Result<(), FetchError> {
    let image = registry.find(on_event).await?;
    registry.fetch(&image, &Destination { download, is_present: &|_| Ok(false) }, on_event).await
}

fn waits(event: &FetchEvent) -> bool {
    matches!(event, FetchEvent::Waiting { .. })
}

#[tokio::test]
async fn a_layer_that_two_pulls_want_is_fetched_once() {
    let image = TestImage::new(&[b"one", b"two"]);
    let (served, gate) = (image.clone(), Arc::new(Semaphore::new(0)));
    let (layers, places) = ([image.layer_path(0), image.layer_path(1)], Arc::clone(&gate));
    let server = Server::start(move |asked| {
        if !layers.contains(&asked.path) {
            return served.answer(asked);
        }
        let (places, bytes) = (Arc::clone(&places), if asked.path == layers[0] { "one" } else { "two" });
        let body = async move {
            places.acquire().await.unwrap().forget();
            Ok::<_, std::io::Error>(bytes)
        };
        Response::new(Body::from_stream(futures_util::stream::once(body)))
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let store = ImageStore::open(directory.path()).unwrap();
    let (one, two) = (store.begin_download().unwrap(), store.begin_download().unwrap());
    let registry =
        Registry::new(&format!("{}/app:1", server.address).parse().unwrap(), options(&[&server])).unwrap();
    // Nothing comes before each layer is waited for by one of the two.
    let waiting = AtomicUsize::new(0);
    let on_event = |event| {
        if waits(&event) && waiting.fetch_add(1, Ordering::SeqCst) == 1 {
            gate.add_permits(2);
        }
    };
    let (one_done, two_done) =
        tokio::join!(fetch(&registry, &one, &on_event), fetch(&registry, &two, &on_event));
    one_done.unwrap();
    two_done.unwrap();
    for (download, index) in [(&one, 0), (&one, 1), (&two, 0), (&two, 1)] {
        let name = image.layer_path(index).rsplit(':').next().unwrap().to_owned();
        let there = std::fs::read(download.path().join("blobs/sha256").join(name)).unwrap();
        assert_eq!(there, image.layers[index]);
    }
    for index in [0, 1] {
        let times = server.asked().iter().filter(|asked| asked.path == image.layer_path(index)).count();
        assert_eq!(times, 1, "{index}");
    }
    drop((one, two));
    assert_eq!(std::fs::read_dir(directory.path().join("layers")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_one_pull_gives_up_the_next_fetches() {
    let image = TestImage::new(&[&[7; 100_000]]);
    let (served, path) = (image.clone(), image.layer_path(0));
    let server = Server::start(move |asked| match asked.path == path && asked.before == 0 {
        true => Response::new(dripping()),
        false => served.answer(asked),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let store = ImageStore::open(directory.path()).unwrap();
    let (one, two) = (store.begin_download().unwrap(), store.begin_download().unwrap());
    let registry =
        Registry::new(&format!("{}/app:1", server.address).parse().unwrap(), options(&[&server])).unwrap();
    let (begun, waited) = (Notify::new(), Notify::new());
    let first = async {
        let on_event = |event| {
            if matches!(event, FetchEvent::Received { .. }) {
                begun.notify_one();
            }
        };
        tokio::select! {
            done = fetch(&registry, &one, &on_event) => panic!("it ended: {done:?}"),
            () = waited.notified() => {}
        }
    };
    let second = async {
        begun.notified().await;
        let on_event = |event| {
            if waits(&event) {
                waited.notify_one();
            }
        };
        fetch(&registry, &two, &on_event).await
    };
    let ((), second) = tokio::join!(first, second);
    second.unwrap();
    assert_eq!(server.asked().iter().filter(|asked| asked.path == image.layer_path(0)).count(), 2);
}
