//! The programs of the host that the image made of it offers.

use std::path::Path;

use rustix::fs::Access;

use super::Feature;
use super::check::{Check, Finding, Need};

const PROGRAMS: Check = Check {
    name: "host programs",
    need: Need::Optional,
    why: "bash and Python in the image that is made of the host's own /usr",
    advice: "install bash and python3 on the host, or use another image",
};

const WANTED: [&str; 2] = ["bash", "python3"];

pub(super) fn features() -> Vec<Feature> {
    let can_run = |name: &&str| rustix::fs::access(Path::new("/usr/bin").join(name), Access::EXEC_OK).is_ok();
    let (found, lacking): (Vec<&str>, Vec<&str>) = WANTED.into_iter().partition(can_run);
    vec![PROGRAMS.found(judge(&found, &lacking))]
}

fn judge(found: &[&str], lacking: &[&str]) -> Finding {
    if lacking.is_empty() {
        Ok(format!("{} in /usr/bin", found.join(" and ")))
    } else {
        Err(format!("no {} in /usr/bin", lacking.join(" and no ")))
    }
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn what_is_lacking_is_named() {
        assert_eq!(judge(&["bash"], &["python3"]), Err("no python3 in /usr/bin".into()));
        assert_eq!(judge(&["bash", "python3"], &[]), Ok("bash and python3 in /usr/bin".into()));
    }
}
