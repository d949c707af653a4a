//! A message of bytes and descriptors over a unix socket: unix(7), `SCM_RIGHTS`.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

/// The most descriptors that the kernel takes in one message: `SCM_MAX_FD`.
const MAX_DESCRIPTORS: usize = 253;

/// Sends bytes, and descriptors if there are any, as one message. Blocks as the socket does, unless `flags` say
/// otherwise; a peer that has gone is an error, never a signal.
///
/// # Errors
/// The kernel's.
pub fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> io::Result<()> {
    let mut space = vec![MaybeUninit::uninit(); SendAncillaryMessage::ScmRights(descriptors).size()];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors for one message"));
    }
    rustix::net::sendmsg(socket, &[io::IoSlice::new(bytes)], &mut control, flags | SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives at most `most` bytes and the descriptors that come with them, close-on-exec. Blocks as the socket does; no
/// bytes at all are the end of the connection.
///
/// # Errors
/// The kernel's.
pub fn receive(socket: BorrowedFd<'_>, most: usize) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = vec![0; most];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
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
    bytes.truncate(message.bytes);
    Ok((bytes, descriptors))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};

    use super::{receive, send};

    #[test]
    fn bytes_and_descriptors_arrive_together_and_an_end_is_no_bytes() {
        let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = pair.expect("a pair");
        send(ours.as_fd(), b"two", &[ours.as_fd(), theirs.as_fd()], SendFlags::empty()).expect("sent");
        send(ours.as_fd(), b"none", &[], SendFlags::empty()).expect("sent");
        drop(ours);
        let (bytes, descriptors) = receive(theirs.as_fd(), 16).expect("received");
        assert_eq!((bytes.as_slice(), descriptors.len()), (&b"two"[..], 2));
        drop(descriptors);
        let (bytes, descriptors) = receive(theirs.as_fd(), 16).expect("received");
        assert_eq!((bytes.as_slice(), descriptors.len()), (&b"none"[..], 0));
        assert!(receive(theirs.as_fd(), 16).expect("the end").0.is_empty());
    }
}
