//! One connection of the daemon: a request comes in, frames go out, nothing ever blocks.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{RecvFlags, SendFlags};
use sandkasten_isolation::descriptor_message;
use sandkasten_protocol::{Decoder, Reply, Request, encode_reply};

/// A connection with what has not been sent on it yet.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    decoder: Decoder,
    outgoing: Vec<u8>,
}

/// What reading from a connection gave.
#[derive(Debug)]
pub(crate) enum Received {
    /// Nothing whole yet.
    Nothing,
    /// A request.
    Request(Request),
    /// The daemon has gone, or speaks another protocol.
    Closed,
}

impl Connection {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket, decoder: Decoder::default(), outgoing: Vec::new() }
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether something waits to be sent.
    pub(crate) fn is_congested(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Reads what is there.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Received {
        match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Received::Closed,
            Ok((count, _)) => self.decoder.push(buffer.get(..count).unwrap_or_default()),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Received::Nothing,
            Err(_) => return Received::Closed,
        }
        match self.decoder.next_request() {
            Ok(Some(request)) => Received::Request(request),
            Ok(None) => Received::Nothing,
            Err(_) => Received::Closed,
        }
    }

    /// Sends a frame, or keeps what the socket does not take.
    ///
    /// # Errors
    /// The kernel's, where the daemon has gone.
    pub(crate) fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.outgoing.extend_from_slice(frame);
        self.flush()
    }

    /// Sends what is waiting, as far as the socket takes it.
    ///
    /// # Errors
    /// The kernel's, where the daemon has gone.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match rustix::net::send(&self.socket, &self.outgoing, flags) {
                Ok(count) => {
                    self.outgoing.drain(..count);
                }
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Sends a last reply, with descriptors if there are any, and closes. The socket's buffer is empty or large enough;
    /// a daemon that has gone misses nothing.
    pub(crate) fn finish(self, reply: &Reply, descriptors: &[BorrowedFd<'_>]) {
        let Ok(frame) = encode_reply(reply) else { return };
        descriptor_message::send(self.socket.as_fd(), &frame, descriptors, SendFlags::DONTWAIT).ok();
    }
}
