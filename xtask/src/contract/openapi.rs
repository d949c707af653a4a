//! The OpenAPI document, as the built binary prints it.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Asks the program for the document.
pub(super) fn page(binary: &Path) -> Result<String> {
    let output = Command::new(binary)
        .arg("openapi")
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {}; `make build` makes it", binary.display()))?;
    ensure!(output.status.success(), "{} openapi failed", binary.display());
    String::from_utf8(output.stdout).context("reading the OpenAPI document")
}
