//! Who may depend on whom. A package that is not in the table fails the check: its place has to be decided first.

use super::Finding;
use crate::cargo_manifest::{CargoManifest, Kind};
use crate::tree::TextFile;

/// A package of the workspace and what of the workspace it may use.
struct Place {
    package: &'static str,
    may_use: &'static [&'static str],
}

const fn place(package: &'static str, may_use: &'static [&'static str]) -> Place {
    Place { package, may_use }
}

/// The table of ARCHITECTURE.md, "Who may depend on whom".
const PLACES: &[Place] = &[
    place("sandkasten-api", &[]),
    place("sandkasten-protocol", &[]),
    place("sandkasten-isolation", &[]),
    place("sandkasten-image", &[]),
    place("sandkasten-build", &[]),
    place("sandkasten-archive", &["sandkasten-api", "sandkasten-isolation"]),
    place("sandkasten-runner", &["sandkasten-protocol", "sandkasten-isolation"]),
    place("sandkasten-attacks", &["sandkasten-isolation"]),
    place(
        "sandkasten-security",
        &[
            "sandkasten-api",
            "sandkasten-attacks",
            "sandkasten-client",
            "sandkasten-daemon",
            "sandkasten-isolation",
            "sandkasten-static-program",
        ],
    ),
    place(
        "sandkasten-bench",
        &["sandkasten-api", "sandkasten-client", "sandkasten-daemon", "sandkasten-isolation"],
    ),
    // For build scripts alone.
    place("sandkasten-static-program", &[]),
    place(
        "sandkasten-daemon",
        &[
            "sandkasten-api",
            "sandkasten-archive",
            "sandkasten-client",
            "sandkasten-mcp",
            "sandkasten-protocol",
            "sandkasten-isolation",
            "sandkasten-image",
            // The API pulls images as the command line does.
            "sandkasten-registry",
            "sandkasten-static-program",
        ],
    ),
    place("sandkasten-client", &["sandkasten-api"]),
    // Of isolation the root directory: files of the user's host are reached as those of sandboxes are.
    place("sandkasten-mcp", &["sandkasten-api", "sandkasten-client", "sandkasten-isolation"]),
    place("sandkasten-registry", &["sandkasten-image"]),
    // `image` and `doctor` work on the store and the kernel themselves, without a daemon; `cp` on the user's own files.
    place(
        "sandkasten",
        &[
            "sandkasten-api",
            "sandkasten-archive",
            "sandkasten-bench",
            "sandkasten-build",
            "sandkasten-client",
            "sandkasten-daemon",
            "sandkasten-image",
            "sandkasten-isolation",
            "sandkasten-mcp",
            "sandkasten-registry",
            "sandkasten-security",
        ],
    ),
    place("sandkasten-e2e", &["sandkasten-api", "sandkasten-client"]),
    place("xtask", &["sandkasten-api", "sandkasten-isolation"]),
];

/// Packages from outside that only some of ours may use, with the reason.
const FENCED: &[(&str, &[&str], &str)] = &[
    // The tests of the registry crate have registries of their own.
    ("axum", &["sandkasten-daemon", "sandkasten-registry"], "HTTP is served by the daemon alone"),
    ("rmcp", &["sandkasten-mcp"], "MCP is spoken by one crate"),
    ("sqlx", &["sandkasten-daemon"], "the store is the daemon's"),
    (
        "tokio",
        &[
            "sandkasten-daemon",
            "sandkasten",
            "sandkasten-bench",
            "sandkasten-client",
            "sandkasten-mcp",
            "sandkasten-registry",
            "sandkasten-security",
            "sandkasten-e2e",
        ],
        "what builds sandboxes is synchronous",
    ),
    ("clap", &["sandkasten"], "only the command line parses arguments"),
    ("anyhow", &["xtask"], "errors of the product are types"),
    ("openssl-sys", &[], "there is no C library for TLS in the product"),
];

pub(super) fn check(manifests: &[TextFile]) -> Vec<Finding> {
    manifests
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"))
        .flat_map(|file| check_one(&file.path, &CargoManifest::parse(&file.text)))
        .collect()
}

fn check_one(path: &str, manifest: &CargoManifest) -> Vec<Finding> {
    let Some(place) = PLACES.iter().find(|place| place.package == manifest.name) else {
        let message = format!(
            "the package {:?} has no place in the table of dependencies; decide it in ARCHITECTURE.md and \
             xtask/src/tidy/dependencies.rs",
            manifest.name
        );
        return vec![Finding::error(path, 0, message)];
    };
    let ours = |name: &str| PLACES.iter().any(|place| place.package == name);
    let mut findings = Vec::new();
    for dependency in &manifest.dependencies {
        let name = dependency.name.as_str();
        if ours(name) && !place.may_use.contains(&name) {
            let message = format!("{} may not depend on {name}; see ARCHITECTURE.md", manifest.name);
            findings.push(Finding::error(path, 0, message));
        }
        if let Some((_, users, reason)) = FENCED.iter().find(|(fenced, ..)| *fenced == name)
            && !users.contains(&manifest.name.as_str())
            && dependency.kind == Kind::Normal
        {
            findings.push(Finding::error(path, 0, format!("{} may not use {name}: {reason}", manifest.name)));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tree::TextFile;

    fn findings(name: &str, dependencies: &str) -> Vec<String> {
        let text = format!("[package]\nname = \"{name}\"\n{dependencies}");
        let file = TextFile { path: "crates/x/Cargo.toml".to_owned(), text };
        check(&[file]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_the_table_allows_passes() {
        let text = "[dependencies]\nsandkasten-api.workspace = true\nserde.workspace = true\n";
        assert!(findings("sandkasten-client", text).is_empty());
        assert!(findings("sandkasten-api", "[dev-dependencies]\ntokio = \"1\"\n").is_empty());
    }

    #[test]
    fn a_dependency_against_the_direction_is_an_error() {
        for (name, dependency) in [
            ("sandkasten-api", "sandkasten-daemon"),
            ("sandkasten-isolation", "sandkasten-image"),
            ("sandkasten-runner", "sandkasten-api"),
            ("sandkasten-client", "axum"),
            ("sandkasten-isolation", "tokio"),
        ] {
            let found = findings(name, &format!("[dependencies]\n{dependency}.workspace = true\n"));
            assert_eq!(found.len(), 1, "{name} -> {dependency}: {found:?}");
        }
    }

    #[test]
    fn a_test_is_no_way_around_the_direction() {
        let text = "[dev-dependencies]\nsandkasten-daemon.workspace = true\n";
        assert_eq!(findings("sandkasten-isolation", text).len(), 1);
    }

    #[test]
    fn a_package_without_a_place_is_an_error() {
        assert_eq!(findings("sandkasten-new", "").len(), 1);
    }
}
