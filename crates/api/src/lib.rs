//! The HTTP contract of Sandkasten v1 as types: requests, responses, ids, error codes and limits.
//!
//! Owns names and shapes on the wire. Must not know sockets, clocks, files or an async runtime: the daemon, the
//! client and the tests all speak through these types, so that the wire format is written down once.
#![forbid(unsafe_code)]

pub mod error;
pub mod event;
pub mod exec;
pub mod file;
pub mod file_edit;
pub mod file_search;
pub mod file_tree;
pub mod file_watch;
pub mod health;
pub mod id;
pub mod image;
pub mod label;
pub mod limits;
pub mod name;
pub mod process;
pub mod schema;
pub mod session;
pub mod terminal;
pub mod variable;
pub mod verdict;
pub mod workspace;
