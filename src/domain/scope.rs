//! Scope: what a token may do, as a set of words (RFC 6749 §3.3).

use std::collections::BTreeSet;
use std::fmt;

/// The longest scope, in characters: it must leave room in a form of 16 KiB.
pub const MAX_SCOPE_LENGTH: usize = 4096;

/// The text is not a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedScope;

impl fmt::Display for MalformedScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scope is words separated by single spaces, such as \"notes:read notes:write\"")
    }
}

impl std::error::Error for MalformedScope {}

/// A set of scope tokens. May be empty; written in alphabetical order, so that equal scopes read
/// alike everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(BTreeSet<Box<str>>);

impl Scope {
    /// Reads `scope = scope-token *( SP scope-token )`; a repeated word counts once.
    ///
    /// # Errors
    /// When the text is empty, has another form, or is longer than 4096 characters.
    pub fn parse(text: &str) -> Result<Self, MalformedScope> {
        if text.len() > MAX_SCOPE_LENGTH {
            return Err(MalformedScope);
        }
        let words = text.split(' ');
        words.map(|word| is_scope_token(word).then(|| word.into()).ok_or(MalformedScope)).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, word: &str) -> bool {
        self.0.contains(word)
    }

    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    pub fn intersects(&self, other: &Self) -> bool {
        self.0.iter().any(|word| other.0.contains(word))
    }

    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

impl FromIterator<Box<str>> for Scope {
    fn from_iter<I: IntoIterator<Item = Box<str>>>(words: I) -> Self {
        Self(words.into_iter().collect())
    }
}

/// `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`
fn is_scope_token(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(word)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted_and_counted_once() {
        let scope = Scope::parse("write read write").unwrap();
        assert_eq!(scope.to_string(), "read write");
        assert!(Scope::parse("read").unwrap().is_subset(&scope));
    }

    #[test]
    fn anything_outside_the_grammar_is_refused() {
        let long = "x".repeat(MAX_SCOPE_LENGTH + 1);
        for text in ["", " ", "a ", " a", "a  b", "a\tb", "\"", "a\\b", "ä", "a\0b", &long] {
            assert_eq!(Scope::parse(text), Err(MalformedScope), "{text:?}");
        }
    }
}
