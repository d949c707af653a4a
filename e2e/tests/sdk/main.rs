//! Clients that were written for this protocol before this daemon was.

mod integrations;
mod python;
