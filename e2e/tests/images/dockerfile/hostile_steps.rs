//! Steps that were made to do harm.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use sandkasten_e2e::with_daemon;

use super::Kitchen;

#[test]
fn a_step_makes_no_device_and_what_it_leaves_of_others_is_left_out() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        let built = kitchen.cook(
            "FROM base\nRUN mkdir /d && cd /d; mknod zero c 1 5 || echo refused; mknod disk b 254 0 || echo refused; mkfifo pipe; \
             mknod white c 0 0 && echo made white; touch file; true\n",
        );
        assert_eq!(built.stderr.matches("refused\n").count(), 2, "{built:?}");
        assert!(built.has("left out 1 pipes"), "{built:?}");
        assert_eq!(kitchen.taste("ls /d"), "file");
        for entry in walk(&daemon.data_dir().join("layers")) {
            let kind = fs::symlink_metadata(&entry).expect("there").file_type();
            assert!(!kind.is_fifo() && !kind.is_block_device() && !kind.is_socket(), "{entry:?}");
            let device = fs::symlink_metadata(&entry).expect("there");
            assert!(!kind.is_char_device() || device.rdev() == 0, "{entry:?}");
        }
    });
}

#[test]
fn processes_that_a_step_leaves_end_with_it_and_write_nothing_afterwards() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        let built = kitchen.cook(
            "FROM base\nRUN (while :; do echo $RANDOM > /busy; mv /busy /busier; done) & \
             setsid sh -c 'trap \"\" TERM HUP; while :; do touch /n$RANDOM; done' > /dev/null 2>&1 & sleep 0.3\nRUN echo next\n",
        );
        assert_eq!(kitchen.left_over(), [""; 0], "{built:?}");
        let validated = daemon.command(&["image", "validate", "made"]).output().expect("it runs");
        assert!(validated.status.success(), "{validated:?}");
    });
}

#[test]
fn a_step_reaches_neither_the_runner_nor_other_privileges() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        let built = kitchen.cook(
            "FROM base\nRUN cat /proc/1/environ > /dev/null || echo no environ; for fd in /proc/1/fd/*; do readlink $fd && echo seen $fd; \
             cat < $fd && echo opened $fd; done; kill -9 1; kill -STOP 1; cat /proc/1/mem > /dev/null || echo no mem; ls /proc/1/root || echo no root; \
             readlink /proc/1/exe /proc/1/cwd || echo no links; \
             echo x > /proc/sys/kernel/hostname || echo no sysctl; echo 0 > /proc/1/oom_score_adj || echo no proc; \
             touch /dev/x || echo no dev; echo alive\n",
        );
        assert!(!built.has("seen /proc") && !built.has("opened /proc"), "{built:?}");
        for part in ["no environ", "no links", "no mem", "no root", "no sysctl", "no proc", "no dev", "alive"]
        {
            assert!(built.has(&format!("{part}\n")), "{part}: {built:?}");
        }
    });
}

#[test]
fn marks_of_overlays_and_odd_names_mean_nothing_more_in_the_layer() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        kitchen
            .build("FROM base\nRUN touch '/bin/.wh.sh'\n", &[])
            .failed(4, &["bin/.wh.sh", "mean deletions"]);
        kitchen
            .build("FROM base\nRUN mkdir -p /x && touch /x/.wh..wh..opq\n", &[])
            .failed(4, &["mean deletions"]);
        let long = "n".repeat(250);
        kitchen.cook(&format!(
            "FROM base\nRUN mkdir /odd && cd /odd && touch \"$(printf 'a\\nb')\" \"$(printf '\\377')\" ' ' -- {long} && mkdir -p {long}.d/{long} && touch {long}.d/{long}/{long} && ln -s \"$(printf 'x//y/../%s' {long})\" link\n\
             RUN rm -r /odd/{long}.d && mkdir /odd/{long}.d && touch /odd/{long}.d/only && rm /odd/link\n"
        ));
        assert_eq!(kitchen.taste(&format!("ls /odd | grep -c .; ls /odd/{long}.d")), "6\nonly");
    });
}

fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if fs::symlink_metadata(&path).expect("there").is_dir() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}
