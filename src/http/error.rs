//! Turns every failure into a status, a sentence for the client, and a cause for the log.

use std::{error::Error, io};

use hyper::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};

use super::{
    body::BodyError,
    reply::{ReplyBody, whole},
};
use crate::{
    account::{KeyError, LoginError, hint::Hint},
    collection,
    disk::{self, Fault},
    media, sync, vault,
    wire::{Malformed, stream::Unreadable},
    work::Interrupted,
};

const FAILED: &str = "the server failed; its log says why";

/// A request that failed.
#[derive(Debug)]
pub struct HttpError {
    /// The status decides what the client shows to the user (`spec` section 3).
    pub status: StatusCode,
    /// A sentence for debugging; current clients do not show it.
    pub public: String,
    /// For the log only.
    pub cause: String,
    /// Whether it was interrupted because the server stops or the client has left. That is not an
    /// error.
    pub is_parting: bool,
}

impl HttpError {
    /// A failure whose cause the client may see.
    pub fn new(status: StatusCode, cause: impl std::fmt::Display) -> Self {
        let cause = cause.to_string();
        Self {
            status,
            public: cause.clone(),
            cause,
            is_parting: false,
        }
    }

    /// A failure whose cause the client must not see.
    fn hidden(status: StatusCode, public: &str, cause: impl std::fmt::Display) -> Self {
        Self {
            public: public.to_owned(),
            ..Self::new(status, cause)
        }
    }

    fn interrupted(interrupted: Interrupted) -> Self {
        Self {
            is_parting: interrupted != Interrupted::Exhausted,
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, interrupted)
        }
    }

    /// A failure of the server. The client only learns of a full disk.
    fn internal(cause: &(dyn Error + 'static)) -> Self {
        match disk::fault(cause) {
            Some(Fault::Full) => Self::hidden(
                StatusCode::INSUFFICIENT_STORAGE,
                "the server's disk is full; nothing was stored",
                format_args!("{cause}; nothing was stored: free space on the disk"),
            ),
            Some(Fault::Failed) => Self::hidden(
                StatusCode::INTERNAL_SERVER_ERROR,
                FAILED,
                format_args!("the disk failed: {cause}; the kernel's log (dmesg) shows more"),
            ),
            None => Self::hidden(StatusCode::INTERNAL_SERVER_ERROR, FAILED, cause),
        }
    }

    pub fn into_response(self) -> Response<ReplyBody> {
        let mut response = Response::new(whole(self.public + "\n"));
        *response.status_mut() = self.status;
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, text);
        response
    }
}

impl From<Malformed> for HttpError {
    fn from(error: Malformed) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            format_args!("the request cannot be read: {error}"),
        )
    }
}

impl From<serde_json::Error> for HttpError {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<io::Error> for HttpError {
    fn from(error: io::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<BodyError> for HttpError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, error),
            BodyError::Stalled => Self::new(StatusCode::REQUEST_TIMEOUT, error),
            BodyError::Empty
            | BodyError::Malformed
            | BodyError::Multipart(_)
            | BodyError::NoEnvelope(_)
            | BodyError::Header(_)
            | BodyError::NoKey
            | BodyError::Connection(_) => Self::new(StatusCode::BAD_REQUEST, error),
            BodyError::Interrupted(interrupted) => Self::interrupted(interrupted),
            BodyError::Crowded => Self::new(StatusCode::SERVICE_UNAVAILABLE, error),
            BodyError::Io(_) | BodyError::Panicked(_) => Self::internal(&error),
        }
    }
}

impl From<KeyError> for HttpError {
    fn from(error: KeyError) -> Self {
        match error {
            // With this status, clients ask their users to log in again.
            KeyError::Invalid | KeyError::Revoked(_) => Self::new(StatusCode::FORBIDDEN, error),
            KeyError::Unknown(error) => Self::hidden(
                StatusCode::SERVICE_UNAVAILABLE,
                "the server cannot read its list of devices; its log says why",
                error,
            ),
            // Not the status that makes clients forget their login.
            KeyError::KeptOut(_) => Self::hidden(
                StatusCode::SERVICE_UNAVAILABLE,
                "the server's list of users has a mistake; its log says which",
                error,
            ),
        }
    }
}

