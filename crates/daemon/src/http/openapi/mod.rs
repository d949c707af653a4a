//! The OpenAPI document: what handlers and types say of themselves, and what holds for every route.
//!
//! A handler describes its path, its parameters, its body and its success, and names the error codes that are its own. What
//! the middleware and the extractors add is added here: the request id, the key, the answers to bodies and keys that are none.

pub(super) mod codes;
mod events;
mod exclusive;
mod refusals;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use sandkasten_api::error::{ErrorBody, ErrorDetails};
use sandkasten_api::file_tree::ArchiveFormat;
use sandkasten_api::schema::{
    Cursor, LabelCondition, Offset, PageSize, PatienceMs, ReadBytes, StatusCondition, TreeDepth, WaitMs,
};
use utoipa::OpenApi;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, Ref, RefOr, Required};

use super::router;

pub(super) use events::SessionEvents;
pub(super) use events::{ExecEvents, LogEvents, PullEvents, WatchEvents};

/// The header that every answer carries.
const REQUEST_ID: &str = "X-Request-ID";
/// The name of the key among the security schemes.
const KEY: &str = "api_key";
/// Operations of which no body at all is an empty one: no field has to be there, or the file is empty.
const WITHOUT_BODY: [&str; 4] = ["create_session", "update_session", "upload_file", "workspace_upload_file"];
/// The one route that asks for no key.
const HEALTH: &str = "/healthz";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sandkasten",
        description = "Sessions in which agents run untrusted code: a Linux sandbox each, with a persistent shell, files \
                       and hard limits.\n\nBodies are JSON in UTF-8 unless a route says otherwise; with a key they are \
                       parsed as such whatever their `Content-Type`, without one only `application/json` is taken. An \
                       empty body is an empty object, a field that is not known is refused, and whole numbers are \
                       written without a fraction. Times are RFC 3339, UTC. \
                       `Host`, and `Origin` where there is one, have to name the daemon.\n\nEvery refused request is \
                       answered with an `ErrorBody`, whose `error_code` is one of a closed set. Besides those of the \
                       routes there are 404 for paths that do not exist and 405 for methods that a path does not take, \
                       both as `INVALID_REQUEST`.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT")
    ),
    tags(
        (name = "sessions", description = "Making, finding, changing and destroying sessions"),
        (name = "exec", description = "Commands in the shells of a session"),
        (name = "processes", description = "What runs beside the shell, and every exec"),
        (name = "files", description = "Files below `/workspace` of a session"),
        (name = "workspaces", description = "Directories that outlive sessions, where `workspace.enabled`"),
        (name = "images", description = "The root file systems that sessions start from"),
        (name = "daemon", description = "The daemon itself")
    ),
    components(schemas(
        ErrorBody,
        ErrorDetails,
        // Those of parameters, which are not collected by themselves.
        ArchiveFormat,
        Cursor,
        LabelCondition,
        Offset,
        PageSize,
        PatienceMs,
        ReadBytes,
        StatusCondition,
        TreeDepth,
        WaitMs
    ))
)]
struct Base;

static JSON: LazyLock<String> = LazyLock::new(|| {
    let document = router::describe();
    // A `Value` has its keys in order, however the parts were put together.
    let value = serde_json::to_value(&document).expect("a document is JSON");
    let mut text = serde_json::to_string_pretty(&value).expect("a value is JSON");
    text.push('\n');
    text
});

/// The document as JSON, always the same for one version of the daemon.
#[must_use]
pub fn openapi() -> &'static str {
    &JSON
}

/// What the descriptions of routes are added to.
pub(super) fn base() -> Document {
    Base::openapi()
}

/// Adds what holds for every route.
pub(super) fn complete(document: &mut Document) {
    let key = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    if let Some(components) = &mut document.components {
        components.add_security_scheme(KEY, key);
        components.headers.insert(REQUEST_ID.to_owned(), RefOr::T(request_id()));
        events::add_schemas(components);
        exclusive::mark(&mut components.schemas);
    }
    document.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>(KEY, [])]);
    let mut refused = BTreeMap::new();
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            for response in operation.responses.responses.values_mut() {
                if let RefOr::T(response) = response {
                    response.headers.insert(REQUEST_ID.to_owned(), RefOr::Ref(request_id_reference()));
                }
            }
            if path == HEALTH {
                operation.security = Some(Vec::new());
            } else {
                refusals::add(operation, &mut refused);
            }
            add_request_id(operation);
            let name = operation.operation_id.as_deref();
            if let Some(RefOr::T(body)) = &mut operation.request_body
                && name.is_some_and(|name| WITHOUT_BODY.contains(&name))
            {
                body.required = Some(Required::False);
            }
        }
    }
    if let Some(components) = &mut document.components {
        components.responses.append(&mut refused);
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
}

/// Every request may have an id.
fn add_request_id(operation: &mut Operation) {
    let parameter = ParameterBuilder::new()
        .name(REQUEST_ID)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "An id for this request, which the answer and the daemon's log carry: 1 to 128 printable ASCII characters \
             without spaces. Another one takes the place of what is none.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
    operation.parameters.get_or_insert_default().push(RefOr::T(parameter.build()));
}

/// And every answer has one.
fn request_id() -> Header {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(128));
    HeaderBuilder::new()
        .schema(Some(text))
        .description(Some("The id of the request, for the log of the daemon."))
        .build()
}

fn request_id_reference() -> Ref {
    Ref::new(format!("#/components/headers/{REQUEST_ID}"))
}

#[cfg(test)]
mod tests;
