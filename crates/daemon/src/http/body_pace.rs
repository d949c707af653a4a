//! How long a request's body may take: a while to begin with, and more for what has come. A client that sends a byte now
//! and then would otherwise keep its connection, and what it has sent, for ever.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// How long a body may take that brings nothing.
const GRACE: Duration = Duration::from_secs(20);
/// The slowest that a body may be on the whole, behind the grace: a file of 64 MiB may take 17 minutes.
const BYTES_PER_SECOND: u64 = 64 << 10;

/// A body came more slowly than anybody means to send one.
#[derive(Debug, thiserror::Error)]
#[error("the body came too slowly")]
pub(super) struct TooSlow;

/// Gives a request's body its time.
pub(super) async fn bound(request: Request, next: Next) -> Response {
    next.run(request.map(|body| Body::new(PacedBody::new(body)))).await
}

/// A body that ends with [`TooSlow`] where its time runs out. The time begins when it is first waited for.
struct PacedBody {
    inner: Body,
    allowed: Duration,
    time: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl PacedBody {
    fn new(inner: Body) -> Self {
        Self { inner, allowed: GRACE, time: None }
    }
}

impl HttpBody for PacedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.allowed += Duration::from_millis(bytes.saturating_mul(1_000) / BYTES_PER_SECOND);
        }
        if polled.is_ready() {
            return polled;
        }
        let Self { allowed, time, .. } = &mut *self;
        let (begun, sleep) = time.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(tokio::time::sleep_until(now)))
        });
        sleep.as_mut().reset(*begun + *allowed);
        sleep.as_mut().poll(context).map(|()| Some(Err(axum::Error::new(TooSlow))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use axum::body::{Body, Bytes, to_bytes};
    use futures_util::stream::unfold;
    use tokio::time::Instant;

    use super::PacedBody;

    /// A body of `pieces` of this size, one each `pause`.
    fn body(pieces: usize, bytes: usize, pause: Duration) -> PacedBody {
        let stream = unfold(0, move |sent| async move {
            tokio::time::sleep(pause).await;
            (sent < pieces).then(|| (Ok::<_, Infallible>(Bytes::from(vec![b'x'; bytes])), sent + 1))
        });
        PacedBody::new(Body::from_stream(stream))
    }

    async fn read(body: PacedBody) -> Result<usize, String> {
        match to_bytes(Body::new(body), usize::MAX).await {
            Ok(bytes) => Ok(bytes.len()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[tokio::test]
    async fn a_body_that_comes_at_some_pace_is_read_however_long_it_takes() {
        tokio::time::pause();
        assert_eq!(read(body(640, 100 << 10, Duration::from_secs(1))).await, Ok(64_000 << 10));
        assert_eq!(read(body(1, 7, Duration::from_secs(9))).await, Ok(7));
        assert_eq!(read(body(0, 0, Duration::ZERO)).await, Ok(0));
    }

    #[tokio::test]
    async fn a_body_that_comes_drop_by_drop_or_not_at_all_is_cut() {
        tokio::time::pause();
        for (pieces, bytes, pause) in [(100, 1, 1), (1, 1, 1_000), (1_000, 10 << 10, 1)] {
            let started = Instant::now();
            let error = read(body(pieces, bytes, Duration::from_secs(pause))).await.expect_err("too slow");
            assert!(error.contains("too slowly"), "{error}");
            assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
        }
    }
}
