//! A Debian root file system, as `mmdebstrap` makes it.

use std::path::{Path, PathBuf};
use std::process::Command;

use sandkasten_e2e::with_daemon;

use crate::whole_way::{Script, curl_is_here, go, import};

/// Names an archive that is there already, or is `make` to have one made, which takes a minute or two.
const VARIABLE: &str = "SANDKASTEN_E2E_DEBIAN";

#[test]
fn a_debian_with_python_goes_the_whole_way() {
    let directory = tempfile::tempdir().expect("a directory");
    let archive = match archive(directory.path()) {
        Ok(archive) => archive,
        Err(reason) => {
            println!("SKIP: no Debian root file system: {reason}");
            return;
        }
    };
    if !curl_is_here() {
        println!("SKIP: curl is not installed");
        return;
    }
    with_daemon(async |daemon| {
        import(daemon, "debian", &archive);
        let script = Script {
            path: "/workspace/app/main.py",
            text: "import platform, sys\nprint('python', sys.version_info.major)\nprint(open('/etc/debian_version').read() != '')\n",
            command: "python3 app/main.py",
            output: "python 3\nTrue\n",
        };
        go(daemon, "debian", &script);
    });
}

fn archive(directory: &Path) -> Result<PathBuf, String> {
    let wanted =
        std::env::var_os(VARIABLE).ok_or_else(|| format!("{VARIABLE} is neither `make` nor an archive"))?;
    if wanted != "make" {
        return Ok(PathBuf::from(wanted));
    }
    let archive = directory.join("debian.tar");
    let made = Command::new("mmdebstrap")
        // The archive may be a copy that is older than it should be.
        .args([
            "--aptopt=Acquire::Check-Valid-Until \"false\"",
            "--variant=minbase",
            "--include=python3",
            "stable",
        ])
        .arg(&archive)
        .output()
        .map_err(|error| format!("mmdebstrap: {error}"))?;
    if made.status.success() {
        return Ok(archive);
    }
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    let first =
        said.lines().find(|line| line.starts_with("E:")).unwrap_or("mmdebstrap failed without a word");
    Err(first.to_owned())
}
