//! The HTTP contract, sentence by sentence, against the built binary.

mod admission;
mod auth;
mod errors;
mod exec;
mod files;
mod health;
mod idempotency;
mod images;
mod metrics;
mod pool;
mod processes;
mod reference;
mod request_bodies;
mod session_events;
mod session_list;
mod session_update;
mod sessions;
mod upload;
mod workspaces;
