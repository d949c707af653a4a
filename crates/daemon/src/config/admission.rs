//! The `admission` section: how many creates are made at once, how long others wait, and what the host must have free.

use garde::Validate;
use schemars::JsonSchema;
use serde::Deserialize;

use super::automatic::Automatic;
use super::rules;

/// The `admission` section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct AdmissionConfig {
    /// How many sessions are made at once; by itself four for each processor.
    #[garde(custom(rules::automatic::<1, 4_095>))]
    pub concurrent_creates: Automatic,
    /// How many creates wait at most.
    #[garde(range(min = 1, max = 100_000))]
    pub max_waiting: u32,
    /// How many seconds a create waits for its turn and for memory where its request does not say it.
    #[garde(range(max = 600))]
    pub wait_seconds: u32,
    /// How much memory of the host has to be available for another session, in MiB; 0 for any. By itself 5 % of the host's,
    /// at most 512.
    #[garde(custom(rules::automatic::<0, 1_073_741_824>))]
    pub min_free_memory_mb: Automatic,
    /// For which part of the last ten seconds all processes of the host may have waited for memory, in percent; 100 for any.
    #[garde(range(min = 1, max = 100))]
    pub max_memory_pressure: u32,
}

impl Default for AdmissionConfig {
    fn default() -> Self {
        Self {
            concurrent_creates: Automatic::Auto,
            max_waiting: 1_000,
            wait_seconds: 30,
            min_free_memory_mb: Automatic::Auto,
            max_memory_pressure: 20,
        }
    }
}
