//! The HTTP API: parses and validates requests, calls the session service, renders answers. The only place that knows
//! axum, and the only one that knows status codes.

mod answer_count;
mod api_error;
mod body_limit;
mod body_pace;
mod byte_range;
mod drained_body;
mod event_stream;
mod exec_request;
mod file_place;
mod file_request;
mod guard;
mod idempotency_key;
mod json_body;
mod openapi;
mod output_document;
mod path_id;
mod query;
mod reference;
mod request_id;
mod router;
mod routes;
mod server;
mod session_query;
mod stalled_writes;
mod swerex;
mod terminal_output;
mod terminal_socket;

pub use openapi::openapi;
pub(crate) use server::Server;
pub(crate) use server::ServerError;
