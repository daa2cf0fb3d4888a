//! What a command says: for people, or one JSON document.

use std::io::{IsTerminal as _, Write as _};

use serde_json::Value;

use super::CliError;

/// Where a command's words go.
pub struct Output {
    json: bool,
}

impl Output {
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// The result: `document` with `--json`, else `text`.
    ///
    /// # Errors
    /// When it cannot be written: a secret that nobody saw must not look like a success.
    pub fn result(&self, text: &str, document: &Value) -> Result<(), CliError> {
        let line = if self.json { document.to_string() } else { text.to_owned() };
        let mut out = std::io::stdout().lock();
        let written = writeln!(out, "{line}").and_then(|()| out.flush());
        written.map_err(|error| CliError::Failed(format!("standard output cannot be written: {error}")))
    }

    /// A document that has no words for people.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn document(&self, document: &Value) -> Result<(), CliError> {
        if self.json { self.result("", document) } else { Ok(()) }
    }

    /// Something on the way, for people only.
    pub fn progress(&self, text: &str) {
        if !self.json {
            writeln!(std::io::stderr(), "{text}").ok();
        }
    }

    /// What went wrong, in one line.
    pub fn error(why: &str) {
        let line =
            why.split('\n').map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        writeln!(std::io::stderr(), "symbolon: {line}").ok();
    }

    /// Asks a person at a terminal; `None` when there is nobody to ask.
    pub fn confirm(question: &str) -> Option<bool> {
        if !std::io::stdin().is_terminal() {
            return None;
        }
        write!(std::io::stderr(), "{question} [y/N] ").ok()?;
        std::io::stderr().flush().ok();
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).ok()?;
        Some(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

/// Two columns: names, and what they are.
pub fn table(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<_> = rows.iter().map(|(name, value)| format!("{name:width$}  {value}")).collect();
    lines.join("\n")
}

/// Several columns under headings.
pub fn columns(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    std::iter::once(line(&headings)).chain(rows.iter().map(|row| line(row))).collect::<Vec<_>>().join("\n")
}

/// A moment, as people write it (UTC).
pub fn moment(unix_seconds: i64) -> String {
    // Days to a date, after Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms".
    let (days, seconds) = (unix_seconds.div_euclid(86_400), unix_seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc() {
        assert_eq!(moment(0), "1970-01-01T00:00:00Z");
        assert_eq!(moment(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(moment(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(moment(1_800_000_000), "2027-01-15T08:00:00Z");
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "long".to_owned()], vec!["bcd".to_owned(), "x".to_owned()]];
        assert_eq!(columns(&["id", "name"], &rows), "id   name\na    long\nbcd  x");
    }
}
