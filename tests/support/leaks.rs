//! The search for secrets in what a process wrote: nothing that opens a door may stand in a log, an answer, a metric or
//! a store.
//!
//! Every server of every test logs all there is to log, and what it wrote is searched when it goes; so is what every
//! command wrote. A secret is found by its shape (a token or a generated secret carries a checksum, so nothing is found
//! that is none), and those that a test knows by name are found whatever they look like. Both are found in the clear, in
//! base64 as Basic sends them, and as the lists of numbers and the hexadecimal digits that Debug makes of bytes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::encoding;
use super::symbolon::Environment;

/// What begins each kind of token and secret, and how long it is.
const SHAPES: [(&[u8; 4], usize); 6] =
    [(b"sya_", 60), (b"syr_", 65), (b"syc_", 60), (b"sys_", 60), (b"syd_", 60), (b"syk_", 53)];
const CHECKSUM: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Shorter ones would be found by accident.
const SHORTEST: usize = 12;
/// A large log is read in parts, and what lies across their border is in the next one as well.
pub const PART: usize = 16 << 20;
const OVERLAP: usize = 1 << 10;

/// What must be found nowhere: all that has the shape of a secret, and what is added by name.
#[derive(Default)]
pub struct Secrets(BTreeSet<(String, Vec<u8>)>);

impl Secrets {
    /// Those that a process was told: its token keys, and the passwords of its stores.
    pub fn of(environment: &Environment) -> Self {
        let mut secrets = Self::default();
        let values = |name: &str| environment.get(name).cloned().unwrap_or_default();
        for key in values("SYMBOLON_TOKEN_KEY").split([',', '\n']).map(str::trim) {
            // What is too short to be a key is a test's misspelling.
            if key.len() >= 40 {
                secrets.add_as_it_is("a token key", key.trim_end_matches('=').as_bytes());
            }
        }
        for name in ["SYMBOLON_REDIS_URL", "SYMBOLON_DATABASE_URL"] {
            let url = values(name);
            let user = url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
            match user.and_then(|(user, _)| user.split_once(':')) {
                Some((_, password)) if password.len() >= SHORTEST => {
                    secrets.add("a store's password", password);
                }
                // Too short to be looked for alone.
                Some((user, password)) if !password.is_empty() => {
                    secrets.add_as_it_is("a store's password", format!("{user}:{password}@").as_bytes());
                }
                _ => {}
            }
        }
        secrets
    }

    /// One more, by name.
    pub fn add(&mut self, what: &str, secret: &str) {
        assert!(secret.len() >= SHORTEST, "{what} is too short to look for");
        self.add_as_it_is(what, secret.as_bytes());
        let encoded = encoding::base64(secret.as_bytes());
        self.add_as_it_is(&format!("{what}, in base64"), encoded.trim_end_matches('=').as_bytes());
    }

    fn add_as_it_is(&mut self, what: &str, secret: &[u8]) {
        self.0.insert((what.to_owned(), secret.to_owned()));
    }

    /// Fails the test if there is one.
    #[track_caller]
    pub fn look_in(&self, place: &str, bytes: &[u8]) {
        if let Some(found) = self.find(bytes) {
            panic!("{place} holds {found}");
        }
    }

    /// The same for a file of any length.
    #[track_caller]
    pub fn look_in_file(&self, place: &str, path: &Path) {
        self.look_in_file_from(place, path, 0);
    }

    /// The same for what was added to a file since it had this length; returns its length now.
    #[track_caller]
    pub fn look_in_file_from(&self, place: &str, path: &Path, from: u64) -> u64 {
        let Ok(mut file) = File::open(path) else { return from };
        let from = from.saturating_sub(OVERLAP as u64);
        let mut end = file.seek(SeekFrom::Start(from)).expect("a file can be sought in");
        let mut part = Vec::new();
        loop {
            let kept = part.len().min(OVERLAP);
            part.drain(..part.len() - kept);
            let read = file.by_ref().take(PART as u64).read_to_end(&mut part).unwrap_or_default();
            if read == 0 {
                return end;
            }
            end += read as u64;
            self.look_in(place, &part);
        }
    }

    /// The same for all files below a directory; returns how many there are.
    #[track_caller]
    pub fn look_in_files(&self, place: &str, directory: &Path) -> usize {
        let files = files_below(directory);
        for file in &files {
            self.look_in_file(&format!("{place}, {}", file.display()), file);
        }
        files.len()
    }

