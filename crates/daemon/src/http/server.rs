//! The listener and its connections: bounded in number, in the size of their headers, and in the time of their headers,
//! of their pauses and of answers that nobody reads.

use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use sandkasten_client::BuildClientError;
use sandkasten_mcp::HttpEndpoint;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::Layer;

use super::router::{self, Service};
use super::stalled_writes::StalledWrites;
use crate::config::{Config, ListenAddress};
use crate::images::Images;
use crate::session::Sessions;

/// How long a client may take for its request's headers, and a connection may rest between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of headers.
const HEADER_BYTES: usize = 64 << 10;
/// The most connections at once; more wait to be accepted.
const CONNECTIONS: usize = 4_096;
/// How long an answer may wait for a client that does not read, beyond the longest command: the end of a command that
/// waits for its reader is its own timeout's matter.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// How long running requests may go on after a stop was asked for.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long no connection is accepted after an accept failed for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener with its router.
#[derive(Debug)]
pub(crate) struct Server {
    listener: Listener,
    address: ListenAddress,
    router: Router,
    mcp: HttpEndpoint,
    write_patience: Duration,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// Why the API cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address could not be bound.
    #[error("failed to listen on {address}; is another daemon running there?")]
    Bind {
        /// Which address.
        address: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Something that is no dead socket is where the socket should be.
    #[error("{path:?} is in the way of the socket: it is in use, or no socket at all")]
    Occupied {
        /// Which path.
        path: PathBuf,
    },
    /// MCP cannot be served.
    #[error("failed to make the client that serves MCP")]
    Mcp {
        /// Why.
        source: BuildClientError,
    },
}

impl Server {
    /// Binds the configured address.
    ///
    /// # Errors
    /// [`ServerError`].
    pub(crate) async fn bind(
        config: &Config,
        sessions: Sessions,
        images: Images,
    ) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Bind { address: config.listen.to_string(), source };
        let (listener, address) = match &config.listen {
            ListenAddress::Tcp(address) => {
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                let address = listener.local_addr().map_err(failed)?;
                (Listener::Tcp(listener), ListenAddress::Tcp(address))
            }
            ListenAddress::Unix(path) => {
                remove_dead_socket(path)?;
                let listener = UnixListener::bind(path).map_err(failed)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
                (Listener::Unix(listener, path.clone()), config.listen.clone())
            }
        };
        let longest = Duration::from_millis(config.longest_exec_ms());
        let write_patience = longest.saturating_add(WRITE_PATIENCE);
        let Service { router, mcp } =
            router::build(config, sessions, images).map_err(|source| ServerError::Mcp { source })?;
        Ok(Self { listener, address, router, mcp, write_patience })
    }

    pub(crate) fn address(&self) -> ListenAddress {
        self.address.clone()
    }

    /// Serves until `shutdown` completes and running requests have ended, or a little longer.
    ///
    /// # Errors
    /// None at present; connections fail by themselves.
    pub(crate) async fn serve(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServerError> {
        let stop = watch::Sender::new(());
        let places = Arc::new(Semaphore::new(connections()));
        tokio::pin!(shutdown);
        loop {
            let place = tokio::select! {
                place = Arc::clone(&places).acquire_owned() => place,
                () = &mut shutdown => break,
            };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut shutdown => break,
            };
            match accepted {
                Ok(stream) => self.spawn(stream, stop.subscribe(), place.ok()),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        if let Listener::Unix(_, path) = &self.listener
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::warn!(%error, "the socket stays");
        }
        // Streams may never end by themselves; what is cut off ends with its connection.
        stop.send_replace(());
        self.mcp.end();
        tokio::time::timeout(STOP_TIMEOUT, stop.closed()).await.ok();
        self.mcp.ended().await;
        Ok(())
    }

    fn spawn(
        &self,
        stream: Box<dyn Stream>,
        mut stop: watch::Receiver<()>,
        place: Option<OwnedSemaphorePermit>,
    ) {
        let place = ConnectionPlace { _permit: place.map(Arc::new) };
        let service = TowerToHyperService::new(Extension(place.clone()).layer(self.router.clone()));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(HEADER_BYTES)
            .serve_connection(TokioIo::new(StalledWrites::bounded(stream, self.write_patience)), service)
            .with_upgrades();
        tokio::spawn(async move {
            // hyper-util ends connections gracefully as well, but either takes none that can be upgraded, or waits for the
            // first byte of one for ever.
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                _ = stop.changed() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended badly");
            }
            drop(place);
        });
    }
}

/// A connection's place among those that there may be at once. Whoever takes a connection over for a protocol of its own takes
/// its place as well.
#[derive(Debug, Clone)]
pub(super) struct ConnectionPlace {
    _permit: Option<Arc<OwnedSemaphorePermit>>,
}

/// How many connections there may be at once: half of the open files stay for sessions.
fn connections() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = files.and_then(|files| usize::try_from(files / 2).ok()).unwrap_or(CONNECTIONS);
    CONNECTIONS.min(half)
}

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Listener {
    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// Removes the socket of a daemon that was killed; anything else stays and is an error.
fn remove_dead_socket(path: &Path) -> Result<(), ServerError> {
    use std::os::unix::fs::FileTypeExt;
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    let dead = metadata.file_type().is_socket()
        && std::os::unix::net::UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if dead && std::fs::remove_file(path).is_ok() {
        Ok(())
    } else {
        Err(ServerError::Occupied { path: path.to_owned() })
    }
}
