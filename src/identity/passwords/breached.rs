//! Passwords that others have lost already: a file that the operator keeps.
//!
//! It is looked through at each new password and never loaded: an operator may replace it at any
//! time, and the largest such list has tens of gigabytes.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use sha1_smol::Sha1;

/// Digits of a SHA-1 in hexadecimal.
const DIGITS: usize = 40;
/// No line that matters is longer; one that never ends must not fill the memory.
const MAX_LINE: u64 = 4096;

/// A list of breached passwords: one a line in plain, or in SHA-1 (`HEX` or `HEX:COUNT`) sorted, as
/// Have I Been Pwned offers it.
#[derive(Clone, Debug)]
pub struct BreachedPasswords(PathBuf);

impl BreachedPasswords {
    /// # Errors
    /// When the file cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let list = Self(path.to_owned());
        list.contains("")?;
        Ok(list)
    }

    /// Whether a password stands in the list.
    ///
    /// # Errors
    /// When the file cannot be read, or is of neither form.
    pub fn contains(&self, password: &str) -> io::Result<bool> {
        let mut file = BufReader::new(File::open(&self.0)?);
        let mut first = Vec::new();
        read_line(&mut file, &mut first)?;
        file.rewind()?;
        if digest_of_line(&first).is_some() {
            let wanted = Sha1::from(password).digest().to_string().to_ascii_uppercase();
            search(&mut file, wanted.as_bytes())
        } else {
            scan(&mut file, password.as_bytes())
        }
    }
}

/// Reads to the end of the line, and returns how many bytes that took; the line stands in `line` without its end.
fn read_line(file: &mut BufReader<File>, line: &mut Vec<u8>) -> io::Result<u64> {
    line.clear();
    file.by_ref().take(MAX_LINE).read_until(b'\n', line)?;
    let mut length = line.len() as u64;
    if length == MAX_LINE && !line.ends_with(b"\n") {
        length += file.skip_until(b'\n')? as u64;
    }
    line.pop_if(|last| *last == b'\n');
    line.pop_if(|last| *last == b'\r');
    Ok(length)
}

fn digest_of_line(line: &[u8]) -> Option<[u8; DIGITS]> {
    let (digest, rest) = line.split_first_chunk::<DIGITS>()?;
    let is_digest = digest.iter().all(u8::is_ascii_hexdigit) && matches!(rest, [] | [b':', ..]);
    is_digest.then(|| digest.map(|digit| digit.to_ascii_uppercase()))
}

fn scan(file: &mut BufReader<File>, password: &[u8]) -> io::Result<bool> {
    let mut line = Vec::new();
    while read_line(file, &mut line)? > 0 {
        if !line.is_empty() && line == password {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Lines that begin before `low` are smaller than what is wanted, those that begin at or after `high` are greater.
fn search(file: &mut BufReader<File>, wanted: &[u8]) -> io::Result<bool> {
    let (mut low, mut high) = (0, file.get_ref().metadata()?.len());
    let mut line = Vec::new();
    while low < high {
        let middle = low.midpoint(high);
        let start = next_line(file, middle, &mut line)?;
        if start >= high {
            high = middle;
            continue;
        }
        let length = read_line(file, &mut line)?;
        let Some(digest) = digest_of_line(&line) else {
            let why = format!("the line at byte {start} is no SHA-1 in hexadecimal");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        };
        match digest.as_slice().cmp(wanted) {
            std::cmp::Ordering::Equal => return Ok(true),
            std::cmp::Ordering::Less => low = start + length,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    Ok(false)
}

/// Moves to the first line that begins at or after `from`, and returns where that is.
fn next_line(file: &mut BufReader<File>, from: u64, scratch: &mut Vec<u8>) -> io::Result<u64> {
    let Some(before) = from.checked_sub(1) else {
        file.rewind()?;
        return Ok(0);
    };
    file.seek(SeekFrom::Start(before))?;
    Ok(before + read_line(file, scratch)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(content: &[u8]) -> (tempfile::NamedTempFile, BreachedPasswords) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let list = BreachedPasswords::open(file.path()).unwrap();
        (file, list)
    }

    #[test]
    fn a_plain_list_holds_whole_lines() {
        let (_file, list) = list(b"correct horse battery staple\r\n\ntrustno1trustno1\nlast without an end");
        for breached in ["correct horse battery staple", "trustno1trustno1", "last without an end"] {
            assert!(list.contains(breached).unwrap(), "{breached}");
        }
        for other in ["", "trustno1", "trustno1trustno1 ", "correct horse"] {
            assert!(!list.contains(other).unwrap(), "{other:?}");
        }
    }

    #[test]
    fn every_password_of_a_sorted_list_of_digests_is_found_and_no_other() {
        for count in [1, 2, 3, 100, 1000] {
            let password = |number: usize| format!("password number {number}");
            let mut lines: Vec<String> = (0..count)
                .map(|number| {
                    let digest = Sha1::from(password(number)).digest().to_string().to_ascii_uppercase();
                    format!("{digest}:{}\r\n", 10_usize.pow(u32::try_from(number % 7).unwrap()))
                })
                .collect();
            lines.sort();
            let (_file, list) = list(lines.concat().as_bytes());
            for number in 0..count {
                assert!(list.contains(&password(number)).unwrap(), "{number} of {count}");
                assert!(!list.contains(&password(number + count)).unwrap(), "{number} of {count}");
            }
        }
    }

    #[test]
    fn digests_are_read_in_either_case_without_counts() {
        let (_file, list) = list(Sha1::from("hunter2").digest().to_string().as_bytes());
        assert!(list.contains("hunter2").unwrap());
        assert!(!list.contains("hunter3").unwrap());
    }

    #[test]
    fn a_list_that_is_gone_or_broken_is_a_failure_and_no_pass() {
        let (file, list) = list(b"");
        assert!(!list.contains("anything").unwrap());
        let digest = Sha1::from("hunter2").digest().to_string();
        std::fs::write(file.path(), format!("{digest}\n{}\n", "?".repeat(100))).unwrap();
        assert!(list.contains("hunter3").is_err() || list.contains("hunter4").is_err());
        drop(file);
        assert!(list.contains("anything").is_err());
    }

    #[test]
    fn a_line_that_never_ends_fills_no_memory_and_hides_nothing() {
        let long = "x".repeat(usize::try_from(MAX_LINE).unwrap() * 2);
        let (_file, list) = list(format!("{long}\nthe line after it\n").as_bytes());
        assert!(list.contains("the line after it").unwrap());
        assert!(!list.contains(&long[..64]).unwrap());
    }
}
