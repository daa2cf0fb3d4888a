//! `audit list`, `audit export` and `audit verify`

use std::fmt::Write as _;
use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::CliError;
use super::arguments::{AuditCommand, ListAudit, VerifyAudit, WhichRows};
use super::context::Context;
use super::output::{Output, columns};
use crate::admin::audit::Verdict;
use crate::changes::audit::{AuditFilter, AuditMark, AuditRow, Fault};
use crate::domain::calendar;
use crate::domain::clock::Timestamp;
use crate::domain::duration;
use crate::domain::token::TokenPart;

pub fn run(command: &AuditCommand, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    match command {
        AuditCommand::List(list) => run_list(list, context, output),
        AuditCommand::Export(which) => run_export(which, context),
        AuditCommand::Verify(verify) => run_verify(verify, context, output),
    }
}

fn run_list(list: &ListAudit, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let filter = filter(&list.which, context)?;
    // One more than is shown tells whether there are more.
    let mut rows = context.block_on(context.admin.audit(&filter, list.before, list.limit + 1))?;
    let shown = usize::try_from(list.limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > shown;
    rows.truncate(shown);
    let next = rows.last().filter(|_| has_more).map(|row| row.number);
    let mut text = match rows.is_empty() {
        true => "there is no such row".to_owned(),
        false => columns(
            &["NUMBER", "TIME", "ACTOR", "FROM", "ACTION", "TARGET", "OUTCOME", "REASON"],
            &rows.iter().map(cells).collect::<Vec<_>>(),
        ),
    };
    if let Some(next) = next {
        text = format!("{text}\nThere are more; add: --before {next}");
    }
    let document = json!({ "rows": rows.iter().map(document).collect::<Vec<_>>(), "next_before": next });
    output.result(&text, &document)?;
    Ok(ExitCode::SUCCESS)
}

/// Written page by page: nobody knows how many there are.
fn run_export(which: &WhichRows, context: &Context) -> Result<ExitCode, CliError> {
    let filter = filter(which, context)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let unwritable =
        |error: std::io::Error| CliError::Failed(format!("standard output cannot be written: {error}"));
    context.block_on(context.admin.export_audit(&filter, |rows| {
        rows.iter().try_for_each(|row| writeln!(out, "{}", document(row))).map_err(unwritable)
    }))?;
    out.flush().map_err(unwritable)?;
    Ok(ExitCode::SUCCESS)
}

fn run_verify(verify: &VerifyAudit, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let noted = verify.head.as_deref().map(|text| {
        let mark = AuditMark::parse(text.trim());
        mark.ok_or_else(|| {
            CliError::Usage("--head is a number, a colon and 64 hexadecimal digits".to_owned())
        })
    });
    match context.block_on(context.admin.verify_audit(noted.transpose()?))? {
        Verdict::Unbroken(found) => {
            let rows = found.head.number - found.after.number;
            let which = match rows {
                0 => "no rows".to_owned(),
                rows => format!("{rows} row(s), {} to {}", found.after.number + 1, found.head.number),
            };
            let text = format!("unbroken: {which}\nhead: {}", found.head);
            let document = json!({
                "unbroken": true,
                "rows": rows,
                "first": found.after.number + 1,
                "head": found.head.to_string(),
            });
            output.result(&text, &document)?;
            Ok(ExitCode::SUCCESS)
        }
        Verdict::Broken(broken) => {
            let reordered_with = match broken.fault {
                Fault::Reordered { with } => Some(with),
                _ => None,
            };
            let document = json!({
                "unbroken": false,
                "row": broken.number,
                "fault": broken.name(),
                "reordered_with": reordered_with,
            });
            output.document(&document)?;
            Err(CliError::Failed(format!("the audit is not as it was written: {broken}")))
        }
        Verdict::NotedIsPurged(bounds) => Err(CliError::Failed(format!(
            "row {} and all before it are older than is kept, so that head can be proved no more; note a newer one",
            bounds.purged.number
        ))),
    }
}

fn filter(which: &WhichRows, context: &Context) -> Result<AuditFilter, CliError> {
    let now = context.stores.clock.now();
    let time = |flag: &str, text: &Option<String>| {
        let read = text.as_deref().map(|text| read_time(text, now).ok_or_else(|| malformed(flag, text)));
        read.transpose()
    };
    let target = match which.grant.as_deref() {
        Some(part) => Some(read_grant(part)?),
        None => which.target.clone(),
    };
    Ok(AuditFilter {
        since: time("--since", &which.since)?,
        until: time("--until", &which.until)?,
        actor: which.actor.clone(),
        action: which.action.clone(),
        target,
        outcome: which.outcome.map(Into::into),
    })
}

fn read_grant(part: &str) -> Result<String, CliError> {
    let part = match part {
        "-" => std::io::stdin().lock().lines().next().transpose().ok().flatten().unwrap_or_default(),
        part => part.to_owned(),
    };
    let part = TokenPart::parse(part.trim()).map_err(|error| CliError::Usage(error.to_string()))?;
    Ok(part.grant_id().to_string())
}

/// A moment, or a duration before now.
fn read_time(text: &str, now: Timestamp) -> Option<Timestamp> {
    calendar::parse_rfc3339(text).ok().or_else(|| duration::parse(text).ok().map(|ago| now - ago))
}

fn malformed(flag: &str, text: &str) -> CliError {
    CliError::Usage(format!("{flag} {text:?}: write 2027-01-15T08:00:00Z, or 24h for so long ago"))
}

fn cells(row: &AuditRow) -> Vec<String> {
    let change =
        row.detail.as_ref().map_or_else(|| row.action.clone(), |detail| format!("{} ({detail})", row.action));
    let blank = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let target = if row.target.is_empty() { "-".to_owned() } else { row.target.clone() };
    let cells = [
        row.number.to_string(),
        calendar::rfc3339(Timestamp::from_unix_seconds(row.recorded_at)),
        row.actor.clone(),
        blank(&row.place),
        change,
        target,
        row.outcome.clone(),
        blank(&row.reason),
    ];
    cells.iter().map(|cell| printable(cell)).collect()
}

/// What people wrote may hold what a terminal would obey, or a line that looks like a row.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            plain if !plain.is_control() && !is_hidden(plain) => shown.push(plain),
            other => shown.extend(other.escape_default()),
        }
    }
    shown
}

/// Letters that turn or hide what stands beside them.
const fn is_hidden(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn document(row: &AuditRow) -> Value {
    json!({
        "number": row.number,
        "time": calendar::rfc3339(Timestamp::from_unix_seconds(row.recorded_at)),
        "recorded_at": row.recorded_at,
        "actor": row.actor,
        "from": row.place,
        "action": row.action,
        "target": row.target,
        "detail": row.detail,
        "outcome": row.outcome,
        "reason": row.reason,
        "change": row.change,
        "hash": hexadecimal(&row.hash),
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x33_what_a_terminal_would_obey_is_shown_as_an_escape() {
        for (text, shown) in [
            ("plain, \u{e9} and \u{1f4d3}", "plain, \u{e9} and \u{1f4d3}"),
            ("two\r\nlines", "two\\r\\nlines"),
            ("\u{1b}[31mred\u{7}", "\\u{1b}[31mred\\u{7}"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            ("turned \u{202e}round", "turned \\u{202e}round"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn times_are_moments_or_durations_before_now() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        for (text, seconds) in [
            ("2027-01-15T08:00:00Z", Some(1_800_000_000)),
            ("24h", Some(1_800_000_000 - 86_400)),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(read_time(text, now), seconds.map(Timestamp::from_unix_seconds), "{text}");
        }
    }
}
