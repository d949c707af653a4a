//! `-e KEY=VALUE`, as often as wanted.

use std::collections::BTreeMap;

use clap::Args;

/// Variables for what is run.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct EnvironmentArguments {
    /// A variable for the command; KEY alone takes the value that it has here. May be given several times
    #[arg(short = 'e', long = "env", value_name = "KEY=VALUE", value_parser = parse)]
    variables: Vec<(String, String)>,
}

impl EnvironmentArguments {
    /// Returns the variables; the last value of one counts.
    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        self.variables.iter().cloned().collect()
    }
}

fn parse(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("a variable has a name in front of the =".to_owned()),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => match std::env::var(text) {
            Ok(value) => Ok((text.to_owned(), value)),
            Err(_) => Err(format!("{text} is not set here, or is no text; give KEY=VALUE")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_value_may_hold_everything_and_a_name_alone_takes_ours() {
        assert_eq!(parse("A=b=c d"), Ok(("A".to_owned(), "b=c d".to_owned())));
        assert_eq!(parse("A="), Ok(("A".to_owned(), String::new())));
        assert_eq!(parse("PATH").expect("it is set").1, std::env::var("PATH").expect("it is set"));
        assert!(parse("=b").is_err() && parse("SURELY_NOT_SET_HERE").is_err());
    }
}
