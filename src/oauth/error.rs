//! One table of errors: code, status, and the words that callers may read.
//!
//! Descriptions are constants, so nothing a caller sent is ever reflected, and use only the
//! characters of RFC 6749 §5.2. What went wrong inside travels apart, for the
//! log.

use std::fmt;
use std::time::Duration;

use crate::changes::{FeedError, NoLease};
use crate::directory::UsersUnavailable;
use crate::domain::entropy::EntropyUnavailable;
use crate::grants::{MalformedRecord, StoreError};

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OAuthError {
    /// RFC 6749 §5.2: "The request is missing a required parameter, … repeats a parameter, …
    /// or is otherwise malformed."
    InvalidRequest(&'static str),
    /// RFC 6749 §5.2: "Client authentication failed". Always 401 with a challenge.
    InvalidClient(&'static str),
    /// RFC 6585 §4: "the user has sent too many requests in a given amount of time", with wrong secrets.
    TooManyGuesses {
        again_after: Duration,
    },
    /// RFC 6749 §5.2, RFC 7009 §2.1: the token "was issued to another client".
    InvalidGrant(&'static str),
    /// RFC 6749 §5.2: "The authenticated client is not authorized to use this authorization grant
    /// type."
    UnauthorizedClient(&'static str),
    /// RFC 6749 §5.2
    UnsupportedGrantType,
    /// RFC 6749 §5.2: "The requested scope is invalid, unknown, malformed, or exceeds the scope
    /// granted".
    InvalidScope(&'static str),
    /// RFC 8707 §2
    InvalidTarget(&'static str),
    /// RFC 7009 §2.2.1
    UnsupportedTokenType,
    /// The body is larger than any request needs.
    TooLarge,
    /// The path and query are larger than any request needs.
    UriTooLong,
    /// The body is not a form.
    UnsupportedMediaType,
    /// The address is not served, or not by this method.
    NotFound,
    MethodNotAllowed {
        allow: &'static str,
    },
    /// Plain http from an address that is neither loopback nor a trusted proxy.
    InsecureTransport,
    /// The answer cannot be known now (RFC 7009 §2.2.1: "503 … the client … may retry").
    Unavailable(Unavailable),
}

/// Why an answer cannot be known now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// What callers read.
    pub description: &'static str,
    /// What the log says.
    pub cause: String,
}

impl OAuthError {
    /// 503, with what callers read and what the log says.
    pub fn unavailable(description: &'static str, cause: impl fmt::Display) -> Self {
        Self::Unavailable(Unavailable { description, cause: cause.to_string() })
    }

    /// The `error` member.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_)
            | Self::TooLarge
            | Self::UriTooLong
            | Self::UnsupportedMediaType
            | Self::NotFound
            | Self::MethodNotAllowed { .. }
            | Self::InsecureTransport => "invalid_request",
            Self::InvalidClient(_) | Self::TooManyGuesses { .. } => "invalid_client",
            Self::InvalidGrant(_) => "invalid_grant",
            Self::UnauthorizedClient(_) => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope(_) => "invalid_scope",
            Self::InvalidTarget(_) => "invalid_target",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::Unavailable(_) => "temporarily_unavailable",
        }
    }

    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::InvalidRequest(_)
            | Self::InvalidGrant(_)
            | Self::UnauthorizedClient(_)
            | Self::UnsupportedGrantType
            | Self::InvalidScope(_)
            | Self::InvalidTarget(_)
            | Self::UnsupportedTokenType
            | Self::InsecureTransport => 400,
            Self::InvalidClient(_) => 401,
            Self::NotFound => 404,
            Self::MethodNotAllowed { .. } => 405,
            Self::TooLarge => 413,
            Self::UriTooLong => 414,
            Self::UnsupportedMediaType => 415,
            Self::TooManyGuesses { .. } => 429,
            Self::Unavailable(_) => 503,
        }
    }

    /// The `error_description` member.
    pub const fn description(&self) -> &'static str {
        match self {
            Self::InvalidRequest(description)
            | Self::InvalidClient(description)
            | Self::InvalidGrant(description)
            | Self::UnauthorizedClient(description)
            | Self::InvalidScope(description)
            | Self::InvalidTarget(description)
            | Self::Unavailable(Unavailable { description, .. }) => description,
            Self::UnsupportedGrantType => {
                "this grant type is not supported; the metadata lists those that are"
            }
            Self::TooManyGuesses { .. } => {
                "the client id or secret is wrong, and was too often; wait before the next attempt"
            }
            Self::UnsupportedTokenType => "tokens of this kind cannot be revoked here",
            Self::UriTooLong => "the address is longer than 8 KiB",
            Self::TooLarge => "the request body is larger than 16 KiB",
            Self::UnsupportedMediaType => {
                "the request body must be a form: Content-Type application/x-www-form-urlencoded"
            }
            Self::NotFound => "there is nothing at this address",
            Self::MethodNotAllowed { .. } => "this address does not answer this method",
            Self::InsecureTransport => "use https",
        }
    }
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.description())?;
        match self {
            Self::Unavailable(unavailable) => write!(f, " ({})", unavailable.cause),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for OAuthError {}

pub(super) const TRY_AGAIN: &str = "the server cannot answer now; try again";

impl From<NoLease> for OAuthError {
    fn from(error: NoLease) -> Self {
        OAuthError::unavailable(TRY_AGAIN, error)
    }
}

impl From<StoreError> for OAuthError {
    fn from(error: StoreError) -> Self {
        OAuthError::unavailable(TRY_AGAIN, error)
    }
}

impl From<UsersUnavailable> for OAuthError {
    fn from(error: UsersUnavailable) -> Self {
        OAuthError::unavailable(TRY_AGAIN, error)
    }
}

impl From<MalformedRecord> for OAuthError {
    fn from(error: MalformedRecord) -> Self {
        OAuthError::unavailable(TRY_AGAIN, error)
    }
}

impl From<EntropyUnavailable> for OAuthError {
    fn from(error: EntropyUnavailable) -> Self {
        OAuthError::unavailable(TRY_AGAIN, error)
    }
}

impl From<FeedError> for OAuthError {
    fn from(error: FeedError) -> Self {
        OAuthError::unavailable(
            "the revocation could not be confirmed and may have been recorded; try again, which is safe",
            error,
        )
    }
}
