//! The tools, by what they are about. Each is a method of the server; its arguments and its result are types, whose comments are
//! what a language model reads about them.

mod exec;
mod files;
mod listing;
mod local_transfer;
mod processes;
mod search;
mod sessions;
mod transfer;

use std::sync::Arc;

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::JsonObject;
use serde_json::Value;

use crate::host_directory::HostDirectory;
use crate::server::SandboxServer;

impl SandboxServer {
    /// All tools. With a directory of the host, files are copied from and to it, and travel in messages otherwise.
    pub(crate) fn tools_for(directory: Option<&HostDirectory>) -> ToolRouter<Self> {
        let transfer = match directory {
            Some(_) => Self::local_transfer_tools(),
            None => Self::transfer_tools(),
        };
        let mut tools = Self::exec_tools()
            + Self::file_tools()
            + Self::listing_tools()
            + Self::search_tools()
            + Self::process_tools()
            + Self::session_tools()
            + transfer;
        for tool in tools.map.values_mut().map(|route| &mut route.attr) {
            drop_formats(Arc::make_mut(&mut tool.input_schema));
            tool.output_schema.as_mut().map(Arc::make_mut).into_iter().for_each(drop_formats);
        }
        tools
    }
}

/// Takes the formats of numbers out of a schema: they are Rust's own, and strict validators refuse what they do not know.
fn drop_formats(schema: &mut JsonObject) {
    if schema.get("format").is_some_and(Value::is_string) {
        schema.remove("format");
    }
    for value in schema.values_mut() {
        match value {
            Value::Object(inner) => drop_formats(inner),
            Value::Array(inner) => inner.iter_mut().filter_map(Value::as_object_mut).for_each(drop_formats),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::Tool;
    use serde_json::Value;

    use crate::host_directory::HostDirectory;
    use crate::server::SandboxServer;

    const NAMES: [&str; 14] = [
        "create_session",
        "destroy_session",
        "download",
        "edit_file",
        "exec",
        "list_files",
        "list_sessions",
        "read_file",
        "read_process_output",
        "search_files",
        "start_process",
        "stop_process",
        "upload",
        "write_file",
    ];

    fn tools(directory: Option<&HostDirectory>) -> Vec<Tool> {
        let mut tools = SandboxServer::tools_for(directory).list_all();
        tools.sort_by(|left, right| left.name.cmp(&right.name));
        tools
    }

    fn properties(tool: &Tool) -> Vec<String> {
        let properties = tool.input_schema.get("properties").and_then(Value::as_object);
        properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
    }

    #[test]
    fn every_tool_describes_itself_wholly() {
        for tool in tools(None) {
            let name = &tool.name;
            assert!(tool.title.is_some() && tool.description.is_some(), "{name}");
            let annotations = tool.annotations.as_ref().unwrap_or_else(|| panic!("{name} has annotations"));
            assert!(
                annotations.read_only_hint.is_some() && annotations.open_world_hint == Some(false),
                "{name}"
            );
            let output = tool.output_schema.as_ref().unwrap_or_else(|| panic!("{name} has an output"));
            assert_eq!(output.get("type").and_then(Value::as_str), Some("object"), "{name}");
            assert_eq!(tool.input_schema.get("additionalProperties"), Some(&Value::Bool(false)), "{name}");
            let properties = tool.input_schema.get("properties").and_then(Value::as_object);
            for (property, schema) in properties.into_iter().flatten() {
                assert!(schema.get("description").is_some(), "{name}.{property}");
            }
        }
    }

    #[test]
    fn schemas_have_no_formats_that_only_rust_knows() {
        for tool in tools(None) {
            let schemas = serde_json::to_string(&(&tool.input_schema, &tool.output_schema)).expect("JSON");
            assert!(!schemas.contains("\"format\""), "{}: {schemas}", tool.name);
        }
    }

    #[test]
    fn the_tools_are_those_of_the_guide() {
        let names: Vec<_> = tools(None).into_iter().map(|tool| tool.name.into_owned()).collect();
        assert_eq!(names, NAMES);
        let guide = include_str!("../../../../docs/mcp.md");
        for name in NAMES {
            assert!(guide.contains(&format!("| `{name}` |")), "docs/mcp.md has no line on {name}");
        }
    }

    #[test]
    fn paths_of_the_host_are_taken_only_where_a_directory_was_named() {
        let place = tempfile::tempdir().expect("a directory");
        let directory = HostDirectory::open(place.path()).expect("opened");
        let takes_paths = |directory: Option<&HostDirectory>| -> Vec<String> {
            let named = tools(directory)
                .into_iter()
                .filter(|tool| properties(tool).contains(&"local_path".to_owned()));
            named.map(|tool| tool.name.into_owned()).collect()
        };
        assert_eq!(takes_paths(Some(&directory)), ["download", "upload"]);
        assert!(takes_paths(None).is_empty());
        assert_eq!(tools(Some(&directory)).len(), NAMES.len());
    }
}
