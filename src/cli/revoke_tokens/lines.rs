//! What is to be revoked, read as a stream: a list may be longer than memory.

use std::fs::File;
use std::io::{BufRead, BufReader};

use tokio::sync::mpsc;

use crate::domain::token::TokenPart;

/// How many entries wait to be revoked at most.
const AHEAD: usize = 4096;
/// No token is nearly as long, whatever stands around it.
const LONGEST_LINE: u64 = 4096;

/// One entry of the list.
pub struct Entry {
    /// Its place: all lines and arguments count, from 1 on.
    pub line: u64,
    /// What is wrong with it, if it leads to no grant and no login session.
    pub part: Result<TokenPart, String>,
}

/// Reads the lines of `file`, then the arguments, of which `-` stands for the lines of standard input; from the line
/// `first` on, without empty ones. What cannot be read ends the list with the reason.
pub fn read(
    file: Option<File>,
    arguments: Vec<String>,
    first: u64,
) -> mpsc::Receiver<Result<Entry, std::io::Error>> {
    let (entries, list) = mpsc::channel(AHEAD);
    // Not a task: nobody could end one that waits for a line.
    std::thread::spawn(move || {
        let mut reading = Reading { line: 0, first, entries };
        if let Err(Interrupted::Unreadable(error)) = reading.everything(file, arguments) {
            reading.entries.blocking_send(Err(error)).ok();
        }
    });
    list
}

enum Interrupted {
    Unreadable(std::io::Error),
    /// Nobody wants the rest.
    Unwanted,
}

struct Reading {
    line: u64,
    first: u64,
    entries: mpsc::Sender<Result<Entry, std::io::Error>>,
}

impl Reading {
    fn everything(&mut self, file: Option<File>, arguments: Vec<String>) -> Result<(), Interrupted> {
        if let Some(file) = file {
            self.lines(BufReader::new(file))?;
        }
        for argument in arguments {
            match argument.as_str() {
                "-" => self.lines(std::io::stdin().lock())?,
                argument => self.entry(argument.as_bytes())?,
            }
        }
        Ok(())
    }

    fn lines(&mut self, mut reader: impl BufRead) -> Result<(), Interrupted> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut part = std::io::Read::take(&mut reader, LONGEST_LINE);
            match part.read_until(b'\n', &mut line).map_err(Interrupted::Unreadable)? {
                0 => return Ok(()),
                _ if line.ends_with(b"\n") || (line.len() as u64) < LONGEST_LINE => {}
                // Of a longer one the rest is not kept, and what was kept is no token.
                _ => reader.skip_until(b'\n').map(drop).map_err(Interrupted::Unreadable)?,
            }
            self.entry(&line)?;
        }
    }

    fn entry(&mut self, bytes: &[u8]) -> Result<(), Interrupted> {
        self.line += 1;
        let bytes = bytes.trim_ascii();
        if bytes.is_empty() || self.line < self.first {
            return Ok(());
        }
        let part = match std::str::from_utf8(bytes) {
            Ok(text) => TokenPart::parse(text.trim()).map_err(|error| error.to_string()),
            Err(_) => Err("it is not UTF-8".to_owned()),
        };
        let entry = Entry { line: self.line, part };
        self.entries.blocking_send(Ok(entry)).map_err(|_| Interrupted::Unwanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &[u8], first: u64) -> Vec<(u64, bool)> {
        let (entries, mut list) = mpsc::channel(100);
        let mut reading = Reading { line: 0, first, entries };
        assert!(reading.lines(text).is_ok());
        drop(reading);
        let mut found = Vec::new();
        while let Some(Ok(entry)) = list.blocking_recv() {
            found.push((entry.line, entry.part.is_ok()));
        }
        found
    }

    #[test]
    fn every_line_counts_and_empty_ones_are_no_entries() {
        let id = "00000000000000001";
        let text = format!("{id}\r\n\n  {id}  \nno token\n\u{ff}\n{id}");
        assert_eq!(read_all(text.as_bytes(), 1), [(1, true), (3, true), (4, false), (5, false), (6, true)]);
        assert_eq!(read_all(text.as_bytes(), 5), [(5, false), (6, true)]);
        assert_eq!(read_all(b"\xff\xfe\n", 1), [(1, false)]);
        assert_eq!(read_all(b"", 1), []);
    }

    #[test]
    fn a_line_longer_than_any_token_is_one_malformed_entry() {
        let id = "00000000000000001";
        for length in [4095, 4096, 4097, 20_000] {
            let text = format!("{}\n{id}\n", "a".repeat(length));
            assert_eq!(read_all(text.as_bytes(), 1), [(1, false), (2, true)], "{length}");
        }
    }
}
