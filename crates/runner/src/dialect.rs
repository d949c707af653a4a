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
    /// `builtin` is as good, unless that has been defined over.
    pub(crate) const fn source_word(self, covered: bool) -> &'static str {
        match self {
            Self::Bash if !covered => r"\builtin .",
            Self::Bash | Self::Posix => r"\.",
        }
    }

    /// Reports the status that was kept, as text: one that is missing is no report.
    pub(crate) fn report_line(self, secrets: Secrets) -> String {
        let printf = match self {
            Self::Bash => r"\builtin printf",
            Self::Posix => r"\command printf",
        };
        let (nonce, status) = (secrets.nonce, secrets.status());
        format!(
            "{printf} %s:%s {nonce} \"${status}\" >&{}; {}",
            self.report_descriptor(),
            self.forget(secrets)
        )
    }

    /// The same with no word that a function could be about: what the shell itself says of two numbers that are none. The
    /// line is given up there in a POSIX shell, so the variable needs one of its own.
    pub(crate) fn bare_report_lines(self, secrets: Secrets) -> [String; 2] {
        let (nonce, status, report) = (secrets.nonce, secrets.status(), self.report_descriptor());
        let line = match self {
            // A failure on the left of `||` ends no shell.
            Self::Bash => format!("(( {nonce}:${status} )) 2>&{report} || (( 1 ))"),
            Self::Posix => format!("\\shift {nonce}:\"${status}\" 2>&{report}"),
        };
        [line, self.forget(secrets)]
    }

    fn forget(self, secrets: Secrets) -> String {
        let unset = match self {
            Self::Bash => r"\builtin unset -v",
            Self::Posix => r"\unset -v",
        };
        format!("{unset} {}", secrets.status())
    }

    /// Puts every function away that a command has defined over the words of our lines. POSIX mode, switched on by a mere
    /// assignment, looks special builtins up before functions.
    pub(crate) fn uncover_lines(self, secrets: Secrets) -> Vec<String> {
        match self {
            Self::Bash => {
                let mode = secrets.status();
                vec![
                    format!("{mode}=${{POSIXLY_CORRECT-}}"),
                    "POSIXLY_CORRECT=1".to_owned(),
                    r"\unset -f builtin printf command unset . || (( 1 ))".to_owned(),
                    format!(r"[[ ${mode} ]] || \unset POSIXLY_CORRECT"),
                    self.forget(secrets),
                ]
            }
            Self::Posix => vec![r"\unset -f command printf".to_owned()],
        }
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
