//! Environment variables: what their names are.

/// Whether a text is a name of a variable here: letters, digits and underscores, no digit first.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    !text.is_empty() && letters && !text.starts_with(|first: char| first.is_ascii_digit())
}
