//! The kernel's floor, of which everything else is a multiple.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use sandkasten_isolation::error_chain;
use sandkasten_isolation::host::{Floor, FloorWork};

use super::{Bench, Measured, blocking, milliseconds};
use crate::program;
use crate::samples::Samples;
use crate::subject::Subject;

const WORK: [(Subject, FloorWork); 4] = [
    (Subject::FloorProcess, FloorWork::Process),
    (Subject::FloorNamespaces, FloorWork::Namespaces),
    (Subject::FloorNetwork, FloorWork::Network),
    (Subject::Floor, FloorWork::Sandbox),
];

pub(super) async fn floor(bench: &Bench<'_>) -> Measured {
    bench.say("the kernel's floor");
    let layer = bench.scratch.join("layer");
    let floor = match blocking(move || prepare(&layer)).await {
        Ok(floor) => Arc::new(floor),
        Err(reason) => return WORK.map(|(subject, _)| (subject, Samples::failed(&reason))).to_vec(),
    };
    let mut measured = Vec::new();
    for (subject, work) in WORK {
        let mut samples = Samples::default();
        for round in 0..bench.warm_up() + bench.settings.samples {
            let floor = Arc::clone(&floor);
            // One at a time, so that whoever waits for all of them can give up in between.
            let run = move || floor.run(work).map(milliseconds).map_err(|error| error_chain(&error));
            let outcome = blocking(run).await;
            if round >= bench.warm_up() || outcome.is_err() {
                samples.record(outcome);
            }
        }
        measured.push((subject, samples));
    }
    measured
}

/// Makes a layer with a program that does nothing.
fn prepare(layer: &Path) -> Result<Floor, String> {
    fs::create_dir_all(layer)
        // Whatever the umask is: the root of the sandbox is not the owner of its layers.
        .and_then(|()| fs::set_permissions(layer, fs::Permissions::from_mode(0o755)))
        .and_then(|()| write_program(&layer.join("exit"), &program::exit()))
        .map_err(|error| format!("{}: {error}", layer.display()))?;
    Floor::new(layer, Path::new("/exit")).map_err(|error| error_chain(&error))
}

/// Writes a program that everybody may run.
pub(crate) fn write_program(path: &Path, program: &[u8]) -> std::io::Result<()> {
    fs::write(path, program)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}
