//! Builds the program that attacks sandboxes from inside, which this crate embeds.

use sandkasten_static_program::StaticProgram;

fn main() {
    StaticProgram {
        package: "sandkasten-attacks",
        inputs: &["attacks", "isolation"],
        variable: "SANDKASTEN_ATTACKS",
        features: &[],
    }
    .embed();
}
