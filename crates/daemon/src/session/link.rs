//! The daemon's side of a runner's socket.
//!
//! A runner shares its sandbox with hostile code, so what it sends is input and not truth: everything is bounded in
//! bytes, descriptors and time, and names, texts and processes are looked at before they are used.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use sandkasten_isolation::{descriptor_message, printable};
use sandkasten_protocol::{
    Decoder, EncodeError, Finished, FrameError, Incoming, Reply, Request, VERSION, encode_request,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// How long a runner may take to describe itself: it may have to start a shell first. Only a bound on a hang.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(20);
/// As much of a description as is read at once: usually all.
const DESCRIPTION_PIECE: usize = 8 * 1024;
/// The most bytes of a description: a directory, or the reasons of a failure.
const DESCRIPTION_BYTES: usize = 64 * 1024;
/// The root directory and the shell's process.
const DESCRIPTORS: usize = 2;
/// The longest name of a directory: `PATH_MAX`, each byte of it replaced by the three of U+FFFD.
const DIRECTORY_BYTES: usize = 3 * 4096;
const READ_BYTES: usize = 64 * 1024;

/// Why a runner could not be talked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The socket refused.
    #[error("failed to {action} the runner")]
    Socket {
        /// What was tried.
        action: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The connection ended before the answer.
    #[error("the runner closed the connection before its answer")]
    Closed,
    /// The request does not fit a frame.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// What came is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The runner speaks another version.
    #[error("the runner speaks protocol {version}, this daemon {VERSION}")]
    Version {
        /// Which one.
        version: u16,
    },
    /// The runner could not do what it was asked.
    #[error("the runner {reason}")]
    Refused {
        /// Its own words.
        reason: String,
    },
    /// The answer does not belong to the question.
    #[error("the runner gave an answer of another kind")]
    Unexpected,
    /// The answer does not come, or not to its end.
    #[error("the runner did not answer in time")]
    Silent,
    /// The answer is longer than any.
    #[error("the runner's answer has no end")]
    Endless,
    /// What is called the shell's directory is none.
    #[error("the runner names a working directory that cannot be one")]
    Directory,
}

/// What a runner says of its session.
#[derive(Debug)]
pub(crate) struct Description {
    pub(crate) generation: u64,
    pub(crate) cwd: String,
    pub(crate) root: OwnedFd,
    pub(crate) shell: OwnedFd,
}

/// Asks a runner for its state, its root directory and its shell's process descriptor. Blocking.
///
/// # Errors
/// [`LinkError`].
pub(crate) fn describe(socket: &Path) -> Result<Description, LinkError> {
    describe_within(socket, DESCRIBE_TIMEOUT)
}

fn describe_within(socket: &Path, patience: Duration) -> Result<Description, LinkError> {
    let deadline = Instant::now() + patience;
    let stream = connect(socket, patience)?;
    descriptor_message::send(stream.as_fd(), &encode_request(&Request::Describe)?, &[], SendFlags::empty())
        .map_err(|error| explain("send to", error))?;
    let mut decoder = Decoder::default();
    let (mut total, mut descriptors) = (0, Vec::new());
    let reply = loop {
        match decoder.next_incoming()?.map(checked).transpose()? {
            Some(Incoming::Reply(reply)) => break reply,
            Some(Incoming::Output(_)) => return Err(LinkError::Unexpected),
            None => {}
        }
        // The whole answer has one deadline: one that comes byte by byte must not have many.
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(LinkError::Silent);
        }
        set_socket_timeout(&stream, Timeout::Recv, Some(left))
            .map_err(|error| explain("bound the time of", error.into()))?;
        let more = DESCRIPTORS.saturating_sub(descriptors.len());
        let (bytes, received) = descriptor_message::receive(stream.as_fd(), DESCRIPTION_PIECE, more)
            .map_err(|error| explain("hear from", error))?;
        descriptors.extend(received);
        total += bytes.len();
        if bytes.is_empty() {
            return Err(LinkError::Closed);
        }
        if total > DESCRIPTION_BYTES {
            return Err(LinkError::Endless);
        }
        decoder.push(&bytes);
    };
    let mut descriptors = descriptors.into_iter();
    match (reply, descriptors.next(), descriptors.next()) {
        (Reply::Description { version: VERSION, generation, cwd, .. }, Some(root), Some(shell)) => {
            Ok(Description { generation, cwd, root, shell })
        }
        (Reply::Description { version, .. }, ..) => Err(LinkError::Version { version }),
        (Reply::Failed { reason }, ..) => Err(LinkError::Refused { reason }),
        _ => Err(LinkError::Unexpected),
    }
}

