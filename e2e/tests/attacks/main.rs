//! Attacks on the truth of results, on the daemon, and on what other sessions and the host keep to themselves: one file
//! a family.

mod authentication;
mod cross_session;
mod disconnection;
mod end_forging;
mod file_links;
mod file_race;
mod file_trees;
mod file_types;
mod full_disk;
mod hostile_requests;
mod key_exposure;
mod log_forging;
mod output_flood;
mod shell_sabotage;
mod slow_clients;
mod timeouts;
mod zombies;
