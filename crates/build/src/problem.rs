//! What can be wrong with a Dockerfile.

/// A Dockerfile that cannot be built, with the line that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct DockerfileError {
    /// The line of the Dockerfile that the instruction begins at, the first being 1.
    pub line: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with an instruction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is nothing to build.
    #[error("there is no FROM in it")]
    NoStage,
    /// It does not begin with `FROM`.
    #[error("{keyword} comes before the first FROM, where only ARG may be")]
    BeforeFrom {
        /// The instruction.
        keyword: String,
    },
    /// A word that is no instruction.
    #[error("{keyword:?} is no instruction")]
    Unknown {
        /// The word.
        keyword: String,
    },
    /// Something that Docker has and this does not.
    #[error("{what} is not supported")]
    Unsupported {
        /// Its name, with the instruction.
        what: String,
        /// What to do in its place.
        instead: &'static str,
    },
    /// An instruction lacks something, or has too much.
    #[error("{keyword} {needs}")]
    Arguments {
        /// The instruction.
        keyword: &'static str,
        /// What it needs.
        needs: &'static str,
    },
    /// A value is not one of those there are.
    #[error("{what} cannot be {value:?}: {needs}")]
    Value {
        /// What has the value.
        what: &'static str,
        /// The value.
        value: String,
        /// What it has to be.
        needs: &'static str,
    },
    /// A here-document has no end.
    #[error("the here-document has no line {name:?} that ends it")]
    UnendedHeredoc {
        /// The line that would end it.
        name: String,
    },
    /// A quote has no end.
    #[error("a quote has no end in {word:?}")]
    UnendedQuote {
        /// Where.
        word: String,
    },
    /// A `${` that is none.
    #[error("{word:?} has a ${{ that is no variable")]
    BadSubstitution {
        /// Where.
        word: String,
    },
    /// A variable that has to have a value has none.
    #[error("the variable {name} has no value: {reason}")]
    Unset {
        /// The variable.
        name: String,
        /// What the Dockerfile says to it.
        reason: String,
    },
    /// Two stages have one name.
    #[error("there is a stage {name:?} already")]
    DuplicateStage {
        /// The name.
        name: String,
    },
    /// A stage that is not there, or not yet.
    #[error("there is no stage {name:?} before this line")]
    NoSuchStage {
        /// The name or number.
        name: String,
    },
    /// A directive that comes twice, or has no meaning.
    #[error("the directive {name} {reason}")]
    Directive {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Problem {
    /// What to do about it; empty where the reason says it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unsupported { instead, .. } => instead,
            Self::Unset { .. } => "give it a value with --build-arg, or a default",
            Self::NoSuchStage { .. } => "name a stage that comes before, by AS",
            Self::NoStage => "begin with FROM and the name of an image, or `FROM scratch`",
            _ => "correct the line; nothing was run",
        }
    }

    pub(crate) const fn at(self, line: usize) -> DockerfileError {
        DockerfileError { line, problem: self }
    }

    pub(crate) fn unsupported(what: impl Into<String>, instead: &'static str) -> Self {
        Self::Unsupported { what: what.into(), instead }
    }
}
