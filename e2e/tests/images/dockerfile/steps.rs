//! What a RUN can do, and what of it becomes the image's.

use sandkasten_e2e::with_daemon;

use super::Kitchen;

#[test]
fn a_run_is_root_with_seven_capabilities_and_what_it_changes_is_in_the_image() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        let built = kitchen.cook(
            "FROM base\nRUN id && grep ^Cap /proc/self/status && grep NoNewPrivs /proc/self/status\n\
             RUN mkdir -p /opt/x && echo 1 > /opt/x/f && chown 33:44 /opt/x/f && chmod 0640 /opt/x/f && ln /opt/x/f /opt/x/g \
             && ln -s f /opt/x/l && rm /etc/made-for-a-test && cp /bin/ls /opt/x/ls && chmod 4755 /opt/x/ls\n\
             RUN rm -r /workspace && mkdir /opt/x/0 && chmod 0 /opt/x/0 && touch /opt/x/0/in\n",
        );
        assert!(built.has("uid=0(root) gid=0 groups=0"), "{built:?}");
        assert!(built.has("CapEff:\t00000000000000fb"), "{built:?}");
        assert!(built.has("CapBnd:\t00000000000000fb"), "{built:?}");
        assert!(built.has("CapAmb:\t0000000000000000") && built.has("NoNewPrivs:\t1"), "{built:?}");
        let stat =
            "cd /opt/x; stat -c '%n %a %u:%g %h %F' f g l ls 0; cat f 2>&1; ls /etc/made-for-a-test 2>&1";
        assert_eq!(
            kitchen.taste(stat),
            "f 640 33:44 2 regular file\ng 640 33:44 2 regular file\nl 777 0:0 1 symbolic link\n\
             ls 4755 0:0 1 regular file\n0 0 0:0 2 directory\ncat: f: Permission denied\n\
             ls: cannot access '/etc/made-for-a-test': No such file or directory"
        );
        // The layers can be taken elsewhere, and are what they say they are.
        let directory = tempfile::tempdir().expect("a directory");
        let to = directory.path().join("layout").to_string_lossy().into_owned();
        let exported = daemon.command(&["image", "export", "made", "--dir", &to]).output().expect("it runs");
        assert!(exported.status.success(), "{exported:?}");
        let again = ["image", "import", "--name", "again", &to];
        assert!(daemon.command(&again).output().expect("it runs").status.success());
        assert_eq!(kitchen.left_over(), [""; 0]);
    });
}

#[test]
fn a_run_has_the_user_the_directory_and_the_variables_of_the_stage() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        kitchen.file("accounts/passwd", "root:x:0:0::/root:/bin/sh\napp:x:50:60::/srv/app:/bin/sh\n");
        kitchen.file("accounts/group", "root:x:0:\napp:x:60:\nextra:x:70:app\n");
        let built = kitchen.build(
            "FROM base\nARG GIVEN\nCOPY accounts/ /etc/\nENV GREETING=\"hello world\"\nUSER app\nWORKDIR /srv/app\n\
             RUN id; echo \"$HOME|$PWD|$GREETING|$GIVEN\"; touch mine; touch /theirs || echo refused; grep CapEff /proc/self/status\n\
             USER 50:0\nRUN id\nUSER 77\nRUN id\nSHELL [\"/bin/bash\", \"-eo\", \"pipefail\", \"-c\"]\nUSER root\n\
             RUN [[ $0 == /bin/bash ]] && echo in bash\nRUN [\"/bin/cat\", \"/srv/app/mine\"]\n",
            &["--build-arg", "GIVEN=thing"],
        );
        assert_eq!(built.code, Some(0), "{built:?}");
        assert!(built.has("uid=50(app) gid=60(app) groups=60(app),70(extra)"), "{built:?}");
        assert!(built.has("/srv/app|/srv/app|hello world|thing\n"), "{built:?}");
        assert!(built.has("refused") && built.has("CapEff:\t0000000000000000"), "{built:?}");
        assert!(built.has("uid=50(app) gid=0(root) groups=0(root)"), "{built:?}");
        assert!(built.has("uid=77 gid=0(root)") && built.has("in bash"), "{built:?}");
        assert_eq!(kitchen.taste("stat -c %U:%G /srv/app /srv/app/mine"), "app:app\napp:app");
        assert_eq!(kitchen.config()["env"], serde_json::json!(["GREETING=hello world"]));
    });
}

#[test]
fn here_documents_are_run_and_copied() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        kitchen.cook(
            "FROM base\nENV WHO=world\nRUN <<EOF\nset -e\necho \"one $WHO\" > /one\nEOF\nRUN cat <<'X' > /two\n$WHO\nX\n\
             COPY --chmod=0755 <<EOF /three\n#!/bin/sh\necho three $WHO\nEOF\n",
        );
        assert_eq!(kitchen.taste("cat /one /two; /three"), "one world\n$WHO\nthree world");
    });
}

#[test]
fn what_the_sandbox_lays_over_the_image_does_not_become_a_part_of_it() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        kitchen.file("resolv.conf", "from the context\n");
        let built = kitchen.cook(
            "FROM base\nRUN mkdir /probe; chmod 0750 /run; chmod 0711 /etc; touch /etc/new; echo spoilt > /etc/hosts; rm /etc/resolv.conf; \
             touch /run/kept; rm -rf /run/sandkasten; ls -A /run; touch /dev/x /proc/x; touch /dev/shm/x; ls /sys; true\nRUN ls -A / /dev/shm\n",
        );
        assert!(built.has("sandkasten"), "the control directory is a mount: {built:?}");
        let layers = daemon.data_dir().join("layers");
        let output = std::process::Command::new("find").arg(&layers).output().expect("find runs");
        let found = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(found.contains("/run/kept") && found.contains("/etc/new"), "{found}");
        for path in [
            "/run/sandkasten",
            "/etc/hosts",
            "/etc/resolv.conf",
            "/etc/hostname",
            "/dev/shm",
            "/dev/x",
            "/proc/x",
        ] {
            // The image `host` has files of its own there.
            let ours = found.lines().filter(|line| line.ends_with(path) && !line.contains("/host-"));
            assert_eq!(ours.collect::<Vec<_>>(), [""; 0], "{path}");
        }
        assert_eq!(kitchen.taste("stat -c %a /etc"), "755", "the sandbox's own lies on top of it");
    });
}
