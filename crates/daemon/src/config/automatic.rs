//! A number that the daemon finds by itself where none is given.

use std::fmt;
use std::str::FromStr;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// How the absence of a number is written.
const AUTO: &str = "auto";

/// `auto`, or a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Automatic {
    /// The daemon finds the number.
    #[default]
    Auto,
    /// This number.
    Is(u32),
}

/// A text that is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is neither auto nor a whole number that fits")]
pub struct ParseAutomaticError;

impl Automatic {
    /// Returns the number that was given.
    #[must_use]
    pub const fn number(self) -> Option<u32> {
        match self {
            Self::Auto => None,
            Self::Is(number) => Some(number),
        }
    }
}

impl fmt::Display for Automatic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str(AUTO),
            Self::Is(number) => write!(formatter, "{number}"),
        }
    }
}

impl FromStr for Automatic {
    type Err = ParseAutomaticError;

    fn from_str(text: &str) -> Result<Self, ParseAutomaticError> {
        if text == AUTO {
            return Ok(Self::Auto);
        }
        text.parse().map(Self::Is).map_err(|_| ParseAutomaticError)
    }
}

impl JsonSchema for Automatic {
    fn schema_name() -> Cow<'static, str> {
        "Automatic".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "const": AUTO }, { "type": "integer", "minimum": 0 }] })
    }
}

impl<'de> Deserialize<'de> for Automatic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = Automatic;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("auto or a whole number")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Automatic, E> {
                u32::try_from(number).map(Automatic::Is).map_err(|_| E::custom(ParseAutomaticError))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Automatic, E> {
                u32::try_from(number).map(Automatic::Is).map_err(|_| E::custom(ParseAutomaticError))
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Automatic, E> {
                Err(E::custom(ParseAutomaticError))
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Automatic, E> {
                Err(E::custom(ParseAutomaticError))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Automatic, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Either)
    }
}
