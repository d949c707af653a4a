//! The command line, against the built binary and a real daemon.

mod alone;
mod config;
mod doctor;
mod exec;
mod image;
mod outcome;
mod run;
mod security;
mod sessions;
