//! `token revoke`: one token, or a list of any length.
//!
//! A list is read as a stream and revoked batch by batch. A batch is one transaction; its verdicts are written when every
//! replica has confirmed it, so whatever a verdict says holds. Revoking twice is safe, hence so is running it again after
//! whatever stopped it.

mod lines;
mod report;

use std::fs::File;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;

use self::lines::Entry;
use self::report::{Outcome, Report, Totals};
use super::CliError;
use super::arguments::RevokeTokens;
use super::context::{Context, confirmations, confirmations_json};
use super::output::Output;
use super::revoke::may_proceed;
use crate::admin::killing::{Judge, Leaked, Stored, Verdict};
use crate::changes::Acknowledgement;
use crate::domain::clock::BootTime;
use crate::domain::token::TokenPart;
use crate::startup::StopSignals;

/// How many entries one transaction takes at most.
const BATCH: usize = 1000;
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// From how many entries on it is worth saying how fast it went.
const MANY: u64 = 1000;

pub fn run(revoke: &RevokeTokens, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let opened = revoke.file.as_ref().map(|path| {
        let file = File::open(path);
        file.map_err(|error| CliError::Usage(format!("--file {}: {error}", path.display())))
    });
    let file = opened.transpose()?;
    if !revoke.destructive.dry_run && !may_proceed(&revoke.destructive, &question(revoke))? {
        return Ok(ExitCode::FAILURE);
    }
    let keys = context.token_keys()?;
    let report = Report::new(revoke.verdicts.as_deref(), revoke.resume_from > 1, output)?;
    let judge = context.block_on(context.admin.judge(keys, revoke.destructive.dry_run));
    if judge.lacks_keys() {
        output.progress("note: not every token key is known here; tokens of others are revoked all the same");
    }
    let began = context.stores.clock.boot();
    let was_asked = true;
    let mut run =
        Run { revoke, context, output, judge, report, was_asked, settled: None, began, shown: began };
    if run.judge.knows_nothing() {
        run.note_unasked("the change feed cannot be read");
    }
    let list = lines::read(file, revoke.parts.clone(), revoke.resume_from);
    let ended = context.block_on(run.everything(list));
    run.conclude(ended)
}

fn question(revoke: &RevokeTokens) -> String {
    match &revoke.file {
        Some(path) => format!("Revoke everything that {} names, everywhere?", path.display()),
        None => format!("Revoke {} grant(s) or login session(s), everywhere?", revoke.parts.len()),
    }
}

struct Run<'a> {
    revoke: &'a RevokeTokens,
    context: &'a Context,
    output: &'a Output,
    judge: Judge,
    report: Report,
    /// Whether stores could say of every entry what was dead before.
    was_asked: bool,
    /// Who has confirmed the last batch, and so all of them.
    settled: Option<Acknowledgement>,
    began: BootTime,
    /// When progress was last shown.
    shown: BootTime,
}

