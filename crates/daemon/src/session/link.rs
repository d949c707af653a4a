//! The daemon's side of a runner's socket.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::Path;
use std::time::Duration;

use sandkasten_isolation::descriptor_message;
use sandkasten_protocol::{
    Decoder, EncodeError, FrameError, Incoming, Reply, Request, VERSION, encode_request,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// How long a runner may take to describe itself: it may have to start a shell first. Only a bound on a hang.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(20);
/// As much of a description as is read at once: usually all.
const DESCRIPTION_BYTES: usize = 8 * 1024;
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
    let failed = |action| move |source| LinkError::Socket { action, source };
    let mut stream = BlockingStream::connect(socket).map_err(failed("connect to"))?;
    stream.set_read_timeout(Some(DESCRIBE_TIMEOUT)).map_err(failed("bound the time of"))?;
    stream.write_all(&encode_request(&Request::Describe)?).map_err(failed("send to"))?;
    let mut decoder = Decoder::default();
    let mut descriptors = Vec::new();
    let reply = loop {
        match decoder.next_incoming()? {
            Some(Incoming::Reply(reply)) => break reply,
            Some(Incoming::Output(_)) => return Err(LinkError::Unexpected),
            None => {}
        }
        let (bytes, received) =
            descriptor_message::receive(stream.as_fd(), DESCRIPTION_BYTES).map_err(failed("hear from"))?;
        descriptors.extend(received);
        if bytes.is_empty() {
            return Err(LinkError::Closed);
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

/// A connection on which one command runs.
#[derive(Debug)]
pub(super) struct Link {
    stream: UnixStream,
    decoder: Decoder,
    buffer: Vec<u8>,
}

impl Link {
    /// Connects and sends a request.
    ///
    /// # Errors
    /// [`LinkError::Socket`] or [`LinkError::Encode`].
    pub(super) async fn open(socket: &Path, request: &Request) -> Result<Self, LinkError> {
        let failed = |action| move |source| LinkError::Socket { action, source };
        let frame = encode_request(request)?;
        let mut stream = UnixStream::connect(socket).await.map_err(failed("connect to"))?;
        stream.write_all(&frame).await.map_err(failed("send to"))?;
        Ok(Self { stream, decoder: Decoder::default(), buffer: vec![0; READ_BYTES] })
    }

    /// Returns the next frame. Safe to cancel: nothing that was read is lost.
    ///
    /// # Errors
    /// [`LinkError::Closed`] where the sandbox has ended.
    pub(super) async fn next(&mut self) -> Result<Incoming, LinkError> {
        loop {
            if let Some(frame) = self.decoder.next_incoming()? {
                return Ok(frame);
            }
            let read = self.stream.read(&mut self.buffer).await;
            match read.map_err(|source| LinkError::Socket { action: "hear from", source })? {
                0 => return Err(LinkError::Closed),
                count => self.decoder.push(self.buffer.get(..count).unwrap_or_default()),
            }
        }
    }
}
