//! Builds the runner as a static program and hands its path to the daemon, which embeds it.

use sandkasten_static_program::StaticProgram;

fn main() {
    StaticProgram {
        package: "sandkasten-runner",
        inputs: &["runner", "isolation", "protocol"],
        variable: "SANDKASTEN_RUNNER",
        features: &["weaken"],
    }
    .embed();
}
