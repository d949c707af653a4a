//! `--env NAME=VALUE`, as often as wanted.

use std::collections::BTreeMap;
use std::env;

use clap::Args;

/// Variables for a command.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct EnvironmentArguments {
    /// A variable for the command; NAME alone takes the value that it has here. May be given several times
    #[arg(short = 'e', long = "env", value_name = "NAME=VALUE", value_parser = parse)]
    variables: Vec<(String, String)>,
}

impl EnvironmentArguments {
    /// The variables; of several values for one the last counts.
    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        self.variables.iter().cloned().collect()
    }
}

/// Parses a name with its value. What the daemon takes for a name, it says itself.
pub(crate) fn parse(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("there is no name in front of the =".to_owned()),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => match env::var(text) {
            Ok(value) => Ok((text.to_owned(), value)),
            Err(error) => Err(format!("{error}; give a value as {text}=VALUE")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_name_has_the_value_behind_the_first_sign_or_that_of_this_process() {
        assert_eq!(parse("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(parse("A="), Ok(("A".to_owned(), String::new())));
        assert_eq!(parse("PATH").expect("there").1, std::env::var("PATH").expect("there"));
        assert!(parse("=x").is_err() && parse("SANDKASTEN_NO_SUCH_VARIABLE").is_err());
    }
}
