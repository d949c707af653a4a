//! The files that belong to a configuration: itself, the log, the database.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sandkasten_daemon::config::Config;

use super::finding;
use crate::{Finding, Verdict};

/// Where a detached daemon writes, below the run directory.
const LOG: &str = "sandkasten.log";

pub(super) fn check(config: &Config, file: Option<&Path>) -> Vec<Finding> {
    vec![
        configuration_file(config, file),
        private(
            "log of a detached daemon",
            &config.run_dir().join(LOG),
            "no detached daemon has written one",
        ),
        private("database", &config.database_path(), "it will be made with mode 0600"),
    ]
}

/// Who writes it decides what runs as root; who reads it knows the key.
fn configuration_file(config: &Config, file: Option<&Path>) -> Finding {
    let name = "configuration file";
    let Some(path) = file else {
        return finding(name, Verdict::Ok, "there is none: the defaults hold", "");
    };
    let shown = path.display();
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) => {
            let advice = "make it readable for root";
            return finding(name, Verdict::Fail, format!("{shown} cannot be looked at: {error}"), advice);
        }
    };
    if !found.is_file() {
        return finding(
            name,
            Verdict::Skip,
            format!("{shown} is no file that could be kept from others"),
            "",
        );
    }
    let mode = found.mode() & 0o7777;
    let holds_key = config.api_key.is_some() && config.api_key_file.is_none();
    if mode & 0o022 != 0 {
        let detail = format!("{shown} can be changed by others: mode {mode:04o}");
        finding(name, Verdict::Fail, detail, "chmod it to 0600")
    } else if found.uid() != 0 {
        let detail = format!("{shown} belongs to user {}, who can change it", found.uid());
        finding(
            name,
            Verdict::Warn,
            detail,
            "chown it to root, unless that user is the one who runs the daemon",
        )
    } else if holds_key && mode & 0o044 != 0 {
        let detail = format!("{shown} holds the key, and others can read it: mode {mode:04o}");
        finding(name, Verdict::Warn, detail, "chmod it to 0600, or use api_key_file")
    } else {
        finding(name, Verdict::Ok, format!("{shown}, mode {mode:04o}"), "")
    }
}

/// A file of the daemon's that is for root alone.
fn private(name: &str, path: &Path, absent: &str) -> Finding {
    match fs::symlink_metadata(path) {
        Ok(found) => judge_private(name, path, &found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => finding(name, Verdict::Ok, absent, ""),
        Err(error) => {
            let detail = format!("{} cannot be looked at: {error}", path.display());
            finding(name, Verdict::Fail, detail, "run this as root")
        }
    }
}

fn judge_private(name: &str, path: &Path, found: &Metadata) -> Finding {
    let mode = found.mode() & 0o7777;
    if found.is_file() && found.uid() == 0 && mode & 0o177 == 0 {
        return finding(name, Verdict::Ok, format!("{}, mode {mode:04o}", path.display()), "");
    }
    let kind = if found.is_file() { "file" } else { "something else than a file" };
    let detail = format!("{} is a {kind} of user {} with mode {mode:04o}", path.display(), found.uid());
    finding(name, Verdict::Fail, detail, "chown it to root and chmod it to 0600; look who could have read it")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use sandkasten_daemon::config::{ApiKey, Config};

    use super::check;
    use crate::Verdict;

    fn set_mode(path: &std::path::Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    }

    #[test]
    fn files_that_others_can_read_or_change_are_found() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIP: files of root need root");
            return;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let mut config = Config::default();
        config.data_dir = directory.path().to_owned();
        config.api_key = Some(ApiKey::from("k".to_owned()));
        let file = directory.path().join("sandkasten.yaml");
        let verdicts = || -> Vec<Verdict> {
            check(&config, Some(&file)).into_iter().map(|finding| finding.verdict).collect()
        };
        assert_eq!(verdicts(), [Verdict::Fail, Verdict::Ok, Verdict::Ok], "no file");
        fs::create_dir(config.run_dir()).expect("a directory");
        let log = config.run_dir().join("sandkasten.log");
        for path in [&file, &log, &config.database_path()] {
            fs::write(path, "").expect("a file");
            set_mode(path, 0o600);
        }
        assert_eq!(verdicts(), [Verdict::Ok; 3]);
        set_mode(&file, 0o644);
        set_mode(&log, 0o640);
        set_mode(&config.database_path(), 0o604);
        assert_eq!(verdicts(), [Verdict::Warn, Verdict::Fail, Verdict::Fail]);
        set_mode(&file, 0o620);
        fs::remove_file(&log).expect("removed");
        symlink("/etc/hostname", &log).expect("a link");
        assert_eq!(verdicts(), [Verdict::Fail, Verdict::Fail, Verdict::Fail]);
    }
}
