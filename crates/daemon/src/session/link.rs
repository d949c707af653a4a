//! The daemon's side of a runner's socket.
//!
//! A runner shares its sandbox with hostile code, so what it sends is input and not truth: everything is bounded in
//! bytes, descriptors and time, and names, texts and processes are looked at before they are used.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use sandkasten_isolation::{descriptor_message, printable};
use sandkasten_protocol::{
    Decoder, EncodeError, FindShell, Finished, FrameError, Incoming, JobState, Reply, Request, VERSION,
    encode_request,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;

/// How long a runner may take to answer: it may have to start a shell first. Only a bound on a hang.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// As much of an answer as is read at once: usually all.
const ANSWER_PIECE: usize = 8 * 1024;
/// The most bytes of an answer: a description with the notes of all jobs.
const ANSWER_BYTES: usize = 2 << 20;
/// The root directory, or a shell's process.
const DESCRIPTORS: usize = 1;
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
    /// The image has no shell.
    #[error("the image has no shell; looked for {tried}")]
    NoShell {
        /// Where it was looked for.
        tried: String,
    },
    /// The runner has as much to do as it takes.
    #[error("the runner is busy")]
    Busy,
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
    pub(crate) cwd: String,
    pub(crate) root: OwnedFd,
    pub(crate) jobs: Vec<JobState>,
}

/// What a runner says of a shell.
#[derive(Debug)]
pub(crate) struct FoundShell {
    pub(crate) generation: u64,
    pub(crate) shell: OwnedFd,
}

/// Asks a runner for its state and its root directory. Blocking.
///
/// # Errors
/// [`LinkError`].
pub(crate) fn describe(socket: &Path) -> Result<Description, LinkError> {
    describe_within(socket, ANSWER_TIMEOUT)
}

fn describe_within(socket: &Path, patience: Duration) -> Result<Description, LinkError> {
    match ask_within(socket, &Request::Describe, None, patience)? {
        (Reply::Description { version: VERSION, cwd, jobs }, Some(root)) => {
            Ok(Description { cwd, root, jobs })
        }
        (Reply::Description { version, .. }, _) => Err(LinkError::Version { version }),
        _ => Err(LinkError::Unexpected),
    }
}

/// Asks a runner for a shell, which it starts in `group` where there is none, and its process descriptor. Blocking.
///
/// # Errors
/// [`LinkError`]; [`LinkError::Busy`] for a shell too many.
pub(super) fn find_shell(
    socket: &Path,
    wanted: FindShell,
    group: Option<BorrowedFd<'_>>,
) -> Result<FoundShell, LinkError> {
    match ask_within(socket, &Request::Shell(wanted), group, ANSWER_TIMEOUT)? {
        (Reply::Shell { generation }, Some(shell)) => Ok(FoundShell { generation, shell }),
        (Reply::Busy, _) => Err(LinkError::Busy),
        (Reply::NoShell { tried }, _) => Err(LinkError::NoShell { tried }),
        _ => Err(LinkError::Unexpected),
    }
}

/// Asks a runner for something that it answers at once, in one frame. Blocking.
///
/// # Errors
/// [`LinkError`].
pub(super) fn ask(socket: &Path, request: &Request) -> Result<Reply, LinkError> {
    ask_within(socket, request, None, ANSWER_TIMEOUT).map(|(reply, _)| reply)
}

