//! Words of the code that may only stand in certain folders: `unsafe`, the HTTP library, SQL, and the layers of the
//! daemon.

use super::Finding;
use crate::rust_source::{code_only, lines_with_word};
use crate::tree::TextFile;

/// A word and the only folders it may be in.
struct Fence {
    word: &'static str,
    /// Where the rule holds.
    within: &'static str,
    /// Where the word may be.
    allowed: &'static [&'static str],
    reason: &'static str,
}

const FENCES: &[Fence] = &[
    Fence {
        word: "unsafe",
        within: "",
        allowed: &["crates/isolation/src/sys/"],
        reason: "raw system calls live in isolation::sys and nowhere else",
    },
    Fence {
        word: "axum",
        within: "",
        // Those tests have registries of a few lines.
        allowed: &["crates/daemon/src/http/", "crates/registry/src/tests/"],
        reason: "only the daemon's http folder knows how HTTP is served",
    },
    Fence {
        word: "sqlx",
        within: "",
        allowed: &["crates/daemon/src/store/"],
        reason: "only the daemon's store knows SQL",
    },
    Fence {
        word: "crate::http",
        within: "crates/daemon/src/",
        // The root names what it shows to others.
        allowed: &["crates/daemon/src/http/", "crates/daemon/src/daemon.rs", "crates/daemon/src/lib.rs"],
        reason: "http stands on top of the daemon; nothing below it may know it",
    },
    Fence {
        word: "crate::session",
        within: "crates/daemon/src/",
        allowed: &[
            "crates/daemon/src/http/",
            "crates/daemon/src/session/",
            // Steps of builds are sandboxes as sessions are.
            "crates/daemon/src/build/",
            "crates/daemon/src/recovery/",
            "crates/daemon/src/reaper.rs",
            "crates/daemon/src/daemon.rs",
        ],
        reason: "the store, the configuration and the places stand below sessions",
    },
    Fence {
        word: "crate::store",
        within: "crates/daemon/src/http/",
        allowed: &[],
        reason: "handlers go through sessions, never to the store",
    },
    Fence {
        word: "crate::host",
        within: "crates/isolation/src/enter/",
        allowed: &[],
        reason: "steps from inside and steps from outside share plan and sys only",
    },
];

pub(super) fn check(sources: &[TextFile]) -> Vec<Finding> {
    sources.iter().flat_map(check_one).collect()
}

fn check_one(file: &TextFile) -> Vec<Finding> {
    let code = code_only(&file.text);
    FENCES
        .iter()
        .filter(|fence| file.path.starts_with(fence.within))
        .filter(|fence| !fence.allowed.iter().any(|place| file.path.starts_with(place)))
        .flat_map(|fence| {
            lines_with_word(&code, fence.word).into_iter().map(|line| {
                Finding::error(
                    &file.path,
                    line,
                    format!("`{}` is not for here: {}", fence.word, fence.reason),
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tree::TextFile;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let file = TextFile { path: path.to_owned(), text: text.to_owned() };
        check(&[file]).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn unsafe_code_is_for_sys_alone() {
        let text = "//! Of unsafe things.\nfn f() {\n    unsafe { g() }\n}\n";
        assert_eq!(lines("crates/runner/src/main.rs", text), [3]);
        assert!(lines("crates/isolation/src/sys/clone.rs", text).is_empty());
    }

    #[test]
    fn libraries_stay_in_their_folders() {
        assert_eq!(lines("crates/daemon/src/session/mod.rs", "use axum::Json;\n\nuse sqlx::Row;\n"), [1, 3]);
        assert!(lines("crates/daemon/src/http/router.rs", "use axum::Json;\n").is_empty());
        assert!(lines("crates/daemon/src/store/row.rs", "use sqlx::Row;\n").is_empty());
    }

    #[test]
    fn the_daemon_has_layers() {
        assert_eq!(lines("crates/daemon/src/session/mod.rs", "use crate::http::Server;\n"), [1]);
        assert_eq!(lines("crates/daemon/src/store/mod.rs", "use crate::session::Sessions;\n"), [1]);
        assert_eq!(lines("crates/daemon/src/http/router.rs", "use crate::store::Store;\n"), [1]);
        assert!(lines("crates/daemon/src/daemon.rs", "use crate::http::Server;\n").is_empty());
    }
}
