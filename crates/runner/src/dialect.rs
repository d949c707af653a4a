//! The two kinds of shells, and the lines that each takes from us.

use std::io;

/// Which kind of shell it is, and so what our lines look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Bash,
    Posix,
}

impl Dialect {
    /// The shell's descriptor of the report socket. Only bash takes more than one digit in a redirection; a number like
    /// this one stays out of the way of scripts, of bash's own process substitutions, and of low limits.
    pub(crate) const fn report_descriptor(self) -> i32 {
        match self {
            Self::Bash => 50,
            Self::Posix => 9,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Posix => "sh",
        }
    }

    pub(crate) fn arguments(self) -> Vec<String> {
        let arguments: &[&str] = match self {
            Self::Bash => &["bash", "--noprofile", "--norc", "--noediting", "-i"],
            Self::Posix => &["sh", "-i"],
        };
        arguments.iter().map(|&argument| argument.to_owned()).collect()
    }

    pub(crate) const fn start_up(self) -> &'static str {
        match self {
            Self::Bash => "set +o history; set +H; PS1= PS2=; unset HISTFILE MAILCHECK",
            Self::Posix => "PS1= PS2=; unset MAIL MAILCHECK MAILPATH",
        }
    }

    /// The start of the line that carries a command out. In a POSIX shell `.` cannot be defined over; in bash only
    /// `builtin` is as good.
    pub(crate) const fn source_word(self) -> &'static str {
        match self {
            Self::Bash => r"\builtin .",
            Self::Posix => r"\.",
        }
    }

    /// Reports the status that was kept, as text: one that is missing is no report.
    pub(crate) fn report_line(self, secrets: Secrets) -> String {
        let (printf, unset) = match self {
            Self::Bash => (r"\builtin printf", r"\builtin unset -v"),
            Self::Posix => (r"\command printf", r"\unset -v"),
        };
        let (nonce, status) = (secrets.nonce, secrets.status());
        format!("{printf} %s:%s {nonce} \"${status}\" >&{}; {unset} {status}", self.report_descriptor())
    }
}

/// Two numbers, drawn at random for each command, that nothing it has left behind can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Secrets {
    /// What the report carries. The line that asks for it stays in the socket until the command has ended, so what a
    /// command writes before is no report.
    pub(crate) nonce: u64,
    /// Part of the name of the variable that keeps the status: no `readonly`, trap or prompt can be about it.
    variable: u64,
}

impl Secrets {
    pub(crate) const START: Self = Self { nonce: 0, variable: 0 };

    /// Draws both.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn draw() -> io::Result<Self> {
        let mut bytes = [0; 16];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        let (nonce, variable) = bytes.split_at(8);
        let number = |half: &[u8]| half.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        Ok(Self { nonce: number(nonce), variable: number(variable) })
    }

    pub(crate) fn status(self) -> String {
        format!("__sandkasten_{:x}", self.variable)
    }
}
