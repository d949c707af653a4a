//! What a command inherits: three descriptors and an environment, nothing of the daemon.

use sandkasten_e2e::{API_KEY, with_config, with_daemon};

const LIST: &str = "\
import os
found = {}
for name in os.listdir('/proc/self/fd'):
    try: found[int(name)] = os.readlink('/proc/self/fd/' + name)
    except FileNotFoundError: pass
found = {number: target for number, target in found.items() if not target.endswith('/fd')}
print(sorted(found), found[0])";

#[test]
fn a_command_has_exactly_three_descriptors_and_an_empty_input() {
    for shell in ["bash", "sh"] {
        with_config(&format!("defaults:\n  shell_prefer: {shell}"), async |daemon| {
            let session = daemon.session().await;
            daemon.client().write_file(&session.id, "list.py", LIST.as_bytes()).await.expect("written");
            for command in [
                "python3 /workspace/list.py",
                "(python3 /workspace/list.py)",
                "python3 /workspace/list.py & wait",
                "bash -c 'python3 /workspace/list.py'",
                "x=$(python3 /workspace/list.py); echo \"$x\"",
                "f() { python3 /workspace/list.py; }; f",
            ] {
                let listed = session.output(command).await;
                assert_eq!(listed.replace("pipe:", "/dev/null"), "[0, 1, 2] /dev/null", "{shell}: {command}");
            }
            assert_eq!(session.output("cat; read line; echo $?").await, "1");
        });
    }
}

#[test]
fn the_environment_is_the_sessions_and_holds_nothing_of_the_daemons() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let names = session.output("env | cut -d= -f1 | sort").await;
        let expected =
            ["HOME", "LANG", "LOGNAME", "PATH", "PWD", "PYTHONUNBUFFERED", "SHLVL", "TERM", "USER", "_"];
        assert_eq!(names.lines().collect::<Vec<_>>(), expected);
        let values = session.output("env; set; tr '\\0' '\\n' < /proc/$$/environ").await;
        assert!(!values.contains(API_KEY), "{values}");
        assert!(!values.contains(&*daemon.data_dir().to_string_lossy()), "{values}");
        assert!(!values.contains("SANDKASTEN_"), "{values}");
    });
}

#[test]
fn the_umask_is_the_usual_one_and_not_the_daemons() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        assert_eq!(session.output("umask; touch x; mkdir y; stat -c %a x y").await, "0022\n644\n755");
    });
}

#[test]
fn a_session_starts_in_its_workspace() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let first = session.exec("pwd").await;
        assert_eq!((first.output.as_str(), first.cwd.as_str()), ("/workspace\n", "/workspace"));
    });
}
