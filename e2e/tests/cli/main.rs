//! The command line, against the built binary and a real daemon.

mod alone;
mod bench;
mod config;
mod cp;
mod detach;
mod doctor;
mod exec;
mod image;
mod init;
mod outcome;
mod run;
mod running_daemon;
mod security;
mod security_guide;
mod sessions;
