//! Clients: one that was written for this protocol before this daemon was, and ours.

mod integrations;
mod python;
mod swerex;
mod typescript;
