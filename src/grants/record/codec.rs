//! Records to bytes and back. The grammar stands in the module above.

use std::time::Duration;

use super::bytes::{Reader, put_text, put_timestamp, put_varint};
use super::{AccessToken, Code, CodeState, GrantRecord, RefreshChain, Restriction, UserGrant};
use crate::domain::identifier::{ClientId, GrantId, ResourceServerId, UserId};
use crate::domain::position::ChangeNumber;
use crate::domain::scope::Scope;
use crate::domain::token::TokenDigest;

/// A client's grant for itself.
pub const VERSION_1: u8 = 1;
/// A user's grant.
pub const VERSION_2: u8 = 2;

/// Which of its optional parts a user's grant has.
mod flag {
    pub const SESSION: u8 = 1;
    pub const PENDING_CODE: u8 = 1 << 1;
    pub const CONSUMED_CODE: u8 = 1 << 2;
    pub const REFRESH: u8 = 1 << 3;
    pub const PREVIOUS: u8 = 1 << 4;
}

pub fn write(record: &GrantRecord) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    match &record.user {
        None => bytes.push(VERSION_1),
        Some(user) => bytes.extend([VERSION_2, flags(user)]),
    }
    put_varint(&mut bytes, record.born.get());
    put_timestamp(&mut bytes, record.expires_at);
    put_text(&mut bytes, record.client.as_str());
    put_scope_and_audience(&mut bytes, &record.scope, &record.audience);
    put_varint(&mut bytes, record.access_tokens.len() as u64);
    for token in &record.access_tokens {
        put_access_token(&mut bytes, token, record.user.is_some());
    }
    if let Some(user) = &record.user {
        put_user(&mut bytes, user);
    }
    bytes
}

fn flags(user: &UserGrant) -> u8 {
    let code = match user.code.as_ref().map(|code| &code.state) {
        None => 0,
        Some(CodeState::Pending { .. }) => flag::PENDING_CODE,
        Some(CodeState::Consumed) => flag::CONSUMED_CODE,
    };
    let session = if user.session.is_some() { flag::SESSION } else { 0 };
    let refresh = match &user.refresh {
        None => 0,
        Some(RefreshChain { previous: None, .. }) => flag::REFRESH,
        Some(_) => flag::REFRESH | flag::PREVIOUS,
    };
    session | code | refresh
}

fn put_scope_and_audience(bytes: &mut Vec<u8>, scope: &Scope, audience: &[ResourceServerId]) {
    put_text(bytes, scope.as_str());
    put_varint(bytes, audience.len() as u64);
    for id in audience {
        put_text(bytes, id.as_str());
    }
}

fn put_access_token(bytes: &mut Vec<u8>, token: &AccessToken, of_user: bool) {
    bytes.extend_from_slice(token.digest.as_bytes());
    put_timestamp(bytes, token.issued_at);
    put_varint(bytes, (token.expires_at - token.issued_at).as_secs());
    if !of_user {
        return;
    }
    put_varint(bytes, token.attempt.into());
    bytes.push(u8::from(token.restriction.is_some()));
    if let Some(restriction) = &token.restriction {
        put_scope_and_audience(bytes, &restriction.scope, &restriction.audience);
    }
}

fn put_user(bytes: &mut Vec<u8>, user: &UserGrant) {
    put_text(bytes, user.subject.as_str());
    if let Some(session) = &user.session {
        bytes.extend_from_slice(session.as_bytes());
    }
    bytes.extend_from_slice(&user.salt);
    put_varint(bytes, user.attempt.into());
    if let Some(code) = &user.code {
        bytes.extend_from_slice(code.digest.as_bytes());
        put_timestamp(bytes, code.expires_at);
        if let CodeState::Pending { redirect_uri } = &code.state {
            bytes.extend_from_slice(redirect_uri.as_bytes());
        }
    }
    if let Some(chain) = &user.refresh {
        bytes.extend_from_slice(chain.current.as_bytes());
        if let Some(previous) = &chain.previous {
            bytes.extend_from_slice(previous.as_bytes());
        }
        put_varint(bytes, chain.number.into());
        put_timestamp(bytes, chain.rotated_at);
        put_varint(bytes, chain.idle_lifetime.as_secs());
    }
}

