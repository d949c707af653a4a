//! The text of a piece, what has to come of it, and what it does to the state.

use std::fmt::Write;

use crate::model::{Expected, Life, Output, State, Status};
use crate::piece::{End, Interrupt, Piece, Way};
use crate::shells::Shell;

/// What a piece is as a command in this state; `None` where it would mean nothing, or would never end.
pub(crate) fn expected(piece: &Piece, state: &State) -> Option<Expected> {
    let outcome = match piece {
        Piece::Print(_)
        | Piece::Alternate(_)
        | Piece::LongLine(_)
        | Piece::HereDocument(_)
        | Piece::Pipe(_) => of_output(piece, state),
        Piece::Status(way, code) => of_way(*way, *code),
        Piece::End(end) => of_end(*end, state),
        Piece::Wait if state.long_job => return None,
        Piece::OfBash(_)
        | Piece::TimeOut(_)
        | Piece::ShortJob
        | Piece::LongJob
        | Piece::Noise
        | Piece::Wait => of_job(piece, state),
        Piece::Interrupt | Piece::Redirect(..) | Piece::Close(_) | Piece::Broken(_) => {
            of_sabotage(piece, state)
        }
        _ => of_state(piece, state),
    };
    Some(state.adjust(outcome))
}

fn new(command: impl Into<String>, status: Status, output: Output, life: Life) -> Expected {
    Expected { command: command.into(), status, output, life }
}

/// A command that succeeds in silence.
fn silent(command: impl Into<String>) -> Expected {
    new(command, Status::Is(0), Output::Exactly(String::new()), Life::Goes)
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "\\{byte:03o}").expect("a string takes everything");
        text
    })
}

fn of_output(piece: &Piece, state: &State) -> Expected {
    let printed = |bytes: &[u8]| {
        // Where a command could not be run otherwise, the functions have been put away.
        let all = [".", "builtin", "printf"];
        if all.iter().all(|name| state.shadowed.contains(name)) {
            return Output::Any;
        }
        let bytes = if state.shadowed.contains("printf") { &[] } else { bytes };
        Output::Exactly(String::from_utf8_lossy(bytes).into_owned())
    };
    let (command, output) = match piece {
        Piece::Print(bytes) => (format!("printf '{}'", escaped(bytes)), printed(bytes)),
        Piece::Alternate(bytes) => {
            let (one, other) = bytes.split_at(bytes.len() / 2);
            let output = if state.options.contains(&'x') { Output::Any } else { printed(bytes) };
            (format!("printf '{}'; printf '{}' >&2", escaped(one), escaped(other)), output)
        }
        Piece::Pipe(bytes) => (format!("printf '{}' | /bin/cat | /bin/cat", escaped(bytes)), printed(bytes)),
        Piece::HereDocument(lines) => {
            let text: String = lines.iter().map(|line| format!("|{line}\n")).collect();
            (format!("/bin/cat <<'END_OF_TEXT'\n{text}END_OF_TEXT"), Output::Exactly(text))
        }
        Piece::LongLine(length) => {
            let traced = state.options.contains(&'x');
            let output = if traced { Output::Any } else { Output::Exactly("x".repeat(*length)) };
            (format!("/bin/head -c {length} /dev/zero | /bin/tr '\\000' x"), output)
        }
        _ => unreachable!("only output is given here"),
    };
    new(command, Status::Is(0), output, Life::Goes)
}

fn of_way(way: Way, code: u8) -> Expected {
    let command = match way {
        Way::Subshell => format!("(exit {code})"),
        Way::Child => format!("/bin/sh -c 'exit {code}'"),
        Way::Function => format!("sk_status() {{ return {code}; }}; sk_status"),
        Way::Return => format!("return {code}; echo never"),
    };
    let life = if way == Way::Return { Life::GoesUnlessStrict } else { Life::Goes };
    new(command, Status::Is(code.into()), Output::Exactly(String::new()), life)
}

