//! What is said of a feature whatever its state, and how a finding becomes a feature.

use super::{Feature, FeatureStatus};

/// What a finding is: the detail of what works, or the reason why something does not.
pub(super) type Finding = Result<String, String>;

/// Whether sandboxes can do without a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// No sandbox runs without it.
    Required,
    /// Its absence weakens something, or is only worth knowing.
    Optional,
}

/// The fixed part of a feature.
#[derive(Debug, Clone, Copy)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) need: Need,
    pub(super) why: &'static str,
    pub(super) advice: &'static str,
}

impl Check {
    /// Returns the feature with what was found out.
    pub(super) fn found(&self, finding: Finding) -> Feature {
        let status = match finding {
            Ok(detail) => FeatureStatus::Available { detail },
            Err(reason) => FeatureStatus::Missing { reason },
        };
        let required = self.need == Need::Required;
        Feature { name: self.name, status, required, why: self.why, advice: self.advice }
    }
}

#[cfg(test)]
mod tests {
    use super::{Check, Need};
    use crate::probe::FeatureStatus;

    #[test]
    fn a_finding_becomes_a_state() {
        let check = Check { name: "x", need: Need::Optional, why: "y", advice: "z" };
        assert_eq!(check.found(Ok("a".into())).status, FeatureStatus::Available { detail: "a".into() });
        assert_eq!(check.found(Err("b".into())).status, FeatureStatus::Missing { reason: "b".into() });
        assert!(!check.found(Ok(String::new())).required);
    }
}
