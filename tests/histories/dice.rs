//! All that is chosen follows from the seed.

use crate::support::splitmix;

/// What decides.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice of their own for every thread of a run.
    pub fn new(seed: u64, thread: u64) -> Self {
        let mut dice = Self(seed ^ thread.wrapping_mul(0xd1b5_4a32_d192_ed03));
        dice.roll();
        dice
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(splitmix::STEP);
        splitmix::mix(self.0)
    }

    /// Less than `end`.
    pub fn below(&mut self, end: usize) -> usize {
        index(self.roll(), end)
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// What a roll picks from `len` things.
pub fn index(roll: u64, len: usize) -> usize {
    usize::try_from(roll % len.max(1) as u64).expect("an index fits")
}
