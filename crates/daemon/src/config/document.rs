//! A configuration file as text: typed values out of it, and where each key stands in it.

use std::collections::BTreeMap;
use std::fmt;

use garde::Validate;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, NonFiniteFloatPolicy, Spanned};

/// A position in the text, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: usize,
    /// In characters.
    pub(super) column: usize,
}

/// Reads the text into a type and checks it by the type's own rules. An empty document is all defaults.
pub(super) fn read<T>(text: &str) -> Result<T, serde_saphyr::Error>
where
    T: DeserializeOwned + Default + Validate<Context = ()>,
{
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(blank) {
        return Ok(T::default());
    }
    serde_saphyr::from_str_with_options_valid(text, options())
}

/// Finds the value of every key: `defaults.cpu_limit` and where its value starts.
///
/// Empty where the text is no YAML: then only the parser can say where it went wrong.
pub(super) fn value_positions(text: &str) -> BTreeMap<String, Position> {
    let mut positions = BTreeMap::new();
    let mut options = options();
    // Faults of single values are what positions are wanted for; none of them may stop the reading.
    options.duplicate_keys = DuplicateKeyPolicy::FirstWins;
    options.non_finite_float_policy = NonFiniteFloatPolicy::PassThrough;
    options.reject_unsupported_tags = false;
    if let Ok(root) = serde_saphyr::from_str_with_options::<Node>(text, options) {
        collect(&root, "", &mut positions);
    }
    positions
}

pub(super) fn position(location: serde_saphyr::Location) -> Position {
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Position { line: number(location.line()), column: number(location.column()) }
}

fn options() -> serde_saphyr::Options {
    // `yes` and `on` are text in YAML 1.2; taking them as true would hide typing mistakes.
    serde_saphyr::options! { strict_booleans: true, reject_unsupported_tags: true, with_snippet: false, }
}

fn collect(node: &Node, prefix: &str, positions: &mut BTreeMap<String, Position>) {
    let mut children: Vec<(String, &Spanned<Node>)> = Vec::new();
    match node {
        Node::Mapping(entries) => {
            let separator = if prefix.is_empty() { "" } else { "." };
            children.extend(entries.iter().map(|(key, value)| (format!("{prefix}{separator}{key}"), value)));
        }
        Node::Sequence(items) => {
            children
                .extend(items.iter().enumerate().map(|(index, item)| (format!("{prefix}[{index}]"), item)));
        }
        Node::Scalar => {}
    }
    for (path, child) in children {
        positions.insert(path.clone(), position(child.referenced));
        collect(&child.value, &path, positions);
    }
}

/// Any YAML, with positions and without values.
enum Node {
    Mapping(Vec<(String, Spanned<Node>)>),
    Sequence(Vec<Spanned<Node>>),
    Scalar,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

/// Scalars of every kind are the same to the reader of positions.
macro_rules! scalars {
    ($($method:ident($kind:ty)),+) => {
        $(fn $method<E>(self, _: $kind) -> Result<Node, E> {
            Ok(Node::Scalar)
        })+
    };
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any YAML")
    }

    scalars!(
        visit_bool(bool),
        visit_i64(i64),
        visit_i128(i128),
        visit_u64(u64),
        visit_u128(u128),
        visit_f64(f64),
        visit_str(&str),
        visit_bytes(&[u8])
    );

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        IgnoredAny::deserialize(deserializer)?;
        Ok(Node::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Mapping(entries))
    }
}