    /// What was found first, with what stands around it.
    pub fn find(&self, bytes: &[u8]) -> Option<String> {
        let named =
            self.0.iter().find_map(|(what, secret)| Some((what.clone(), memmem::find(bytes, secret)?)));
        let (what, at) = named.or_else(|| find_shape(bytes))?;
        let around = &bytes[at.saturating_sub(120)..bytes.len().min(at + 120)];
        Some(format!("{what}: …{}…", String::from_utf8_lossy(around)))
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// The first token or generated secret, however it is written.
fn find_shape(bytes: &[u8]) -> Option<(String, usize)> {
    let in_bytes = memmem::find_iter(bytes, b"sy").find(|at| begins_with_secret(&bytes[*at..]));
    if let Some(at) = in_bytes {
        return Some(("a token or a secret".to_owned(), at));
    }
    for (prefix, _) in SHAPES {
        let listed = prefix.map(|byte| byte.to_string()).join(", ");
        let hexadecimal = prefix.map(|byte| format!("{byte:02x}")).concat();
        let encodings: [(&str, Vec<String>, Decode); 3] = [
            ("a list of numbers", vec![listed], decode_list),
            ("hexadecimal digits", vec![hexadecimal.to_uppercase(), hexadecimal], decode_hexadecimal),
            ("base64", in_base64(*prefix), decode_base64),
        ];
        for (encoding, needles, decode) in encodings {
            for needle in needles {
                let found = memmem::find_iter(bytes, &needle)
                    .find(|at| decode(bytes, *at).iter().any(|plain| holds_secret(plain)));
                if let Some(at) = found {
                    return Some((format!("a token or a secret, as {encoding}"), at));
                }
            }
        }
    }
    None
}

fn holds_secret(bytes: &[u8]) -> bool {
    memmem::find_iter(bytes, b"sy").any(|at| begins_with_secret(&bytes[at..]))
}

/// Whether a genuine-looking token or secret begins here: kind, length, digits and checksum.
fn begins_with_secret(bytes: &[u8]) -> bool {
    let Some((_, length)) = SHAPES.iter().find(|(prefix, _)| bytes.starts_with(&prefix[..])) else {
        return false;
    };
    let Some(text) = bytes.get(..*length) else { return false };
    let (body, checksum) = text.split_at(length - CHECKSUM);
    let value = checksum.iter().try_fold(0_u64, |value, digit| {
        let digit = DIGITS.iter().position(|known| known == digit)?;
        Some(value * 62 + digit as u64)
    });
    value == Some(u64::from(crc32(body)))
}

/// CRC-32 of IEEE 802.3, reflected. Written out, so that a mistake in the server's is not repeated here.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1)))
    })
}

/// Undoes an encoding around a place in the text; several results when it is not clear where the bytes begin.
type Decode = fn(&[u8], usize) -> Vec<Vec<u8>>;

fn decode_list(bytes: &[u8], at: usize) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 5 * 65)]);
    // After the last number comes a bracket, and whatever is written next.
    let digits = |number: &str| {
        number.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok())
    };
    vec![text.split(", ").map_while(digits).collect()]
}

fn decode_hexadecimal(bytes: &[u8], at: usize) -> Vec<Vec<u8>> {
    let pairs = bytes[at..].chunks_exact(2).take(65);
    vec![pairs.map_while(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()]
}

/// Four bytes in base64, wherever they stand among others: the characters that are theirs alone.
fn in_base64(bytes: [u8; 4]) -> Vec<String> {
    let shifted = |by: usize| encoding::base64(&[&[0, 0][..by], &bytes[..]].concat());
    vec![shifted(0)[..5].to_owned(), shifted(1)[2..6].to_owned(), shifted(2)[3..8].to_owned()]
}

fn decode_base64(bytes: &[u8], at: usize) -> Vec<Vec<u8>> {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    let length = bytes[at..].iter().take_while(|byte| is_digit(byte)).count();
    // The group of four in which it begins.
    let begins = (at.saturating_sub(3)..=at).filter(|begin| bytes[*begin..at].iter().all(is_digit));
    begins.map(|begin| from_base64(&bytes[begin..at + length])).collect()
}

fn from_base64(digits: &[u8]) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        _ => 63,
    };
    let groups = digits.chunks(4).flat_map(|group| {
        let bits = (0..4)
            .fold(0_u32, |bits, at| bits << 6 | u32::from(group.get(at).map_or(0, |byte| value(*byte))));
        bits.to_be_bytes()[1..group.len()].to_vec()
    });
    groups.collect()
}
