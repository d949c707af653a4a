//! `exec` and `exec/stream`: one command in the session's shell.

mod command;
mod output;
mod queue;
mod shell;
mod status;
mod stream;
mod stream_end;
mod timeout;
