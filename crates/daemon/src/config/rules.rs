//! Rules that single values must keep, in the form garde and serde call them.
//!
//! A message is what follows the key and the value: `is not built yet`. The key, the value and what is allowed
//! instead are added where the error is shown, so that no rule can forget them, and none can print a secret.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use sandkasten_api::variable;
use sandkasten_image::{ImageName, ImagePattern};
use sandkasten_registry::Mirror;
use serde::{Deserialize, Deserializer};

use super::api_key::ApiKey;
use super::automatic::Automatic;
use super::defaults::{ExecMode, NetworkMode};
use super::pool::MOST_READY;

/// Declares an enum whose values are written as fixed words, in files, in the environment and in listings.
macro_rules! keyword_enum {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident { $($(#[$variant_attribute:meta])* $variant:ident = $word:literal,)+ }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
        #[schemars(inline)]
        pub enum $name {
            $($(#[$variant_attribute])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Returns the word that the configuration uses.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::config::rules::UnknownKeyword;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::config::rules::UnknownKeyword),
                }
            }
        }
    };
}
pub(super) use keyword_enum;

/// A word that is none of an enum's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not one of the words it takes")]
pub struct UnknownKeyword;

/// Takes an empty value as if the key were not there, so that a section with all its keys commented out loads.
pub(super) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Takes an empty text as if the key were not there.
pub(super) fn empty_is_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: From<String>,
{
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()).map(T::from))
}

impl From<String> for ApiKey {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

pub(super) fn cores(value: &f64, _: &()) -> garde::Result {
    ensure((0.01..=1024.0).contains(value), "is out of range")
}

pub(super) fn automatic<const LEAST: u32, const MOST: u32>(value: &Automatic, _: &()) -> garde::Result {
    let fits = value.number().is_none_or(|number| (LEAST..=MOST).contains(&number));
    ensure(fits, "is out of range")
}

pub(super) fn absolute_path(path: &Path, _: &()) -> garde::Result {
    ensure(path.is_absolute(), "is no absolute path")?;
    let climbs = path.components().any(|part| part == Component::ParentDir);
    ensure(!climbs && path.parent().is_some(), "is `/` itself or goes through `..`")
}

pub(super) fn header_safe(key: &ApiKey, _: &()) -> garde::Result {
    // The key travels in an `Authorization` header, where anything else would be cut or refused.
    ensure(
        key.expose().bytes().all(|byte| byte.is_ascii_graphic()),
        "has spaces or characters that are not ASCII",
    )
}

pub(super) fn host_name(host: &str, _: &()) -> garde::Result {
    let plain =
        host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'));
    ensure(plain && !host.is_empty(), "is no host name")
}

pub(super) fn mirrors(mirrors: &BTreeMap<String, Vec<String>>, _: &()) -> garde::Result {
    mirrors.keys().try_for_each(|registry| host_name(registry, &()))?;
    ensure(mirrors.values().all(|own| !own.is_empty()), "has a registry without a mirror")?;
    for mirror in mirrors.values().flatten() {
        mirror
            .parse::<Mirror>()
            .map_err(|error| garde::Error::new(format!("has a mirror that is none: {error}")))?;
    }
    Ok(())
}

pub(super) fn image_name(name: &str, _: &()) -> garde::Result {
    ensure(name.parse::<ImageName>().is_ok(), "is no image name")
}

pub(super) fn pooled_images(images: &BTreeMap<String, u32>, _: &()) -> garde::Result {
    ensure(images.keys().all(|name| name.parse::<ImageName>().is_ok()), "has a key that is no image name")?;
    ensure(images.values().all(|count| *count <= MOST_READY), "has a number that is too high")
}

pub(super) fn image_patterns<T>(settings: &BTreeMap<String, T>, _: &()) -> garde::Result {
    // The digest of an image is looked at when it is resolved; what its sessions have is known before.
    let is_name = |text: &String| text.parse::<ImagePattern>().is_ok_and(|pattern| !pattern.has_digest());
    ensure(settings.keys().all(is_name), "has a key that is no image name")
}

pub(super) fn variables(variables: &BTreeMap<String, String>, _: &()) -> garde::Result {
    ensure(variables.keys().all(|name| variable::is_name(name)), "has a variable whose name is none")?;
    ensure(variables.values().all(|value| !value.contains('\0')), "has a variable whose value holds a NUL")
}

pub(super) fn not_built_yet(enabled: &bool, _: &()) -> garde::Result {
    ensure(!enabled, "is not built yet: remove the key or set it to false")
}

pub(super) fn built_network_mode(mode: &NetworkMode, _: &()) -> garde::Result {
    ensure(*mode == NetworkMode::None, "is not built yet: remove the key or set it to none")
}

pub(super) fn built_exec_mode(mode: &ExecMode, _: &()) -> garde::Result {
    ensure(*mode == ExecMode::Stateful, "is not built yet: remove the key or set it to stateful")
}

fn ensure(holds: bool, otherwise: &'static str) -> garde::Result {
    if holds { Ok(()) } else { Err(garde::Error::new(otherwise)) }
}
