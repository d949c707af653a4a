//! What is measured together, and can be asked for alone.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A group of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// What the kernel takes at least. Measured always: the others are put in relation to it.
    Floor,
    /// Creating and destroying, one at a time.
    Sessions,
    /// Commands in a session that is there.
    Exec,
    /// Files in and out.
    Files,
    /// Many at once.
    Parallel,
    /// What idle sessions take.
    Memory,
    /// How fast programs run inside.
    Cpu,
    /// How all this changes with the number of live sessions.
    Density,
    /// Other sandboxes that are installed.
    Peers,
}

/// A text that names no group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no group: there are {}", names())]
pub struct UnknownGroup {
    text: String,
}

impl Group {
    /// All of them, in the order they are measured.
    pub const ALL: [Self; 9] = [
        Self::Floor,
        Self::Sessions,
        Self::Exec,
        Self::Files,
        Self::Parallel,
        Self::Memory,
        Self::Cpu,
        Self::Density,
        Self::Peers,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Sessions => "sessions",
            Self::Exec => "exec",
            Self::Files => "files",
            Self::Parallel => "parallel",
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Density => "density",
            Self::Peers => "peers",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Group {
    type Err = UnknownGroup;

    fn from_str(text: &str) -> Result<Self, UnknownGroup> {
        Self::ALL
            .into_iter()
            .find(|group| group.name() == text)
            .ok_or_else(|| UnknownGroup { text: text.to_owned() })
    }
}

fn names() -> String {
    Group::ALL.map(Group::name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::Group;

    #[test]
    fn groups_are_known_by_their_names() {
        for group in Group::ALL {
            assert_eq!(group.name().parse(), Ok(group));
            assert_eq!(serde_json::to_value(group).expect("JSON"), group.name());
        }
        let error = "disk".parse::<Group>().expect_err("no group").to_string();
        assert!(error.contains("\"disk\"") && error.contains("floor, sessions"), "{error}");
    }
}
