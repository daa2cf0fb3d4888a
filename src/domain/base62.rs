//! Fixed-width base62: big-endian numbers written with the digits `0-9A-Za-z`, padded with zeros.
//!
//! Fixed width and a range check make the text canonical: one number has exactly one spelling, so
//! a token cannot be respelled and still be recognised.
#![expect(clippy::cast_possible_truncation, reason = "limbs are the low 32 bits of their products")]

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Five digits at a time: 62⁵ is the largest power that leaves room for a 32-bit limb in a `u64`.
const GROUP: usize = 5;
const GROUP_BASE: u64 = 62u64.pow(GROUP as u32);
/// 256 bits, the longest number written here (a client secret).
const MAX_LIMBS: usize = 8;

/// Writes the big-endian number `bytes` into all of `digits`, padded with `0`.
///
/// `bytes` is a multiple of four bytes long, at most 32, and `digits` wide enough for its largest
/// value; both are constants of the token formats.
pub fn encode(bytes: &[u8], digits: &mut [u8]) {
    debug_assert!(bytes.len().is_multiple_of(4) && bytes.len() <= 4 * MAX_LIMBS);
    let mut limbs = [0u32; MAX_LIMBS];
    for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(4)) {
        *limb = chunk.iter().fold(0, |limb, byte| limb << 8 | u32::from(*byte));
    }
    let used = bytes.len() / 4;
    for group in digits.rchunks_mut(GROUP) {
        let mut remainder = 0u64;
        for limb in limbs.iter_mut().take(used) {
            let value = remainder << 32 | u64::from(*limb);
            // The remainder is below 62⁵, so the quotient fits the limb.
            *limb = (value / GROUP_BASE) as u32;
            remainder = value % GROUP_BASE;
        }
        for digit in group.iter_mut().rev() {
            let value = (remainder % 62) as usize;
            *digit = DIGITS.get(value).copied().unwrap_or(b'0');
            remainder /= 62;
        }
    }
}

/// Reads `digits` as a big-endian number of exactly `N` bytes (a multiple of four, at most 32).
///
/// `None` when a character is not a digit or when the number does not fit: a text that is not the
/// one spelling of its number is refused.
pub fn decode<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    debug_assert!(N.is_multiple_of(4) && N <= 4 * MAX_LIMBS);
    let mut limbs = [0u32; MAX_LIMBS];
    let (head, groups) = digits.split_at_checked(digits.len() % GROUP)?;
    for group in std::iter::once(head).chain(groups.chunks_exact(GROUP)) {
        let mut carry = 0u64;
        let mut base = 1u64;
        for digit in group {
            carry = carry * 62 + u64::from(value_of(*digit)?);
            base *= 62;
        }
        for limb in limbs.iter_mut().take(N / 4).rev() {
            let value = u64::from(*limb) * base + carry;
            *limb = value as u32;
            carry = value >> 32;
        }
        if carry != 0 {
            return None;
        }
    }
    let mut bytes = [0u8; N];
    for (chunk, limb) in bytes.chunks_exact_mut(4).zip(limbs) {
        chunk.copy_from_slice(&limb.to_be_bytes());
    }
    Some(bytes)
}

fn value_of(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'Z' => Some(digit - b'A' + 10),
        b'a'..=b'z' => Some(digit - b'a' + 36),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_largest_numbers_fit_their_widths_and_one_more_does_not() {
        let mut digits = [0; 17];
        encode(&[0xff; 12], &mut digits);
        assert_eq!(decode::<12>(&digits), Some([0xff; 12]));
        // 2⁹⁶ is the successor of the largest grant id; it needs 97 bits.
        assert_eq!(decode::<12>(b"zzzzzzzzzzzzzzzzz"), None);

        let mut digits = [0; 43];
        encode(&[0xff; 32], &mut digits);
        assert_eq!(decode::<32>(&digits), Some([0xff; 32]));
        assert_eq!(decode::<32>(&[b'z'; 43]), None);
    }

    #[test]
    fn small_numbers_are_padded_with_zeros() {
        let mut digits = [0; 6];
        encode(&61u32.to_be_bytes(), &mut digits);
        assert_eq!(&digits, b"00000z");
        encode(&62u32.to_be_bytes(), &mut digits);
        assert_eq!(&digits, b"000010");
        assert_eq!(decode::<4>(b"0000-0"), None);
    }

    proptest! {
        #[test]
        fn numbers_survive_the_round_trip(bytes: [u8; 28]) {
            let mut digits = [0; 38];
            encode(&bytes, &mut digits);
            prop_assert_eq!(decode::<28>(&digits), Some(bytes));
        }

        #[test]
        fn every_accepted_text_is_the_only_spelling(text in "[0-9A-Za-z]{33}") {
            if let Some(bytes) = decode::<24>(text.as_bytes()) {
                let mut digits = [0; 33];
                encode(&bytes, &mut digits);
                prop_assert_eq!(&digits[..], text.as_bytes());
            }
        }
    }
}
