//! Records to bytes and back. The grammar stands in the module above.

use std::net::IpAddr;
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

/// A client's grant for itself, with the address that asked for it.
pub const VERSION_3: u8 = 3;
/// A user's grant, with when and from where it was given, as far as that is known.
pub const VERSION_4: u8 = 4;

/// Which of its optional parts a user's grant has.
mod flag {
    pub const SESSION: u8 = 1;
    pub const PENDING_CODE: u8 = 1 << 1;
    pub const CONSUMED_CODE: u8 = 1 << 2;
    pub const REFRESH: u8 = 1 << 3;
    pub const PREVIOUS: u8 = 1 << 4;
    pub const GIVEN_AT: u8 = 1 << 5;
    pub const IPV4: u8 = 1 << 6;
    pub const IPV6: u8 = 1 << 7;

    /// What version 4 has beyond version 2.
    pub const OF_VERSION_4: u8 = GIVEN_AT | IPV4 | IPV6;
    pub const OF_VERSION_2: u8 = SESSION | PENDING_CODE | CONSUMED_CODE | REFRESH | PREVIOUS;
}

pub fn write(record: &GrantRecord) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    match (&record.user, record.address) {
        (None, None) => bytes.push(VERSION_1),
        (None, Some(_)) => bytes.push(VERSION_3),
        (Some(user), address) => {
            let flags = flags(user) | address.map_or(0, flag_of_address);
            let version = if flags & flag::OF_VERSION_4 == 0 { VERSION_2 } else { VERSION_4 };
            bytes.extend([version, flags]);
        }
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
    if let Some(address) = record.address {
        put_address(&mut bytes, address, record.user.is_some());
    }
    bytes
}

/// Of a user's, the flags say how long it is.
fn put_address(bytes: &mut Vec<u8>, address: IpAddr, of_user: bool) {
    let length = if address.is_ipv4() { 4 } else { 16 };
    bytes.extend((!of_user).then_some(length));
    match address {
        IpAddr::V4(address) => bytes.extend(address.octets()),
        IpAddr::V6(address) => bytes.extend(address.octets()),
    }
}

const fn flag_of_address(address: IpAddr) -> u8 {
    if address.is_ipv4() { flag::IPV4 } else { flag::IPV6 }
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
    let given_at = if user.given_at.is_some() { flag::GIVEN_AT } else { 0 };
    session | code | refresh | given_at
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
    if let Some(given_at) = user.given_at {
        put_timestamp(bytes, given_at);
    }
}

/// A record of the client's own, after its version.
pub fn read_version_1(reader: &mut Reader<'_>) -> Option<GrantRecord> {
    read(reader, false)
}

/// A record of a user's, after its version.
pub fn read_version_2(reader: &mut Reader<'_>) -> Option<GrantRecord> {
    read_of_user(reader, flag::OF_VERSION_2)
}

/// The same as version 1, and an address.
pub fn read_version_3(reader: &mut Reader<'_>) -> Option<GrantRecord> {
    let mut record = read(reader, false)?;
    record.address = Some(match reader.byte()? {
        4 => reader.array::<4>()?.into(),
        16 => reader.array::<16>()?.into(),
        _ => return None,
    });
    Some(record)
}

/// The same as version 2, and what that cannot say.
pub fn read_version_4(reader: &mut Reader<'_>) -> Option<GrantRecord> {
    let flags = reader.0.first().copied()?;
    let mut record = read_of_user(reader, flag::OF_VERSION_2 | flag::OF_VERSION_4)?;
    record.address = match flags & (flag::IPV4 | flag::IPV6) {
        0 => None,
        flag::IPV4 => Some(reader.array::<4>()?.into()),
        flag::IPV6 => Some(reader.array::<16>()?.into()),
        _ => return None,
    };
    (flags & flag::OF_VERSION_4 != 0).then_some(record)
}

fn read_of_user(reader: &mut Reader<'_>, known: u8) -> Option<GrantRecord> {
    let flags = reader.byte()?;
    let mut record = read(reader, true)?;
    record.user = Some(read_user(reader, flags, known)?);
    Some(record)
}

fn read(reader: &mut Reader<'_>, of_user: bool) -> Option<GrantRecord> {
    let born = ChangeNumber::new(reader.varint()?);
    let expires_at = reader.timestamp()?;
    let client = ClientId::parse(reader.text()?).ok()?;
    let (scope, audience) = read_scope_and_audience(reader)?;
    let access_tokens = reader.list(|reader| read_access_token(reader, of_user))?;
    Some(GrantRecord { born, expires_at, client, scope, audience, access_tokens, user: None, address: None })
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

/// A user's part, which may have no other optional parts than the `known`.
fn read_user(reader: &mut Reader<'_>, flags: u8, known: u8) -> Option<UserGrant> {
    let has = |flag| flags & flag != 0;
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
    let given_at = match has(flag::GIVEN_AT) {
        true => Some(reader.timestamp()?),
        false => None,
    };
    Some(UserGrant { subject, session, salt, attempt, code, refresh, given_at })
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
