//! Looks whether an image is sound, and what a session on it would miss.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::account;
use crate::elf;
use crate::export::ExportError;
use crate::image::Image;
use crate::manifest::Manifest;
use crate::name::ImageName;
use crate::root_view::RootView;
use crate::store::{ImageStore, ResolveImageError, with_causes};

const LARGEST_ACCOUNT_FILE: u64 = 4 << 20;
/// The headers and the interpreter of any usual program are within.
const PROGRAM_START: u64 = 64 * 1024;
const IMPORT_AGAIN: &str = "import the image again if an older version has imported it";
const STICKY: u32 = 0o1000;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// What a validation found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidationReport {
    /// The image.
    pub name: ImageName,
    /// Each thing looked at, in the same order always.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What: `layers`, `permissions`, `digests`, `shell`, `loader`, `python3` or `account`.
    pub name: &'static str,
    /// How it is.
    pub status: CheckStatus,
    /// What was found.
    pub detail: String,
    /// What to do where it is not well.
    pub advice: Option<&'static str>,
}

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckStatus {
    /// As it should be.
    Fine,
    /// Sessions start, but some will miss it.
    Warning,
    /// No session can start, or none safely.
    Failure,
}

/// An image could not be validated.
#[derive(Debug, thiserror::Error)]
pub enum ValidateImageError {
    /// It could not be found.
    #[error("find the image {name}")]
    Resolve {
        /// Its name.
        name: ImageName,
        /// Why.
        source: ResolveImageError,
    },
}

impl ValidationReport {
    /// Returns the worst status of all checks.
    #[must_use]
    pub fn status(&self) -> CheckStatus {
        self.checks.iter().map(|check| check.status).max().unwrap_or(CheckStatus::Fine)
    }
}

impl ImageStore {
    /// Looks whether an image is sound and what a session on it would miss. Blocks for some milliseconds.
    ///
    /// # Errors
    ///
    /// [`ValidateImageError::Resolve`] where there is no such image or its manifest is damaged. A missing layer is a
    /// failed check.
    pub fn validate(&self, name: &ImageName) -> Result<ValidationReport, ValidateImageError> {
        let image = match self.resolve(name) {
            Ok(image) => image,
            Err(ResolveImageError::LayerMissing { layer, .. }) => {
                let detail = format!("the layer {} is missing", layer.display());
                return Ok(ValidationReport { name: name.clone(), checks: vec![lost("layers", detail)] });
            }
            Err(source) => return Err(ValidateImageError::Resolve { name: name.clone(), source }),
        };
        let mut checks = Vec::new();
        match RootView::open(&image.layers, &image.binds) {
            Ok(view) => {
                let parts = image.layers.len() + image.binds.len();
                checks.push(fine("layers", format!("{parts} directories, all present")));
                checks.push(check_permissions(&image));
                checks.push(self.check_digests(&image));
                checks.push(check_shell(&view));
                checks.push(check_loader(&view));
                checks.push(check_python(&view));
                checks.push(check_account(&view));
            }
            Err(error) => checks.push(lost("layers", format!("a layer cannot be opened: {error}"))),
        }
        Ok(ValidationReport { name: name.clone(), checks })
    }
}

impl ImageStore {
    /// Puts the archive of each layer together again and hashes it: any change of a file shows.
    fn check_digests(&self, image: &Image) -> Check {
        if image.name.is_reserved() {
            return fine("digests", "the image came from no archive".to_owned());
        }
        let imported =
            Manifest::read(&self.images, &image.name).map_or_else(|_| Vec::new(), |read| read.imported);
        if imported.is_empty() {
            return missed("digests", "no layer has a record of its archive", IMPORT_AGAIN);
        }
        // An image may have the same layer more than once.
        let layers: BTreeSet<String> = imported.into_iter().collect();
        let mut unchecked = Vec::new();
        for layer in &layers {
            let Some(facts) = self.facts(layer) else {
                unchecked.push(layer);
                continue;
            };
            match self.rebuilt_digest(layer) {
                Err(ExportError::NoRecord { .. }) => unchecked.push(layer),
                Ok(digest) if digest == facts.diff_id => {}
                // What an archive has twice is on the disk once.
                Ok(_) | Err(_) if facts.summary.replaced_entries > 0 => unchecked.push(layer),
                Ok(digest) => {
                    return lost("digests", format!("the layer {layer} has the digest {digest} now"));
                }
                Err(error) => return lost("digests", format!("the layer {layer}: {}", with_causes(&error))),
            }
        }
        match unchecked.as_slice() {
            [] => fine("digests", format!("{} layers are as they came", layers.len())),
            [layer, ..] => {
                let detail = format!("the layer {layer} cannot be compared with its archive");
                missed("digests", &detail, IMPORT_AGAIN)
            }
        }
    }
}

