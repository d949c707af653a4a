//! An error with all its reasons in one line, for a log or for whoever is told of it.

use std::error::Error;

/// Joins an error and its sources with colons, leaving out a source that only repeats what was said.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(reason) = source {
        let message = reason.to_string();
        if !text.ends_with(&message) {
            text = format!("{text}: {message}");
        }
        source = reason.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::error_chain;
    use crate::host::PathError;

    #[test]
    fn the_whole_chain_of_an_error_is_told() {
        let source = io::Error::from_raw_os_error(libc::EPERM);
        let error = PathError { action: "read", path: "/x".into(), source };
        assert_eq!(error_chain(&error), "failed to read \"/x\": Operation not permitted (os error 1)");
    }
}
