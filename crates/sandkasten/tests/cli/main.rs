//! The built binary as a user sees it: output, errors, exit statuses. No daemon is needed, and root only for images.

mod configuration;
mod images;
mod sessions;
mod support;
