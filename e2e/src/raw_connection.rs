//! A connection to the API on which a test writes its own bytes, sound or not.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::test_daemon::{API_KEY, TestDaemon};

/// A connection of bytes.
#[derive(Debug)]
pub struct RawConnection {
    stream: TcpStream,
}

impl RawConnection {
    /// Connects.
    ///
    /// # Panics
    /// Where nobody listens.
    pub async fn open(daemon: &TestDaemon) -> Self {
        let url = daemon.url();
        let address = url.strip_prefix("http://").expect("a TCP address");
        Self { stream: TcpStream::connect(address).await.expect("a connection") }
    }

    /// The headers that every request of a client has: the host and the key.
    #[must_use]
    pub fn headers(daemon: &TestDaemon) -> String {
        let url = daemon.url();
        format!("Host: {}\r\nAuthorization: Bearer {API_KEY}\r\n", url.trim_start_matches("http://"))
    }

    /// Writes bytes, and says whether the daemon still takes any.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Says that nothing more will be sent.
    pub async fn finish_sending(&mut self) {
        // The daemon may have hung up before.
        self.stream.shutdown().await.ok();
    }

    /// Reads until the daemon hangs up, and returns what it said; none where it has not hung up in time.
    pub async fn rest(&mut self, within: Duration) -> Option<String> {
        let mut heard = Vec::new();
        // A connection that is reset has ended as well.
        timeout(within, self.stream.read_to_end(&mut heard)).await.ok()?.ok();
        Some(String::from_utf8_lossy(&heard).into_owned())
    }

    /// Reads until this text has come, and returns everything up to there; none where it does not come in time.
    pub async fn until(&mut self, text: &str, within: Duration) -> Option<String> {
        let mut heard = Vec::new();
        let reading = async {
            while !String::from_utf8_lossy(&heard).contains(text) {
                heard.push(self.stream.read_u8().await.ok()?);
            }
            Some(())
        };
        timeout(within, reading).await.ok()??;
        Some(String::from_utf8_lossy(&heard).into_owned())
    }
}

/// The status of an answer, 0 where there is none.
#[must_use]
pub fn status(answer: &str) -> u16 {
    let status = answer.strip_prefix("HTTP/1.1 ").or_else(|| answer.strip_prefix("HTTP/1.0 "));
    status.and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0)
}
