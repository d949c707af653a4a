//! Agents over the Model Context Protocol: over standard input and output, and over HTTP.

mod conformance;
mod endings;
mod hostile;
mod http;
mod http_agent;
mod private_daemon;
mod refusals;
mod sandboxes;
mod stdio_agent;
mod tools;
mod transfer;
