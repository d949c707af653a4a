//! The directories of a watch as a tree: what is renamed takes all below it along, whatever the paths were.

use std::collections::{HashMap, HashSet};

use super::watch_allowance::WatchPermit;

/// The longest path that is told: a longer one is none that a client or the kernel takes.
pub(super) const LONGEST_PATH: usize = 4_095;

/// A name in a directory that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The watch of that directory.
    pub(super) above: i32,
    pub(super) name: Vec<u8>,
}

/// The path is longer, or goes through more directories, than is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooDeep;

#[derive(Debug)]
struct Watched {
    /// None for the directory that the watch is about.
    place: Option<Place>,
    _permit: WatchPermit,
}

/// Directories by the numbers of their watches.
#[derive(Debug, Default)]
pub(super) struct WatchedDirectories(HashMap<i32, Watched>);

impl WatchedDirectories {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn contains(&self, watch: i32) -> bool {
        self.0.contains_key(&watch)
    }

    pub(super) fn insert(&mut self, watch: i32, place: Option<Place>, permit: WatchPermit) {
        self.0.insert(watch, Watched { place, _permit: permit });
    }

    pub(super) fn remove(&mut self, watch: i32) {
        self.0.remove(&watch);
    }

    /// Gives a directory that is watched already the name that it has now, and says whether it is one.
    pub(super) fn put(&mut self, watch: i32, place: &Place) -> bool {
        let Some(known) = self.0.get_mut(&watch) else { return false };
        if known.place.is_some() {
            known.place = Some(place.clone());
        }
        true
    }

    /// Gives the directory of one name another.
    pub(super) fn rename(&mut self, from: &Place, to: &Place) {
        if let Some(moved) = self.0.values_mut().find(|watched| watched.place.as_ref() == Some(from)) {
            moved.place = Some(to.clone());
        }
    }

    /// Takes out the directory of this name and all below it, and returns their watches.
    pub(super) fn take_tree(&mut self, place: &Place) -> Vec<i32> {
        let top = self.0.iter().find(|(_, watched)| watched.place.as_ref() == Some(place));
        let mut leaving: HashSet<i32> = top.map(|(watch, _)| *watch).into_iter().collect();
        let mut taken = Vec::new();
        while !leaving.is_empty() {
            for watch in &leaving {
                self.0.remove(watch);
            }
            taken.extend(&leaving);
            let is_below = |watched: &Watched| {
                watched.place.as_ref().is_some_and(|place| leaving.contains(&place.above))
            };
            leaving =
                self.0.iter().filter(|(_, watched)| is_below(watched)).map(|(watch, _)| *watch).collect();
        }
        taken
    }

    /// Returns the path of a name; none where it has left the tree. Bounded: a tree may be moved below another, and names
    /// are what they were when they were last looked at, which need not make a tree.
    pub(super) fn path_of(&self, place: &Place, levels: usize) -> Result<Option<Vec<u8>>, TooDeep> {
        let mut path = place.name.clone();
        let mut above = place.above;
        for _ in 0..=levels {
            match self.0.get(&above) {
                None => return Ok(None),
                Some(Watched { place: None, .. }) => return Ok(Some(path)),
                Some(Watched { place: Some(place), .. }) => {
                    path = join(&place.name, &path);
                    above = place.above;
                }
            }
            if path.len() > LONGEST_PATH {
                break;
            }
        }
        Err(TooDeep)
    }
}

/// The path of a name in a directory; the watch's own has an empty one.
pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_owned() } else { [directory, b"/", name].concat() }
}

#[cfg(test)]
mod tests {
    use super::{Place, TooDeep, WatchedDirectories};
    use crate::host::root_directory::WatchAllowance;

    fn place(above: i32, name: &str) -> Place {
        Place { above, name: name.into() }
    }

    #[test]
    fn what_is_below_a_renamed_directory_follows_it_and_leaves_with_it() {
        let allowance = WatchAllowance::new(10);
        let mut directories = WatchedDirectories::default();
        for (watch, at) in
            [(1, None), (2, Some(place(1, "a"))), (3, Some(place(2, "b"))), (4, Some(place(1, "x")))]
        {
            directories.insert(watch, at, allowance.take().expect("a permit"));
        }
        assert_eq!(directories.path_of(&place(3, "f"), 9), Ok(Some(b"a/b/f".to_vec())));
        directories.rename(&place(1, "a"), &place(4, "y"));
        assert_eq!(directories.path_of(&place(3, "f"), 9), Ok(Some(b"x/y/b/f".to_vec())));
        assert_eq!(directories.path_of(&place(3, "f"), 1), Err(TooDeep));
        // Names that make a circle end somewhere.
        assert!(directories.put(4, &place(3, "circle")));
        assert_eq!(directories.path_of(&place(3, "f"), 9), Err(TooDeep));
        assert!(directories.put(4, &place(1, "x")) && directories.put(1, &place(3, "never")));
        let mut taken = directories.take_tree(&place(1, "x"));
        taken.sort_unstable();
        assert_eq!((taken, directories.len(), allowance.used()), (vec![2, 3, 4], 1, 1));
        assert_eq!(directories.path_of(&place(3, "f"), 9), Ok(None));
    }
}
