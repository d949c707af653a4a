//! Values that several requests have, as the OpenAPI document describes them: with the bounds that are in force.
//!
//! Nothing is ever one of these types. Fields are strings and numbers, which the daemon checks; a field says by
//! `#[schema(value_type = …)]` which of these descriptions is its own. Lengths are in characters there and in bytes in the
//! daemon, so that what is too long by the document is too long for the daemon as well.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::{PartialSchema, ToSchema};

use crate::id::{ExecId, SessionId, WorkspaceId};
use crate::label::{LabelChanges, Labels, MAX_LABEL_KEY_BYTES, MAX_LABEL_VALUE_BYTES, MAX_LABELS};
use crate::limits::{
    MAX_ARGUMENTS, MAX_COMMAND_BYTES, MAX_CONTEXT_LINES, MAX_EDITS, MAX_ENVIRONMENT_BYTES, MAX_GLOB_BYTES,
    MAX_MATCHES, MAX_OUTPUT_BYTES, MAX_PAGE, MAX_PATH_BYTES, MAX_PATTERN_BYTES, MAX_PROCESS_NAME,
    MAX_READ_BYTES, MAX_SHELL_NAME, MAX_STDIN_BYTES, MAX_TERMINAL_SIZE, MAX_TIMEOUT_MS, MAX_TREE_DEPTH,
    MAX_TTL_SECONDS, MAX_WAIT_MS,
};
use crate::name::{MAX_NAME_BYTES, SessionName};
use crate::session::SessionStatus;

/// Text that holds no NUL.
const NO_NUL: &str = r"^[^\x00]*$";

/// Declares values that are described and never made.
macro_rules! values {
    ($($(#[doc = $doc:literal])+ $name:ident = $schema:expr;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub enum $name {}
        describe!($(#[doc = $doc])+ $name = $schema);
    )+};
}

/// Describes a type by a schema that is made here.
macro_rules! describe {
    ($(#[doc = $doc:literal])+ $name:ident = $schema:expr) => {
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let schema: ObjectBuilder = $schema;
                let text = concat!($($doc),+).trim_start();
                Schema::Object(schema.description(Some(text)).build()).into()
            }
        }
        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    };
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn matching(pattern: impl Into<String>) -> ObjectBuilder {
    text().pattern(Some(pattern))
}

fn number(least: u64, most: u64) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(i64::try_from(least).unwrap_or(i64::MAX)))
        .maximum(Some(i64::try_from(most).unwrap_or(i64::MAX)))
}

fn whole() -> ObjectBuilder {
    let most = usize::try_from(u64::MAX).unwrap_or(usize::MAX);
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(most))
}

fn map(key: ObjectBuilder, value: impl Into<RefOr<Schema>>) -> ObjectBuilder {
    ObjectBuilder::new()
        .property_names(Some(Schema::Object(key.build())))
        .additional_properties(Some(AdditionalProperties::RefOr(value.into())))
}

