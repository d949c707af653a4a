//! The built binary as a user sees it: output, errors, exit statuses. No daemon and no privileges are needed.

mod configuration;
mod sessions;
mod support;
