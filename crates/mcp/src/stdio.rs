//! One MCP session over standard input and output.

use std::future::Future;
use std::io::{self, Read};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use rmcp::ServiceExt;
use rmcp::service::ServerInitializeError;
use rmcp::transport::async_rw::AsyncRwTransport;
use sandkasten_client::Client;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::StreamReader;
use tokio_util::sync::CancellationToken;

use crate::host_directory::HostDirectory;
use crate::own_sessions::{OwnSession, OwnSessions, labels};
use crate::server::{MOST_CALLS, SandboxServer, Way};

/// The most bytes of a message; a longer one is passed over and logged.
const MAX_MESSAGE_BYTES: usize = 24 << 20;
/// How much is read from standard input at once.
const PIECE_BYTES: usize = 64 << 10;
/// How many pieces wait for the server.
const PIECES: usize = 4;

/// What the server of a process is started with.
#[derive(Debug)]
pub struct StdioOptions {
    /// The sandbox for calls that name none.
    pub own: OwnSession,
    /// Where `upload` and `download` find files of this host; without it they carry contents.
    pub directory: Option<HostDirectory>,
}

/// A conversation that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ServeStdioError {
    /// Standard input cannot be read.
    #[error("start to read standard input")]
    Input(#[source] io::Error),
    /// The client did not speak the protocol.
    #[error("agree with the client on a protocol")]
    Initialize(#[source] Box<ServerInitializeError>),
    /// A task of ours ended early.
    #[error("serve the client to its end")]
    Task(#[source] tokio::task::JoinError),
}

/// Serves the client at standard input and output until it closes its side or `stop` completes, and then destroys what was made
/// for it.
///
/// # Errors
/// [`ServeStdioError`]; what was made is destroyed all the same.
pub async fn serve_stdio(
    client: Client,
    options: StdioOptions,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeStdioError> {
    let own = match options.own {
        OwnSession::New(mut request) => {
            request.labels.get_or_insert_with(|| labels("stdio"));
            OwnSession::New(request)
        }
        existing @ OwnSession::Existing(_) => existing,
    };
    let sessions = OwnSessions::new(client.clone(), own);
    let ending = CancellationToken::new();
    let server = SandboxServer {
        client,
        sessions: Arc::clone(&sessions),
        tools: Arc::new(SandboxServer::tools_for(options.directory.as_ref())),
        host: options.directory,
        way: Way::Stdio,
        ending: ending.clone(),
        places: Semaphore::new(MOST_CALLS),
    };
    let served = {
        let serving = serve(server, ending.clone());
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            served = &mut serving => served,
            () = stop => {
                ending.cancel();
                serving.await
            }
        }
    };
    sessions.end().await;
    served
}

async fn serve(server: SandboxServer, ending: CancellationToken) -> Result<(), ServeStdioError> {
    let input = StreamReader::new(ReceiverStream::new(read_input().map_err(ServeStdioError::Input)?));
    let transport =
        AsyncRwTransport::new_server(input, tokio::io::stdout()).with_max_line_length(MAX_MESSAGE_BYTES);
    match server.serve_with_ct(transport, ending.clone()).await {
        Ok(running) => running.waiting().await.map(drop).map_err(ServeStdioError::Task),
        // It went away before it said anything.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => Ok(()),
        Err(_) if ending.is_cancelled() => Ok(()),
        Err(error) => Err(ServeStdioError::Initialize(Box::new(error))),
    }
}

/// Reads standard input on a thread of its own: a read that waits for a client that says nothing can be left alone there, and
/// would hold up the end of the runtime.
fn read_input() -> io::Result<mpsc::Receiver<io::Result<Bytes>>> {
    let (pieces, receiver) = mpsc::channel(PIECES);
    thread::Builder::new().name("mcp-input".to_owned()).spawn(move || {
        let mut input = io::stdin().lock();
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            let piece = match input.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => Ok(Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default())),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_last = piece.is_err();
            if pieces.blocking_send(piece).is_err() || is_last {
                return;
            }
        }
    })?;
    Ok(receiver)
}
