//! The HTTP contract, sentence by sentence, against the built binary.

mod auth;
mod errors;
mod exec;
mod files;
mod health;
mod processes;
mod request_bodies;
mod sessions;
mod upload;
mod workspaces;
