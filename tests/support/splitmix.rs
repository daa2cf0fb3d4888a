//! `SplitMix64`: small, good enough to choose by, and the same again for the same seed.

/// What the state grows by at each step.
pub const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The number that a state stands for.
pub const fn mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
