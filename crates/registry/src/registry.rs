//! A registry, as far as one repository of it goes, with the mirrors that are asked before it.

use sandkasten_image::UnpackLimits;

use crate::error::FetchError;
use crate::fetch::{FetchEvent, OnEvent};
use crate::options::RegistryOptions;
use crate::reference::Reference;
use crate::remote_image::RemoteImage;
use crate::repository::Repository;

/// The way to the images of one repository: by the mirrors of its registry first, in their order, and then by the registry itself.
/// Asynchronous throughout, but for writing what is fetched.
#[derive(Debug)]
pub struct Registry {
    places: Vec<Place>,
    limits: UnpackLimits,
}

/// Where the images are, and what they are called there.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) reference: Reference,
    pub(crate) repository: Repository,
}

impl Registry {
    /// Prepares to ask for a reference. Nothing is sent yet. Blocks, since the certificates of the machine are read.
    ///
    /// # Errors
    ///
    /// [`FetchError::Setup`] where there can be no client for HTTP.
    pub fn new(reference: &Reference, options: RegistryOptions) -> Result<Self, FetchError> {
        let mut places = Vec::with_capacity(options.mirrors.len() + 1);
        for mirror in &options.mirrors {
            let there = mirror.mirror.reference(reference);
            // What is meant for the registry is no mirror's.
            let credentials = mirror.credentials.clone();
            let options = RegistryOptions { credentials, mirrors: Vec::new(), ..options.clone() };
            places.push(Place { repository: Repository::new(&there, options)?, reference: there });
        }
        let limits = options.limits.clone();
        let repository = Repository::new(reference, options)?;
        places.push(Place { reference: reference.clone(), repository });
        Ok(Self { places, limits })
    }

    /// Asks what the image is. Of one for several machines takes the one for this machine. What a mirror does not have, or does not
    /// give, is asked of the next; of that is told in [`FetchEvent::Skipped`].
    ///
    /// # Errors
    ///
    /// [`FetchError`] has a variant for each step; it is that of the registry itself.
    pub async fn find(&self, on_event: OnEvent<'_>) -> Result<RemoteImage, FetchError> {
        for (index, place) in self.places_from(0) {
            match place.repository.find(&place.reference).await {
                Ok(mut image) => {
                    image.place = index;
                    return Ok(image);
                }
                Err(error) => self.skip(index, error, on_event)?,
            }
        }
        Err(FetchError::NoPlace)
    }

    /// The registry itself, by which its layers are told from those of others.
    pub(crate) fn name(&self) -> &str {
        self.places.last().map_or("", |place| place.reference.registry())
    }

    pub(crate) const fn limits(&self) -> &UnpackLimits {
        &self.limits
    }

    /// The places to ask one after the other, beginning with one of them.
    pub(crate) fn places_from(&self, from: usize) -> impl Iterator<Item = (usize, &Place)> {
        self.places.iter().enumerate().skip(from)
    }

    /// Says that the next place is asked. Gives the error back where there is none, or where that would not help.
    pub(crate) fn skip(
        &self,
        index: usize,
        error: FetchError,
        on_event: OnEvent<'_>,
    ) -> Result<(), FetchError> {
        let (Some(place), Some(next)) = (self.places.get(index), self.places.get(index + 1)) else {
            return Err(error);
        };
        if error.is_ours() {
            return Err(error);
        }
        on_event(FetchEvent::Skipped {
            registry: place.reference.registry().to_owned(),
            next: next.reference.registry().to_owned(),
            why: error.with_root_cause(),
        });
        Ok(())
    }
}
