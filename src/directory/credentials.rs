//! What proves that somebody is a client or a resource server: one secret, or two while one
//! replaces the other.

use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::domain::secret::SecretDigest;
use crate::sql::SqlError;

/// The digests of the secrets that are good now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    current: SecretDigest,
    previous: Option<(SecretDigest, Timestamp)>,
}

/// The three columns that hold credentials.
pub(super) type Columns = (Option<Vec<u8>>, Option<Vec<u8>>, Option<i64>);

impl Credentials {
    pub const fn new(secret: SecretDigest) -> Self {
        Self { current: secret, previous: None }
    }

    /// Whether a secret with this digest is good at `now`. Both are compared, in constant time.
    pub fn accept(&self, presented: &SecretDigest, now: Timestamp) -> bool {
        let current = self.current == *presented;
        let previous = self
            .previous
            .as_ref()
            .is_some_and(|(digest, expires_at)| digest == presented && now < *expires_at);
        current | previous
    }

    /// The credentials after a rotation: the secret that was current is good for `overlap` more.
    pub fn rotate(&self, secret: SecretDigest, overlap: Duration, now: Timestamp) -> Self {
        let previous = (!overlap.is_zero()).then_some((self.current, now + overlap));
        Self { current: secret, previous }
    }

    /// When the previous secret stops being good, if there is one.
    pub fn previous_expires_at(&self) -> Option<Timestamp> {
        self.previous.as_ref().map(|(_, expires_at)| *expires_at)
    }

    pub(super) fn columns(&self) -> Columns {
        let previous = self.previous.as_ref();
        (
            Some(self.current.as_bytes().to_vec()),
            previous.map(|(digest, _)| digest.as_bytes().to_vec()),
            previous.map(|(_, expires_at)| expires_at.unix_seconds()),
        )
    }

    pub(super) fn from_columns(columns: Columns) -> Result<Option<Self>, SqlError> {
        let digest = |bytes: &[u8]| {
            SecretDigest::from_stored(bytes).ok_or_else(|| SqlError::unintelligible("the digest of a secret"))
        };
        let (Some(current), previous, expires_at) = columns else { return Ok(None) };
        let previous = match (previous, expires_at) {
            (Some(previous), Some(at)) => Some((digest(&previous)?, Timestamp::from_unix_seconds(at))),
            _ => None,
        };
        Ok(Some(Self { current: digest(&current)?, previous }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x35_two_secrets_are_good_until_the_overlap_ends() {
        let now = Timestamp::from_unix_seconds(1_000);
        let (old, new) = (SecretDigest::of(b"old"), SecretDigest::of(b"new"));
        let rotated = Credentials::new(old).rotate(new, Duration::from_secs(60), now);
        assert!(rotated.accept(&old, now) && rotated.accept(&new, now));
        assert!(!rotated.accept(&SecretDigest::of(b"other"), now));
        let later = now + Duration::from_secs(60);
        assert!(!rotated.accept(&old, later) && rotated.accept(&new, later));
        let restored = Credentials::from_columns(rotated.columns()).unwrap().unwrap();
        assert_eq!(restored, rotated);
    }

    #[test]
    fn without_an_overlap_the_old_secret_ends_at_once() {
        let now = Timestamp::from_unix_seconds(1_000);
        let old = SecretDigest::of(b"old");
        let rotated = Credentials::new(old).rotate(SecretDigest::of(b"new"), Duration::ZERO, now);
        assert!(!rotated.accept(&old, now));
        assert_eq!(rotated.previous_expires_at(), None);
    }
}
