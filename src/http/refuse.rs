//! Answers to requests that are not part of the protocol.

use std::time::Duration;

use hyper::{
    Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONNECTION, HeaderValue},
};

use super::{body::discard, error::HttpError, reply::ReplyBody};

/// Reads enough of an unwanted body that its sender sees the answer. If more is left, the
/// connection ends with the answer.
pub async fn refuse(
    mut response: Response<ReplyBody>,
    mut body: Incoming,
    stall: Duration,
) -> Response<ReplyBody> {
    if !discard(&mut body, stall).await {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

pub fn not_found() -> Response<ReplyBody> {
    let hint = "there is nothing here; in Anki, type this server's address without sync/ and with a slash at the end";
    HttpError::new(StatusCode::NOT_FOUND, hint).into_response()
}

pub fn wrong_verb(verbs: &'static str) -> Response<ReplyBody> {
    let hint = format!("this address accepts only {verbs}");
    let mut response = HttpError::new(StatusCode::METHOD_NOT_ALLOWED, hint).into_response();
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(verbs));
    response
}