impl Run<'_> {
    /// Works off the list; `false` when a signal stopped it before its end.
    async fn everything(
        &mut self,
        mut list: mpsc::Receiver<Result<Entry, std::io::Error>>,
    ) -> Result<bool, CliError> {
        let signals = StopSignals::new();
        let mut signals = signals.map_err(|error| CliError::Failed(error.to_string()))?;
        let mut received = Vec::with_capacity(BATCH);
        loop {
            let count = tokio::select! {
                biased;
                () = signals.received() => return Ok(false),
                count = list.recv_many(&mut received, BATCH) => count,
            };
            if count == 0 {
                return Ok(true);
            }
            let (mut entries, mut unreadable) = (Vec::with_capacity(count), None);
            for received in received.drain(..) {
                match received {
                    Ok(entry) => entries.push(entry),
                    Err(error) => unreadable = Some(error),
                }
            }
            if self.interruptible(&entries, &mut signals).await? {
                return Ok(false);
            }
            if let Some(error) = unreadable {
                return Err(CliError::Failed(format!("the tokens cannot be read any further: {error}")));
            }
        }
    }

    /// Works off a batch to its end; whether a signal asked to stop then. A second one does not wait.
    async fn interruptible(
        &mut self,
        entries: &[Entry],
        signals: &mut StopSignals,
    ) -> Result<bool, CliError> {
        let output = self.output;
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(false) };
        let uncertain = |why: &str| {
            CliError::Failed(format!(
                "{why}; lines {} to {} may have been recorded; go on with --resume-from {}, or run it again: \
                 revoking twice is safe",
                first.line, last.line, first.line
            ))
        };
        let mut batch = std::pin::pin!(self.batch(entries));
        let mut asked = false;
        loop {
            tokio::select! {
                biased;
                worked = &mut batch => {
                    let worked = worked.map(|()| asked);
                    return worked.map_err(|error| match error {
                        CliError::Failed(why) => uncertain(&format!("stopped before line {}: {why}", first.line)),
                        error @ CliError::Usage(_) => error,
                    });
                }
                () = signals.received() => {
                    if asked {
                        return Err(uncertain("stopped without waiting for confirmations"));
                    }
                    asked = true;
                    output.progress("stopping after the batch under way; once more to stop at once");
                }
            }
        }
    }

    async fn batch(&mut self, entries: &[Entry]) -> Result<(), CliError> {
        let ours = |part: &TokenPart| self.judge.may_be_ours(part);
        let parts: Vec<Option<&TokenPart>> =
            entries.iter().map(|entry| entry.part.as_ref().ok().filter(|part| ours(part))).collect();
        let leaked = self.look_up(parts.iter().flatten().copied().cloned().collect()).await;
        let mut outcomes = self.outcomes(&leaked).await?.into_iter();
        for (entry, ours) in entries.iter().zip(&parts) {
            let outcome = match (&entry.part, ours) {
                (Err(why), _) => Outcome::Malformed(why.clone()),
                (Ok(_), None) => Outcome::NotOurs,
                (Ok(_), Some(_)) => outcomes.next().unwrap_or(Outcome::Revoked),
            };
            let grant = entry.part.as_ref().ok().map(TokenPart::grant_id);
            self.report.tell(entry.line, grant, &outcome)?;
        }
        self.report.flush()?;
        self.show_progress();
        Ok(())
    }

    /// Killing does not rest on the grant store, but what was dead before does.
    fn note_unasked(&mut self, why: &str) {
        if self.was_asked {
            self.was_asked = false;
            self.output.progress(&format!("note: {why}; so what is dead already is not known of all"));
        }
    }

    async fn look_up(&mut self, parts: Vec<TokenPart>) -> Vec<Leaked> {
        let ids: Vec<_> = parts.iter().map(TokenPart::grant_id).collect();
        let stored = match self.context.stores.load_grants(&ids).await {
            Ok(found) => {
                found.into_iter().map(|found| found.map_or(Stored::Nothing, Stored::Record)).collect()
            }
            Err(error) => {
                self.note_unasked(&error.to_string());
                vec![Stored::Unknown; ids.len()]
            }
        };
        parts.into_iter().zip(stored).map(|(part, stored)| Leaked { part, stored }).collect()
    }

    async fn outcomes(&mut self, leaked: &[Leaked]) -> Result<Vec<Outcome>, CliError> {
        if self.revoke.destructive.dry_run {
            let now = self.context.stores.clock.now();
            let outcome = |leaked| match self.judge.dead_because(leaked, now) {
                None => Outcome::WouldRevoke,
                Some(why) => Outcome::AlreadyDead(why),
            };
            return Ok(leaked.iter().map(outcome).collect());
        }
        if leaked.is_empty() {
            return Ok(Vec::new());
        }
        let (verdicts, recorded) = self.context.admin.revoke_all(&self.judge, leaked).await?;
        self.settled = Some(self.context.confirmed(recorded, self.output).await?);
        let outcome = |verdict| match verdict {
            Verdict::Revoked => Outcome::Revoked,
            Verdict::AlreadyDead(why) => Outcome::AlreadyDead(why),
        };
        Ok(verdicts.into_iter().map(outcome).collect())
    }

    fn show_progress(&mut self) {
        let now = self.context.stores.clock.boot();
        if now - self.shown >= PROGRESS_EVERY {
            self.shown = now;
            let all = self.report.totals.all();
            self.output.status(&format!("{all} so far, {:.0} a second", self.per_second()));
        }
    }

    fn per_second(&self) -> f64 {
        let elapsed = self.context.stores.clock.boot() - self.began;
        #[expect(clippy::cast_precision_loss, reason = "it is shown without a fraction")]
        let all = self.report.totals.all() as f64;
        all / elapsed.as_secs_f64().max(0.001)
    }

    /// Says what all came to.
    fn conclude(self, ended: Result<bool, CliError>) -> Result<ExitCode, CliError> {
        let Self { revoke, output, .. } = &self;
        let totals = self.report.totals;
        if totals.all() == 0 && matches!(ended, Ok(true)) {
            return Err(CliError::Usage("nothing to revoke: no token was given".to_owned()));
        }
        output.end_status();
        if !revoke.destructive.dry_run {
            self.note_refusals();
        }
        if totals.all() > 0 {
            output.result(&self.summary(), &self.document(matches!(ended, Ok(true))))?;
        }
        if !ended? {
            let next = self.report.reached.max(revoke.resume_from.saturating_sub(1)) + 1;
            let why = format!(
                "stopped; all lines before {next} are done with; go on with --resume-from {next}, or run it again: revoking \
                 twice is safe"
            );
            return Err(CliError::Failed(why));
        }
        let all_dead = totals.not_ours == 0 && totals.malformed == 0;
        Ok(if all_dead { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// One row for all lines that came to nothing: the verdicts tell of each.
    fn note_refusals(&self) {
        let Totals { not_ours, malformed, .. } = self.report.totals;
        let count = not_ours + malformed;
        if count > 0 {
            let why = format!("{not_ours} not ours, {malformed} malformed");
            let which = format!("({count} of {} entries)", self.report.totals.all());
            self.context.block_on(self.context.admin.note_refusal("revoke-grant", &which, &why));
        }
    }

    fn summary(&self) -> String {
        let totals = self.report.totals;
        let mut text = totals.words();
        if totals.all() >= MANY {
            let elapsed = (self.context.stores.clock.boot() - self.began).as_secs_f64();
            text = format!("{text}, in {elapsed:.1} s ({:.0} a second)", self.per_second());
        }
        match &self.settled {
            Some(settled) => format!("{text}; dead everywhere: {}", confirmations(settled)),
            None => text,
        }
    }

    fn document(&self, is_whole: bool) -> serde_json::Value {
        let elapsed = (self.context.stores.clock.boot() - self.began).as_millis();
        let mut rest = json!({
            "took_ms": u64::try_from(elapsed).unwrap_or(u64::MAX),
            "confirmed": self.settled.as_ref().map(confirmations_json),
            "stopped_after_line": (!is_whole).then_some(self.report.reached),
        });
        if self.revoke.destructive.dry_run {
            rest = json!({ "dry_run": true });
        }
        if let Some(rest) = rest.as_object_mut() {
            rest.insert("stores_asked".to_owned(), self.was_asked.into());
        }
        self.report.document(rest)
    }
}
