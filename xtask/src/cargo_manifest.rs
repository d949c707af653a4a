//! The few lines of a Cargo.toml that rules are about: the package's name and what it depends on.
//!
//! Reads the style this repository is written in, not all of TOML: one key a line, sections in brackets.

/// Which build a dependency is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The program itself, or its build script.
    Normal,
    /// Tests only.
    Dev,
}

/// A dependency of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The package's name, also where it is renamed.
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// What a manifest says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CargoManifest {
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
}

impl CargoManifest {
    /// Reads a manifest.
    pub(crate) fn parse(text: &str) -> Self {
        let mut manifest = Self::default();
        let mut section = String::new();
        for line in text.lines().map(str::trim) {
            if let Some(header) = line.strip_prefix('[') {
                header.trim_end_matches(']').clone_into(&mut section);
                if let Some((kind, Some(name))) = dependency_section(&section) {
                    manifest.dependencies.push(Dependency { name: name.to_owned(), kind });
                }
                continue;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else {
                continue;
            };
            let (key, value) = (key.trim(), value.trim());
            if section == "package" && key == "name" {
                value.trim_matches('"').clone_into(&mut manifest.name);
            }
            match dependency_section(&section) {
                Some((kind, None)) => {
                    let key = key.split('.').next().unwrap_or(key).trim_matches('"');
                    let name = quoted_after(value, "package").unwrap_or(key).to_owned();
                    manifest.dependencies.push(Dependency { name, kind });
                }
                Some((_, Some(_))) if key == "package" => {
                    if let Some(last) = manifest.dependencies.last_mut() {
                        value.trim_matches('"').clone_into(&mut last.name);
                    }
                }
                _ => {}
            }
        }
        manifest
    }
}

/// Tells which dependencies a section lists, and the name where it is about a single one: `dependencies.serde`.
fn dependency_section(section: &str) -> Option<(Kind, Option<&str>)> {
    // `target.'cfg(unix)'.dependencies`
    let section = match section.strip_prefix("target.") {
        Some(rest) => rest.find("dependencies").map(|at| {
            let from = ["dev-", "build-"].iter().find(|word| rest[..at].ends_with(**word));
            &rest[at - from.map_or(0, |word| word.len())..]
        })?,
        None => section,
    };
    let (table, name) = section
        .split_once('.')
        .map_or((section, None), |(table, name)| (table, Some(name.trim_matches('"'))));
    match table {
        "dependencies" | "build-dependencies" => Some((Kind::Normal, name)),
        "dev-dependencies" => Some((Kind::Dev, name)),
        _ => None,
    }
}

/// Finds `key = "value"` in an inline table.
fn quoted_after<'a>(table: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = table.split_once(&format!("{key} = \""))?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::{CargoManifest, Kind};

    #[test]
    fn every_way_to_name_a_dependency_is_read() {
        let manifest = CargoManifest::parse(
            r#"
[package]
name = "sandkasten-daemon"
version.workspace = true

[dependencies]
# axum-extra = "1"
axum.workspace = true
plain = "1"
other = { package = "sandkasten-image", path = "../image" }

[dependencies.long]
version = "1"
package = "really-long"

[target.'cfg(unix)'.dev-dependencies]
"quoted" = "1"

[build-dependencies]
cc = "1"

[dev-dependencies]
tempfile.workspace = true

[lints]
workspace = true
"#,
        );
        assert_eq!(manifest.name, "sandkasten-daemon");
        let found: Vec<(&str, Kind)> =
            manifest.dependencies.iter().map(|found| (found.name.as_str(), found.kind)).collect();
        assert_eq!(
            found,
            [
                ("axum", Kind::Normal),
                ("plain", Kind::Normal),
                ("sandkasten-image", Kind::Normal),
                ("really-long", Kind::Normal),
                ("quoted", Kind::Dev),
                ("cc", Kind::Normal),
                ("tempfile", Kind::Dev),
            ]
        );
    }
}
