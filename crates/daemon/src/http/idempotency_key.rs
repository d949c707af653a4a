//! `Idempotency-Key`: the header, and answers that are given again.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};
use sandkasten_api::limits::MAX_IDEMPOTENCY_KEY_BYTES;

use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::api_error::ApiError;
use crate::idempotency::KeptAnswer;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The key of a request, if it has one; looked at before anything of a body is read.
#[derive(Debug)]
pub(super) struct IdempotencyKey(pub(super) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut values = parts.headers.get_all(KEY).iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        let printable = |byte: &u8| matches!(byte, b' '..=b'~');
        let sound =
            (1..=MAX_IDEMPOTENCY_KEY_BYTES).contains(&value.len()) && value.as_bytes().iter().all(printable);
        match value.to_str() {
            Ok(key) if sound && values.next().is_none() => Ok(Self(Some(key.to_owned()))),
            _ => Err(ApiError::invalid(format!(
                "the Idempotency-Key is unfit: expected one of 1 to {MAX_IDEMPOTENCY_KEY_BYTES} printable ASCII characters"
            ))),
        }
    }
}

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let key = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^[ -~]+$"))
            .min_length(Some(1))
            .max_length(Some(MAX_IDEMPOTENCY_KEY_BYTES));
        let parameter = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "Of several requests with the same key one is carried out; the others get its answer again.",
            ))
            .schema(Some(key));
        vec![parameter.build()]
    }
}

/// Whether an answer is given for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    First,
    Again,
}

/// Marks an answer that is given again.
pub(super) fn mark(response: &mut Response, given: Given) {
    if given == Given::Again {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
}

/// Gives an answer as it was kept.
pub(super) fn kept(answer: KeptAnswer, given: Given) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let mut response = (status, kind, answer.body).into_response();
    mark(&mut response, given);
    response
}
