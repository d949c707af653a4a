//! Standard input, read on a thread of its own: the process can end while that waits for a key.

use std::io::{ErrorKind, Read};

use tokio::sync::mpsc;

const READ_BYTES: usize = 16 << 10;
/// Pieces that wait to be sent; then nothing more is read.
const PIECES: usize = 4;

/// Starts to read. The channel ends where standard input does.
pub(super) fn listen() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(PIECES);
    std::thread::spawn(move || {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match std::io::stdin().read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => {
                    if sender.blocking_send(buffer.get(..count).unwrap_or_default().to_vec()).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // As an end: there is no more to be had.
                Err(_) => return,
            }
        }
    });
    receiver
}
