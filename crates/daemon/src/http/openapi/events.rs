//! Streams of Server-Sent Events. The schema of such an answer is the one of each event, as OpenAPI 3.2 has it with
//! `itemSchema`; 3.1 has no word for it.

use std::borrow::Cow;

use sandkasten_api::event::{Lagged, StateEvent};
use sandkasten_api::exec::{ExecChunk, ExecDone, ExecFailed};
use sandkasten_api::file_watch::{FileChange, WatchEnd, WatchOverflow, WatchReady};
use sandkasten_api::image::{PullDone, PullFailed, PullProgress};
use sandkasten_api::process::{LogChunk, LogFailed, Process};
use utoipa::openapi::RefOr;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::schema::{Components, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// Declares streams: their text, and their events with the type of the data.
macro_rules! streams {
    ($($(#[doc = $doc:literal])+ $name:ident { $($event:literal: $data:ty),+ $(,)? })+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug)]
            pub(in crate::http) enum $name {}

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    let events = OneOfBuilder::new()
                        .description(Some(concat!($($doc),+).trim_start()))
                        $(.item(event($event, &<$data>::name())))+;
                    Schema::OneOf(events.build()).into()
                }
            }

            impl ToSchema for $name {
                fn name() -> Cow<'static, str> {
                    Cow::Borrowed(stringify!($name))
                }
            }
        )+

        /// Adds the schemas of all data of events, which are not collected by themselves.
        pub(super) fn add_schemas(components: &mut Components) {
            $($(add::<$data>(components);)+)+
        }
    };
}

streams! {
    /// States of sessions: `state` for each, `lagged` as the last one of a stream whose client read too slowly.
    SessionEvents { "state": StateEvent, "lagged": Lagged }
    /// Output of a command: `chunk`s, and `done` or `error` as the last one.
    ExecEvents { "chunk": ExecChunk, "done": ExecDone, "error": ExecFailed }
    /// Output of a process: `chunk`s, and `done` or `error` as the last one.
    LogEvents { "chunk": LogChunk, "done": Process, "error": LogFailed }
    /// A pull: `progress` now and then, and `done` or `error` as the last one.
    PullEvents { "progress": PullProgress, "done": PullDone, "error": PullFailed }
    /// Changes of files: `ready` first, a `change` each, and `overflow` or `end` as the last one.
    WatchEvents { "ready": WatchReady, "change": FileChange, "overflow": WatchOverflow, "end": WatchEnd }
}

/// One event: its name, and its data as JSON.
fn event(name: &str, data: &str) -> ObjectBuilder {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let content = serde_json::json!({ "$ref": format!("#/components/schemas/{data}") });
    // utoipa has no field for it.
    let extensions = Extensions::from_iter([("contentSchema", content)]);
    ObjectBuilder::new()
        .property("event", text().enum_values(Some([name])))
        .property("data", text().content_media_type("application/json").extensions(Some(extensions)))
        .property("id", text())
        .required("event")
        .required("data")
}

fn add<T: ToSchema>(components: &mut Components) {
    let mut schemas = Vec::new();
    T::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components.schemas.insert(T::name().into_owned(), T::schema());
}
