//! Faults of the processor, as the kernel reports them: sandboxes on one host share it.

use std::fs;

use super::Feature;
use super::check::{Check, Finding, Need};

const MITIGATIONS: Check = Check {
    name: "cpu mitigations",
    need: Need::Optional,
    why: "keeping programs from reading other sessions' memory through faults of the processor",
    advice: "update the kernel and the microcode, boot without mitigations=off, and put sessions that must not \
             share a processor on hosts of their own",
};

const DIRECTORY: &str = "/sys/devices/system/cpu/vulnerabilities";

pub(super) fn features() -> Vec<Feature> {
    vec![MITIGATIONS.found(read().and_then(|faults| judge(&faults)))]
}

fn read() -> Result<Vec<(String, String)>, String> {
    let failed = |error| format!("{DIRECTORY}: {error}");
    let mut faults = Vec::new();
    for entry in fs::read_dir(DIRECTORY).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let state = fs::read_to_string(entry.path()).map_err(failed)?;
        faults.push((entry.file_name().to_string_lossy().into_owned(), state.trim().to_owned()));
    }
    faults.sort_unstable();
    Ok(faults)
}

/// Part of a state may be open, as in `Mitigation: Retpolines; BHI: Vulnerable`.
fn judge(faults: &[(String, String)]) -> Finding {
    let open: Vec<&str> = faults
        .iter()
        .filter(|(_, state)| state.contains("Vulnerable"))
        .map(|(name, _)| name.as_str())
        .collect();
    if open.is_empty() {
        let unaffected = faults.iter().filter(|(_, state)| state == "Not affected").count();
        Ok(format!("{unaffected} of {} known faults absent, the others mitigated", faults.len()))
    } else {
        Err(format!("the kernel says \"Vulnerable\" of {}", open.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::judge;

    fn faults(states: &[(&str, &str)]) -> Vec<(String, String)> {
        states.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect()
    }

    #[test]
    fn an_open_fault_is_named_even_behind_a_mitigation() {
        let faults = faults(&[
            ("meltdown", "Not affected"),
            ("spec_store_bypass", "Vulnerable"),
            ("spectre_v2", "Mitigation: Retpolines; BHI: Vulnerable"),
        ]);
        let reason = judge(&faults).expect_err("two are open");
        assert_eq!(reason, "the kernel says \"Vulnerable\" of spec_store_bypass, spectre_v2");
    }

    #[test]
    fn mitigated_faults_are_counted() {
        let faults = faults(&[("meltdown", "Not affected"), ("mds", "Mitigation: Clear CPU buffers")]);
        assert_eq!(judge(&faults), Ok("1 of 2 known faults absent, the others mitigated".into()));
    }
}
