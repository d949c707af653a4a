//! The images that stages begin with and files are copied from: found here, or pulled.

use clap::ValueEnum;
use sandkasten_image::{BuildError, BuiltConfig, ImageName, ResolveImageError, StageLayers};
use sandkasten_registry::Reference;
use tokio::runtime::Handle;

use super::super::pull::{Pull, known_credentials};
use super::failure::Reason;
use super::stage::Build;

/// Which images are pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum WhenToPull {
    /// All that were pulled before, and those that are not here.
    Always,
    /// Those that are not here.
    Missing,
    /// None.
    Never,
}

impl<'a> Build<'a> {
    /// Makes sure that an image is here and stays for as long as the build goes on.
    pub(super) fn hold_image(&mut self, name: &str) -> Result<(), Reason> {
        if !self.images.contains_key(name) {
            let opened = self.open_image(name)?;
            self.images.insert(name.to_owned(), opened);
        }
        Ok(())
    }

    fn open_image(&self, text: &str) -> Result<(StageLayers<'a>, BuiltConfig), Reason> {
        let reference = text.parse::<Reference>();
        let name = match self.find(text, reference.as_ref().ok())? {
            Some(Found { name, origin: Some(origin) }) if self.pull == WhenToPull::Always => {
                let origin: Reference = origin.parse().map_err(Reason::Reference)?;
                self.pull_base(text, &origin, name)?
            }
            Some(Found { name, .. }) => name,
            None => {
                let reference = reference.map_err(Reason::Reference)?;
                if self.pull == WhenToPull::Never {
                    return Err(Reason::NoImage { name: text.to_owned() });
                }
                let name = self.free_name(&reference)?;
                self.pull_base(text, &reference, name)?
            }
        };
        Ok(self.store.stage_of_image(&name)?)
    }

    /// Finds an image by its name here, or else by what it was pulled by.
    fn find(&self, text: &str, reference: Option<&Reference>) -> Result<Option<Found>, Reason> {
        for candidate in candidates(text) {
            let Ok(name) = candidate.parse::<ImageName>() else { continue };
            if name.is_reserved() {
                return Err(BuildError::BuiltIn { name }.into());
            }
            match self.store.resolve(&name) {
                Err(ResolveImageError::NotPresent { .. }) => {}
                found => return Ok(Some(Found { origin: found?.origin, name })),
            }
        }
        let Some(reference) = reference else { return Ok(None) };
        let found = self.store.pulled_by(&reference.to_string())?;
        Ok(found.map(|image| Found { name: image.name, origin: image.origin }))
    }

    /// What an image is called here that a Dockerfile names: as little of the reference as no other image here is called.
    fn free_name(&self, reference: &Reference) -> Result<ImageName, Reason> {
        for candidate in names_of(reference) {
            let Ok(name) = candidate.parse::<ImageName>() else { continue };
            if !name.is_reserved()
                && matches!(self.store.resolve(&name), Err(ResolveImageError::NotPresent { .. }))
            {
                return Ok(name);
            }
        }
        Err(Reason::NoFreeName { reference: reference.to_string() })
    }

    fn pull_base(&self, text: &str, reference: &Reference, name: ImageName) -> Result<ImageName, Reason> {
        self.say(&format!("{text} is pulled as image {name}"));
        let runtime = Handle::current();
        let failed = |error| Reason::NotPulled { name: text.to_owned(), error: Box::new(error) };
        let credentials = known_credentials(&runtime, reference).map_err(failed)?;
        let pull = Pull {
            reference,
            name: &name,
            credentials,
            images: &self.config.images,
            stop: Some(self.stop),
            quiet: self.quiet,
        };
        let pulled = pull.carry_out(self.store, &runtime);
        if self.stop.interrupt().is_some() {
            return Err(Reason::Interrupted);
        }
        pulled.map_err(failed)?;
        Ok(name)
    }
}

/// An image that is here.
struct Found {
    name: ImageName,
    /// By what it was pulled.
    origin: Option<String>,
}

/// The names under which an image may be here: with and without the tag that everybody implies, and without the registry that
/// everybody implies.
fn candidates(name: &str) -> Vec<String> {
    let mut candidates = vec![name.to_owned()];
    let short = ["docker.io/library/", "docker.io/", "library/"];
    candidates.extend(short.iter().find_map(|prefix| name.strip_prefix(prefix)).map(str::to_owned));
    for name in candidates.clone() {
        match name.strip_suffix(":latest") {
            Some(bare) => candidates.push(bare.to_owned()),
            None if !name.contains(':') => candidates.push(format!("{name}:latest")),
            None => {}
        }
    }
    candidates
}

/// What an image may be called here, the shortest first: `app:1`, `team-app:1`, `registry.example-team-app:1`.
fn names_of(reference: &Reference) -> [String; 3] {
    let short = reference.short_name();
    let tag = short.split_once(':').map(|(_, tag)| format!(":{tag}")).unwrap_or_default();
    let path = reference.path().replace('/', "-");
    let registry = reference.registry().replace([':', '[', ']'], "-");
    [short, format!("{path}{tag}"), format!("{}-{path}{tag}", registry.trim_matches('-'))]
}

#[cfg(test)]
mod tests {
    use super::names_of;

    #[test]
    fn images_of_dockerfiles_have_short_names_here_and_longer_ones_where_those_are_taken() {
        for (reference, names) in [
            ("python:3", ["python:3", "library-python:3", "docker.io-library-python:3"]),
            ("r.example:5000/team/app", ["app", "team-app", "r.example-5000-team-app"]),
            ("[::1]:5000/app:1", ["app:1", "app:1", "1--5000-app:1"]),
        ] {
            assert_eq!(names_of(&reference.parse().expect(reference)), names);
        }
    }
}
