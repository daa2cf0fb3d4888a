//! The record of a grant: its bytes are compact and carry a version.
//!
//! ```text
//! record  = 1 born expires_at client scope audience tokens              a client's own
//!         | 2 flags born expires_at client scope audience tokens user   a user's
//!         | 3, as 1, address                                            a client's own
//!         | 4, as 2, [address]                                          a user's
//! born    = varint            change number
//! …_at    = varint            Unix seconds
//! client  = text              text = varint length, UTF-8
//! scope   = text              words separated by spaces; may be empty
//! audience= varint count, that many texts (resource-server ids)
//! tokens  = varint count, that many of: 16 bytes digest, varint issued_at, varint lifetime;
//!           a user's also: varint attempt, 0 or 1 and the scope and audience it is restricted to
//! user    = subject [session] salt attempt [code] [refresh] [given_at]
//! subject = text              session = 12 bytes, salt = 16 bytes
//! code    = 16 bytes digest, expires_at; while pending also 16 bytes digest of the redirect URI
//! refresh = 16 bytes current, [16 bytes previous], varint number, rotated_at, varint idle lifetime
//! flags   = 1 byte            1 session, 2 code pending, 4 code consumed, 8 refresh, 16 previous,
//!                             32 given_at, 64 IPv4, 128 IPv6: only in version 4, which has one of them
//! address = 4 or 16 bytes; in version 3 their number, in 1 byte, before them
//! ```
//!
//! A grant has one spelling: the lowest version that can say all that is known of it. A newer version
//! reads every older one. A record of a newer version is not understood, which is a failure (503),
//! never "inactive"; so a new version is written only once every replica has said that it reads it
//! ([`RECORD_VERSION`](crate::domain::store::RECORD_VERSION)).

pub(super) mod bytes;
mod codec;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use self::bytes::Reader;
use crate::domain::bonds::Bonds;
use crate::domain::clock::Timestamp;
use crate::domain::identifier::{ClientId, GrantId, ResourceServerId, UserId};
use crate::domain::position::ChangeNumber;
use crate::domain::scope::Scope;
use crate::domain::token::{SALT_BYTES, TokenDigest};

/// Versions of grants count up from 1; kinds of records that are no grants stand far from them.
const FIRST_OTHER_KIND: u8 = 0x51;

/// How many access tokens a grant keeps.
pub const MAX_ACCESS_TOKENS: usize = 8;

/// What one client was given, for itself or for a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRecord {
    /// The position of the feed that was known before the first fact that justified this grant.
    pub born: ChangeNumber,
    /// The grant's absolute end. Never changes.
    pub expires_at: Timestamp,
    pub client: ClientId,
    pub scope: Scope,
    pub audience: Vec<ResourceServerId>,
    pub access_tokens: Vec<AccessToken>,
    /// `None` when the client was given it for itself.
    pub user: Option<UserGrant>,
    /// From where it was asked for: by the client, or by the user who gave it.
    pub address: Option<IpAddr>,
}

/// An access token of a grant, as far as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    pub digest: TokenDigest,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    /// Which of the grant's attempts it was derived in; 0 for a token made at random, as a client's
    /// own are.
    pub attempt: u32,
    /// `None`: it allows all that the grant does. Always `None` for a client's own.
    pub restriction: Option<Box<Restriction>>,
}

/// The part of its grant that an access token was asked for (RFC 6749 §6, RFC 8707 §2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restriction {
    pub scope: Scope,
    pub audience: Vec<ResourceServerId>,
}

/// What a grant has that a user gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserGrant {
    pub subject: UserId,
    /// The login session in which it was given.
    pub session: Option<GrantId>,
    /// Goes into every token that is derived for this grant: the token key and an old token alone
    /// do not lead to the next.
    pub salt: [u8; SALT_BYTES],
    /// The last attempt in which an access token was derived. Only grows.
    pub attempt: u32,
    /// The authorization code, while it can be redeemed or replayed.
    pub code: Option<Code>,
    /// The refresh tokens, from the redemption on.
    pub refresh: Option<RefreshChain>,
    /// When it was given; not known of what an older version wrote.
    pub given_at: Option<Timestamp>,
}

/// The authorization code of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Of the code together with its code challenge (RFC 7636 §4.4).
    pub digest: TokenDigest,
    pub expires_at: Timestamp,
    pub state: CodeState,
}

/// A code is consumed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeState {
    Pending {
        /// Of the redirect URI that it was sent to.
        redirect_uri: TokenDigest,
    },
    /// Kept until it would have expired, so that every replay is recognised.
    Consumed,
}

/// The refresh tokens of a grant: one branch, in which each follows from the one before. Older ones
/// are recognised by their number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshChain {
    pub current: TokenDigest,
    /// `None` while the first is current, which came from the code.
    pub previous: Option<TokenDigest>,
    /// The rotation number of the current one. The code's is 0.
    pub number: u32,
    /// When the current one was made.
    pub rotated_at: Timestamp,
    /// How long the current one is good unless it is used.
    pub idle_lifetime: Duration,
}

