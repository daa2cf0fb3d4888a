//! What became of each entry: a line for each, and how many of which.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::CliError;
use crate::cli::output::Output;
use crate::domain::identifier::GrantId;

/// How many entries a document tells of one by one.
const MOST_TOLD: usize = 1000;

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Revoked,
    /// Of a dry run.
    WouldRevoke,
    /// Why it was dead before.
    AlreadyDead(&'static str),
    NotOurs,
    /// What is wrong with it.
    Malformed(String),
}

impl Outcome {
    const fn word(&self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::WouldRevoke => "would revoke",
            Self::AlreadyDead(_) => "already dead",
            Self::NotOurs => "not ours",
            Self::Malformed(_) => "malformed",
        }
    }

    fn why(&self) -> Option<&str> {
        match self {
            Self::Revoked | Self::WouldRevoke => None,
            Self::AlreadyDead(why) => Some(why),
            Self::NotOurs => Some("no token key of this installation made it"),
            Self::Malformed(why) => Some(why),
        }
    }

    /// Whether nothing of it is active anywhere now.
    const fn is_dead(&self) -> bool {
        matches!(self, Self::Revoked | Self::AlreadyDead(_))
    }
}

/// How many entries came to what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub revoked: u64,
    pub would_revoke: u64,
    pub already_dead: u64,
    pub not_ours: u64,
    pub malformed: u64,
}

impl Totals {
    fn add(&mut self, outcome: &Outcome) {
        *match outcome {
            Outcome::Revoked => &mut self.revoked,
            Outcome::WouldRevoke => &mut self.would_revoke,
            Outcome::AlreadyDead(_) => &mut self.already_dead,
            Outcome::NotOurs => &mut self.not_ours,
            Outcome::Malformed(_) => &mut self.malformed,
        } += 1;
    }

    pub const fn all(&self) -> u64 {
        self.revoked + self.would_revoke + self.already_dead + self.not_ours + self.malformed
    }

    /// For people: those there are.
    pub fn words(&self) -> String {
        let each = [
            (self.revoked, "revoked"),
            (self.would_revoke, "would be revoked"),
            (self.already_dead, "already dead"),
            (self.not_ours, "not ours"),
            (self.malformed, "malformed"),
        ];
        let each = each.iter().filter(|(count, _)| *count > 0);
        each.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
    }
}

/// Where verdicts go.
pub struct Report {
    lines: Option<BufWriter<Box<dyn Write>>>,
    /// For a document: the first entries, while there are not too many.
    told: Option<Vec<Value>>,
    pub totals: Totals,
    /// The last line that is done with.
    pub reached: u64,
}

impl Report {
    /// `path` names a file for the verdicts; without one they go to standard output, unless a document does.
    ///
    /// # Errors
    /// When the file cannot be made, or holds some: only a run that goes on where one stopped adds to it.
    pub fn new(path: Option<&Path>, goes_on: bool, output: &Output) -> Result<Self, CliError> {
        let lines: Option<Box<dyn Write>> = match path {
            Some(path) => Some(Box::new(open(path, goes_on)?)),
            None if output.is_json() => None,
            None => Some(Box::new(std::io::stdout())),
        };
        let told = output.is_json().then(Vec::new);
        Ok(Self { lines: lines.map(BufWriter::new), told, totals: Totals::default(), reached: 0 })
    }

    /// Tells of an entry. Never more of it than the grant id.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn tell(&mut self, line: u64, grant: Option<GrantId>, outcome: &Outcome) -> Result<(), CliError> {
        self.totals.add(outcome);
        self.reached = line;
        let grant = grant.map(|grant| grant.to_string());
        if let Some(lines) = &mut self.lines {
            let (shown, word) = (grant.as_deref().unwrap_or("-"), outcome.word());
            let separator = if outcome.why().is_some() { "\t" } else { "" };
            let why = outcome.why().unwrap_or_default();
            writeln!(lines, "{line}\t{shown}\t{word}{separator}{why}").map_err(|error| unwritten(&error))?;
        }
        match &mut self.told {
            Some(told) if told.len() < MOST_TOLD => told.push(document(line, grant.as_deref(), outcome)),
            // Half a list would look like all of it.
            told => *told = None,
        }
        Ok(())
    }

    /// # Errors
    /// When what was told cannot be written.
    pub fn flush(&mut self) -> Result<(), CliError> {
        self.lines.as_mut().map_or(Ok(()), BufWriter::flush).map_err(|error| unwritten(&error))
    }

    /// All of it for programs, with what else there is to say.
    pub fn document(&self, rest: Value) -> Value {
        let Totals { revoked, would_revoke, already_dead, not_ours, malformed } = self.totals;
        let mut document = json!({
            "entries": self.totals.all(),
            "revoked": revoked,
            "would_revoke": would_revoke,
            "already_dead": already_dead,
            "not_ours": not_ours,
            "malformed": malformed,
            "grants": self.told,
        });
        if let (Some(document), Value::Object(rest)) = (document.as_object_mut(), rest) {
            document.extend(rest);
        }
        document
    }
}

fn open(path: &Path, goes_on: bool) -> Result<File, CliError> {
    let unusable = |why: &dyn fmt::Display| CliError::Usage(format!("--verdicts {}: {why}", path.display()));
    let file = OpenOptions::new().append(true).create(true).open(path).map_err(|error| unusable(&error))?;
    let length = file.metadata().map_err(|error| unusable(&error))?.len();
    match goes_on || length == 0 {
        true => Ok(file),
        false => Err(unusable(&"there are verdicts in it; name another, or go on with --resume-from")),
    }
}

fn document(line: u64, grant: Option<&str>, outcome: &Outcome) -> Value {
    json!({
        "line": line,
        "grant_id": grant,
        "verdict": outcome.word(),
        "why": outcome.why(),
        "revoked": outcome.is_dead(),
    })
}

fn unwritten(error: &std::io::Error) -> CliError {
    CliError::Failed(format!("the verdicts cannot be written: {error}"))
}
