//! A registry of one image, which goes on or does not as a test wants it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sandkasten_e2e::LayeredImage;
use serde_json::Value;

/// What is larger is a layer of which only the first byte is sent, where layers stall.
const STALLS: usize = 4096;

/// Serves the layout of an image on a port of loopback, as any repository and tag. Its threads end with the process.
pub(crate) struct LayoutRegistry {
    directory: tempfile::TempDir,
    pub(crate) address: String,
    /// Layers whose answers have begun and do not go on.
    stalled: Arc<AtomicUsize>,
    /// Of those, the ones whose client has gone.
    left: Arc<AtomicUsize>,
}

impl LayoutRegistry {
    /// Serves all of it.
    pub(crate) fn start(image: &LayeredImage) -> Self {
        Self::serve(image, false)
    }

    /// Serves all but large layers, of which it sends the first byte and no more.
    pub(crate) fn stalling(image: &LayeredImage) -> Self {
        Self::serve(image, true)
    }

    fn serve(image: &LayeredImage, stalls: bool) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        image.write_layout(directory.path());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (stalled, left) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let registry = Self { address, stalled: Arc::clone(&stalled), left: Arc::clone(&left), directory };
        let layout = registry.directory.path().to_owned();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (layout, stalled, left) = (layout.clone(), Arc::clone(&stalled), Arc::clone(&left));
                std::thread::spawn(move || {
                    let Ok(mut connection) = connection else { return };
                    if let Some(stall) = answer(&mut connection, &layout, stalls) {
                        stalled.fetch_add(1, Ordering::SeqCst);
                        // Until the client goes.
                        drop(connection.read(&mut [0; 1]));
                        left.fetch_add(stall, Ordering::SeqCst);
                    }
                });
            }
        });
        registry
    }

    /// How many layers have begun and do not go on, and how many of them nobody waits for any more.
    pub(crate) fn stalled(&self) -> (usize, usize) {
        (self.stalled.load(Ordering::SeqCst), self.left.load(Ordering::SeqCst))
    }

    /// The environment by which the command line speaks to it, and to it for images of Docker Hub.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("SANDKASTEN_IMAGES_INSECURE_REGISTRIES", self.address.clone()),
            ("SANDKASTEN_IMAGES_MIRRORS", format!("{{\"docker.io\": [\"{}/hub\"]}}", self.address)),
        ]
    }

    /// The lines of a configuration by which clients may pull from it.
    pub(crate) fn lines(&self) -> String {
        lines(&self.address)
    }
}

pub(crate) fn lines(address: &str) -> String {
    format!("images:\n  pull_registries: [\"{address}\"]\n  insecure_registries: [\"{address}\"]")
}

/// Answers one request; with a number where it has left the answer unfinished.
fn answer(connection: &mut TcpStream, layout: &Path, stalls: bool) -> Option<usize> {
    let mut lines = BufReader::new(connection.try_clone().expect("a connection")).lines();
    let first = lines.next()?.ok()?;
    // The rest of the head.
    lines.by_ref().find(|line| line.as_ref().is_ok_and(String::is_empty) || line.is_err());
    let path = first.split(' ').nth(1).expect("a path").to_owned();
    let found = blob(layout, &path).and_then(|path| fs::read(path).ok());
    let Some(contents) = found else {
        connection.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").ok();
        return None;
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", contents.len());
    connection.write_all(head.as_bytes()).ok();
    if stalls && contents.len() > STALLS {
        connection.write_all(contents.get(..1)?).ok();
        return Some(1);
    }
    connection.write_all(&contents).ok();
    None
}

fn blob(layout: &Path, path: &str) -> Option<PathBuf> {
    let name = path.rsplit('/').next()?;
    let digest = match name.strip_prefix("sha256:") {
        Some(digest) => digest.to_owned(),
        // A tag.
        None => {
            let index = fs::read(layout.join("index.json")).ok()?;
            let index: Value = serde_json::from_slice(&index).ok()?;
            index["manifests"][0]["digest"].as_str()?.strip_prefix("sha256:")?.to_owned()
        }
    };
    Some(layout.join("blobs/sha256").join(digest))
}
