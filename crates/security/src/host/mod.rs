//! The host: what its kernel can do, how old it is, and how it is set up for everybody else.

mod kernel;
mod sysctls;

use sandkasten_daemon::config::Config;
use sandkasten_isolation::probe::{Feature, FeatureStatus, probe};

use crate::{Finding, Part, Verdict};

/// Checks the host that this runs on. Blocking, some tens of milliseconds; changes nothing.
#[must_use]
pub fn check(config: &Config) -> Vec<Finding> {
    let mut findings: Vec<Finding> = probe(&config.data_dir).features.into_iter().map(from_feature).collect();
    findings.push(kernel::age());
    findings.extend(sysctls::check());
    findings
}

/// What `doctor` finds, in the words of this report.
fn from_feature(feature: Feature) -> Finding {
    let (verdict, detail, advice) = match feature.status {
        FeatureStatus::Available { detail } => (Verdict::Ok, detail, ""),
        FeatureStatus::Missing { reason } if feature.required => (Verdict::Fail, reason, feature.advice),
        FeatureStatus::Missing { reason } => (Verdict::Warn, reason, feature.advice),
    };
    Finding::new(Part::Host, "host", feature.name, verdict, detail, advice)
}
