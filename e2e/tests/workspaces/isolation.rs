//! A workspace leads nowhere, and nothing in it is worth more than in any other writable place.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sandkasten_e2e::with_config;

use crate::ENABLED;

#[test]
fn its_mount_is_without_setuid_and_devices_private_and_ends_where_it_begins() {
    with_config(ENABLED, async |daemon| {
        let session = daemon.session_on("user-1").await;
        let line = session.output("grep ' /workspace ' /proc/self/mountinfo").await;
        let fields: Vec<&str> = line.split(' ').collect();
        for option in ["rw", "nosuid", "nodev", "idmapped"] {
            assert!(fields[5].split(',').any(|own| own == option), "{option}: {line}");
        }
        assert_eq!(fields[6], "-", "a peer of the host's: {line}");
        assert_eq!(session.output("ls -di /workspace/.. / | awk '{print $1}' | uniq | wc -l").await, "1");
        assert_eq!(session.output("cd ..; pwd; ls -d workspace").await, "/\nworkspace");
        // Nothing of it is to be seen on the host.
        assert!(daemon.leaks(None).mounts.is_empty());
    });
}

#[test]
fn no_name_outside_of_it_can_be_given_to_its_files_or_the_other_way_round() {
    with_config(ENABLED, async |daemon| {
        let session = daemon.session_on("user-1").await;
        session.output("echo x > file; ln file name; echo y > /tmp/file").await;
        for command in ["ln file /tmp/name", "ln /tmp/file other", "ln /etc/passwd other", "ln file ../name"]
        {
            let result = session.exec(&format!("LC_ALL=C {command}")).await;
            let refused =
                ["Invalid cross-device link", "Permission denied", "Read-only file system", "not permitted"]
                    .iter()
                    .any(|reason| result.output.contains(reason));
            assert!(result.exit_code != 0 && refused, "{command}: {}", result.output);
        }
        let error = session
            .python(
                "import os\ntry: os.link('/workspace/file', '/tmp/n')\nexcept OSError as e: print(e.errno)",
            )
            .await;
        assert_eq!(error, "18");
    });
}

#[test]
fn devices_cannot_be_made_nor_used_and_setuid_programs_are_plain_ones() {
    with_config(ENABLED, async |daemon| {
        let session = daemon.session_on("user-1").await;
        for command in ["mknod null c 1 3", "mknod whiteout c 0 0", "mknod disk b 8 0"] {
            assert_ne!(session.exec(command).await.exit_code, 0, "{command}");
        }
        session.output("cp /usr/bin/id id && chmod 6755 id").await;
        assert_eq!(session.output("./id -u; ./id -g").await, "1000\n1000");
        // Also where root of the host has made them, and their owner is one that the mount shows.
        let tree = daemon.data_dir().join("workspaces/user-1");
        let made = std::process::Command::new("mknod")
            .args(["-m", "666"])
            .arg(tree.join("null"))
            .args(["c", "1", "3"])
            .status()
            .expect("mknod runs");
        assert!(made.success());
        fs::copy("/usr/bin/id", tree.join("roots-id")).expect("copied");
        fs::set_permissions(tree.join("roots-id"), fs::Permissions::from_mode(0o6755)).expect("a mode");
        assert_ne!(session.exec("echo x > null").await.exit_code, 0);
        assert_ne!(session.exec("cat null").await.exit_code, 0);
        assert_eq!(session.output("./roots-id -u; ./roots-id -g").await, "1000\n1000");
    });
}

#[test]
fn a_workspace_cannot_be_moved_nor_its_place_taken() {
    with_config(ENABLED, async |daemon| {
        let session = daemon.session_on("user-1").await;
        for command in [
            "mv /workspace /tmp/w",
            "rmdir /workspace",
            "umount /workspace",
            "mount -o remount,suid /workspace",
        ] {
            assert_ne!(session.exec(command).await.exit_code, 0, "{command}");
        }
        // Its own permission is the user's to take, and back for the next session.
        session.exec("chmod 000 /workspace").await;
        assert_eq!(daemon.session_on("user-1").await.output("echo works > file; cat file").await, "works");
    });
}
