//! Sessions from their first moment to their last, across deaths of the daemon.

mod restart;