fn check_permissions(image: &Image) -> Check {
    let sources = image.binds.iter().map(|bind| &bind.source);
    for path in image.layers.iter().chain(sources) {
        for directory in path.ancestors() {
            match unsafe_directory(directory) {
                Ok(None) => {}
                Ok(Some(detail)) => {
                    let advice = "give the directory to root and take write permission from group and others";
                    return Check {
                        name: "permissions",
                        status: CheckStatus::Failure,
                        detail,
                        advice: Some(advice),
                    };
                }
                Err(error) => return lost("permissions", format!("{}: {error}", directory.display())),
            }
        }
    }
    fine("permissions", "only root can change the layers".to_owned())
}

/// Says how somebody else than root could change what is in a directory.
fn unsafe_directory(path: &Path) -> io::Result<Option<String>> {
    let found = fs::symlink_metadata(path)?;
    let shown = path.display();
    Ok(if !found.is_dir() {
        Some(format!("{shown} is no directory"))
    } else if found.uid() != 0 {
        Some(format!("{shown} belongs to user {}", found.uid()))
    } else if found.mode() & WRITABLE_BY_OTHERS != 0 && found.mode() & STICKY == 0 {
        Some(format!("{shown} can be written to by others (mode {:o})", found.mode() & 0o7777))
    } else {
        None
    })
}

fn check_shell(view: &RootView) -> Check {
    let has = |path| view.find(path).is_ok_and(|found| found.is_program());
    match (has("bin/bash"), has("bin/sh")) {
        (true, true) => fine("shell", "/bin/bash and /bin/sh".to_owned()),
        (true, false) => {
            missed("shell", "/bin/bash but no /bin/sh", "link /bin/sh to a shell: many programs call it")
        }
        (false, true) => {
            missed("shell", "/bin/sh but no /bin/bash", "install bash for shells that keep their state best")
        }
        (false, false) => missed(
            "shell",
            "neither /bin/bash nor /bin/sh",
            "install a shell: without one, sessions run programs by argv, and no commands",
        ),
    }
}

/// Looks whether the kernel could start the image's shell.
fn check_loader(view: &RootView) -> Check {
    let failure = |detail: String, advice| Check {
        name: "loader",
        status: CheckStatus::Failure,
        detail,
        advice: Some(advice),
    };
    let shell =
        ["bin/sh", "bin/bash"].into_iter().find_map(|path| Some((path, view.find(path).ok()?.open().ok()?)));
    let Some((path, file)) = shell else {
        return missed("loader", "there is no shell to look at", "install a shell");
    };
    let mut start = Vec::new();
    if let Err(error) = file.take(PROGRAM_START).read_to_end(&mut start) {
        return failure(format!("/{path} cannot be read: {error}"), "import the image again");
    }
    let Some(program) = elf::parse(&start) else {
        return failure(format!("/{path} is no program"), "install a shell");
    };
    if elf::host_machine().is_some_and(|machine| machine != program.machine) {
        let detail = format!("/{path} is a program for another machine (ELF machine {})", program.machine);
        return failure(detail, "import an image for this machine");
    }
    let Some(interpreter) = program.interpreter else {
        return fine("loader", format!("/{path} is static and needs none"));
    };
    let interpreter = String::from_utf8_lossy(&interpreter).into_owned();
    if view.find(&interpreter).is_ok_and(|found| found.is_program()) {
        fine("loader", interpreter)
    } else {
        failure(
            format!("/{path} needs {interpreter:?}, which is not there"),
            "install the C library of the image",
        )
    }
}

fn check_python(view: &RootView) -> Check {
    let places = ["usr/bin/python3", "usr/local/bin/python3", "bin/python3"];
    match places.into_iter().find(|path| view.find(path).is_ok_and(|found| found.is_program())) {
        Some(path) => fine("python3", format!("/{path}")),
        None => missed(
            "python3",
            "no python3 in /usr/bin or /usr/local/bin",
            "install python3 if agents are to use it",
        ),
    }
}

fn check_account(view: &RootView) -> Check {
    match view.read("etc/passwd", LARGEST_ACCOUNT_FILE) {
        Ok(contents) if account::has_session_id(&contents) => {
            fine("account", "user 1000 is in /etc/passwd".to_owned())
        }
        _ => missed(
            "account",
            "user 1000 is not in /etc/passwd",
            "import the image again to have the user added",
        ),
    }
}

fn fine(name: &'static str, detail: String) -> Check {
    Check { name, status: CheckStatus::Fine, detail, advice: None }
}

fn missed(name: &'static str, detail: &str, advice: &'static str) -> Check {
    Check { name, status: CheckStatus::Warning, detail: detail.to_owned(), advice: Some(advice) }
}

fn lost(name: &'static str, detail: String) -> Check {
    Check { name, status: CheckStatus::Failure, detail, advice: Some("remove the image and import it again") }
}