fn of_end(end: End, state: &State) -> Expected {
    let (command, code, trapped) = match end {
        End::Exit(code) => (format!("exit {code}; echo never"), code, true),
        End::ExitInFunction(code) => (format!("sk_end() {{ exit {code}; }}; sk_end; echo never"), code, true),
        End::Exec(code) => (format!("exec /bin/sh -c 'exit {code}'; echo never"), code, false),
        End::Kill => ("kill -9 \"$$\"; echo never".to_owned(), 137, false),
        End::HangUp => ("kill -1 \"$$\"; /bin/sleep 0.2; echo never".to_owned(), 129, false),
    };
    let trap = state.exit_trap.filter(|_| trapped);
    let status = trap.flatten().map_or(Status::Is(code.into()), |code| Status::Is(code.into()));
    let output = match (end, trap) {
        (End::HangUp, _) => Output::Without("never"),
        (_, Some(_)) => Output::Exactly("bye\n".to_owned()),
        (_, None) => Output::Exactly(String::new()),
    };
    // Whether a shell that a signal ends runs its trap is its own business.
    let status = if end == End::HangUp && state.exit_trap.is_some() { Status::Any } else { status };
    new(command, status, output, Life::Ends)
}

fn of_job(piece: &Piece, state: &State) -> Expected {
    // An interactive shell says which number a job has.
    let started = |command: &str| new(command, Status::Is(0), Output::Any, Life::Goes);
    match piece {
        Piece::ShortJob => started("/bin/sleep 0.02 &"),
        Piece::LongJob => started("/bin/sleep 1000 &"),
        Piece::Noise => {
            let numbers = numbers(0..40);
            started(&format!(
                "( (for n in {numbers}; do echo foreign; echo foreign >&2; /bin/sleep 0.005; done) & )"
            ))
        }
        Piece::Wait => started("wait"),
        Piece::OfBash("coproc /bin/cat") => started("coproc /bin/cat"),
        Piece::OfBash("suspend") => new("suspend", Status::AnyOrTimedOut, Output::Any, Life::Unknown),
        Piece::OfBash(command) => new(*command, Status::Any, Output::Any, Life::GoesUnlessStrict),
        Piece::TimeOut(command) => {
            // Busybox leaves what it does at once when it is interrupted, locks of its C library included, which it may
            // then wait for: a loop of builtins now and then ends with a fresh shell.
            let is_risky = state.shell == Shell::Busybox && command.contains("while");
            let is_default = state.interrupt == Interrupt::Default;
            let life = if is_default && !is_risky { Life::GoesUnlessStrict } else { Life::Unknown };
            new(*command, Status::TimedOut, Output::Any, life)
        }
        _ => unreachable!("only jobs are given here"),
    }
}

fn numbers(range: impl Iterator<Item = u8>) -> String {
    range.map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
}

fn of_sabotage(piece: &Piece, state: &State) -> Expected {
    match piece {
        Piece::Interrupt => {
            let (status, output, life) = match state.interrupt {
                Interrupt::Default => (130, Output::Without("after"), Life::GoesUnlessStrict),
                Interrupt::Ignored => (0, Output::Exactly("after\n".to_owned()), Life::Goes),
                Interrupt::Caught => (0, Output::Exactly("caught\nafter\n".to_owned()), Life::Goes),
            };
            let output = if state.options.contains(&'x') { Output::Any } else { output };
            new("kill -2 \"$$\"; echo after", Status::Is(status), output, life)
        }
        Piece::Redirect(command, output) => {
            new(*command, Status::Is(0), Output::Exactly((*output).to_owned()), Life::Goes)
        }
        Piece::Close(descriptors) => {
            let numbers = numbers(descriptors.iter().copied());
            let command = format!("for n in {numbers}; do eval \"exec $n>&-\"; done");
            new(command, Status::Any, Output::Any, Life::Unknown)
        }
        Piece::Broken(text) => new(*text, Status::Any, Output::Any, Life::GoesUnlessStrict),
        _ => unreachable!("only sabotage is given here"),
    }
}

