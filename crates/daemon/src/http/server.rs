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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tower::Layer;

use super::router::{self, Service};
use super::stalled_writes::StalledWrites;
use crate::config::{Config, ListenAddress};
use crate::heartbeat::Ping;
use crate::images::Images;
use crate::passed_socket::{PassedListener, PassedSocket};
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
    ping: mpsc::Sender<Ping>,
    pings: mpsc::Receiver<Ping>,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    /// With its path, where the socket goes with the daemon.
    Unix(UnixListener, Option<PathBuf>),
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
    /// A socket that was handed over cannot be served.
    #[error("failed to serve on {address}, the socket that was handed over")]
    Serve {
        /// Where it listens.
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
    /// Binds the configured address, or takes the socket that listens on it already.
    ///
    /// # Errors
    /// [`ServerError`].
    pub(crate) async fn bind(
        config: &Config,
        sessions: Sessions,
        images: Images,
        passed: Option<PassedSocket>,
    ) -> Result<Self, ServerError> {
        let (listener, address) = match passed {
            Some(passed) => take_over(passed)?,
            None => bind(&config.listen).await?,
        };
        let (ping, pings) = mpsc::channel(1);
        let longest = Duration::from_millis(config.longest_exec_ms());
        let write_patience = longest.saturating_add(WRITE_PATIENCE);
        let Service { router, mcp } =
            router::build(config, sessions, images).map_err(|source| ServerError::Mcp { source })?;
        Ok(Self { listener, address, router, mcp, write_patience, ping, pings })
    }

    /// Returns where to ask whether connections are still accepted.
    pub(crate) fn ping(&self) -> mpsc::Sender<Ping> {
        self.ping.clone()
    }

    pub(crate) fn address(&self) -> ListenAddress {
        self.address.clone()
    }

    /// Serves until `shutdown` completes and running requests have ended, or a little longer.
    ///
    /// # Errors
    /// None at present; connections fail by themselves.
    pub(crate) async fn serve(
        mut self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServerError> {
        let stop = watch::Sender::new(());
        let places = Arc::new(Semaphore::new(connections()));
        tokio::pin!(shutdown);
        let mut place = None;
        loop {
            let accepted = tokio::select! {
                acquired = Arc::clone(&places).acquire_owned(), if place.is_none() => {
                    place = acquired.ok();
                    continue;
                }
                accepted = self.listener.accept(), if place.is_some() => accepted,
                Some(ping) = self.pings.recv() => {
                    // Who asked may have given up.
                    ping.send(()).ok();
                    continue;
                }
                () = &mut shutdown => break,
            };
            match accepted {
                Ok(stream) => self.spawn(stream, stop.subscribe(), place.take()),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        if let Listener::Unix(_, Some(path)) = &self.listener
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

async fn bind(listen: &ListenAddress) -> Result<(Listener, ListenAddress), ServerError> {
    let failed = |source| ServerError::Bind { address: listen.to_string(), source };
    match listen {
        ListenAddress::Tcp(address) => {
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            Ok((Listener::Tcp(listener), ListenAddress::Tcp(address)))
        }
        ListenAddress::Unix(path) => {
            remove_dead_socket(path)?;
            let listener = UnixListener::bind(path).map_err(failed)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
            Ok((Listener::Unix(listener, Some(path.clone())), listen.clone()))
        }
    }
}

/// Its file stays when the daemon ends: whoever made the socket keeps it listening for the next.
fn take_over(passed: PassedSocket) -> Result<(Listener, ListenAddress), ServerError> {
    let (listener, address) = passed.into_parts();
    let taken = match listener {
        PassedListener::Tcp(listener) => TcpListener::from_std(listener).map(Listener::Tcp),
        PassedListener::Unix(listener) => {
            UnixListener::from_std(listener).map(|listener| Listener::Unix(listener, None))
        }
    };
    let failed = |source| ServerError::Serve { address: address.to_string(), source };
    Ok((taken.map_err(failed)?, address))
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
