//! Token strings that nobody was given: forged from outside, or genuine and unknown.

use symbolon::domain::base62;
use symbolon::domain::entropy::SystemEntropy;
use symbolon::domain::identifier::GrantId;
use symbolon::domain::token::{PlainToken, TokenKind};
use symbolon::domain::token_key::TokenKeys;

use crate::support::actors::Token;
use crate::support::deployment::Deployment;
use crate::support::leaks::crc32;

const CHECKSUM: usize = 6;

/// The text with a checksum that fits, as anybody can make it: the checksum is no secret.
pub fn checksummed(body: &str) -> String {
    let mut digits = [0; CHECKSUM];
    base62::encode(&crc32(body.as_bytes()).to_be_bytes(), &mut digits);
    format!("{body}{}", std::str::from_utf8(&digits).unwrap())
}

/// The token without its checksum.
pub fn body(token: &Token) -> &str {
    &token.0[..token.0.len() - CHECKSUM]
}

/// A token that the installation itself could have made: kind, tag and checksum are right.
pub fn genuine(deployment: &Deployment, kind: TokenKind, grant: GrantId) -> String {
    let keys = TokenKeys::parse(&deployment.environment()["SYMBOLON_TOKEN_KEY"]).unwrap();
    PlainToken::generate(kind, grant, &keys, &SystemEntropy).unwrap().expose().to_owned()
}

/// The same of a grant that was never made.
pub fn unknown(deployment: &Deployment, kind: TokenKind) -> String {
    genuine(deployment, kind, GrantId::generate(&SystemEntropy).unwrap())
}

/// The grant of a token.
pub fn grant_id(token: &Token) -> GrantId {
    GrantId::from_digits(token.grant_id().as_bytes()).unwrap()
}

#[test]
fn x2_a_checksum_made_here_is_the_one_of_real_tokens() {
    let world = crate::world::embedded();
    let token = world.app.mint(world.server());
    assert_eq!(checksummed(body(&token)), token.0);
}
