//! Clients that were written for this protocol before this daemon was.

mod python;
mod swerex;
