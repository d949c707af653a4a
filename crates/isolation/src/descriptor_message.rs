//! A message of bytes and descriptors over a unix socket: unix(7), `SCM_RIGHTS`.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

/// The most descriptors that the kernel takes in one message: `SCM_MAX_FD`.
pub const MAX_DESCRIPTORS: usize = 253;

/// Sends bytes, and descriptors if there are any, as one message, and returns how many bytes the socket took: of a stream
/// socket that has little room, perhaps not all. Blocks as the socket does, unless `flags` say otherwise; a peer that has gone
/// is an error, never a signal.
///
/// # Errors
/// The kernel's.
pub fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> io::Result<usize> {
    let mut space = vec![MaybeUninit::uninit(); SendAncillaryMessage::ScmRights(descriptors).size()];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors for one message"));
    }
    Ok(rustix::net::sendmsg(socket, &[io::IoSlice::new(bytes)], &mut control, flags | SendFlags::NOSIGNAL)?)
}

/// Receives at most `most_bytes` and at most `most_descriptors` that come with them, close-on-exec. Blocks as the socket
/// does; no bytes at all are the end of the connection. What the other side sends beyond either is closed or dropped by
/// the kernel, and is an error: it may have been sent to fill this process's table of descriptors.
///
/// # Errors
/// The kernel's, or [`io::ErrorKind::InvalidData`] for more than was agreed.
pub fn receive(
    socket: BorrowedFd<'_>,
    most_bytes: usize,
    most_descriptors: usize,
) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = vec![0; most_bytes];
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(most_descriptors))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = rustix::io::retry_on_intr(|| {
        let mut parts = [io::IoSliceMut::new(&mut bytes)];
        rustix::net::recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut descriptors = Vec::new();
    for item in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = item {
            descriptors.extend(rights);
        }
    }
    // The space for control data is aligned, so one descriptor more than was asked for may fit.
    let cut = message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    if cut || descriptors.len() > most_descriptors {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it sent more than was agreed"));
    }
    bytes.truncate(message.bytes);
    Ok((bytes, descriptors))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};

    use super::{MAX_DESCRIPTORS, receive, send};

    #[test]
    fn bytes_and_descriptors_arrive_together_and_an_end_is_no_bytes() {
        let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = pair.expect("a pair");
        send(ours.as_fd(), b"two", &[ours.as_fd(), theirs.as_fd()], SendFlags::empty()).expect("sent");
        send(ours.as_fd(), b"none", &[], SendFlags::empty()).expect("sent");
        drop(ours);
        let (bytes, descriptors) = receive(theirs.as_fd(), 16, 2).expect("received");
        assert_eq!((bytes.as_slice(), descriptors.len()), (&b"two"[..], 2));
        drop(descriptors);
        let (bytes, descriptors) = receive(theirs.as_fd(), 16, 2).expect("received");
        assert_eq!((bytes.as_slice(), descriptors.len()), (&b"none"[..], 0));
        assert!(receive(theirs.as_fd(), 16, 2).expect("the end").0.is_empty());
    }

    #[test]
    fn more_bytes_or_descriptors_than_agreed_are_refused_and_none_is_kept() {
        let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = pair.expect("a pair");
        let (kept, sent) = std::io::pipe().expect("a pipe");
        for count in [3, 4, 100, MAX_DESCRIPTORS] {
            send(ours.as_fd(), b"many", &vec![sent.as_fd(); count], SendFlags::empty()).expect("sent");
            let error = receive(theirs.as_fd(), 16, 2).expect_err("too many descriptors");
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{count}");
        }
        send(ours.as_fd(), &[0; 17], &[], SendFlags::empty()).expect("sent");
        assert_eq!(receive(theirs.as_fd(), 16, 2).expect_err("long").kind(), std::io::ErrorKind::InvalidData);
        // With the last writer gone a pipe is at its end: no copy of it was kept.
        drop(sent);
        assert_eq!(std::io::read_to_string(kept).expect("at its end"), "");
    }
}
