//! Workspaces: directories that outlive sessions, and what hostile code does with them.

mod files;
mod hostile_files;
mod isolation;
mod lifecycle;
mod names;
mod ownership;
mod sessions;

/// Configuration with workspaces, on a disk that may be nearly full.
const ENABLED: &str = "workspace:\n  enabled: true\n  min_free_mb: 16";
