//! What a route answers where it refuses: one answer a status, with the codes that it may have.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use sandkasten_api::error::{ErrorBody, ErrorCode};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};

use super::codes::CODES;
use super::{REQUEST_ID, request_id_reference};

/// Of every route that asks for a key: a `Host` that is foreign, no key, a fault of ours.
const EVERYWHERE: [ErrorCode; 3] =
    [ErrorCode::InvalidRequest, ErrorCode::Unauthorized, ErrorCode::InternalError];
/// Of every route that takes a body: one that comes too slowly, or is too large.
const BODY: [StatusCode; 2] = [StatusCode::REQUEST_TIMEOUT, StatusCode::PAYLOAD_TOO_LARGE];

/// Adds the refusals of a route to what it says of itself. A status that its handler describes stays as it is.
/// Refusals with a single code are the same everywhere, and go to the document's shared answers.
pub(super) fn add(operation: &mut Operation, shared: &mut BTreeMap<String, RefOr<Response>>) {
    let mut refusals: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
    for code in EVERYWHERE.into_iter().chain(take_codes(operation)) {
        refusals.entry(code.status()).or_default().insert(spell(code));
    }
    if operation.request_body.is_some() {
        for status in BODY {
            refusals.entry(status.as_u16()).or_default().insert(spell(ErrorCode::InvalidRequest));
        }
    }
    for (status, codes) in refusals {
        let answer = || {
            if codes.len() > 1 {
                return RefOr::T(refusal(status, codes));
            }
            let name = codes.iter().fold(status.to_string(), |name, code| format!("{name}_{code}"));
            let reference = Ref::from_response_name(&name);
            shared.entry(name).or_insert_with(|| RefOr::T(refusal(status, codes)));
            RefOr::Ref(reference)
        };
        operation.responses.responses.entry(status.to_string()).or_insert_with(answer);
    }
}

/// Takes the codes that a handler has named.
fn take_codes(operation: &mut Operation) -> Vec<ErrorCode> {
    let named = operation.extensions.as_mut().and_then(|extensions| extensions.remove(CODES));
    if operation.extensions.as_ref().is_some_and(|extensions| extensions.is_empty()) {
        operation.extensions = None;
    }
    named.map_or_else(Vec::new, |codes| {
        Vec::deserialize(codes).expect("handlers name codes by constants of the type")
    })
}

fn spell(code: ErrorCode) -> String {
    serde_json::to_value(code).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

fn refusal(status: u16, codes: BTreeSet<String>) -> Response {
    let names: Vec<&str> = codes.iter().map(String::as_str).collect();
    let description = format!("Refused: `{}`", names.join("`, `"));
    let code = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes));
    let schema = AllOfBuilder::new()
        .item(Ref::from_schema_name(ErrorBody::name()))
        .item(ObjectBuilder::new().property("error_code", code));
    let response = ResponseBuilder::new()
        .description(description)
        .header_ref(REQUEST_ID, request_id_reference())
        .content("application/json", ContentBuilder::new().schema(Some(schema)).build());
    let header = |kind, description| {
        HeaderBuilder::new()
            .schema(Some(ObjectBuilder::new().schema_type(kind)))
            .description(Some(description))
            .build()
    };
    match status {
        401 => response.header("WWW-Authenticate", header(Type::String, "`Bearer`")),
        429 => response.header("Retry-After", header(Type::Integer, "Seconds until another try is worth it")),
        _ => response,
    }
    .build()
}
