//! The query of `GET /v1/sessions`, and the address of the page behind.

use axum::extract::{FromRequestParts, Query};
use http::HeaderValue;
use http::request::Parts;
use jiff::Timestamp;
use sandkasten_api::id::WorkspaceId;
use sandkasten_api::label::check_key;
use sandkasten_api::limits::MAX_PAGE;
use sandkasten_api::name::SessionName;
use sandkasten_api::schema::{Cursor, ImageName, LabelCondition, PageSize, StatusCondition};
use sandkasten_api::session::SessionStatus;

use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::api_error::ApiError;
use crate::session::{Listing, Position};

/// Which sessions are asked for. A parameter that is not known is refused: without its condition the list would be longer than
/// what was meant, and clients destroy what they find.
#[derive(Debug)]
pub(super) struct SessionQuery {
    pub(super) listing: Listing,
    /// The parameters without `cursor`, to ask for the next page with.
    parameters: Vec<(String, String)>,
}

/// The parameters by name, for the document alone.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "the parameters are read one by one, because two of them may be given several times"
)]
struct Parameters {
    /// Sessions that have this label, or this label with this value; given several times, all of them.
    #[param(value_type = Option<Vec<LabelCondition>>, nullable = false)]
    label: Vec<String>,
    /// Sessions in one of these states, ended ones of the last day included; absent: live ones.
    #[param(value_type = Option<Vec<StatusCondition>>, nullable = false)]
    status: Vec<SessionStatus>,
    /// Sessions that started from this image.
    #[param(value_type = Option<ImageName>)]
    image: String,
    /// Sessions on this workspace.
    workspace_id: Option<WorkspaceId>,
    /// The session of this name.
    name: Option<SessionName>,
    /// The most sessions; absent: all that live, or 1,000 where ended ones are asked for.
    #[param(value_type = Option<PageSize>)]
    limit: usize,
    /// What the `Link` of the page before has.
    #[param(value_type = Option<Cursor>)]
    cursor: String,
}

impl IntoParams for SessionQuery {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        Parameters::into_params(place)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SessionQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(parameters) = Query::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|error| ApiError::invalid(format!("the query cannot be read: {}", error.body_text())))?;
        Self::read(parameters)
    }
}

impl SessionQuery {
    fn read(mut parameters: Vec<(String, String)>) -> Result<Self, ApiError> {
        let mut listing = Listing::default();
        for (name, value) in &parameters {
            match name.as_str() {
                "label" => listing.labels.push(parse_label(value)?),
                "status" => listing.statuses.extend(parse_status(value)?),
                "image" => once(&mut listing.image, name, value.clone())?,
                "workspace_id" => once(&mut listing.workspace_id, name, value.parse()?)?,
                "name" => {
                    let parsed =
                        value.parse().map_err(|error| ApiError::invalid(format!("name: {error}")))?;
                    once(&mut listing.name, name, parsed)?;
                }
                "limit" => once(&mut listing.limit, name, parse_limit(value)?)?,
                "cursor" => once(&mut listing.behind, name, parse_cursor(value)?)?,
                other => {
                    let other: String = other.chars().take(64).collect();
                    return Err(ApiError::invalid(format!(
                        "no parameter {other:?}; there are label, status, image, workspace_id, name, limit and cursor"
                    )));
                }
            }
        }
        parameters.retain(|(name, _)| name != "cursor");
        Ok(Self { listing, parameters })
    }

    /// The header that names the next page, relative to wherever the client finds this daemon.
    pub(super) fn link(&self, next: &Position) -> Option<HeaderValue> {
        let mut query = String::new();
        for (name, value) in &self.parameters {
            query.push_str(&format!("{name}={}&", escape(value)));
        }
        let cursor = format!("{}.{}", next.created_at.as_millisecond(), next.id);
        HeaderValue::from_str(&format!("</v1/sessions?{query}cursor={cursor}>; rel=\"next\"")).ok()
    }
}

