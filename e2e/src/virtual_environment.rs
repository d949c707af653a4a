//! Python packages for a test, in a virtual environment of its own.

use std::path::Path;
use std::process::Command;

/// Makes a virtual environment with these packages, or says why there is none.
///
/// # Errors
/// The last line of what the failed step said.
pub fn make_virtual_environment(environment: &Path, packages: &[&str]) -> Result<(), String> {
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(environment);
    let mut fetch = Command::new(environment.join("bin/pip"));
    fetch.args(["install", "--quiet", "--disable-pip-version-check", "--retries", "1"]).args(packages);
    for mut step in [make, fetch] {
        let output = step.output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(said.lines().last().unwrap_or("it said nothing").to_owned());
        }
    }
    Ok(())
}
