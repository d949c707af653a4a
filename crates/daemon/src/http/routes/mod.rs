//! The handlers: one file a noun of the API.

pub(super) mod document;
pub(super) mod events;
pub(super) mod exec;
pub(super) mod file_archive;
pub(super) mod file_edit;
pub(super) mod file_raw;
pub(super) mod file_search;
pub(super) mod file_tree;
pub(super) mod file_watch;
pub(super) mod files;
pub(super) mod health;
pub(super) mod image_pull;
pub(super) mod images;
pub(super) mod mcp;
pub(super) mod metrics;
pub(super) mod processes;
pub(super) mod sessions;
pub(super) mod tty;
pub(super) mod workspace_files;
pub(super) mod workspaces;
