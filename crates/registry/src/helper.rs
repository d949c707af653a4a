//! Credential helpers: programs called `docker-credential-NAME` that know passwords.

use std::ffi::OsStr;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::credentials::{Credentials, Secret};
use crate::transport::cut;

/// A program may have to ask somebody who is far away, but nobody who has to type.
const LONGEST: Duration = Duration::from_secs(30);
const MOST_ANSWER_BYTES: u64 = 256 * 1024;
/// What all of them say, word for word, where they have nothing.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// What stands for the user where the secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// A helper gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// What the file calls the helper is no part of a file name.
    #[error("expected a-z, A-Z, 0-9, dot, underscore and hyphen as the name of a helper")]
    Name,
    /// It could not be started.
    #[error("start the program")]
    Start {
        /// Why.
        source: io::Error,
    },
    /// It could not be spoken to.
    #[error("speak to the program")]
    Speak {
        /// Why.
        source: io::Error,
    },
    /// It took too long.
    #[error("the program took longer than {LONGEST:?}")]
    Slow,
    /// It failed.
    #[error("the program ended with {status}: {message:?}")]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        message: String,
    },
    /// Its answer is not what helpers answer.
    #[error("the answer of the program is none")]
    Answer,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks a helper for the credentials of a registry. Nobody where it has none.
pub(crate) async fn get(
    helper: &str,
    key: &str,
    programs: Option<&OsStr>,
) -> Result<Credentials, HelperError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if helper.is_empty() || !helper.bytes().all(plain) {
        return Err(HelperError::Name);
    }
    let mut command = Command::new(format!("docker-credential-{helper}"));
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    if let Some(programs) = programs {
        command.env("PATH", programs);
    }
    let child = command.spawn().map_err(|source| HelperError::Start { source })?;
    let answer = tokio::time::timeout(LONGEST, ask(child, key)).await.map_err(|_| HelperError::Slow)?;
    let (status, bytes) = answer.map_err(|source| HelperError::Speak { source })?;
    let text = String::from_utf8_lossy(&bytes);
    if !status.success() {
        // Helpers say on standard output what went wrong.
        return match text.trim() {
            NOT_FOUND => Ok(Credentials::Anonymous),
            message => Err(HelperError::Failed { status, message: cut(message) }),
        };
    }
    let answer: Answer = serde_json::from_str(&text).map_err(|_| HelperError::Answer)?;
    let secret = Secret::new(answer.secret);
    Ok(match answer.username.as_str() {
        TOKEN_USER => Credentials::IdentityToken(secret),
        _ => Credentials::Password { user: answer.username, password: secret },
    })
}

async fn ask(mut child: Child, key: &str) -> io::Result<(ExitStatus, Vec<u8>)> {
    if let Some(mut input) = child.stdin.take() {
        match input.write_all(key.as_bytes()).await {
            // It knew the answer without the question; its end says whether that is well.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            other => other?,
        }
    }
    let mut bytes = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(MOST_ANSWER_BYTES).read_to_end(&mut bytes).await?;
    }
    Ok((child.wait().await?, bytes))
}
