//! Pretending to be the runner: writing to everything that might be believed to come from it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;

use rustix::fs::OFlags;

/// With what it ends in truth.
const TRUTH: u8 = 7;
/// What a report of success might look like.
const LIES: [&str; 5] = ["0\n", "0", "s0\n", "\0\0\0\0\0\0\0\0", "{\"exit_code\":0}\n"];

/// Writes lies to each descriptor of each process that can be opened, and to its own output, and ends with the truth.
pub(crate) fn forge() -> ExitCode {
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        for descriptor in fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
            let opened = OpenOptions::new().write(true).custom_flags(flags).open(descriptor.path());
            if let Ok(mut opened) = opened {
                lie(&mut opened);
            }
        }
    }
    lie(&mut io::stdout());
    ExitCode::from(TRUTH)
}

/// Whether a lie arrives is for the listener to judge.
fn lie(to: &mut impl Write) {
    for text in LIES {
        drop(to.write_all(text.as_bytes()));
    }
}
