//! One connection of the daemon: a request comes in, frames go out, nothing ever blocks.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::SendFlags;
use sandkasten_isolation::descriptor_message;
use sandkasten_protocol::{Decoder, Reply, Request, encode_reply};

/// How much is read at once.
const READ_BYTES: usize = 16 << 10;
/// The file of a process group.
const REQUEST_DESCRIPTORS: usize = 1;

/// A connection with what has not been sent on it yet.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    /// The descriptor that came with the request.
    attached: Option<OwnedFd>,
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
        Self { socket, attached: None, decoder: Decoder::default(), outgoing: Vec::new() }
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether something waits to be sent.
    pub(crate) fn is_congested(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Reads what is there.
    pub(crate) fn receive(&mut self) -> Received {
        match descriptor_message::receive(self.socket.as_fd(), READ_BYTES, REQUEST_DESCRIPTORS) {
            Ok((bytes, _)) if bytes.is_empty() => return Received::Closed,
            Ok((bytes, descriptors)) => {
                self.attached = descriptors.into_iter().next().or(self.attached.take());
                self.decoder.push(&bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Received::Nothing,
            Err(_) => return Received::Closed,
        }
        match self.decoder.next_request() {
            Ok(Some(request)) => Received::Request(request),
            Ok(None) => Received::Nothing,
            Err(_) => Received::Closed,
        }
    }

    /// Takes the descriptor that came with the request.
    pub(crate) fn take_attached(&mut self) -> Option<OwnedFd> {
        self.attached.take()
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

    /// Sends a last reply and closes, or returns the connection where the socket has no room for all of it behind the
    /// output: it is then to be flushed until it is no longer congested. A daemon that has gone misses nothing.
    #[must_use]
    pub(crate) fn finish(mut self, reply: &Reply) -> Option<Self> {
        let sent = encode_reply(reply).is_ok_and(|frame| self.send(&frame).is_ok());
        (sent && self.is_congested()).then_some(self)
    }

    /// Sends a reply that others follow.
    ///
    /// # Errors
    /// The kernel's, where the daemon has gone.
    pub(crate) fn say(&mut self, reply: &Reply) -> io::Result<()> {
        self.send(&encode_reply(reply).map_err(io::Error::other)?)
    }

    /// Sends a first reply, with a descriptor. Nothing was sent before, so there is room.
    ///
    /// # Errors
    /// The kernel's, where the daemon has gone.
    pub(crate) fn hand_out(&mut self, reply: &Reply, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        let frame = encode_reply(reply).map_err(io::Error::other)?;
        let sent = descriptor_message::send(self.socket.as_fd(), &frame, &[descriptor], SendFlags::DONTWAIT)?;
        self.send(frame.get(sent..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socketpair};
    use sandkasten_protocol::{
        Finished, Reply, Request, RunCommand, Stream, encode_output, encode_reply, encode_request,
    };

    use super::{Connection, Received};

    fn connection() -> (Connection, OwnedFd) {
        let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None);
        let (ours, theirs) = pair.expect("a pair");
        (Connection::new(ours), theirs)
    }

    /// Writes as much as the socket takes, and reads until there is a request, an end, or nothing more.
    fn hear(connection: &mut Connection, theirs: &OwnedFd, mut bytes: &[u8]) -> Received {
        loop {
            let sent = rustix::net::send(theirs, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
            bytes = bytes.get(sent.unwrap_or(0)..).unwrap_or_default();
            match connection.receive() {
                Received::Nothing if !bytes.is_empty() || waits(connection) => {}
                received => return received,
            }
        }
    }

    fn waits(connection: &Connection) -> bool {
        rustix::io::ioctl_fionread(connection.descriptor()).is_ok_and(|count| count > 0)
    }

    #[test]
    fn a_request_in_pieces_is_a_request() {
        let request = Request::Run(RunCommand { command: "x".repeat(1 << 20), ..RunCommand::default() });
        let frame = encode_request(&request).expect("it fits");
        let (mut connection, theirs) = connection();
        let (most, last) = frame.split_at(frame.len() - 1);
        assert!(matches!(hear(&mut connection, &theirs, most), Received::Nothing));
        assert!(matches!(hear(&mut connection, &theirs, last), Received::Request(heard) if heard == request));
    }

    #[test]
    fn what_is_no_request_closes_the_connection() {
        let reply = encode_reply(&Reply::Busy).expect("it fits");
        let output = encode_output(Stream::Output, 0, b"x").expect("it fits");
        for bytes in [&[0xff; 5][..], &[0; 4], &[2, 0, 0, 0, 0, 77], &reply, &output] {
            let (mut connection, theirs) = connection();
            assert!(matches!(hear(&mut connection, &theirs, bytes), Received::Closed), "{bytes:?}");
        }
        let (mut connection, theirs) = connection();
        drop(theirs);
        assert!(matches!(connection.receive(), Received::Closed));
    }

    /// Reads everything that the runner sends, as slowly as a busy daemon.
    fn read_all(connection: Option<Connection>, theirs: &OwnedFd) -> Vec<u8> {
        let (mut connection, mut heard, mut buffer) = (connection, Vec::new(), [0; 1000]);
        loop {
            match rustix::net::recv(theirs, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return heard,
                Ok((count, _)) => heard.extend_from_slice(&buffer[..count]),
                Err(error) => assert_eq!(error, rustix::io::Errno::AGAIN),
            }
            connection = connection.and_then(|mut connection| {
                connection.flush().expect("the daemon is there");
                connection.is_congested().then_some(connection)
            });
        }
    }

    #[test]
    fn the_last_reply_arrives_also_where_the_socket_is_full_behind_the_output() {
        let reply = Reply::Finished(Finished { status: 4, ..Finished::default() });
        let last = encode_reply(&reply).expect("it fits");
        for bytes in [1, 100, 1_000, 4_000, 16_000, 65_536] {
            let (mut connection, theirs) = connection();
            let frame = encode_output(Stream::Output, 0, &vec![b'x'; bytes]).expect("it fits");
            // As much as there is room for: what was sent last may have taken the last of it.
            while !connection.is_congested() {
                connection.send(&frame).expect("the daemon is there");
            }
            while connection.is_congested() {
                rustix::net::recv(&theirs, &mut [0; 1], RecvFlags::DONTWAIT).expect("something to read");
                connection.flush().expect("the daemon is there");
            }
            let heard = read_all(connection.finish(&reply), &theirs);
            assert!(heard.ends_with(&last), "frames of {bytes} bytes: the reply is missing");
        }
    }

    #[test]
    fn random_bytes_make_no_panic() {
        let mut random = fastrand::Rng::with_seed(8);
        for _ in 0..3_000 {
            let (mut connection, theirs) = connection();
            let mut bytes = encode_request(&Request::Describe).expect("it fits");
            if random.bool() {
                bytes = (0..random.usize(..200)).map(|_| random.u8(..)).collect();
            } else {
                bytes.insert(random.usize(..bytes.len()), random.u8(..));
            }
            hear(&mut connection, &theirs, &bytes);
        }
    }
}
