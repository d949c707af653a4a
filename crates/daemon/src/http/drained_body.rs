//! The rest of a body behind its answer. A client that is still sending may not listen before it has sent all, and a connection
//! that is closed with bytes that nobody has read takes the answer with it.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt;
use http::header;
use http_body::{Frame, SizeHint};
use tokio::runtime::Handle;

/// How much of a body is read behind its answer.
const DRAINED_BYTES: u64 = 256 << 20;

/// Reads what a handler leaves of a request's body, while the answer is on its way.
pub(super) async fn read_on(request: Request, next: Next) -> Response {
    // Such a client waits for the word to send, which reading would be.
    let waits = request.headers().contains_key(header::EXPECT);
    next.run(request.map(|body| Body::new(DrainedBody { inner: Some(body), is_wanted: !waits }))).await
}

/// A body whose rest is read once nobody wants it any more.
struct DrainedBody {
    /// None once it has come to its end, or broken off.
    inner: Option<Body>,
    is_wanted: bool,
}

impl HttpBody for DrainedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.is_wanted = true;
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let polled = Pin::new(inner).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.inner = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for DrainedBody {
    fn drop(&mut self) {
        if let Some(body) = self.inner.take().filter(|body| self.is_wanted && !body.is_end_stream())
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(drain(body));
        }
    }
}

async fn drain(body: Body) {
    let mut body = body.into_data_stream();
    let mut drained = 0;
    while let Some(Ok(piece)) = body.next().await
        && drained < DRAINED_BYTES
    {
        drained += piece.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::{Body, Bytes, HttpBody, to_bytes};
    use futures_util::stream::unfold;

    use super::DrainedBody;

    /// A body of ten pieces, with how many of them have been read.
    fn body(is_wanted: bool) -> (DrainedBody, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let stream = unfold((0, Arc::clone(&read)), |(sent, read)| async move {
            tokio::task::yield_now().await;
            read.store(sent, Ordering::Relaxed);
            (sent < 10).then(|| (Ok::<_, Infallible>(Bytes::from_static(b"x")), (sent + 1, read)))
        });
        (DrainedBody { inner: Some(Body::from_stream(stream)), is_wanted }, read)
    }

    async fn settle() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_nobody_wants_any_more_is_read_all_the_same() {
        let (whole, _) = body(true);
        assert_eq!(to_bytes(Body::new(whole), 100).await.expect("a body").len(), 10);
        let (untouched, read) = body(true);
        drop(untouched);
        settle().await;
        assert_eq!(read.load(Ordering::Relaxed), 10);
    }

    #[tokio::test]
    async fn who_waits_to_be_told_to_send_is_not_told_by_the_way() {
        let (untouched, read) = body(false);
        drop(untouched);
        settle().await;
        assert_eq!(read.load(Ordering::Relaxed), 0);
        let (mut begun, read) = body(false);
        std::future::poll_fn(|context| {
            let polled = std::pin::Pin::new(&mut begun).poll_frame(context);
            polled.map(|frame| frame.expect("a frame").expect("a piece"))
        })
        .await;
        drop(begun);
        settle().await;
        assert_eq!(read.load(Ordering::Relaxed), 10);
    }
}
