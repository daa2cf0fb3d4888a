//! Scopes, resources and ids, as parameters hold them.

use symbolon::domain::identifier::{ClientId, ResourceIdentifier};
use symbolon::domain::scope::{MAX_SCOPE_LENGTH, Scope};

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(scope) = Scope::parse(text) {
        is_scope(&scope, text);
    }
    if let Ok(resource) = ResourceIdentifier::parse(text) {
        // RFC 8707 §2: an absolute URI, without a fragment; compared as it was written.
        assert_eq!(resource.to_string(), text);
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{text:?}");
        assert!(
            text.split_once(':')
                .is_some_and(|(scheme, _)| scheme.starts_with(|c: char| c.is_ascii_alphabetic()))
        );
    }
    if let Ok(client) = ClientId::parse(text) {
        assert_eq!(client.to_string(), text);
        // Ids are of characters that no encoding changes, and never another kind's.
        assert!(
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')),
            "{text}"
        );
    }
}

fn is_scope(scope: &Scope, text: &str) {
    assert!(!text.is_empty() && text.len() <= MAX_SCOPE_LENGTH);
    let mut words: Vec<&str> = text.split(' ').collect();
    words.sort_unstable();
    words.dedup();
    assert!(scope.words().eq(words.iter().copied()), "{text:?}");
    // RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
    assert!(words.iter().all(|word| !word.is_empty() && !word.contains(['"', '\\'])));
    assert!(text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)), "{text:?}");
    let written = scope.to_string();
    assert_eq!(Scope::parse(&written).as_ref(), Ok(scope));
    assert_eq!(Scope::parse(&format!("{text} ")).ok(), None, "a blank at the end");
    assert_eq!(&scope.union(scope), scope);
    assert_eq!(&scope.intersection(scope), scope);
    assert!(scope.is_subset(scope) && scope.intersects(scope));
}
