//! Terminals: `GET …/tty`, and the commands that use it.

mod attached;
mod command;
mod hostile;
mod processes;
mod refusals;
mod restart;
mod viewers;
