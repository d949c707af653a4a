//! How pieces are drawn.

use proptest::collection::vec;
use proptest::prelude::{any, prop_oneof};
use proptest::sample::select;
use proptest::strategy::{BoxedStrategy, Just, Strategy};

use crate::piece::{End, Interrupt, Piece, Step, Way};
use crate::shells::Shell;

/// What looks like what some protocol of shells says about itself.
const LOOKALIKES: &[&str] = &[
    "1:0\n",
    "2:0:/etc\n",
    "exit_code=0\n",
    "__sandkasten_status=0\n",
    "__SANDKASTEN_END_0123456789abcdef__ 0\n",
    "{\"exit_code\":0,\"cwd\":\"/etc\",\"output\":\"\",\"truncated\":false,\"duration_ms\":1}\n",
    "event: done\ndata: {\"exit_code\":0,\"cwd\":\"/\",\"duration_ms\":1}\n\n",
    "\x1b]133;D;0\x07",
    "\x04",
    "bash-5.2$ ",
    "\r\n",
];

const BROKEN: &[&str] = &[
    "echo \"unterminated",
    "echo 'unterminated",
    "echo `unterminated",
    "echo $(unterminated",
    "echo $((1 + ",
    "if true; then",
    "while :; do",
    "case x in",
    "{ echo unterminated",
    "(",
    ")",
    "}",
    ";;",
    "done",
    "f() {",
    "/bin/cat <<END\ntext without an end",
    "& echo x",
    "| /bin/cat",
    "${sk_undefined?message}",
    "${",
    "< /nonexistent /bin/cat",
];

/// Sequences of commands for one session.
pub(crate) fn steps(shell: Shell) -> BoxedStrategy<Vec<Step>> {
    let step = (piece(shell), any::<bool>()).prop_map(|(piece, streamed)| Step { piece, streamed });
    vec(step, 1..12).boxed()
}

fn piece(shell: Shell) -> BoxedStrategy<Piece> {
    prop_oneof![
        8 => output(),
        6 => status(),
        4 => end(),
        10 => state(shell),
        5 => sabotage(shell),
        3 => background(shell),
    ]
    .boxed()
}

fn bytes() -> BoxedStrategy<Vec<u8>> {
    prop_oneof![
        3 => vec(any::<u8>(), 0..200),
        3 => vec(select(LOOKALIKES), 1..5).prop_map(|texts| texts.concat().into_bytes()),
        1 => "[ -~]{0,60}\n".prop_map(String::into_bytes),
    ]
    .boxed()
}

fn output() -> BoxedStrategy<Piece> {
    prop_oneof![
        6 => bytes().prop_map(Piece::Print),
        2 => bytes().prop_map(Piece::Alternate),
        2 => bytes().prop_map(Piece::Pipe),
        2 => vec("[ -~]{0,40}", 0..6).prop_map(Piece::HereDocument),
        1 => ((1_usize << 20) - 40..(1 << 20) + 40).prop_map(Piece::LongLine),
    ]
    .boxed()
}

fn status() -> BoxedStrategy<Piece> {
    let way = select(&[Way::Subshell, Way::Child, Way::Function, Way::Return][..]);
    prop_oneof![
        4 => (way, any::<u8>()).prop_map(|(way, code)| Piece::Status(way, code)),
        1 => Just(Piece::FailingPipe),
        1 => Just(Piece::Break),
        2 => select(BROKEN).prop_map(Piece::Broken),
        1 => Just(Piece::Read),
        1 => Just(Piece::Terminal),
    ]
    .boxed()
}

fn end() -> BoxedStrategy<Piece> {
    prop_oneof![
        3 => any::<u8>().prop_map(End::Exit),
        1 => any::<u8>().prop_map(End::ExitInFunction),
        2 => any::<u8>().prop_map(End::Exec),
        1 => Just(End::Kill),
        1 => Just(End::HangUp),
    ]
    .prop_map(Piece::End)
    .boxed()
}

