//! Scope: what a token may do, as a set of words (RFC 6749 §3.3).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

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
///
/// Kept as that text: scopes are small, are read from text and written to text, and every request
/// compares some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Scope(Arc<str>);

impl Default for Scope {
    fn default() -> Self {
        Self("".into())
    }
}

impl Scope {
    /// Reads `scope = scope-token *( SP scope-token )`; a repeated word counts once.
    ///
    /// # Errors
    /// When the text is empty, has another form, or is longer than 4096 characters.
    pub fn parse(text: &str) -> Result<Self, MalformedScope> {
        if text.len() > MAX_SCOPE_LENGTH {
            return Err(MalformedScope);
        }
        let (mut before, mut sorted) = (&b""[..], true);
        for word in text.as_bytes().split(|byte| *byte == b' ') {
            if !is_scope_token(word) {
                return Err(MalformedScope);
            }
            sorted &= before < word;
            before = word;
        }
        Ok(if sorted { Self(text.into()) } else { text.split(' ').collect() })
    }

    /// The words in alphabetical order, separated by spaces.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, word: &str) -> bool {
        self.words().any(|own| own == word)
    }

    pub fn is_subset(&self, other: &Self) -> bool {
        self == other || self.common(other).eq(self.words())
    }

    pub fn intersects(&self, other: &Self) -> bool {
        self.common(other).next().is_some()
    }

    pub fn intersection(&self, other: &Self) -> Self {
        if self.is_subset(other) { self.clone() } else { Self(join(self.common(other)).into()) }
    }

    pub fn union(&self, other: &Self) -> Self {
        self.words().chain(other.words()).collect()
    }

    pub fn words(&self) -> impl Iterator<Item = &str> {
        // The empty text has one word by this count, the empty one.
        self.0.split(' ').filter(|word| !word.is_empty())
    }

    /// The words of both. Each side is walked once, for both are sorted.
    fn common<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = &'s str> {
        let mut others = other.words().peekable();
        self.words().filter(move |word| {
            while others.next_if(|other| other < word).is_some() {}
            others.peek() == Some(word)
        })
    }
}

impl<W: AsRef<str>> FromIterator<W> for Scope {
    fn from_iter<I: IntoIterator<Item = W>>(words: I) -> Self {
        let words: Vec<W> = words.into_iter().collect();
        let words: BTreeSet<&str> = words.iter().map(AsRef::as_ref).collect();
        Self(join(words.into_iter()).into())
    }
}

fn join<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let mut text = String::new();
    for word in words {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

/// `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`
fn is_scope_token(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    #[test]
    fn the_empty_scope_has_no_words_and_is_part_of_every_other() {
        let (empty, scope) = (Scope::default(), Scope::parse("read").unwrap());
        assert_eq!(empty.words().count(), 0);
        assert!(empty.is_subset(&scope) && !scope.is_subset(&empty) && !empty.intersects(&scope));
        assert_eq!(empty.union(&scope), scope);
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_set(
            one in prop::collection::vec("[a-c]{1,2}", 1..8),
            other in prop::collection::vec("[a-c]{1,2}", 1..8),
        ) {
            let scope = |words: &[String]| Scope::parse(&words.join(" ")).unwrap();
            let set = |words: &[String]| words.iter().cloned().collect::<BTreeSet<_>>();
            let words = |scope: &Scope| scope.words().map(str::to_owned).collect::<BTreeSet<_>>();
            let (left, right) = (scope(&one), scope(&other));
            let (one, other) = (set(&one), set(&other));
            prop_assert_eq!(words(&left), one.clone());
            prop_assert_eq!(words(&left.intersection(&right)), &one & &other);
            prop_assert_eq!(words(&left.union(&right)), &one | &other);
            prop_assert_eq!(left.is_subset(&right), one.is_subset(&other));
            prop_assert_eq!(left.intersects(&right), !one.is_disjoint(&other));
            prop_assert_eq!(left == right, one == other);
        }
    }
}
