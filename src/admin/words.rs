//! Words that people type and the audit keeps for years: none of them may be a secret.

use std::fmt;

use crate::domain::secret;
use crate::domain::token::{SHOWN_LENGTH, TokenKind};

/// The longest name that is written as it was typed.
const LONGEST_TARGET: usize = 200;
const LONGEST_REASON: usize = 1000;

/// Why something is done, for whoever asks later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

/// Why a text is no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsuitableReason {
    MayBeSecret,
    TooLong,
}

impl fmt::Display for UnsuitableReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MayBeSecret => write!(
                f,
                "it holds a token or a secret, and is kept; name a token by its first {SHOWN_LENGTH} characters"
            ),
            Self::TooLong => write!(f, "it is longer than {LONGEST_REASON} characters"),
        }
    }
}

impl std::error::Error for UnsuitableReason {}

impl Reason {
    /// # Errors
    /// When it holds what looks like a token or a secret, or is too long.
    pub fn parse(text: &str) -> Result<Self, UnsuitableReason> {
        let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        if words.any(|word| marks().any(|mark| may_be_secret(word, mark))) {
            return Err(UnsuitableReason::MayBeSecret);
        }
        match text.chars().count() > LONGEST_REASON {
            true => Err(UnsuitableReason::TooLong),
            false => Ok(Self(text.to_owned())),
        }
    }
}

impl From<Reason> for String {
    fn from(Reason(text): Reason) -> Self {
        text
    }
}

/// How tokens and secrets begin.
fn marks() -> impl Iterator<Item = &'static str> {
    TokenKind::ALL.into_iter().map(TokenKind::prefix).chain([secret::PREFIX])
}

fn may_be_secret(word: &str, mark: &str) -> bool {
    word.split_once(mark).is_some_and(|(_, rest)| mark.len() + rest.len() > SHOWN_LENGTH)
}

/// What somebody typed as a name, unless it may be a secret in the wrong place.
pub(super) fn unless_secret(typed: &str) -> String {
    let is_long = typed.chars().count() > LONGEST_TARGET;
    match is_long || marks().any(|mark| typed.contains(mark)) {
        true => "(not shown: it may be a secret)".to_owned(),
        false => typed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_no_secret() {
        let token = "sya_0w2MWAa5BmFdO1kkx2gqA1Se5Q60jjZZ66Ynb9r7kuIHJxzxos4eXE1a";
        for text in [token, &format!("in a paste:{token}, twice"), &format!("x{token}"), &token[..22]] {
            assert_eq!(Reason::parse(text), Err(UnsuitableReason::MayBeSecret), "{text}");
        }
        for text in
            ["", "the laptop of sys_admin was stolen", &token[..21], &format!("it was {}", &token[4..])]
        {
            assert_eq!(Reason::parse(text).map(String::from), Ok(text.to_owned()));
        }
        assert_eq!(Reason::parse(&"x".repeat(1001)), Err(UnsuitableReason::TooLong));
        assert!(Reason::parse(&"é".repeat(1000)).is_ok());
    }
}
