//! An error with all its reasons in one line, for the daemon to pass on.

use std::error::Error;
use std::fmt::Write;

/// Joins an error and its sources with colons.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(reason) = source {
        // Writing to a String cannot fail.
        write!(text, ": {reason}").ok();
        source = reason.source();
    }
    text
}
