//! The data directory: whether it is or can be there, and who else can reach it.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::Feature;
use super::check::{Check, Finding, Need};

const EXISTENCE: Check = Check {
    name: "data directory",
    need: Need::Required,
    why: "keeping images, sessions and workspaces",
    advice: "let data_dir name a directory that root can make and write to",
};

const OWNER: Check = Check {
    name: "data directory owner",
    need: Need::Required,
    why: "keeping other users of the host from changing images and sessions",
    advice: "chown data_dir to root:root, and chmod it to 0700",
};

const PRIVACY: Check = Check {
    name: "data directory privacy",
    need: Need::Optional,
    why: "keeping other users of the host from reading images and sessions",
    advice: "chmod data_dir to 0700",
};

/// Where the data directory is, or will be.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The directory as it was asked for, absolute.
    wanted: PathBuf,
    /// The nearest directory of its path that exists, with all links resolved.
    pub(super) existing: PathBuf,
    /// The data directory itself; none where it has yet to be made.
    metadata: Option<Metadata>,
}

impl Place {
    /// Finds the nearest existing directory. Blocking.
    ///
    /// # Errors
    /// The reason why there is none.
    pub(super) fn find(data_dir: &Path) -> Result<Self, String> {
        let wanted =
            std::path::absolute(data_dir).map_err(|error| format!("{}: {error}", data_dir.display()))?;
        for ancestor in wanted.ancestors() {
            let failed = |error: io::Error| format!("{}: {error}", ancestor.display());
            // A link that leads nowhere exists all the same, and no directory can be made in its place.
            match fs::symlink_metadata(ancestor) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                result => result.map_err(failed)?,
            };
            let existing = fs::canonicalize(ancestor).map_err(failed)?;
            let metadata = fs::metadata(&existing).map_err(failed)?;
            if !metadata.is_dir() {
                return Err(format!("{} is no directory", ancestor.display()));
            }
            let metadata = (ancestor == wanted).then_some(metadata);
            return Ok(Self { wanted, existing, metadata });
        }
        Err(format!("{}: no part of it exists", wanted.display()))
    }
}

pub(super) fn features(place: &Result<Place, String>) -> Vec<Feature> {
    let untried = || Err("not tried: there is no such directory".to_owned());
    let mode = |judge: fn(u32, u32) -> Finding| match place {
        Err(_) => untried(),
        Ok(Place { metadata: None, .. }) => Ok("it will be made with mode 0700".into()),
        Ok(Place { metadata: Some(metadata), .. }) => judge(metadata.uid(), metadata.mode() & 0o7777),
    };
    vec![
        EXISTENCE.found(place.as_ref().map_err(Clone::clone).and_then(try_to_write)),
        OWNER.found(mode(judge_owner)),
        PRIVACY.found(mode(judge_privacy)),
    ]
}

fn try_to_write(place: &Place) -> Finding {
    let (wanted, existing) = (place.wanted.display(), place.existing.display());
    rustix::fs::access(&place.existing, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| format!("{existing} cannot be written to: {error}"))?;
    Ok(match place.metadata {
        Some(_) => format!("{wanted}"),
        None => format!("{wanted} can be made below {existing}"),
    })
}

fn judge_owner(uid: u32, mode: u32) -> Finding {
    match (uid, mode & 0o022) {
        (0, 0) => Ok(format!("root's, mode {mode:04o}")),
        (0, _) => Err(format!("others than root can write to it: mode {mode:04o}")),
        (uid, _) => Err(format!("it belongs to user {uid}")),
    }
}

fn judge_privacy(_: u32, mode: u32) -> Finding {
    if mode & 0o007 == 0 {
        Ok(format!("closed to others, mode {mode:04o}"))
    } else {
        Err(format!("open to every user of the host, mode {mode:04o}"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::{Place, judge_owner, judge_privacy};

    #[test]
    fn a_directory_to_be_made_has_an_ancestor() {
        let root = tempfile::tempdir().expect("a directory");
        let place = Place::find(&root.path().join("a/b")).expect("a place");
        assert_eq!(place.existing, fs::canonicalize(root.path()).expect("it exists"));
        assert!(place.metadata.is_none());
        assert!(Place::find(root.path()).is_ok_and(|place| place.metadata.is_some()));
    }

    #[test]
    fn a_file_or_a_dangling_link_in_its_place_is_refused() {
        let root = tempfile::tempdir().expect("a directory");
        let file = root.path().join("file");
        fs::write(&file, "").expect("a file");
        assert!(Place::find(&file).is_err());
        assert!(Place::find(&file.join("below")).is_err());
        let link = root.path().join("link");
        symlink("/nowhere/at/all", &link).expect("a link");
        assert!(Place::find(&link.join("data")).is_err());
    }

    #[test]
    fn only_root_may_own_it_and_write_to_it() {
        assert!(judge_owner(0, 0o700).is_ok());
        assert!(judge_owner(0, 0o755).is_ok());
        assert!(judge_owner(0, 0o770).is_err());
        assert!(judge_owner(1000, 0o700).is_err());
    }

    #[test]
    fn others_may_not_even_enter() {
        assert!(judge_privacy(0, 0o750).is_ok());
        assert!(judge_privacy(0, 0o711).is_err());
    }
}