values! {
    /// Shell text without NUL.
    CommandText = matching(NO_NUL).min_length(Some(1)).max_length(Some(MAX_COMMAND_BYTES));
    /// The most milliseconds until something is killed; 0 means the configured maximum, which is also what larger values mean.
    ExecTimeoutMs = number(0, MAX_TIMEOUT_MS);
    /// Milliseconds until a process is killed; 0 means never.
    ProcessTimeoutMs = whole();
    /// How many milliseconds the answer is waited for; what is above the maximum means the maximum.
    PatienceMs = whole();
    /// How many milliseconds a create waits.
    WaitMs = number(0, MAX_WAIT_MS);
    /// Variables by name, altogether at most 64 KiB with a `=` and a NUL for each. No value holds a NUL.
    Environment = map(matching("^[A-Za-z_][A-Za-z0-9_]*$").max_length(Some(MAX_ENVIRONMENT_BYTES)),
        matching(NO_NUL).max_length(Some(MAX_ENVIRONMENT_BYTES)));
    /// An absolute path inside of the sandbox.
    AbsolutePath = matching(r"^/[^\x00]*$").max_length(Some(MAX_PATH_BYTES));
    /// Up to 1 MiB for a standard input.
    InputText = text().max_length(Some(MAX_STDIN_BYTES));
    /// The name of a persistent shell, or `none`.
    ShellName = matching(format!("^[a-z0-9_-]{{1,{MAX_SHELL_NAME}}}$"));
    /// The one user that commands run as, by name or number.
    SandboxUser = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Integer]))
        .enum_values(Some([serde_json::Value::from("sandbox"), "1000".into(), 1000.into()]));
    /// The most bytes of an output.
    OutputBytes = number(0, MAX_OUTPUT_BYTES as u64);
    /// Lines of a terminal, or characters of a line.
    TerminalExtent = number(1, u64::from(MAX_TERMINAL_SIZE));
    /// A name to show, of printable characters.
    ProcessName = matching(r"^[^\x00-\x1f\x7f-\x9f]+$").min_length(Some(1)).max_length(Some(MAX_PROCESS_NAME));
    /// A signal by name, such as `TERM` or `SIGTERM` in whatever case, or by number as text, 1 to 64.
    SignalName = matching("^([Ss][Ii][Gg])?[A-Za-z0-9]+$");
    /// A place in an output, in bytes from its beginning.
    Offset = whole();
    /// A path without NUL, absolute below `/workspace` or relative to it. What leads out of it is refused.
    FilePath = matching(NO_NUL).min_length(Some(1)).max_length(Some(MAX_PATH_BYTES));
    /// Bytes in standard base64, with padding.
    Base64 = matching("^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$").content_encoding("base64");
    /// Permission bits in octal, at most `0777`.
    FileMode = matching("^0?[0-7]{3}$");
    /// The most bytes that are read.
    ReadBytes = number(0, MAX_READ_BYTES);
    /// How many levels of directories.
    TreeDepth = number(1, MAX_TREE_DEPTH as u64);
    /// Which files: `*`, `?`, `[…]`, a backslash before any of them, and `**` across directories. Without a slash it is about
    /// names, with one about paths.
    Glob = text().min_length(Some(1)).max_length(Some(MAX_GLOB_BYTES));
    /// A SHA-256 in hexadecimal.
    Sha256 = matching("^[0-9A-Fa-f]{64}$");
    /// A text to look for.
    SearchText = text().min_length(Some(1)).max_length(Some(MAX_PATTERN_BYTES));
    /// How many lines with a match.
    MatchCount = number(1, MAX_MATCHES as u64);
    /// How many lines around a match.
    ContextLines = number(0, MAX_CONTEXT_LINES as u64);
    /// The name of an image.
    ImageName = text();
    /// Seconds of idleness; 0 means the configured value.
    TtlSeconds = number(0, MAX_TTL_SECONDS);
    /// How many sessions.
    PageSize = number(1, MAX_PAGE as u64);
    /// What a page ends with, as its `Link` header has it.
    Cursor = matching(r"^-?[0-9]{1,15}\.[0-9a-f]{8}-[0-9a-f]{3,4}$");
    /// The key of a label, or the key and a value behind `=`.
    LabelCondition = matching(format!("^{LABEL_KEY}(=.*)?$"));
    /// A state of sessions, or `all` of them.
    StatusCondition = text().enum_values(Some(SessionStatus::ALL.map(SessionStatus::as_str).into_iter().chain(["all"])));
    /// Bytes as they are.
    Binary = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
}

/// What [`check_key`](crate::label::check_key) takes, without its length and what is reserved.
const LABEL_KEY: &str = "(?!sandkasten\\.)[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?";

fn labels(value: impl Into<SchemaType>) -> ObjectBuilder {
    let key = matching(format!("^{LABEL_KEY}$")).max_length(Some(MAX_LABEL_KEY_BYTES));
    let value = ObjectBuilder::new()
        .schema_type(value)
        .pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]*$"))
        .max_length(Some(MAX_LABEL_VALUE_BYTES));
    map(key, value)
}

describe! {
    /// Names a session: `xxxxxxxx-xxxx` in lowercase hexadecimal, or a full lowercase UUID.
    SessionId = matching("^[0-9a-f]{8}-(?:[0-9a-f]{3,4}|[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$")
}
describe! {
    /// Names a workspace: 2 to 64 of `[a-z0-9-]`, no hyphen at either end.
    WorkspaceId = matching("^[a-z0-9][a-z0-9-]{0,62}[a-z0-9]$")
}
describe! {
    /// Names an exec or a process of a session: 16 lowercase hexadecimal digits.
    ExecId = matching("^[0-9a-f]{16}$")
}
describe! {
    /// Names a session for people: unique among live ones, and none that looks like an id.
    SessionName = matching(format!("^[A-Za-z0-9][A-Za-z0-9._-]{{0,{}}}$", MAX_NAME_BYTES - 1))
}
describe! {
    /// What a client writes on a session, to find it again.
    Labels = labels(Type::String).max_properties(Some(MAX_LABELS))
}
describe! {
    /// Changes of single labels: a text sets one, `null` removes it.
    LabelChanges = labels(SchemaType::from_iter([Type::String, Type::Null]))
}

/// A program and its arguments, at most 1 MiB altogether. The program's name is not empty, and nothing holds a NUL.
#[derive(Debug)]
pub enum Arguments {}

impl PartialSchema for Arguments {
    fn schema() -> RefOr<Schema> {
        let argument = matching(NO_NUL).max_length(Some(MAX_COMMAND_BYTES));
        let program = matching(NO_NUL).min_length(Some(1)).max_length(Some(MAX_COMMAND_BYTES));
        let array = ArrayBuilder::new()
            .description(Some("A program and its arguments, at most 1 MiB altogether."))
            .prefix_items([program])
            .items(argument)
            .min_items(Some(1))
            .max_items(Some(MAX_ARGUMENTS));
        Schema::Array(array.build()).into()
    }
}

impl ToSchema for Arguments {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Arguments")
    }
}

/// The longest list of edits, for the attribute of the field.
const _: () = assert!(MAX_EDITS == 100, "the schema of EditFileRequest.edits has the number as well");
