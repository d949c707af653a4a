//! A web server on loopback that answers as it is told.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use tokio::task::JoinHandle;

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) query: String,
    pub(super) authorization: Option<String>,
    pub(super) range: Option<String>,
    pub(super) body: String,
    /// How many requests for this path there were before.
    pub(super) before: usize,
}

pub(super) struct Server {
    /// Host and port.
    pub(super) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start(answer: impl Fn(&Asked) -> Response + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::<Asked>::new()));
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        let router = Router::new().fallback(move |request: Request| {
            let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
            async move {
                let asked = read(request, &log).await;
                let response = answer(&asked);
                log.lock().unwrap().push(asked);
                response
            }
        });
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, asked, task }
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(request: Request, log: &Mutex<Vec<Asked>>) -> Asked {
    let (parts, body) = request.into_parts();
    let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let path = parts.uri.path().to_owned();
    let before = log.lock().unwrap().iter().filter(|asked| asked.path == path).count();
    Asked {
        query: parts.uri.query().unwrap_or_default().to_owned(),
        authorization: header("authorization"),
        range: header("range"),
        body: String::from_utf8(body.to_vec()).unwrap(),
        before,
        path,
    }
}

/// A body that breaks off: the connection is closed although more was promised.
pub(super) fn cut_off(bytes: &[u8]) -> Body {
    let parts = [Ok(bytes.to_vec()), Err(std::io::Error::other("cut off"))];
    // What was sent is to arrive before the connection is torn down.
    let parts = futures_util::stream::iter(parts);
    let parts = futures_util::StreamExt::then(parts, async |part| {
        if part.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        part
    });
    Body::from_stream(parts)
}

/// A body that never ends, as fast as it is read.
pub(super) fn endless() -> Body {
    let chunk = || Ok::<_, std::io::Error>(vec![b' '; 64 * 1024]);
    Body::from_stream(futures_util::stream::repeat_with(chunk))
}

/// A body of which a byte comes now and then, for ever.
pub(super) fn dripping() -> Body {
    Body::from_stream(futures_util::stream::unfold((), async |()| {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        Some((Ok::<_, std::io::Error>(b" ".to_vec()), ()))
    }))
}

/// A body that begins and then says nothing more.
pub(super) fn silent(beginning: &[u8]) -> Body {
    let begin = futures_util::stream::iter([Ok::<_, std::io::Error>(beginning.to_vec())]);
    Body::from_stream(futures_util::StreamExt::chain(begin, futures_util::stream::pending()))
}