fn once<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), ApiError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ApiError::invalid(format!("{name} is given twice; give it once"))),
    }
}

fn parse_label(text: &str) -> Result<(String, Option<String>), ApiError> {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (text, None),
    };
    check_key(key).map_err(|error| ApiError::invalid(format!("label: {error}")))?;
    Ok((key.to_owned(), value))
}

fn parse_status(text: &str) -> Result<Vec<SessionStatus>, ApiError> {
    if text == "all" {
        return Ok(SessionStatus::ALL.to_vec());
    }
    SessionStatus::ALL
        .into_iter()
        .find(|status| status.as_str() == text)
        .map(|status| vec![status])
        .ok_or_else(|| {
            let text: String = text.chars().take(64).collect();
            let known = SessionStatus::ALL.map(SessionStatus::as_str).join(", ");
            ApiError::invalid(format!("status is {text:?}; expected one of {known}, or all"))
        })
}

fn parse_limit(text: &str) -> Result<usize, ApiError> {
    text.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit)).ok_or_else(|| {
        let text: String = text.chars().take(64).collect();
        ApiError::invalid(format!("limit is {text:?}; allowed are 1 to {MAX_PAGE}"))
    })
}

fn parse_cursor(text: &str) -> Result<Position, ApiError> {
    let parse = || {
        let (at, id) = text.split_once('.')?;
        let created_at = Timestamp::from_millisecond(at.parse().ok()?).ok()?;
        Some(Position { created_at, id: id.parse().ok()? })
    };
    parse().ok_or_else(|| {
        ApiError::invalid("the cursor is none of this daemon's; follow the Link header of the page before")
    })
}

/// Escapes everything but what is plain in a query: RFC 3986, unreserved characters.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use sandkasten_api::session::SessionStatus::{Crashed, Running};

    use super::SessionQuery;
    use crate::session::Position;

    fn read(pairs: &[(&str, &str)]) -> Result<SessionQuery, String> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        SessionQuery::read(pairs).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn conditions_add_up_and_the_next_page_has_the_same() {
        let query = read(&[
            ("label", "team=a=b&c"),
            ("label", "x"),
            ("status", "running"),
            ("status", "crashed"),
            ("limit", "2"),
            ("cursor", "5.0000000a-0000"),
        ])
        .expect("a query");
        let listing = &query.listing;
        assert_eq!(listing.labels, [("team".to_owned(), Some("a=b&c".to_owned())), ("x".to_owned(), None)]);
        assert_eq!((&*listing.statuses, listing.limit), (&[Running, Crashed][..], Some(2)));
        let next = Position {
            created_at: Timestamp::from_millisecond(1_700_000_000_123).expect("a time"),
            id: "0000000b-0000".parse().expect("an id"),
        };
        let link = query.link(&next).expect("a header");
        assert_eq!(
            link,
            "</v1/sessions?label=team%3Da%3Db%26c&label=x&status=running&status=crashed&limit=2&\
             cursor=1700000000123.0000000b-0000>; rel=\"next\""
        );
        let again = read(&[("cursor", "1700000000123.0000000b-0000")]).expect("a query");
        assert_eq!(again.listing.behind, Some(next));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (pairs, named) in [
            (&[("lable", "a=b")][..], "lable"),
            (&[("status", "dead")], "dead"),
            (&[("limit", "0")], "limit"),
            (&[("limit", "1001")], "1001"),
            (&[("limit", "x")], "limit"),
            (&[("label", "=x")], "label"),
            (&[("label", "a b=x")], "a b"),
            (&[("name", "a b")], "name"),
            (&[("workspace_id", "A")], "workspace"),
            (&[("cursor", "x")], "cursor"),
            (&[("cursor", "1.x")], "cursor"),
            (&[("cursor", "99999999999999999999.0000000b-0000")], "cursor"),
            (&[("image", "a"), ("image", "b")], "image"),
        ] {
            let message = read(pairs).expect_err("refused");
            assert!(message.contains(named), "{message}");
        }
    }
}
