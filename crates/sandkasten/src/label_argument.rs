//! `--label KEY=VALUE`, as often as wanted.

use std::collections::BTreeMap;

use clap::Args;
use sandkasten_api::label::{Labels, check_key};
use sandkasten_api::name::SessionName;

use crate::cli_error::{CliError, Exit};

/// What a session that is made is to be called.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct NamingArguments {
    /// A name for the session, which no other live one has; commands take it instead of the id
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<SessionName>,

    /// A label for the session; may be given several times
    #[arg(short, long = "label", value_name = "KEY=VALUE", value_parser = parse)]
    labels: Vec<(String, String)>,
}

impl NamingArguments {
    /// Returns the labels, if there are any.
    pub(crate) fn labels(&self) -> Result<Option<Labels>, CliError> {
        let labels: BTreeMap<String, String> = self.labels.iter().cloned().collect();
        let labels = Labels::try_from(labels).map_err(|error| CliError {
            what: "cannot label the session".to_owned(),
            why: error.to_string(),
            hint: "correct --label".to_owned(),
            exit: Exit::Usage,
        })?;
        Ok((!self.labels.is_empty()).then_some(labels))
    }
}

/// Parses a key and its value; a key alone has an empty one.
fn parse(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    check_key(key).map_err(|error| error.to_string())?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_value_may_hold_everything() {
        assert_eq!(parse("a=b=c d"), Ok(("a".to_owned(), "b=c d".to_owned())));
        assert_eq!(parse("a"), Ok(("a".to_owned(), String::new())));
        assert!(parse("=b").is_err() && parse("a b=c").is_err());
    }
}
