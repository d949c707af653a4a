//! What the built binary prints of itself: the OpenAPI document, and the schema of the configuration.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Asks the program for a document by a command of it.
pub(super) fn page(binary: &Path, command: &[&str]) -> Result<String> {
    let output = Command::new(binary)
        .args(command)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {}; `make build` makes it", binary.display()))?;
    ensure!(output.status.success(), "{} {} failed", binary.display(), command.join(" "));
    String::from_utf8(output.stdout).with_context(|| format!("reading what {} prints", command.join(" ")))
}