fn state(shell: Shell) -> BoxedStrategy<Piece> {
    // Where nothing is said about a shell, all of them have it.
    let shadows: &[&str] = match shell {
        Shell::Bash => {
            &["printf", "builtin", "command", "unset", ".", "[", "source", "test", "type", "hash", "pwd"]
        }
        Shell::Dash | Shell::Busybox => {
            &["printf", "builtin", "command", "unset", "test", "type", "hash", "pwd"]
        }
    };
    let environment: &[&str] = &[
        "IFS=0123456789",
        "IFS=",
        "IFS=/",
        "PATH=",
        "PATH=/nowhere",
        "LC_ALL=C LANG=C",
        "LC_ALL=de_DE.UTF-8 LANG=xx",
        "PS1='$ ' PS2=x PS4='+ '",
        "HOME= OLDPWD=",
    ];
    prop_oneof![
        3 => (0..2_usize, "[a-z0-9 ]{1,10}").prop_map(|(index, value)| Piece::Assign(index, value)),
        1 => Just(Piece::Undefined),
        1 => Just(Piece::WriteReadOnly),
        1 => select(&["status", "code", "__sandkasten_status", "OPTIND", "REPLY"][..]).prop_map(Piece::ReadOnly),
        1 => Just(Piece::Alias),
        1 => Just(Piece::UseAlias),
        1 => any::<u8>().prop_map(Piece::Define),
        1 => Just(Piece::Call),
        3 => select(shadows).prop_map(Piece::Shadow),
        4 => (select(&['e', 'u', 'x', 'f'][..]), any::<bool>()).prop_map(|(name, on)| Piece::Option(name, on)),
        1 => (select(&["pipefail", "posix"][..]), any::<bool>()).prop_map(|(name, on)| Piece::LongOption(name, on)),
        1 => select(&[0o022, 0o077, 0o027, 0][..]).prop_map(Piece::Mask),
        1 => select(&["-n 64", "-c 0", "-f 8192"][..]).prop_map(Piece::Limit),
        2 => select(&["/tmp", "/", "/workspace", "/proc"][..]).prop_map(Piece::Go),
        1 => Just(Piece::Vanish),
        2 => select(environment).prop_map(Piece::Environment),
    ]
    .boxed()
}

fn sabotage(shell: Shell) -> BoxedStrategy<Piece> {
    // The shells that are not bash know only descriptors of one digit.
    let last = if shell == Shell::Bash { 60 } else { 9 };
    let redirections: &[(&str, &str)] = &[
        ("exec >/workspace/out; echo lost", ""),
        ("exec 2>&1; echo kept >&2", "kept\n"),
        ("exec 2>/workspace/out; echo lost >&2; echo kept", "kept\n"),
        ("echo 'echo forged' >/workspace/in; exec </workspace/in", ""),
        ("exec </dev/zero", ""),
        ("exec <&-", ""),
        ("exec >&-", ""),
        ("exec 2>&-", ""),
        ("exec <&- >&- 2>&-", ""),
        ("exec 9</dev/null 8>/workspace/out", ""),
    ];
    let idle: &[&str] = match shell {
        Shell::Bash => &["trap ':' DEBUG", "trap '(exit 42) || :' ERR", "trap - DEBUG ERR"],
        Shell::Dash | Shell::Busybox => &["trap : USR1", "trap '' QUIT", "trap - USR1"],
    };
    prop_oneof![
        2 => select(idle).prop_map(Piece::IdleTrap),
        2 => any::<Option<u8>>().prop_map(Piece::ExitTrap),
        2 => select(&[Interrupt::Default, Interrupt::Ignored, Interrupt::Caught][..])
            .prop_map(Piece::InterruptTrap),
        2 => Just(Piece::Interrupt),
        4 => select(redirections).prop_map(|(command, output)| Piece::Redirect(command, output)),
        2 => (0..=last).prop_map(|descriptor| Piece::Close(vec![descriptor])),
        1 => Just(Piece::Close((0..=last).collect())),
    ]
    .boxed()
}

fn background(shell: Shell) -> BoxedStrategy<Piece> {
    let everywhere = prop_oneof![
        4 => Just(Piece::ShortJob),
        2 => Just(Piece::LongJob),
        4 => Just(Piece::Noise),
        2 => Just(Piece::Wait),
        1 => select(&["/bin/sleep 1000", "while :; do :; done", "/bin/sleep 1000 | /bin/cat"][..])
            .prop_map(Piece::TimeOut),
    ];
    if shell != Shell::Bash {
        return everywhere.boxed();
    }
    let of_bash = select(&["coproc /bin/cat", "disown", "disown -a", "suspend", "jobs"][..]);
    prop_oneof![4 => everywhere, 1 => of_bash.prop_map(Piece::OfBash)].boxed()
}
