//! `exec` and `exec/stream`: one command in a session.

mod command;
mod idempotency;
mod options;
mod output;
mod queue;
mod separate;
mod shell;
mod shells;
mod status;
mod stream;
mod stream_end;
mod timeout;
mod verdict;