/// A record of the client's own, after its version.
pub fn read_version_1(reader: &mut Reader<'_>) -> Option<GrantRecord> {
    read(reader, false)
}

/// A record of a user's, after its version.
pub fn read_version_2(reader: &mut Reader<'_>) -> Option<GrantRecord> {
    let flags = reader.byte()?;
    let mut record = read(reader, true)?;
    record.user = Some(read_user(reader, flags)?);
    Some(record)
}

fn read(reader: &mut Reader<'_>, of_user: bool) -> Option<GrantRecord> {
    let born = ChangeNumber::new(reader.varint()?);
    let expires_at = reader.timestamp()?;
    let client = ClientId::parse(reader.text()?).ok()?;
    let (scope, audience) = read_scope_and_audience(reader)?;
    let access_tokens = reader.list(|reader| read_access_token(reader, of_user))?;
    Some(GrantRecord { born, expires_at, client, scope, audience, access_tokens, user: None })
}

fn read_scope_and_audience(reader: &mut Reader<'_>) -> Option<(Scope, Vec<ResourceServerId>)> {
    let scope = match reader.text()? {
        "" => Scope::default(),
        text => Scope::parse(text).ok()?,
    };
    let audience = reader.list(|reader| ResourceServerId::parse(reader.text()?).ok())?;
    Some((scope, audience))
}

fn read_access_token(reader: &mut Reader<'_>, of_user: bool) -> Option<AccessToken> {
    let digest = TokenDigest::from_bytes(reader.array()?);
    let issued_at = reader.timestamp()?;
    let expires_at = issued_at + Duration::from_secs(reader.varint()?);
    let (mut attempt, mut restriction) = (0, None);
    if of_user {
        attempt = reader.number()?;
        restriction = match reader.byte()? {
            0 => None,
            1 => {
                let (scope, audience) = read_scope_and_audience(reader)?;
                Some(Box::new(Restriction { scope, audience }))
            }
            _ => return None,
        };
    }
    Some(AccessToken { digest, issued_at, expires_at, attempt, restriction })
}

fn read_user(reader: &mut Reader<'_>, flags: u8) -> Option<UserGrant> {
    let has = |flag| flags & flag != 0;
    let known = flag::SESSION | flag::PENDING_CODE | flag::CONSUMED_CODE | flag::REFRESH | flag::PREVIOUS;
    let contradictory =
        (has(flag::PENDING_CODE) && has(flag::CONSUMED_CODE)) || (has(flag::PREVIOUS) && !has(flag::REFRESH));
    if flags & !known != 0 || contradictory {
        return None;
    }
    let subject = UserId::parse(reader.text()?).ok()?;
    let session = match has(flag::SESSION) {
        true => Some(GrantId::from_bytes(reader.array()?)),
        false => None,
    };
    let salt = reader.array()?;
    let attempt = reader.number()?;
    let code = match has(flag::PENDING_CODE) || has(flag::CONSUMED_CODE) {
        true => Some(read_code(reader, has(flag::PENDING_CODE))?),
        false => None,
    };
    let refresh = match has(flag::REFRESH) {
        true => Some(read_chain(reader, has(flag::PREVIOUS))?),
        false => None,
    };
    Some(UserGrant { subject, session, salt, attempt, code, refresh })
}

fn read_code(reader: &mut Reader<'_>, pending: bool) -> Option<Code> {
    let digest = TokenDigest::from_bytes(reader.array()?);
    let expires_at = reader.timestamp()?;
    let state = match pending {
        true => CodeState::Pending { redirect_uri: TokenDigest::from_bytes(reader.array()?) },
        false => CodeState::Consumed,
    };
    Some(Code { digest, expires_at, state })
}

fn read_chain(reader: &mut Reader<'_>, has_previous: bool) -> Option<RefreshChain> {
    let current = TokenDigest::from_bytes(reader.array()?);
    let previous = match has_previous {
        true => Some(TokenDigest::from_bytes(reader.array()?)),
        false => None,
    };
    let number = reader.number()?;
    let rotated_at = reader.timestamp()?;
    let idle_lifetime = Duration::from_secs(reader.varint()?);
    Some(RefreshChain { current, previous, number, rotated_at, idle_lifetime })
}
