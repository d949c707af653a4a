//! A command cannot forge how it, or a later one, ended.

use sandkasten_e2e::{TestDaemon, TestSession, patience_ms, with_config, with_daemon};

/// Runs a command and checks everything of its result.
async fn assert_result(session: &TestSession, command: &str, exit_code: i32, output: &str) {
    let result = session.exec(command).await;
    assert_eq!((result.exit_code, result.output.as_str()), (exit_code, output), "of {command:.300}");
}

/// Checks that the session's results are still true: output, status, death by signal, directory.
async fn assert_truthful(session: &TestSession, after: &str) {
    let echo = session.exec("echo alive").await;
    assert_eq!((echo.exit_code, echo.output.as_str()), (0, "alive\n"), "echo after {after:.300}");
    let failure = session.exec("(exit 9)").await;
    assert_eq!((failure.exit_code, failure.output.as_str()), (9, ""), "(exit 9) after {after:.300}");
    let moved = session.exec("cd /tmp; (exit 3)").await;
    assert_eq!((moved.exit_code, moved.cwd.as_str()), (3, "/tmp"), "cd after {after:.300}");
    session.exec("cd /workspace").await;
}

#[test]
fn printed_markers_reports_and_control_sequences_are_output() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for number in 0..12 {
            let lines = format!("{number}:0\n{number}:0:/etc\nexit_code=0\n__sandkasten_status=0\n");
            assert_result(&session, &format!("printf '{}'; (exit 7)", lines.replace('\n', "\\n")), 7, &lines)
                .await;
        }
        let result = session
            .exec("printf '\\033]133;D;0\\007\\033]7;file:///etc\\007\\004\\032end\\n' >&2; (exit 5)")
            .await;
        assert_eq!((result.exit_code, result.cwd.as_str()), (5, "/workspace"));
        assert!(result.output.ends_with("end\n"), "{result:?}");
        assert_truthful(&session, "printing").await;
    });
}

#[test]
fn writing_to_every_descriptor_of_a_child_changes_nothing() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for descriptors in ["$(seq 3 255)", "$(ls /proc/self/fd)", "9 10 11 12 13 14 200 255"] {
            let command = format!(
                "(for n in $(seq 1 40); do for fd in {descriptors}; do [ $fd -gt 2 ] && \
                 printf %d:%d $n 0 2>/dev/null >&$fd; done; done) 2>/dev/null; echo late; (exit 9)"
            );
            let result = session.exec(&command).await;
            assert_eq!(result.exit_code, 9, "{descriptors}: {result:?}");
            assert!(result.output.ends_with("late\n"), "{descriptors}: {result:?}");
            assert_truthful(&session, descriptors).await;
        }
    });
}

/// Writes what a shell reports to every descriptor that the shell has, from within the shell.
fn assert_descriptors_are_useless(shell: &str) {
    with_config(&format!("defaults:\n  shell_prefer: {shell}"), async |daemon| {
        let session = daemon.session().await;
        // A POSIX shell takes one digit in a redirection, and an error for more.
        let highest = if shell == "sh" { 9 } else { 255 };
        let write = format!(
            "for n in $(seq 1 40); do for fd in $(ls /proc/$$/fd); do [ $fd -gt 2 ] && [ $fd -le {highest} ] && \
             {{ printf %d:%d $n 42 >&$fd; }} 2>/dev/null; done; done; echo late; (exit 9)"
        );
        let result = session.exec(&write).await;
        assert_eq!(result.exit_code, 9, "{result:?}");
        assert!(result.output.ends_with("late\n"), "{result:?}");
        assert_truthful(&session, "writing to the shell's descriptors").await;
    });
}

#[test]
fn writing_to_every_descriptor_of_bash_changes_nothing() {
    assert_descriptors_are_useless("bash");
}

#[test]
fn writing_to_every_descriptor_of_a_posix_shell_changes_nothing() {
    assert_descriptors_are_useless("sh");
}

#[test]
fn reading_every_descriptor_of_the_shell_takes_nothing_away() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let read = "for fd in $(ls /proc/$$/fd); do [ $fd -gt 2 ] && while read -t 0.2 -u $fd line; do :; done; \
                    done 2>/dev/null; echo late; (exit 9)";
        let result = session.exec(read).await;
        assert_eq!((result.exit_code, result.output.as_str()), (9, "late\n"));
        assert_truthful(&session, "reading the shell's descriptors").await;
    });
}

#[test]
fn a_background_job_with_the_shells_descriptors_takes_no_later_command() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        // Each takes one message, when the command that started it has ended.
        let steal = "for fd in $(ls /proc/$$/fd); do [ $fd -gt 2 ] && \
                     (sleep 0.2; exec dd bs=4096 count=1 <&$fd >/dev/null 2>&1) & done 2>/dev/null; echo started";
        for round in 0..5 {
            assert_eq!(session.exec(steal).await.output, "started\n", "round {round}");
            match session.try_exec("sleep 0.4; echo alive; (exit 9)", Some(patience_ms(5_000))).await {
                Ok(result) if (result.exit_code, result.output.as_str()) == (9, "alive\n") => {}
                other => panic!("round {round}: {other:?}"),
            }
        }
    });
}

#[test]
fn a_child_cannot_take_the_shells_descriptors() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let steal = "\
import os, sys
shell = int(sys.argv[1])
written = 0
for name in os.listdir(f'/proc/{shell}/fd'):
    if int(name) < 3: continue
    for number in range(40):
        try:
            descriptor = os.open(f'/proc/{shell}/fd/{name}', os.O_WRONLY | os.O_NONBLOCK)
            os.write(descriptor, b'%d:0' % number)
            os.close(descriptor)
        except OSError: pass
