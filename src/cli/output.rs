//! What a command says: for people, or one JSON document.

use std::io::{IsTerminal as _, Write as _};

use serde_json::Value;

use super::CliError;
use super::arguments::ListPart;

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

    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// Words that no document has, or a line of a result that comes in parts.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn text(&self, text: &str) -> Result<(), CliError> {
        if self.json { Ok(()) } else { self.result(text, &Value::Null) }
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

    /// How far it is, in place of what this said before; for people at a terminal only.
    pub fn status(&self, text: &str) {
        if !self.json && std::io::stderr().is_terminal() {
            write!(std::io::stderr(), "\r{text}\x1b[K").ok();
        }
    }

    /// Takes back what [`Output::status`] said.
    pub fn end_status(&self) {
        self.status("");
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

/// Tells people how to go on with a list, when its part is full. Programs count.
pub fn say_what_follows<'n>(
    part: &ListPart,
    mut names: impl DoubleEndedIterator<Item = &'n str> + ExactSizeIterator,
    output: &Output,
) {
    let is_full = names.len() >= usize::try_from(part.limit).unwrap_or(usize::MAX);
    if let Some(last) = names.next_back().filter(|_| is_full) {
        output.progress(&format!("note: there may be more: --after {last:?}"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "long".to_owned()], vec!["bcd".to_owned(), "x".to_owned()]];
        assert_eq!(columns(&["id", "name"], &rows), "id   name\na    long\nbcd  x");
    }
}
