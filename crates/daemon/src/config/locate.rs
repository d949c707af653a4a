//! Where a configuration file is looked for.

use std::path::{Path, PathBuf};

/// The files that are tried in this order where none is named.
pub const SEARCHED_FILES: [&str; 2] = ["./sandkasten.yaml", "/etc/sandkasten/sandkasten.yaml"];

/// Finds the configuration file: the one that was named, whether or not it is there, else the first of
/// [`SEARCHED_FILES`] that is. `None` means that the defaults hold.
#[must_use]
pub fn locate_config_file(named: Option<&Path>) -> Option<PathBuf> {
    // A path that exists but cannot be looked at is found, so that loading it says why.
    let exists = |path: &PathBuf| path.try_exists().unwrap_or(true);
    named.map(Path::to_owned).or_else(|| SEARCHED_FILES.iter().map(PathBuf::from).find(exists))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::locate_config_file;

    #[test]
    fn a_named_file_is_taken_even_if_it_is_missing() {
        let named = Path::new("/nowhere/sandkasten.yaml");
        assert_eq!(locate_config_file(Some(named)), Some(PathBuf::from(named)));
    }
}