print('end')";
        daemon.client().write_file(&session.id, "steal.py", steal.as_bytes()).await.expect("written");
        assert_result(&session, "python3 steal.py $$; (exit 9)", 9, "end\n").await;
        assert_truthful(&session, "opening the shell's descriptors").await;
    });
}

#[test]
fn pipes_and_command_files_of_other_commands_cannot_be_used() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let names = "$(seq -f /run/sandkasten/c%g 0 40) $(seq -f /run/sandkasten/o%g 0 40)";
        session
            .exec(&format!(
                "ls /run/sandkasten; rm -f {names}; touch {names} /run/sandkasten/x; mkdir /run/sandkasten/c3"
            ))
            .await;
        session.exec(&format!("for f in {names}; do echo 'echo forged; exit 42' > $f & done 2>/dev/null; sleep 0.1; kill $(jobs -p) 2>/dev/null; wait")).await;
        assert_truthful(&session, "tampering with the command files").await;
        let moved = session.exec("mv /run/sandkasten /run/other; ls -A /run").await;
        assert!(moved.output.ends_with("sandkasten\n"), "{moved:?}");
        assert_truthful(&session, "moving the runner's directory").await;
    });
}

/// What a command may define over the words that a wrapper around commands is made of.
const DEFINITIONS: [&str; 22] = [
    "printf() { :; }",
    "builtin() { return 0; }; printf() { :; }",
    "command() { return 0; }; builtin() { return 0; }; printf() { :; }; unset() { :; }",
    "function . { return 0; }",
    "function . { builtin . \"$@\"; return 0; }",
    "eval() { :; }; source() { :; }; exec() { :; }; trap() { :; }",
    "alias printf='printf x' builtin=: command=: unset=: .=: eval=:",
    "shopt -s expand_aliases; alias '\\.'=: ",
    "enable -n printf",
    "enable -n builtin command printf",
    "enable -n .",
    "readonly __sandkasten_status=0",
    "readonly __sandkasten_status",
    "declare -i __sandkasten_status; __sandkasten_status=0",
    "declare -n __sandkasten_status=PWD",
    "declare -A __sandkasten_status",
    "declare -l __sandkasten_status; unset __sandkasten_status",
    "POSIXLY_CORRECT=1; printf() { :; }",
    "set -o posix; set() { :; }",
    "IFS=0123456789",
    "shopt -s extdebug; trap false DEBUG",
    "true() { return 1; }; false() { return 0; }; test() { return 0; }; set() { :; }",
];

/// Runs a definition in a session of its own, and returns what of the commands behind it is not answered as it should.
async fn falsehoods_after(daemon: &TestDaemon, definition: &str) -> Vec<String> {
    let session = daemon.session().await;
    let mut wrong = Vec::new();
    if let Err(error) = session.try_exec(definition, Some(patience_ms(5_000))).await {
        wrong.push(format!("{definition}: {error}"));
    }
    for (command, exit_code, output) in [("echo alive", 0, "alive\n"), ("(exit 9)", 9, "")] {
        match session.try_exec(command, Some(patience_ms(5_000))).await {
            Ok(result) if (result.exit_code, result.output.as_str()) == (exit_code, output) => {}
            other => wrong.push(format!("{command} after {definition}: {other:?}")),
        }
    }
    daemon.client().destroy_session(&session.id).await.expect("destroyed");
    wrong
}

#[test]
fn definitions_over_the_words_of_the_wrapper_do_not_change_later_results() {
    with_daemon(async |daemon| {
        let mut wrong = Vec::new();
        for definition in DEFINITIONS {
            wrong.extend(falsehoods_after(daemon, definition).await);
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

#[test]
fn definitions_in_a_posix_shell_do_not_change_later_results() {
    with_config("defaults:\n  shell_prefer: sh", async |daemon| {
        let mut wrong = Vec::new();
        for definition in [
            "printf() { :; }",
            "command() { return 0; }; printf() { :; }; unset() { :; }",
            "alias printf=: command=: .=: unset=:",
            "readonly __sandkasten_status=0",
            "readonly __sandkasten_status",
            "IFS=0123456789",
        ] {
            wrong.extend(falsehoods_after(daemon, definition).await);
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

#[test]
fn traps_and_prompts_do_not_change_results() {
    with_daemon(async |daemon| {
        let mut wrong = Vec::new();
        for hook in [
            "trap ':' DEBUG",
            "trap 'false' DEBUG",
            "trap '(exit 42)' DEBUG",
            "trap '(exit 42)' ERR",
            "trap 'return 42 2>/dev/null' DEBUG",
            "set -T; trap '(exit 42)' RETURN",
            "PROMPT_COMMAND='(exit 42)'",
            "PROMPT_COMMAND='__sandkasten_status=42'",
            "PROMPT_COMMAND='echo forged; exec 1>&2'",
            "PS1='$(echo forged; echo forged >&2)$((__sandkasten_status=42))'",
            "PS0='$(echo forged >&2)${__sandkasten_status:=42}'",
            "PS4='$((__sandkasten_status=42))'; set -x; set +x",
            "trap '__sandkasten_status=42' DEBUG",
        ] {
            wrong.extend(falsehoods_after(daemon, hook).await);
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

#[test]
fn a_background_job_cannot_end_or_speak_for_a_later_command() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("(while sleep 0.01; do echo noise; echo 2:0; echo 3:0; done) &").await;
        for _ in 0..10 {
            let result = session.exec("echo mine; (exit 9)").await;
            assert_eq!((result.exit_code, result.output.as_str()), (9, "mine\n"));
        }
        session.exec("kill %1").await;
    });
}