fn of_state(piece: &Piece, state: &State) -> Expected {
    let exactly = |text: &str| Output::Exactly(text.to_owned());
    match piece {
        Piece::FailingPipe => {
            let code = i32::from(state.long_options.contains("pipefail"));
            new("(exit 1) | (exit 0)", Status::Is(code), exactly(""), Life::Goes)
        }
        Piece::Break => new("break", Status::Is(0), Output::Any, Life::Goes),
        Piece::Assign(index, value) => silent(format!("sk_v{index}='{value}'")),
        Piece::Undefined if state.options.contains(&'u') => new(
            "echo \"$sk_undefined\"after",
            Status::Failure,
            Output::Without("after"),
            Life::GoesUnlessStrict,
        ),
        Piece::Undefined => {
            new("echo \"${sk_undefined}\"after", Status::Is(0), exactly("after\n"), Life::Goes)
        }
        Piece::WriteReadOnly => new(
            "sk_fixed=1; readonly sk_fixed; sk_fixed=2; echo never",
            Status::Failure,
            Output::Without("never"),
            Life::GoesUnlessStrict,
        ),
        Piece::ReadOnly(name) => {
            new(format!("readonly {name}"), Status::Any, Output::Any, Life::GoesUnlessStrict)
        }
        Piece::Alias => silent("alias sk_a='echo aliased'"),
        Piece::UseAlias if state.aliased => new("sk_a", Status::Is(0), exactly("aliased\n"), Life::Goes),
        Piece::UseAlias => new("sk_a", Status::Is(127), Output::Any, Life::Goes),
        Piece::Define(code) => silent(format!("sk_f() {{ return {code}; }}")),
        Piece::Call => match state.function {
            Some(code) => new("sk_f", Status::Is(code.into()), exactly(""), Life::Goes),
            None => new("sk_f", Status::Is(127), Output::Any, Life::Goes),
        },
        Piece::Shadow(name) => {
            let command = format!("{name}() {{ :; }}");
            // Names of special builtins are none for functions in POSIX mode, and a matter of taste outside of bash.
            let special = ["unset", ".", "source"].contains(name);
            if special || (*name == "[" && state.long_options.contains("posix")) {
                new(command, Status::Any, Output::Any, Life::GoesUnlessStrict)
            } else {
                silent(command)
            }
        }
        Piece::Option(name, on) => silent(format!("set {}{name}", if *on { '-' } else { '+' })),
        Piece::LongOption(name, on) => {
            let command = format!("set {}o {name}", if *on { '-' } else { '+' });
            if has_long_option(state.shell, name) {
                silent(command)
            } else {
                new(command, Status::Failure, Output::Any, Life::GoesUnlessStrict)
            }
        }
        Piece::Mask(mask) => silent(format!("umask {mask:03o}")),
        Piece::Limit(arguments) => silent(format!("ulimit {arguments}")),
        Piece::Go(directory) => silent(format!("cd {directory}")),
        Piece::Vanish => {
            silent("/bin/mkdir -p /workspace/gone; cd /workspace/gone; /bin/rmdir /workspace/gone")
        }
        Piece::Environment(assignment) => new(*assignment, Status::Is(0), Output::Any, Life::Goes),
        Piece::IdleTrap(command) => silent(*command),
        Piece::ExitTrap(None) => silent("trap 'echo bye' EXIT"),
        Piece::ExitTrap(Some(code)) => silent(format!("trap 'echo bye; exit {code}' EXIT")),
        Piece::InterruptTrap(Interrupt::Default) => silent("trap - INT"),
        Piece::InterruptTrap(Interrupt::Ignored) => silent("trap '' INT"),
        Piece::InterruptTrap(Interrupt::Caught) => silent("trap 'echo caught' INT"),
        Piece::Read => new("read sk_line", Status::Is(1), exactly(""), Life::Goes),
        Piece::Terminal => new("/bin/stty -a 2>&1", Status::Failure, Output::Any, Life::GoesUnlessStrict),
        _ => unreachable!("the rest has functions of its own"),
    }
}

fn has_long_option(shell: Shell, name: &str) -> bool {
    match shell {
        Shell::Bash => true,
        Shell::Busybox => name == "pipefail",
        Shell::Dash => false,
    }
}

/// What a piece does to the shell that carried it out.
pub(crate) fn apply(piece: &Piece, state: &mut State) {
    match piece {
        Piece::Assign(index, value) => state.variables[*index] = Some(value.clone()),
        Piece::Alias => state.aliased = true,
        Piece::Define(code) => state.function = Some(*code),
        Piece::Shadow(name) => {
            state.shadowed.insert(name);
        }
        Piece::Option(name, true) => {
            state.options.insert(*name);
        }
        Piece::Option(name, false) => {
            state.options.remove(name);
        }
        Piece::LongOption(name, true) if has_long_option(state.shell, name) => {
            state.long_options.insert(name);
        }
        Piece::LongOption(name, false) => {
            state.long_options.remove(name);
        }
        Piece::Mask(mask) => state.mask = *mask,
        Piece::Go(directory) => {
            state.directory = Some((*directory).to_owned());
            state.homeless = false;
        }
        Piece::Vanish => {
            state.directory = None;
            state.homeless = true;
        }
        Piece::ExitTrap(code) => state.exit_trap = Some(*code),
        Piece::InterruptTrap(interrupt) => state.interrupt = *interrupt,
        Piece::LongJob | Piece::OfBash("coproc /bin/cat") | Piece::TimeOut(_) => state.long_job = true,
        _ => {}
    }
}
