//! The Model Context Protocol on top of the API: sandboxes as tools and resources for agents.
//!
//! Owns tools, resources, and which sandbox belongs to which MCP session. Speaks to the engine through `sandkasten-client` alone:
//! over a connection where it serves standard input and output, within the process where it is a part of the daemon. Must not
//! know how sandboxes work. See docs/mcp.md.
#![forbid(unsafe_code)]

mod http_endpoint;
mod stdio;

mod answer;
mod bounded_sessions;
mod bounded_text;
mod exec_progress;
mod file_content;
mod host_directory;
mod own_sessions;
mod resources;
mod server;
mod tool_error;
mod tools;

pub use self::host_directory::{HostDirectory, OpenHostDirectoryError};
pub use self::http_endpoint::{HttpEndpoint, HttpOptions, ResponseBody};
pub use self::own_sessions::OwnSession;
pub use self::stdio::{ServeStdioError, StdioOptions, serve_stdio};