/// Connects, and does not wait longer than `patience` for a runner that accepts nothing: a queue of connections that is
/// full holds up whoever connects next.
fn connect(socket: &Path, patience: Duration) -> Result<OwnedFd, LinkError> {
    let failed = |error: Errno| explain("connect to", error.into());
    let stream =
        socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).map_err(failed)?;
    set_socket_timeout(&stream, Timeout::Send, Some(patience)).map_err(failed)?;
    rustix::net::connect(&stream, &SocketAddrUnix::new(socket).map_err(failed)?).map_err(failed)?;
    Ok(stream)
}

/// Tells a time that has run out from a failure.
fn explain(action: &'static str, source: io::Error) -> LinkError {
    match source.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => LinkError::Silent,
        _ => LinkError::Socket { action, source },
    }
}

/// Looks at what a frame says before anybody uses it.
fn checked(frame: Incoming) -> Result<Incoming, LinkError> {
    match frame {
        Incoming::Reply(
            Reply::Finished(Finished { ref cwd, .. }) | Reply::Description { ref cwd, version: VERSION, .. },
        ) if !is_directory(cwd) => Err(LinkError::Directory),
        Incoming::Reply(Reply::Failed { reason }) => {
            Ok(Incoming::Reply(Reply::Failed { reason: printable(&reason) }))
        }
        frame => Ok(frame),
    }
}

/// Whether a text can be the name of a directory. It may hold anything that names of files hold.
fn is_directory(text: &str) -> bool {
    text.starts_with('/') && text.len() <= DIRECTORY_BYTES && !text.contains('\0')
}

/// A connection on which one command runs.
#[derive(Debug)]
pub(super) struct Link {
    stream: UnixStream,
    decoder: Decoder,
    buffer: Vec<u8>,
}

impl Link {
    /// Connects and sends a request. A runner that does not read it holds this up for as long as the caller lets it.
    ///
    /// # Errors
    /// [`LinkError::Socket`] or [`LinkError::Encode`].
    pub(super) async fn open(socket: &Path, request: &Request) -> Result<Self, LinkError> {
        let failed = |action| move |source| LinkError::Socket { action, source };
        let frame = encode_request(request)?;
        let mut stream = UnixStream::connect(socket).await.map_err(failed("connect to"))?;
        stream.write_all(&frame).await.map_err(failed("send to"))?;
        Ok(Self::over(stream))
    }

    /// Hears what comes on a connection whose request has been sent.
    pub(super) fn over(stream: UnixStream) -> Self {
        Self { stream, decoder: Decoder::default(), buffer: vec![0; READ_BYTES] }
    }

    /// Returns the next frame. Safe to cancel: nothing that was read is lost.
    ///
    /// # Errors
    /// [`LinkError::Closed`] where the sandbox has ended.
    pub(super) async fn next(&mut self) -> Result<Incoming, LinkError> {
        loop {
            if let Some(frame) = self.decoder.next_incoming()? {
                return checked(frame);
            }
            let read = self.stream.read(&mut self.buffer).await;
            match read.map_err(|source| LinkError::Socket { action: "hear from", source })? {
                0 => return Err(LinkError::Closed),
                count => self.decoder.push(self.buffer.get(..count).unwrap_or_default()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
