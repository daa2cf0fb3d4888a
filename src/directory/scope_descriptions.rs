//! What scopes mean, in words for people who are asked to consent.

use std::collections::BTreeMap;
use std::fmt;

use crate::domain::scope::Scope;

/// More than anybody reads before they decide.
const LONGEST: usize = 200;

/// A text for some of a resource server's scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeDescriptions(BTreeMap<String, String>);

/// Why a text cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedDescription {
    TooLong,
    NotOneLine,
}

impl fmt::Display for MalformedDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "a description has at most {LONGEST} characters"),
            Self::NotOneLine => f.write_str("a description is one line, without control characters"),
        }
    }
}

impl ScopeDescriptions {
    /// Says what a scope means; an empty text leaves it to speak for itself.
    ///
    /// # Errors
    /// When the text cannot be shown on a line of a page.
    pub fn describe(&mut self, word: &str, text: &str) -> Result<(), MalformedDescription> {
        let text = text.trim();
        if text.chars().count() > LONGEST {
            return Err(MalformedDescription::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(MalformedDescription::NotOneLine);
        }
        self.0.insert(word.to_owned(), text.to_owned());
        Ok(())
    }

    /// What a scope means, if somebody has said it.
    pub fn of(&self, word: &str) -> Option<&str> {
        self.0.get(word).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Each scope with its text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(word, text)| (word.as_str(), text.as_str()))
    }

    /// These, with `later` above them, as far as they are of `scope`.
    pub fn updated(&self, later: &Self, scope: &Scope) -> Self {
        let all = self.iter().chain(later.iter()).map(|(word, text)| (word.to_owned(), text.to_owned()));
        let mut all: BTreeMap<_, _> = all.collect();
        all.retain(|word, text| !text.is_empty() && scope.contains(word));
        Self(all)
    }

    /// The first that is not of `scope`.
    pub fn foreign_to<'d>(&'d self, scope: &Scope) -> Option<&'d str> {
        self.0.keys().map(String::as_str).find(|word| !scope.contains(word))
    }

    /// As a column holds them: a JSON object.
    pub(super) fn to_column(&self) -> String {
        serde_json::Value::from_iter(self.0.clone()).to_string()
    }

    pub(super) fn from_column(text: &str) -> Option<Self> {
        serde_json::from_str(text).map(Self).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_text_stands_an_empty_one_takes_it_away_and_so_does_losing_the_scope() {
        let describe = |texts: &[(&str, &str)]| {
            let mut descriptions = ScopeDescriptions::default();
            for (word, text) in texts {
                descriptions.describe(word, text).unwrap();
            }
            descriptions
        };
        let scope = Scope::parse("a b c").unwrap();
        let older = describe(&[("a", "one"), ("b", "two"), ("c", "three"), ("d", "four")]);
        let updated = older.updated(&describe(&[("b", " second \u{e9} "), ("c", "")]), &scope);
        assert_eq!(updated, describe(&[("a", "one"), ("b", "second \u{e9}")]));
        assert_eq!((updated.of("b"), updated.of("c")), (Some("second \u{e9}"), None));
        assert_eq!((older.foreign_to(&scope), updated.foreign_to(&scope)), (Some("d"), None));
        assert_eq!(ScopeDescriptions::from_column(&updated.to_column()), Some(updated));
    }

    #[test]
    fn a_text_is_one_line_that_can_be_read() {
        let mut descriptions = ScopeDescriptions::default();
        for text in ["two\nlines", "\u{1b}[31m", "nul\0"] {
            assert_eq!(descriptions.describe("a", text), Err(MalformedDescription::NotOneLine), "{text:?}");
        }
        assert_eq!(descriptions.describe("a", &"\u{e9}".repeat(200)), Ok(()));
        assert_eq!(descriptions.describe("a", &"\u{e9}".repeat(201)), Err(MalformedDescription::TooLong));
    }
}
