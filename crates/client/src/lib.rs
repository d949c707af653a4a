//! Client of the Sandkasten HTTP API, over TCP, unix sockets and within a process, typed by `sandkasten-api`.
//!
//! Owns transport, authentication, the event streams of execs, logs and watches, and terminals. Must not know the daemon: everything it says
//! goes through the contract, so the command line and the end-to-end tests see what any other client sees.
#![forbid(unsafe_code)]

mod causes;
mod client;
mod endpoint;
mod event_parser;
mod event_reader;
mod exec_stream;
mod files;
mod in_process;
mod log_stream;
mod processes;
mod request_error;
mod session_filter;
mod session_reference;
mod terminal;
mod watch_stream;

pub use self::causes::with_causes;
pub use self::client::{Client, UploadFile};
pub use self::endpoint::{Endpoint, ParseEndpointError};
pub use self::exec_stream::{ExecEvent, ExecStream};
pub use self::files::{ContentStream, Files};
pub use self::in_process::{Answer, Body, InProcess};
pub use self::log_stream::{LogEvent, LogStream};
pub use self::request_error::{BuildClientError, RequestError};
pub use self::session_filter::SessionFilter;
pub use self::session_reference::SessionReference;
pub use self::terminal::{TerminalFrame, TerminalReader, TerminalWriter};
pub use self::watch_stream::{WatchEvent, WatchStream};
