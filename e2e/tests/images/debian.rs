//! A Debian root file system, as `mmdebstrap` makes it.

use std::path::Path;
use std::process::Command;

use sandkasten_e2e::{TestDaemon, with_daemon};

use crate::whole_way::{Script, curl_is_here, go, import};

/// Names an archive that is there already, or is `make` to have one made, which takes a minute or two.
const VARIABLE: &str = "SANDKASTEN_E2E_DEBIAN";

#[test]
fn a_debian_with_python_goes_the_whole_way() {
    if !curl_is_here() {
        println!("SKIP: curl is not installed");
        return;
    }
    with_daemon(async |daemon| {
        if let Err(reason) = make(daemon) {
            println!("SKIP: no Debian root file system: {reason}");
            return;
        }
        let script = Script {
            path: "/workspace/app/main.py",
            text: "import platform, sys\nprint('python', sys.version_info.major)\nprint(open('/etc/debian_version').read() != '')\n",
            command: "python3 app/main.py",
            output: "python 3\nTrue\n",
        };
        go(daemon, "debian", &script);
    });
}

#[test]
fn a_debian_that_cannot_be_made_leaves_nothing() {
    if Command::new("mmdebstrap").arg("--version").output().is_err() {
        println!("SKIP: no Debian root file system: mmdebstrap is not installed");
        return;
    }
    with_daemon(async |daemon| {
        let nowhere = "deb [trusted=yes] file:/no/such/mirror stable main";
        let build = ["image", "build", "--debian", "stable", "--mirror", nowhere];
        let built = daemon.command(&build).output().expect("it runs");
        assert_eq!(built.status.code(), Some(4), "{built:?}");
        let said = String::from_utf8_lossy(&built.stderr).into_owned();
        assert!(said.contains("cannot make Debian stable as image debian:stable"), "{said}");
        let list = daemon.command(&["image", "list", "-q"]).output().expect("it runs");
        assert_eq!(String::from_utf8_lossy(&list.stdout), "host\n");
        let layers = std::fs::read_dir(daemon.data_dir().join("layers")).expect("layers").count();
        assert_eq!(layers, 1, "only that of the built-in image");
    });
}

/// Makes the image `debian`.
fn make(daemon: &TestDaemon) -> Result<(), String> {
    let wanted =
        std::env::var_os(VARIABLE).ok_or_else(|| format!("{VARIABLE} is neither `make` nor an archive"))?;
    if wanted != "make" {
        import(daemon, "debian", Path::new(&wanted));
        return Ok(());
    }
    let build = ["image", "build", "--debian", "stable", "--include", "python3", "--name", "debian"];
    // The mirror may be a copy that is older than it should be.
    let old = ["--apt-option", "Acquire::Check-Valid-Until \"false\""];
    let made = daemon.command(&[&build[..], &old].concat()).output().map_err(|error| error.to_string())?;
    if made.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    let first = said.lines().find(|line| line.starts_with("E:") || line.contains("not installed"));
    // What is not mmdebstrap's fault is ours.
    Err(first.unwrap_or_else(|| panic!("{said}")).to_owned())
}
