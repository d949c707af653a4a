//! Text that nobody would call a command: it is answered, and the next command is as good as any.

use proptest::collection::vec;
use proptest::prelude::{any, prop_oneof};
use proptest::sample::select;
use proptest::strategy::{BoxedStrategy, Strategy};
use sandkasten_e2e::{TestSession, patience_ms};

use crate::cases::assert_all;
use crate::play::run;
use crate::shells::{Shell, with_shell};

/// Words of the grammar, without those that could change what a later `echo` means.
const WORDS: &[&str] = &[
    "'",
    "\"",
    "`",
    "\\",
    "\n",
    "\r",
    "\t",
    " ",
    ";",
    ";;",
    "&",
    "&&",
    "|",
    "||",
    "|&",
    "(",
    ")",
    "((",
    "))",
    "{",
    "}",
    "[[",
    "]]",
    "<",
    ">",
    "<<",
    "<<<",
    "<<-",
    "<>",
    ">&",
    "<&",
    "&>",
    "$",
    "${",
    "$(",
    "$((",
    "$'",
    "<(",
    ">(",
    "#",
    "!",
    "!!",
    "~",
    "*",
    "?",
    "[",
    "]",
    "=",
    "%",
    "^",
    "-",
    "\x1b",
    "\x04",
    "\x03",
    "\x1a",
    "\x7f",
    "if",
    "then",
    "elif",
    "else",
    "fi",
    "case",
    "esac",
    "in",
    "for",
    "while",
    "until",
    "do",
    "done",
    "function",
    "select",
    "time",
    "coproc",
    "x",
    "0",
    "1",
    "2",
    "/dev/null",
    "/",
    ".",
    "é",
    "\u{1f980}",
    "\u{fffd}",
    "\u{feff}",
    "\u{2028}",
];
const TIMEOUT_MS: u64 = 1_000;

fn commands() -> BoxedStrategy<Vec<String>> {
    let command = prop_oneof![
        3 => vec(select(WORDS), 1..25).prop_map(|words| words.concat()),
        1 => vec(select(WORDS), 1..25).prop_map(|words| words.join(" ")),
        1 => vec(any::<u8>(), 1..300).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        1 => vec(any::<char>(), 1..100).prop_map(String::from_iter),
    ];
    // A command is text without NUL and not nothing.
    let command = command.prop_map(|text| text.replace('\0', "?"));
    vec(command, 1..6).boxed()
}

async fn survives(session: &TestSession, commands: &[String]) -> Result<(), String> {
    for (number, command) in commands.iter().enumerate() {
        let streamed = number % 2 == 1;
        run(session, command, patience_ms(TIMEOUT_MS), streamed)
            .await
            .map_err(|reason| format!("command {number}: {reason}"))?;
        let next = run(session, "echo ok", patience_ms(10 * TIMEOUT_MS), !streamed).await;
        let next = next.map_err(|reason| format!("after command {number}: {reason}"))?;
        if (next.exit_code, next.output.as_str()) != (Some(0), "ok\n") {
            return Err(format!("after command {number}: {next:?}"));
        }
    }
    Ok(())
}

fn assert_survived(shell: Shell, usual_cases: u32) {
    with_shell(shell, async |daemon| {
        assert_all(usual_cases, &commands(), async |commands| {
            let session = daemon.session().await;
            let outcome = survives(&session, &commands).await;
            session.destroy().await;
            outcome
        });
    });
}

#[test]
fn bash_answers_after_any_text() {
    assert_survived(Shell::Bash, 60);
}

#[test]
fn dash_answers_after_any_text() {
    assert_survived(Shell::Dash, 40);
}

#[test]
fn busybox_answers_after_any_text() {
    assert_survived(Shell::Busybox, 40);
}