impl RefreshChain {
    /// When the current refresh token ends, if nobody uses it.
    pub fn idle_end(&self) -> Timestamp {
        self.rotated_at + self.idle_lifetime
    }
}

/// The bytes are not a record that this version understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedRecord {
    UnknownVersion(u8),
    Malformed,
}

impl fmt::Display for MalformedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownVersion(version) => {
                write!(f, "a grant record has version {version}; a newer symbolon wrote it")
            }
            Self::Malformed => f.write_str("a grant record is malformed"),
        }
    }
}

impl std::error::Error for MalformedRecord {}

/// A record as a store holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodedRecord(Vec<u8>);

impl EncodedRecord {
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is of another kind than a grant's.
    pub fn is_no_grant(&self) -> bool {
        self.0.first().is_some_and(|kind| *kind >= FIRST_OTHER_KIND)
    }

    /// # Errors
    /// When the bytes are not a record, or one of a newer version.
    pub fn decode(&self) -> Result<GrantRecord, MalformedRecord> {
        let (version, rest) = self.0.split_first().ok_or(MalformedRecord::Malformed)?;
        let mut reader = Reader(rest);
        let record = match *version {
            codec::VERSION_1 => codec::read_version_1(&mut reader),
            codec::VERSION_2 => codec::read_version_2(&mut reader),
            codec::VERSION_3 => codec::read_version_3(&mut reader),
            codec::VERSION_4 => codec::read_version_4(&mut reader),
            newer => return Err(MalformedRecord::UnknownVersion(newer)),
        };
        record.filter(|_| reader.0.is_empty()).ok_or(MalformedRecord::Malformed)
    }
}

impl fmt::Debug for EncodedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodedRecord({} bytes)", self.0.len())
    }
}

impl GrantRecord {
    pub fn encode(&self) -> EncodedRecord {
        EncodedRecord(codec::write(self))
    }

    /// The token with this digest, alive or not. Every token is compared, in constant time.
    pub fn access_token(&self, digest: &TokenDigest) -> Option<&AccessToken> {
        self.access_tokens.iter().fold(
            None,
            |found, token| {
                if token.digest == *digest { Some(token) } else { found }
            },
        )
    }

    /// The user who gave it; `None` when the client has it for itself.
    pub fn subject(&self) -> Option<&UserId> {
        self.user.as_ref().map(|user| &user.subject)
    }

    /// The login session in which it was given.
    pub fn session(&self) -> Option<GrantId> {
        self.user.as_ref().and_then(|user| user.session)
    }

    /// When it was issued; not known of a user's that an older version wrote.
    pub fn issued_at(&self) -> Option<Timestamp> {
        match &self.user {
            Some(user) => user.given_at,
            None => self.access_tokens.first().map(|token| token.issued_at),
        }
    }

    /// The same without what versions 1 and 2 cannot say.
    #[must_use]
    pub fn for_older_replicas(mut self) -> Self {
        self.address = None;
        if let Some(user) = &mut self.user {
            user.given_at = None;
        }
        self
    }

    /// What it stands and falls with, besides itself.
    pub fn bonds(&self) -> Bonds<'_> {
        Bonds { client: Some(&self.client), subject: self.subject(), session: self.session() }
    }

    /// How long a store has to keep the record: until nothing in it can be used any more.
    pub fn needed_until(&self) -> Timestamp {
        let Some(user) = &self.user else { return self.expires_at };
        let code = user.code.iter().map(|code| code.expires_at);
        let idle_end = user.refresh.iter().map(RefreshChain::idle_end);
        let ends = self.access_tokens.iter().map(|token| token.expires_at).chain(code).chain(idle_end);
        ends.max().unwrap_or(self.expires_at).min(self.expires_at)
    }

    /// Adds an access token. For more than there is room, those leave that have expired, then the
    /// oldest that allows the same, then the oldest.
    pub fn add_access_token(&mut self, token: AccessToken, now: Timestamp) {
        let kept = &mut self.access_tokens;
        kept.retain(|kept| now < kept.expires_at);
        while kept.len() >= MAX_ACCESS_TOKENS {
            // The oldest stands first.
            let same = kept.iter().position(|kept| kept.restriction == token.restriction);
            kept.remove(same.unwrap_or(0));
        }
        kept.push(token);
    }

    /// What one of its access tokens allows.
    pub fn scope_of<'r>(&'r self, token: &'r AccessToken) -> &'r Scope {
        token.restriction.as_ref().map_or(&self.scope, |restriction| &restriction.scope)
    }

    /// Where one of its access tokens is good.
    pub fn audience_of<'r>(&'r self, token: &'r AccessToken) -> &'r [ResourceServerId] {
        token.restriction.as_ref().map_or(&self.audience, |restriction| &restriction.audience)
    }
}

#[cfg(test)]
mod tests;
