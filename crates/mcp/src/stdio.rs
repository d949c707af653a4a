//! One MCP session over standard input and output.

use std::future::Future;
use std::io::{self, Read};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use rmcp::ServiceExt;
use rmcp::service::ServerInitializeError;
use rmcp::transport::async_rw::AsyncRwTransport;
use sandkasten_client::Client;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::StreamReader;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::host_directory::HostDirectory;
use crate::own_sessions::{OwnSession, OwnSessions, labels};
use crate::server::{MOST_CALLS, SandboxServer, Way};

/// The most bytes of a message; a longer one is passed over and logged.
const MAX_MESSAGE_BYTES: usize = 24 << 20;
/// How much is read from standard input at once.
const PIECE_BYTES: usize = 64 << 10;
/// How many pieces wait for the server.
const PIECES: usize = 4;
/// How long calls that are under way may hold up the end behind a closed input, with a margin: the SDK gives them five seconds.
const INPUT_END_PATIENCE: Duration = Duration::from_secs(7);
/// How long the end may be held up by a client that does not read what it was sent.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(3);

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
    let input_ended = CancellationToken::new();
    let served = tokio::select! {
        served = serve(server, ending.clone(), input_ended.clone()) => served,
        () = end_of_patience(stop, ending, input_ended) => Ok(()),
    };
    sessions.end().await;
    served
}

/// Ends calls when that is asked for, and waits until whoever serves has had its time after that, or after the end of the input.
async fn end_of_patience(
    stop: impl Future<Output = ()> + Send,
    ending: CancellationToken,
    input_ended: CancellationToken,
) {
    let mut stop = std::pin::pin!(stop);
    let input_end = async {
        input_ended.cancelled().await;
        tokio::time::sleep(INPUT_END_PATIENCE).await;
    };
    tokio::select! {
        () = &mut stop => {}
        () = input_end => {}
    }
    ending.cancel();
    tokio::time::sleep(OUTPUT_PATIENCE).await;
}

async fn serve(
    server: SandboxServer,
    ending: CancellationToken,
    input_ended: CancellationToken,
) -> Result<(), ServeStdioError> {
    let pieces = read_input(input_ended.drop_guard()).map_err(ServeStdioError::Input)?;
    let input = StreamReader::new(ReceiverStream::new(pieces));
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
fn read_input(ended: DropGuard) -> io::Result<mpsc::Receiver<io::Result<Bytes>>> {
    let (pieces, receiver) = mpsc::channel(PIECES);
    thread::Builder::new().name("mcp-input".to_owned()).spawn(move || {
        let _ended = ended;
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
