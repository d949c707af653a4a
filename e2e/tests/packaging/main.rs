//! How the binary comes onto a host, and how a host's service manager runs it.

mod fake_manager;
mod install;
mod service;
