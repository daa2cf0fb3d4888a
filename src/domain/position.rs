//! Places in the change feed.

use std::fmt;

/// The number of a change: 1 for the first, one more for each that committed after it.
///
/// Zero stands before every change. Logical time: no clock is involved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeNumber(u64);

impl ChangeNumber {
    pub const ZERO: Self = Self(0);

    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    pub const fn get(self) -> u64 {
        self.0
    }

    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for ChangeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one feed for ever: drawn at random when the database is made, so that the stores of two
/// installations cannot be mixed up unnoticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FeedId(pub [u8; 16]);

/// The chain value of a change: SHA-256 over the one before and the change itself.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ChangeHash(pub [u8; 32]);

impl fmt::Debug for ChangeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take(6) {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("…")
    }
}

/// A place in the feed: which feed, which change, and the chain value that proves it is that one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub feed: FeedId,
    pub number: ChangeNumber,
    pub hash: ChangeHash,
}

impl Position {
    /// Length of [`Position::to_bytes`].
    pub const BYTES: usize = 16 + 8 + 32;

    /// The form in which a position is kept outside SQL: feed id, number (big-endian), hash.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let parts = self.feed.0.iter().copied().chain(self.number.0.to_be_bytes());
        for (byte, part) in bytes.iter_mut().zip(parts.chain(self.hash.0)) {
            *byte = part;
        }
        bytes
    }

    /// `None` when the bytes are not a position.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (feed, rest) = bytes.split_first_chunk::<16>()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let hash: [u8; 32] = rest.try_into().ok()?;
        Some(Self {
            feed: FeedId(*feed),
            number: ChangeNumber(u64::from_be_bytes(*number)),
            hash: ChangeHash(hash),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_bytes_and_nothing_shorter_does() {
        let position =
            Position { feed: FeedId([7; 16]), number: ChangeNumber::new(513), hash: ChangeHash([9; 32]) };
        let bytes = position.to_bytes();
        assert_eq!(Position::from_bytes(&bytes), Some(position));
        assert_eq!(Position::from_bytes(&bytes[1..]), None);
    }
}
