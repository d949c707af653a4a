//! Files of sandboxes as resources: `sandkasten://<session>/workspace/<path>`.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use rmcp::ErrorData;
use rmcp::model::{
    ListResourceTemplatesResult, ListResourcesResult, ReadResourceResult, Resource, ResourceContents,
    ResourceTemplate,
};
use sandkasten_api::error::ErrorCode;
use sandkasten_api::file_tree::{FileType, ListFilesQuery};
use sandkasten_api::id::SessionId;
use sandkasten_client::{RequestError, SessionReference};

use crate::file_content;
use crate::server::SandboxServer;
use crate::tool_error::ToolError;

/// The most files that are listed.
const MAX_LISTED: usize = 200;
/// How many levels of directories are listed.
const LISTED_DEPTH: usize = 3;
/// The most bytes of one resource.
const MAX_RESOURCE_BYTES: usize = 4 << 20;
const SCHEME: &str = "sandkasten://";
/// What is written as `%XX` in the path of a URI.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b']')
    .add(b'{')
    .add(b'}');

/// The form of all of them.
pub(crate) fn templates() -> ListResourceTemplatesResult {
    let files = ResourceTemplate::new(
        format!("{SCHEME}{{session}}/workspace/{{+path}}"),
        "file of a sandbox",
    )
    .with_title("A file below /workspace of a sandbox")
    .with_description(
        "session is the id or the name of a sandbox; text as text, anything else as bytes, at most 4 MiB",
    );
    ListResourceTemplatesResult::with_all_items(vec![files])
}

/// The files of the MCP session's own sandbox, as far as there is one: listing makes none.
pub(crate) async fn list(server: &SandboxServer) -> Result<ListResourcesResult, ErrorData> {
    let Some(id) = server.sessions.own_if_there().await else {
        return Ok(ListResourcesResult::default());
    };
    let query = ListFilesQuery { depth: Some(LISTED_DEPTH), ..ListFilesQuery::default() };
    let listing = match server.client.session_files(&id).list(&query).await {
        Ok(listing) => listing,
        Err(error) if ToolError::session_loss(&error).is_some() => return Ok(ListResourcesResult::default()),
        Err(error) => return Err(ErrorData::internal_error(ToolError::from(error).text(), None)),
    };
    let files =
        listing.entries.into_iter().filter(|entry| entry.file_type == FileType::File).take(MAX_LISTED);
    let resources = files.map(|entry| Resource::new(uri(&id, &entry.path), entry.path).with_size(entry.size));
    Ok(ListResourcesResult::with_all_items(resources.collect()))
}

/// Reads one.
pub(crate) async fn read(server: &SandboxServer, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let not_found = |reason: String| ErrorData::resource_not_found(format!("{uri:?}: {reason}"), None);
    let (session, path) = parse(uri).map_err(not_found)?;
    let files = async {
        let id = session.resolve(&server.client).await?;
        file_content::read(&server.client.session_files(&id), &path, MAX_RESOURCE_BYTES).await
    };
    let content = files.await.map_err(|error| match &error {
        RequestError::Refused { body, .. } if body.error_code != ErrorCode::InternalError => {
            not_found(ToolError::from(error).text())
        }
        _ => ErrorData::internal_error(ToolError::from(error).text(), None),
    })?;
    if content.goes_on {
        let message =
            format!("{uri:?} has more than {MAX_RESOURCE_BYTES} bytes; read parts of it with read_file");
        return Err(ErrorData::invalid_params(message, None));
    }
    let contents = match content.text() {
        Some(text) => ResourceContents::text(text, uri),
        None => {
            let kind = content.image_type().unwrap_or("application/octet-stream");
            ResourceContents::blob(content.base64(), uri).with_mime_type(kind)
        }
    };
    Ok(ReadResourceResult::new(vec![contents]))
}

/// The URI of a file, which the engine names by its absolute path.
pub(crate) fn uri(session: &SessionId, path: &str) -> String {
    format!("{SCHEME}{session}{}", utf8_percent_encode(path, ESCAPED))
}

/// The sandbox and the absolute path that a URI names.
fn parse(uri: &str) -> Result<(SessionReference, String), String> {
    let rest = uri.strip_prefix(SCHEME).ok_or_else(|| format!("the scheme is not {SCHEME}"))?;
    let (session, path) = rest.split_once('/').ok_or("no path follows the session")?;
    let session = session.parse::<SessionReference>().map_err(|error| format!("no session: {error}"))?;
    let path = percent_decode_str(path).decode_utf8().map_err(|_| "the path is no UTF-8")?;
    if !path.starts_with("workspace/") {
        return Err("the path is not below workspace/".to_owned());
    }
    Ok((session, format!("/{path}")))
}

#[cfg(test)]
mod tests {
    use super::{parse, uri};

    #[test]
    fn a_uri_comes_back_as_what_it_was_made_of() {
        let id = "0123abcd-ef01".parse().expect("an id");
        for path in ["/workspace/a", "/workspace/ä b/c%20d?e#f", "/workspace/{x}[1]"] {
            let made = uri(&id, path);
            assert!(made.is_ascii() && !made.contains([' ', '?', '#']), "{made}");
            assert_eq!(parse(&made).expect("parsed").1, path);
        }
        assert_eq!(uri(&id, "/workspace/a b"), "sandkasten://0123abcd-ef01/workspace/a%20b");
    }

    #[test]
    fn what_names_no_file_of_a_workspace_is_refused() {
        for bad in [
            "file:///etc/passwd",
            "sandkasten://",
            "sandkasten://0123abcd-ef01",
            "sandkasten://0123abcd-ef01/etc/passwd",
            "sandkasten://../workspace/a",
            "sandkasten://0123abcd-ef01/workspace/%ff",
            "",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
