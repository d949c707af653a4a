//! The feature that lets tests turn controls of a sandbox off is in no program: only tests may ask for it.

use super::Finding;
use crate::tree::TextFile;

const FEATURE: &str = "weaken";

pub(super) fn check(manifests: &[TextFile]) -> Vec<Finding> {
    manifests.iter().flat_map(|file| check_one(&file.path, &file.text)).collect()
}

/// Looks at every line that names the feature: in `[features]` it may pass itself on, under its own name; apart from that
/// it may stand among the dependencies of tests.
fn check_one(path: &str, text: &str) -> Vec<Finding> {
    let mut section = String::new();
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if let Some(header) = line.strip_prefix('[') {
            header.trim_end_matches(']').clone_into(&mut section);
        }
        let asked_for = !line.starts_with('#') && line.contains(FEATURE);
        let allowed = match section.as_str() {
            "features" => line.starts_with(FEATURE),
            section => section.starts_with("dev-dependencies"),
        };
        if asked_for && !allowed {
            let message =
                format!("the feature {FEATURE} is for tests alone; see crates/isolation/src/controls.rs");
            findings.push(Finding::error(path, number, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::check_one;

    #[test]
    fn tests_may_ask_for_it_and_features_may_pass_it_on() {
        let text = "[features]\n# weaken is for tests\nweaken = [\"isolation/weaken\"]\n\n\
                    [dev-dependencies]\ndaemon = { workspace = true, features = [\"weaken\"] }\n";
        assert!(check_one("x/Cargo.toml", text).is_empty());
    }

    #[test]
    fn programs_may_not_ask_for_it() {
        for text in [
            "[dependencies]\ndaemon = { workspace = true, features = [\"weaken\"] }\n",
            "[build-dependencies.daemon]\nfeatures = [\"weaken\"]\n",
            "[features]\ndefault = [\"weaken\"]\n",
            "[workspace.dependencies]\ndaemon = { path = \"d\", features = [\"weaken\"] }\n",
        ] {
            assert_eq!(check_one("x/Cargo.toml", text).len(), 1, "{text}");
        }
    }
}
