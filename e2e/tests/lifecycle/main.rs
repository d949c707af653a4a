//! Sessions from their first moment to their last, across deaths of the daemon.

mod crash;
mod cycles;
mod data_directory;
mod destroy;
mod expiry;
mod interrupted_create;
mod pool;
mod restart;
