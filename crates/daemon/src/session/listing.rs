//! Lists of sessions: filtered, in pages, oldest first.

use jiff::Timestamp;
use sandkasten_api::id::{SessionId, WorkspaceId};
use sandkasten_api::label::Labels;
use sandkasten_api::limits::MAX_PAGE;
use sandkasten_api::name::SessionName;
use sandkasten_api::session::{Session, SessionStatus};

use super::{SessionError, Sessions, describe_row};

/// How many ended sessions are looked at at once.
const CHUNK: u32 = 500;

/// Which sessions are asked for. Every condition has to hold.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Any of these; where there is none, any live one.
    pub(crate) statuses: Vec<SessionStatus>,
    pub(crate) image: Option<String>,
    pub(crate) workspace_id: Option<WorkspaceId>,
    pub(crate) name: Option<SessionName>,
    /// Keys with a value that the label has, or without one where any will do.
    pub(crate) labels: Vec<(String, Option<String>)>,
    pub(crate) limit: Option<usize>,
    /// The last of the page before.
    pub(crate) behind: Option<Position>,
}

/// A place in the order of sessions, which no session's end or creation moves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) created_at: Timestamp,
    pub(crate) id: SessionId,
}

/// Some of the sessions that were asked for.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) sessions: Vec<Session>,
    /// Where the next page begins, if there is one.
    pub(crate) next: Option<Position>,
}

impl Position {
    fn of(session: &Session) -> Self {
        Self { created_at: session.created_at, id: session.id.clone() }
    }
}

impl Listing {
    fn wants_ended(&self) -> bool {
        self.statuses.iter().any(|status| status.is_ended())
    }

    fn matches(&self, session: &Session) -> bool {
        let status = if self.statuses.is_empty() {
            !session.status.is_ended()
        } else {
            self.statuses.contains(&session.status)
        };
        status
            && self.image.as_ref().is_none_or(|image| *image == session.image)
            && self.workspace_id.as_ref().is_none_or(|id| session.workspace_id.as_ref() == Some(id))
            && self.name.as_ref().is_none_or(|name| session.name.as_ref() == Some(name))
            && self.labels.iter().all(|(key, value)| has_label(&session.labels, key, value.as_deref()))
            && self.behind.as_ref().is_none_or(|behind| Position::of(session) > *behind)
    }
}

fn has_label(labels: &Labels, key: &str, value: Option<&str>) -> bool {
    labels.get(key).is_some_and(|found| value.is_none_or(|value| value == found))
}

impl Sessions {
    /// Lists sessions. Live ones come all at once unless a limit is given; where ended ones of the last day are asked for
    /// too, pages are always bounded.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn list(&self, listing: &Listing) -> Result<Page, SessionError> {
        let ended_too = listing.wants_ended();
        let limit = listing.limit.unwrap_or(if ended_too { MAX_PAGE } else { usize::MAX });
        // Before the ended ones: what ends in between is in both, and never in none.
        let mut found: Vec<Session> = self.all().iter().map(|session| session.describe()).collect();
        found.retain(|session| listing.matches(session));
        if ended_too {
            let ended = self.list_ended(listing, limit.saturating_add(1)).await?;
            found.retain(|live| ended.iter().all(|ended| ended.id != live.id));
            found.extend(ended);
            found.sort_by_key(Position::of);
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(Position::of);
        Ok(Page { sessions: found, next })
    }

    async fn list_ended(&self, listing: &Listing, most: usize) -> Result<Vec<Session>, SessionError> {
        let mut found = Vec::new();
        let mut behind = listing.behind.clone();
        loop {
            let from = behind.as_ref().map(|position| (position.created_at, &position.id));
            let rows = self.inner.store.ended(from, CHUNK).await?;
            let last = rows.len() < CHUNK as usize;
            let sessions: Vec<Session> = rows.into_iter().map(describe_row).collect();
            behind = sessions.last().map(Position::of);
            found.extend(sessions.into_iter().filter(|session| listing.matches(session)));
            if last || found.len() >= most {
                found.truncate(most);
                return Ok(found);
            }
        }
    }
}
