//! What a user logs in with: a user name, or an e-mail address.

use std::fmt;
use std::sync::Arc;

use caseless::Caseless as _;
use unicode_normalization::UnicodeNormalization as _;

/// The longest login name, in bytes: an e-mail address has at most 254 (RFC 5321 §4.5.3.1.3).
pub const MAX_LOGIN_NAME: usize = 254;

/// The text cannot be a login name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedLoginName;

impl fmt::Display for MalformedLoginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a user's name has 1 to {MAX_LOGIN_NAME} bytes, no control or invisible character, no space at \
             either end, and does not begin with usr_, as ids do"
        )
    }
}

impl std::error::Error for MalformedLoginName {}

/// A login name: as it was given, for people, and its key, for comparing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginName {
    shown: Arc<str>,
    key: Arc<str>,
}

impl LoginName {
    /// # Errors
    /// When the text cannot be a login name.
    pub fn parse(text: &str) -> Result<Self, MalformedLoginName> {
        let key = key(text);
        let fits = |text: &str| (1..=MAX_LOGIN_NAME).contains(&text.len()) && text.trim() == text;
        if !fits(text) || !fits(&key) || text.chars().any(is_unseen) || key.starts_with("usr_") {
            return Err(MalformedLoginName);
        }
        Ok(Self { shown: text.into(), key: key.into() })
    }

    /// A name as the directory holds it.
    pub fn from_stored(shown: &str, key: &str) -> Self {
        Self { shown: shown.into(), key: key.into() }
    }

    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// Two names are the same name when their keys are equal.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for LoginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Case-folded and normalised (NFKC), twice: folding may leave what normalises anew, and the
/// other way round (Unicode 16, D146).
fn key(text: &str) -> String {
    let once: String = text.nfkc().default_case_fold().nfkc().collect();
    once.chars().default_case_fold().nfkc().collect()
}

/// Characters that nobody sees, by which two names would look alike: controls, and what only steers
/// the layout of others.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffd}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key_of(text: &str) -> String {
        LoginName::parse(text).unwrap().key().to_owned()
    }

    #[test]
    fn names_that_people_take_for_the_same_are_the_same() {
        for (one, other) in [
            ("Alice", "alice"),
            ("ALICE@Example.COM", "alice@example.com"),
            ("Stra\u{df}e", "STRASSE"),
            ("caf\u{e9}", "CAFE\u{301}"),
            ("\u{ff41}dmin", "admin"),
            ("\u{fb01}n", "FIN"),
            ("\u{39f}\u{394}\u{39f}\u{3a3}", "\u{3bf}\u{3b4}\u{3bf}\u{3c2}"),
            ("\u{1e9e}", "ss"),
        ] {
            assert_eq!(key_of(one), key_of(other), "{one} {other}");
        }
        for (one, other) in [("alice", "alice2"), ("a.b", "ab"), ("\u{131}", "i"), ("o'brien", "obrien")] {
            assert_ne!(key_of(one), key_of(other), "{one} {other}");
        }
        assert_eq!(LoginName::parse("Alice").unwrap().as_str(), "Alice", "shown as it was given");
    }

    #[test]
    fn x26_what_would_not_be_read_as_it_was_written_is_no_name() {
        let long = "x".repeat(255);
        for text in [
            "",
            " ",
            " a",
            "a ",
            "a\0",
            "a\nb",
            "\u{1b}[2J",
            "a\u{200b}b",
            "\u{feff}a",
            "a\u{202e}b",
            "\u{a0}a",
            "usr_1",
            "USR_1",
            "\u{ff55}sr_1",
            "a\u{ad}",
            &long,
        ] {
            assert_eq!(LoginName::parse(text), Err(MalformedLoginName), "{text:?}");
        }
        assert!(LoginName::parse(&"x".repeat(254)).is_ok());
        assert!(LoginName::parse("Jos\u{e9} Garc\u{ed}a").is_ok());
    }

    proptest! {
        #[test]
        fn a_key_is_its_own_key(text in "\\PC{1,20}") {
            let once = key(&text);
            prop_assert_eq!(key(&once), once);
        }
    }
}
