//! The page about the configuration, which is written by hand: it must name every key that the built binary knows, with
//! its default and its environment variable.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The page, relative to the repository.
pub(super) const PAGE: &str = "docs/configuration.md";

/// A key as the binary shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    name: String,
    default: String,
    variable: String,
}

/// Returns what the page lacks.
pub(super) fn missing(binary: &Path, page: &str) -> Result<Vec<String>> {
    let output = Command::new(binary)
        .args(["config", "show", "--json", "--config", "/dev/null"])
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {}; `make build` makes it", binary.display()))?;
    ensure!(output.status.success(), "{} config show failed", binary.display());
    Ok(compare(&parse(&output.stdout)?, page))
}

fn parse(json: &[u8]) -> Result<Vec<Key>> {
    let keys: Vec<Value> = serde_json::from_slice(json).context("reading the keys")?;
    keys.iter()
        .map(|key| {
            let text = |field: &str| {
                key.get(field)
                    .and_then(Value::as_str)
                    .map(str::to_owned)
                    .with_context(|| format!("no {field} in {key}"))
            };
            Ok(Key { name: text("key")?, default: text("value")?, variable: text("variable")? })
        })
        .collect()
}

fn compare(keys: &[Key], page: &str) -> Vec<String> {
    let mut missing = Vec::new();
    for key in keys {
        let start = format!("| `{}` |", key.name);
        let Some(row) = page.lines().find(|line| line.starts_with(&start)) else {
            missing.push(format!("has no row for `{}`", key.name));
            continue;
        };
        let mut cells = row.split(" | ").skip(1);
        let default = cells.next().unwrap_or_default();
        // What stands in parentheses is said in words, and one default depends on another key.
        let in_words = key.default.starts_with('(') || key.name == "db_path";
        if !in_words && !default.contains(&key.default) {
            missing.push(format!("says that `{}` is by default {default}; it is {}", key.name, key.default));
        }
        if !row.contains(&format!("`{}`", key.variable)) {
            missing.push(format!("does not name {} for `{}`", key.variable, key.name));
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::{Key, compare, parse};

    fn key() -> Key {
        Key { name: "a.b".to_owned(), default: "4".to_owned(), variable: "X_B".to_owned() }
    }

    #[test]
    fn keys_are_read_from_the_listing() {
        let json = br#"[{"key": "a.b", "value": "4", "source": "default", "variable": "X_B"}]"#;
        assert_eq!(parse(json).expect("keys"), [key()]);
        assert!(parse(b"[{}]").is_err());
    }

    #[test]
    fn each_thing_that_is_missing_is_said() {
        assert!(compare(&[key()], "| `a.b` | 4 | numbers | `X_B` |\n").is_empty());
        assert_eq!(compare(&[key()], "| `a` | 4 | numbers | `X_B` |\n").len(), 1);
        assert_eq!(compare(&[key()], "| `a.b` | 5 | numbers | `X_C` |\n").len(), 2);
        let none = Key { default: "(none)".to_owned(), ..key() };
        assert!(compare(&[none], "| `a.b` | empty | numbers | `X_B` |\n").is_empty());
    }
}
