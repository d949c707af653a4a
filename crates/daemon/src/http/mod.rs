//! The HTTP API: parses and validates requests, calls the session service, renders answers. The only place that knows
//! axum, and the only one that knows status codes.

mod api_error;
mod guard;
mod json_body;
mod request_id;
mod router;
mod routes;
mod server;

pub(crate) use server::Server;
pub(crate) use server::ServerError;
