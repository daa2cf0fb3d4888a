//! Token strings from anywhere, and genuine ones that were altered.

use std::sync::{LazyLock, Mutex};

use symbolon::domain::entropy::{Entropy, EntropyUnavailable};
use symbolon::domain::identifier::GrantId;
use symbolon::domain::token::{PlainToken, TokenKind, TokenPart, TokenString};
use symbolon::domain::token_key::TokenKeys;

static KEYS: LazyLock<TokenKeys> =
    LazyLock::new(|| TokenKeys::from_secrets([[1; 32], [2; 32]]).expect("two keys"));

/// The fuzzer's bytes in place of random ones.
struct Given<'a>(Mutex<&'a [u8]>);

impl Entropy for Given<'_> {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        let mut left = self.0.lock().map_err(|_| EntropyUnavailable)?;
        let (given, rest) = left.split_at_checked(bytes.len()).ok_or(EntropyUnavailable)?;
        bytes.copy_from_slice(given);
        *left = rest;
        Ok(())
    }
}

pub fn check(data: &[u8]) {
    anything(data);
    if let [which, altered_at, altered_to, random @ ..] = data {
        let kind = TokenKind::ALL[usize::from(*which) % TokenKind::ALL.len()];
        genuine(kind, usize::from(*altered_at), *altered_to, random);
    }
}

/// Whatever was sent: no panic, and what is accepted has exactly one spelling.
fn anything(data: &[u8]) {
    if let Ok(token) = TokenString::parse(data) {
        holds(&token, std::str::from_utf8(data).expect("a token is ASCII"));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    match TokenPart::parse(text) {
        Ok(TokenPart::Whole(token)) => holds(&token, text),
        Ok(TokenPart::Prefix(kind, id)) => {
            assert!(text.starts_with(kind.prefix()) && text.len() < kind.length());
            assert_eq!(&text[4..21], id.to_string());
        }
        Ok(TokenPart::GrantId(id)) => assert_eq!(text, id.to_string()),
        // Why it is refused can be said, and does not repeat what may be a secret.
        Err(error) => assert!(text.len() < 60 || !error.to_string().contains(text)),
    }
}

/// What holds for every text that was accepted as a token.
fn holds(token: &TokenString, text: &str) {
    assert_eq!(text.len(), token.kind().length());
    assert!(text.starts_with(token.kind().prefix()));
    assert_eq!(&text[4..21], token.grant_id().to_string());
    assert_eq!(token.digest().jti().len(), 22);
    assert!(!format!("{token:?}").contains(&text[21..]), "Debug shows the secret");
}

/// A token that was made here is recognised, by all of its parts, and by nothing that is nearly it.
fn genuine(kind: TokenKind, altered_at: usize, altered_to: u8, random: &[u8]) {
    let given = Given(Mutex::new(random));
    let Ok(grant) = GrantId::generate(&given) else { return };
    let Ok(made) = PlainToken::generate(kind, grant, &KEYS, &given) else { return };
    let text = made.expose();
    let token = TokenString::parse(text.as_bytes()).expect("a token that was made is read");
    holds(&token, text);
    assert_eq!((token.kind(), token.grant_id()), (kind, grant));
    assert!(token.digest() == made.digest());
    let key = token.made_by(&KEYS).expect("a token that was made is recognised");
    assert_eq!(key.fingerprint(), KEYS.current().fingerprint());
    let foreign = TokenKeys::from_secrets([[3; 32]]).expect("a key");
    assert!(token.made_by(&foreign).is_none(), "another installation recognises it");

    for length in 0..text.len() {
        assert!(TokenString::parse(&text.as_bytes()[..length]).is_err(), "shortened to {length}");
        match TokenPart::parse(&text[..length]) {
            Ok(part) => assert!(length >= 21 && part.grant_id() == grant),
            Err(_) => assert!(length < 21),
        }
    }
    let mut altered = text.as_bytes().to_vec();
    altered.push(altered_to);
    assert!(TokenString::parse(&altered).is_err(), "extended");
    altered.pop();
    let at = altered_at % altered.len();
    if altered[at] != altered_to {
        altered[at] = altered_to;
        assert!(TokenString::parse(&altered).is_err(), "altered at {at}");
    }
}
