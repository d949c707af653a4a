//! Images whose shell has taken commands in this daemon's time.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use sandkasten_image::Image;

/// Remembers images by name and digest: the name stands for what is configured, which does not change while the daemon runs, the digest
/// for what is on the disk, which is never written to. So another sandbox of the same has the same shell, and nobody has to wait
/// for it to know that the image can be used.
#[derive(Debug, Default)]
pub(super) struct ProvenShells {
    images: Mutex<HashSet<(String, String)>>,
}

impl ProvenShells {
    pub(super) fn contain(&self, image: &Image) -> bool {
        self.images.lock().unwrap_or_else(PoisonError::into_inner).contains(&key(image))
    }

    pub(super) fn add(&self, image: &Image) {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        // One entry a name: that of an image which was replaced is of no use any more.
        images.retain(|(name, _)| name != image.name.as_str());
        images.insert(key(image));
    }
}

fn key(image: &Image) -> (String, String) {
    (image.name.as_str().to_owned(), image.digest.clone())
}
