//! Fixed-width base62: big-endian numbers written with the digits `0-9A-Za-z`, padded with zeros.
//!
//! Fixed width and a range check make the text canonical: one number has exactly one spelling, so
//! a token cannot be respelled and still be recognised.
#![expect(clippy::cast_possible_truncation, reason = "limbs are the low 32 bits of their products")]

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Five digits at a time: 62⁵ is the largest power that leaves room for a 32-bit limb in a `u64`.
const GROUP: usize = 5;
const GROUP_BASE: u64 = 62u64.pow(GROUP as u32);
/// The same for a 64-bit limb in a `u128`.
const WIDE_GROUP: usize = 10;
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
    // Ten digits at a time, into limbs of 64 bits: this runs for every token that is presented.
    let mut limbs = [0u64; MAX_LIMBS / 2];
    let (head, groups) = digits.split_at_checked(digits.len() % WIDE_GROUP)?;
    for group in std::iter::once(head).chain(groups.chunks_exact(WIDE_GROUP)) {
        let (mut value, mut base) = (0u64, 1u64);
        for digit in group {
            let digit = *VALUES.get(usize::from(*digit))?;
            if digit == NO_DIGIT {
                return None;
            }
            value = value * 62 + u64::from(digit);
            base *= 62;
        }
        let mut carry = u128::from(value);
        for limb in limbs.iter_mut().take(N.div_ceil(8)).rev() {
            carry += u128::from(*limb) * u128::from(base);
            *limb = carry as u64;
            carry >>= 64;
        }
        if carry != 0 {
            return None;
        }
    }
    let mut wide = [0u8; 4 * MAX_LIMBS];
    for (chunk, limb) in wide.chunks_exact_mut(8).zip(limbs) {
        chunk.copy_from_slice(&limb.to_be_bytes());
    }
    // Half of the first limb is beyond the number when N is no multiple of eight.
    let (beyond, number) = wide.get(..N.next_multiple_of(8))?.split_last_chunk::<N>()?;
    beyond.iter().all(|byte| *byte == 0).then_some(*number)
}

/// What `VALUES` holds for bytes that are no digit.
const NO_DIGIT: u8 = 0xff;

/// The value of each byte as a digit.
#[expect(clippy::indexing_slicing, reason = "the index is a byte, and this runs while compiling")]
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut digits: &[u8] = DIGITS;
    let mut value = 0;
    while let [digit, rest @ ..] = digits {
        values[*digit as usize] = value;
        value += 1;
        digits = rest;
    }
    values
};

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
        fn so_do_those_that_end_in_half_a_limb(short: [u8; 4], id: [u8; 12], secret: [u8; 32]) {
            let mut digits = [0; 43];
            encode(&short, &mut digits[..6]);
            prop_assert_eq!(decode::<4>(&digits[..6]), Some(short));
            encode(&id, &mut digits[..17]);
            prop_assert_eq!(decode::<12>(&digits[..17]), Some(id));
            encode(&secret, &mut digits);
            prop_assert_eq!(decode::<32>(&digits), Some(secret));
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