impl From<LoginError> for HttpError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Wrong(ref hint) => Self {
                cause: format!("{error} ({hint})"),
                ..Self::new(StatusCode::FORBIDDEN, &error)
            },
            LoginError::KeptOut => Self {
                public: LoginError::Wrong(Hint::NoUser).to_string(),
                ..Self::new(StatusCode::FORBIDDEN, error)
            },
            LoginError::Name(_) => Self::new(StatusCode::FORBIDDEN, error),
            LoginError::Throttled => Self::new(StatusCode::TOO_MANY_REQUESTS, error),
            LoginError::Failed(_) => Self::internal(&error),
        }
    }
}

impl From<sync::Error> for HttpError {
    fn from(error: sync::Error) -> Self {
        match error {
            sync::Error::NoSessionKey => Self::new(StatusCode::BAD_REQUEST, error),
            sync::Error::Version(_) => Self::new(StatusCode::NOT_IMPLEMENTED, error),
            sync::Error::Vault(error) => error.into(),
        }
    }
}

impl From<vault::Error> for HttpError {
    fn from(error: vault::Error) -> Self {
        match error {
            vault::Error::Media(media::Error::Refused(refusal)) => {
                Self::new(StatusCode::BAD_REQUEST, refusal)
            }
            vault::Error::Media(media::Error::Missing(_)) => Self::new(StatusCode::CONFLICT, error),
            vault::Error::NotInSync | vault::Error::Replaced | vault::Error::Occupied => {
                Self::new(StatusCode::CONFLICT, error)
            }
            vault::Error::Collection(collection::Error::Request(Unreadable::TooLarge)) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, error)
            }
            vault::Error::Interrupted(interrupted)
            | vault::Error::Collection(collection::Error::Interrupted(interrupted)) => {
                Self::interrupted(interrupted)
            }
            vault::Error::Busy
            | vault::Error::Moved
            | vault::Error::Collection(collection::Error::Request(Unreadable::TooLong))
            | vault::Error::Absent { .. }
            | vault::Error::Media(media::Error::Absent(_)) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error)
            }
            // On status 400, clients show "check your database", which helps here.
            vault::Error::Collection(ref cause) if !cause.is_environment() => {
                Self::new(StatusCode::BAD_REQUEST, error)
            }
            vault::Error::NearlyFull(_) | vault::Error::Media(media::Error::OverQuota { .. }) => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, error)
            }
            vault::Error::Open(_)
            | vault::Error::Database(_)
            | vault::Error::Collection(_)
            | vault::Error::Upload(_)
            | vault::Error::Rebuild(_)
            | vault::Error::Media(
                media::Error::Database(_) | media::Error::Io(_) | media::Error::Copy(_),
            )
            | vault::Error::Copy(_)
            | vault::Error::Io(_)
            | vault::Error::Panicked(_) => Self::internal(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn status(error: impl Error + 'static) -> (u16, bool) {
        let error = HttpError::internal(&error);
        (
            error.status.as_u16(),
            error.cause.contains("the disk failed"),
        )
    }

    fn sqlite(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn what_ends_with_the_server_or_its_client_is_nobodys_fault() {
        for (interrupted, is_parting) in [
            (Interrupted::Stopping, true),
            (Interrupted::Left, true),
            (Interrupted::Exhausted, false),
        ] {
            for error in [
                HttpError::from(vault::Error::from(interrupted)),
                HttpError::from(BodyError::from(interrupted)),
                HttpError::from(vault::Error::from(collection::Error::from(interrupted))),
            ] {
                let answer = (error.status.as_u16(), error.is_parting);
                assert_eq!(answer, (503, is_parting));
            }
        }
    }

    #[test]
    fn a_full_disk_and_a_broken_one_are_told_apart() {
        assert_eq!(status(sqlite(ffi::SQLITE_FULL)), (507, false));
        assert_eq!(
            status(vault::Error::from(sqlite(ffi::SQLITE_FULL))),
            (507, false)
        );
        for code in [
            ffi::SQLITE_IOERR_SHMSIZE,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_IOERR_FSYNC,
        ] {
            assert_eq!(status(vault::Error::from(sqlite(code))), (500, true));
        }
        assert_eq!(status(sqlite(ffi::SQLITE_CORRUPT)), (500, false));
        let raw = io::Error::from_raw_os_error;
        for (errno, expected) in [
            (5, (500, true)),
            (28, (507, false)),
            (122, (507, false)),
            (13, (500, false)),
        ] {
            assert_eq!(status(vault::Error::from(raw(errno))), expected, "{errno}");
        }
    }
}
