//! Progress notifications of a command, for clients that gave a token.

use std::time::{Duration, Instant};

use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::RequestContext;

use crate::bounded_text::floor;

/// How long at least lies between two notifications.
const PAUSE: Duration = Duration::from_millis(100);
/// The most bytes of output in one notification.
const MESSAGE_BYTES: usize = 4 << 10;

/// Tells a client what a command writes.
pub(crate) struct ExecProgress<'a> {
    context: &'a RequestContext<RoleServer>,
    token: Option<ProgressToken>,
    pending: String,
    written: u64,
    told: Option<Instant>,
}

impl<'a> ExecProgress<'a> {
    /// Of a call; silent where its client wants none.
    pub(crate) fn of(context: &'a RequestContext<RoleServer>) -> Self {
        let token = context.meta.get_progress_token();
        Self { context, token, pending: String::new(), written: 0, told: None }
    }

    /// Tells of a piece of output, or keeps it for the next one where the last was a moment ago. A client that does not read
    /// holds the command up.
    pub(crate) async fn tell(&mut self, piece: &str) {
        let Some(token) = &self.token else { return };
        self.written += piece.len() as u64;
        self.pending.push_str(piece);
        if self.told.is_some_and(|told| told.elapsed() < PAUSE) {
            self.pending = end_of(&self.pending).to_owned();
            return;
        }
        self.told = Some(Instant::now());
        // The protocol wants numbers that grow; the bytes written so far do.
        #[allow(clippy::cast_precision_loss, reason = "nobody counts petabytes by it")]
        let progress = ProgressNotificationParam::new(token.clone(), self.written as f64)
            .with_message(end_of(&self.pending));
        self.pending.clear();
        if let Err(error) = self.context.peer.notify_progress(progress).await {
            // The result says the same, and a client that has gone is noticed elsewhere.
            tracing::debug!(%error, "a progress notification was not sent");
            self.token = None;
        }
    }
}

/// The last part that fits into one notification.
fn end_of(text: &str) -> &str {
    let from = text.len().saturating_sub(MESSAGE_BYTES);
    let from = if text.is_char_boundary(from) { from } else { floor(text, from) };
    text.get(from..).unwrap_or_default()
}