fn ask_within(
    socket: &Path,
    request: &Request,
    descriptor: Option<BorrowedFd<'_>>,
    patience: Duration,
) -> Result<(Reply, Option<OwnedFd>), LinkError> {
    let deadline = Instant::now() + patience;
    let stream = connect(socket, patience)?;
    let frame = encode_request(request)?;
    let mut rest = frame.as_slice();
    let mut descriptors = descriptor.as_slice();
    while !rest.is_empty() {
        let sent = descriptor_message::send(stream.as_fd(), rest, descriptors, SendFlags::empty())
            .map_err(|error| explain("send to", error))?;
        rest = rest.get(sent..).unwrap_or_default();
        descriptors = &[];
    }
    let mut decoder = Decoder::default();
    let (mut total, mut received) = (0, None);
    loop {
        match decoder.next_incoming()?.map(checked).transpose()? {
            Some(Incoming::Reply(Reply::Failed { reason })) => return Err(LinkError::Refused { reason }),
            Some(Incoming::Reply(reply)) => return Ok((reply, received)),
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
        let more = if received.is_some() { 0 } else { DESCRIPTORS };
        let (bytes, descriptors) = descriptor_message::receive(stream.as_fd(), ANSWER_PIECE, more)
            .map_err(|error| explain("hear from", error))?;
        received = received.or(descriptors.into_iter().next());
        total += bytes.len();
        if bytes.is_empty() {
            return Err(LinkError::Closed);
        }
        if total > ANSWER_BYTES {
            return Err(LinkError::Endless);
        }
        decoder.push(&bytes);
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

/// Connects without waiting, to a socket that does not block.
fn connect_at_once(socket: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let connection = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&connection, &SocketAddrUnix::new(socket)?)?;
    Ok(connection)
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
        Incoming::Reply(Reply::Finished(Finished { cwd: Some(ref cwd), .. })) if !is_directory(cwd) => {
            Err(LinkError::Directory)
        }
        Incoming::Reply(Reply::Description { ref cwd, version: VERSION, ref jobs })
            if !is_directory(cwd) || jobs.iter().any(has_no_directory) =>
        {
            Err(LinkError::Directory)
        }
        Incoming::Reply(Reply::Failed { reason }) => {
            Ok(Incoming::Reply(Reply::Failed { reason: printable(&reason) }))
        }
        Incoming::Reply(Reply::NoShell { tried }) => {
            Ok(Incoming::Reply(Reply::NoShell { tried: printable(&tried) }))
        }
        frame => Ok(frame),
    }
}

/// Whether what a job says of its end names something that is no directory.
fn has_no_directory(job: &JobState) -> bool {
    let cwd = job.finished.as_ref().and_then(|finished| finished.cwd.as_deref());
    cwd.is_some_and(|cwd| !is_directory(cwd))
}

/// Whether a text can be the name of a directory. It may hold anything that names of files hold.
fn is_directory(text: &str) -> bool {
    text.starts_with('/') && text.len() <= DIRECTORY_BYTES && !text.contains('\0')
}

/// A connection on which one job is heard.
#[derive(Debug)]
pub(crate) struct Link {
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
        Self::open_with(socket, request, None).await
    }

    /// As [`Link::open`], with a descriptor that goes with the request.
    ///
    /// # Errors
    /// [`LinkError::Socket`] or [`LinkError::Encode`].
    pub(crate) async fn open_with(
        socket: &Path,
        request: &Request,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<Self, LinkError> {
        let failed = |action| move |source| LinkError::Socket { action, source };
        let frame = encode_request(request)?;
        // A connection of this host is there at once and has room, so that nothing needs to be waited for by way of the event loop.
        let connection = connect_at_once(socket).map_err(failed("connect to"))?;
        let send = |to: BorrowedFd<'_>| {
            descriptor_message::send(to, &frame, descriptor.as_slice(), SendFlags::DONTWAIT)
        };
        let first = send(connection.as_fd());
        let mut stream = UnixStream::from_std(connection.into()).map_err(failed("connect to"))?;
        let sent = match first {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                stream.async_io(Interest::WRITABLE, || send(stream.as_fd())).await
            }
            first => first,
        };
        let rest = frame.get(sent.map_err(failed("send to"))?..).unwrap_or_default();
        stream.write_all(rest).await.map_err(failed("send to"))?;
        Ok(Self::over(stream))
    }

    /// Hears what comes on a connection whose request has been sent.
    pub(super) fn over(stream: UnixStream) -> Self {
        Self { stream, decoder: Decoder::default(), buffer: Vec::with_capacity(READ_BYTES) }
    }

    /// Returns the next frame. Safe to cancel: nothing that was read is lost.
    ///
    /// # Errors
    /// [`LinkError::Closed`] where the sandbox has ended.
    pub(crate) async fn next(&mut self) -> Result<Incoming, LinkError> {
        loop {
            if let Some(frame) = self.decoder.next_incoming()? {
                return checked(frame);
            }
            self.buffer.clear();
            let read = self.stream.read_buf(&mut self.buffer).await;
            match read.map_err(|source| LinkError::Socket { action: "hear from", source })? {
                0 => return Err(LinkError::Closed),
                _ => self.decoder.push(&self.buffer),
            }
        }
    }
}

#[cfg(test)]
mod tests;
