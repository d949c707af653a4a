//! What a tool gives back: text for a language model, and the same as data for a program.

use rmcp::ErrorData;
use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock};
use serde::Serialize;

/// The result of a tool.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    content: Vec<ContentBlock>,
    value: T,
    is_error: bool,
}

impl<T> Answer<T> {
    /// A result whose text is this.
    pub(crate) fn new(text: impl Into<String>, value: T) -> Self {
        Self::with_content(ContentBlock::text(text), value)
    }

    /// A result that shows something else than text.
    pub(crate) fn with_content(content: ContentBlock, value: T) -> Self {
        Self { content: vec![content], value, is_error: false }
    }

    /// The same, as something that did not work.
    pub(crate) fn failed(self) -> Self {
        Self { is_error: true, ..self }
    }
}

impl<T: Serialize> IntoCallToolResult for Answer<T> {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        let value = serde_json::to_value(self.value)
            .map_err(|error| ErrorData::internal_error(format!("the result is no JSON: {error}"), None))?;
        let mut result = if self.is_error {
            CallToolResult::error(self.content)
        } else {
            CallToolResult::success(self.content)
        };
        result.structured_content = Some(value);
        Ok(result.into())
    }
}
