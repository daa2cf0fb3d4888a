//! A few seconds of fuzzing in every run of the tests: the same properties as under libFuzzer (`fuzz/src`), with
//! inputs made from the same seeds and words, by chance instead of by coverage.
//!
//! `SYMBOLON_FUZZ_SECONDS` says how long each takes. An input that breaks something is printed as it can be pasted, with
//! the seed that leads to it again (`SYMBOLON_FUZZ_SEED`). `scripts/fuzz` is for millions of inputs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a property that does not hold has to stop the test"
)]
#![allow(clippy::disallowed_methods, reason = "tests measure real time and read their own environment")]

#[path = "../fuzz/src/lib.rs"]
mod properties;
#[path = "support/splitmix.rs"]
mod splitmix;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

/// All of them take a minute of one core.
const SECONDS: f64 = 6.5;
/// Long inputs are slow, and their insides repeat.
const LONGEST: usize = 1024;

macro_rules! fuzz {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                fuzz(stringify!($target), properties::$target::check);
            }
        )*

        const TARGETS: &[&str] = &[$(stringify!($target)),*];
    };
}

fuzz! { configuration credentials form grant_record parameters peer store_urls token_keys token_string }

#[test]
fn every_target_of_libfuzzer_runs_here_and_has_seeds_and_words() {
    let names = |folder: &str| {
        let mut names: Vec<String> = files(&root().join(folder))
            .iter()
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("fuzz_targets"), TARGETS);
    assert_eq!(names("seeds"), TARGETS);
    assert_eq!(names("dictionaries"), TARGETS);
}

/// Hands a property its seeds, and then what becomes of them.
fn fuzz(target: &str, property: fn(&[u8])) {
    let seconds = env::var("SYMBOLON_FUZZ_SECONDS").map_or(SECONDS, |text| text.parse().expect("seconds"));
    let fixed = env::var("SYMBOLON_FUZZ_SEED").ok().map(|text| text.parse().expect("a number"));
    let begun = Instant::now();
    let inputs = Inputs::of(target);
    for seed in inputs.seeds.clone() {
        check(target, property, &seed, "a seed as it is committed");
    }
    let first: u64 = fixed.unwrap_or_else(|| u64::from(std::process::id()) << 32);
    let mut number = first;
    while begun.elapsed() < Duration::from_secs_f64(seconds) {
        // Looking at the clock costs more than some properties.
        for _ in 0..64 {
            let input = inputs.make(number);
            check(target, property, &input, &format!("SYMBOLON_FUZZ_SEED={number}"));
            number += 1;
        }
    }
    assert!(number > first || seconds == 0.0, "no input was tried");
    println!("{target}: {} inputs in {:.1} s", number - first, begun.elapsed().as_secs_f64());
}

fn check(target: &str, property: fn(&[u8]), input: &[u8], origin: &str) {
    let outcome = catch_unwind(AssertUnwindSafe(|| property(input)));
    if let Err(panic) = outcome {
        eprintln!("{target} does not hold for b\"{}\" ({origin})", input.escape_ascii());
        resume_unwind(panic);
    }
}

/// Makes inputs: each from a number, so that the number is enough to make it again.
struct Inputs {
    seeds: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Inputs {
    fn of(target: &str) -> Self {
        let mut paths = files(&root().join("seeds").join(target));
        paths.sort();
        let seeds = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        let words = fs::read_to_string(root().join("dictionaries").join(format!("{target}.dict"))).unwrap();
        Self { seeds, words: words.lines().map(unquote).collect() }
    }

    /// A seed, changed in a few places.
    fn make(&self, number: u64) -> Vec<u8> {
        let mut chance = Chance(number);
        let mut input = chance.pick(&self.seeds).clone();
        for _ in 0..=chance.below(6) {
            self.change(&mut input, &mut chance);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&self, input: &mut Vec<u8>, chance: &mut Chance) {
        let at = chance.below(input.len() + 1);
        let end = at + chance.below((input.len() - at).min(32) + 1);
        match chance.below(8) {
            0 => input.insert(at, chance.byte()),
            1 => drop(input.drain(at..end)),
            2 => input.extend_from_within(at..end),
            3 => drop(input.splice(at..at, chance.pick(&self.words).iter().copied())),
            4 => drop(input.splice(at..end, chance.pick(&self.words).iter().copied())),
            5 => {
                // The beginning of this one, the end of another.
                let other = chance.pick(&self.seeds);
                let from = chance.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ if at == input.len() => input.push(chance.byte()),
            6 => input[at] ^= 1 << chance.below(8),
            _ => input[at] = chance.byte(),
        }
    }
}

/// Chooses what becomes of an input.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(splitmix::STEP);
        splitmix::mix(self.0)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    fn pick<'a>(&mut self, items: &'a [Vec<u8>]) -> &'a Vec<u8> {
        &items[self.below(items.len())]
    }
}

/// A word as libFuzzer writes them: in quotes, with `\xAB` for what cannot be printed.
fn unquote(line: &str) -> Vec<u8> {
    let mut text =
        line.trim().trim_start_matches('"').strip_suffix('"').expect("a word in quotes").as_bytes();
    let mut word = Vec::new();
    while let Some((byte, rest)) = text.split_first() {
        text = rest;
        if *byte == b'\\' {
            let digits = text.strip_prefix(b"x").and_then(|digits| digits.get(..2)).expect("two digits");
            word.push(u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap());
            text = &text[3..];
        } else {
            word.push(*byte);
        }
    }
    word
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn files(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}
