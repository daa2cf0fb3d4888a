//! The audit, as an admin asks it: what was done, and whether it is as it was written.

use super::{Admin, AdminError};
use crate::changes::audit::{AuditBounds, AuditFilter, AuditMark, AuditRow, Broken, Fault, Walk};

/// How many numbers one question to the database looks through: a filter that few rows pass reads them all, and no
/// question may take long.
const WINDOW: i64 = 20_000;
/// How many rows are read at once by whoever wants all.
const PAGE: i64 = 2_000;

/// That the audit is as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The row that the first one kept follows.
    pub after: AuditMark,
    /// The last row.
    pub head: AuditMark,
}

/// What came of verifying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Unbroken(Verified),
    Broken(Broken),
    /// What was noted lies before the first row that is kept.
    NotedIsPurged(AuditBounds),
}

impl Admin {
    /// So many rows with numbers below `before`, the newest first.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<AuditRow>, AdminError> {
        let AuditBounds { purged, head } = self.feed.audit_bounds().await?;
        let mut upto = before.map_or(head.number, |before| before.saturating_sub(1)).min(head.number);
        let mut rows = Vec::new();
        loop {
            let left = limit - i64::try_from(rows.len()).unwrap_or(limit);
            if left <= 0 || upto <= purged.number {
                return Ok(rows);
            }
            let after = window(filter).map_or(purged.number, |window| (upto - window).max(purged.number));
            rows.extend(self.feed.audit_rows(filter.clone(), (after, upto), true, left).await?);
            upto = after;
        }
    }

    /// Hands over all rows, the oldest first, page by page.
    ///
    /// # Errors
    /// When SQL fails, or `take` does.
    pub async fn export_audit<E: From<AdminError>>(
        &self,
        filter: &AuditFilter,
        mut take: impl FnMut(Vec<AuditRow>) -> Result<(), E>,
    ) -> Result<(), E> {
        let AuditBounds { purged, head } = self.feed.audit_bounds().await.map_err(AdminError::from)?;
        let mut after = purged.number;
        while after < head.number {
            let upto = window(filter).map_or(head.number, |window| (after + window).min(head.number));
            let read = self.feed.audit_rows(filter.clone(), (after, upto), false, PAGE).await;
            let rows = read.map_err(AdminError::from)?;
            // A full page may have left some of the window.
            let is_full = i64::try_from(rows.len()).is_ok_and(|count| count >= PAGE);
            after = rows.last().filter(|_| is_full).map_or(upto, |row| row.number);
            take(rows)?;
        }
        Ok(())
    }

    /// Walks along the chain of the audit from the oldest row that is kept to the newest. `noted` is a place that was noted
    /// elsewhere, and is to be part of it.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn verify_audit(&self, noted: Option<AuditMark>) -> Result<Verdict, AdminError> {
        loop {
            let bounds = self.feed.audit_bounds().await?;
            if noted.is_some_and(|noted| noted.number < bounds.purged.number) {
                return Ok(Verdict::NotedIsPurged(bounds));
            }
            // Retention may take rows away meanwhile: then it begins anew.
            if let Some(verdict) = self.walk_audit(bounds, noted).await? {
                return Ok(verdict);
            }
        }
    }

    async fn walk_audit(
        &self,
        AuditBounds { purged, .. }: AuditBounds,
        noted: Option<AuditMark>,
    ) -> Result<Option<Verdict>, AdminError> {
        let mut walk = match Walk::new(purged, noted) {
            Ok(walk) => walk,
            Err(broken) => return Ok(Some(Verdict::Broken(broken))),
        };
        loop {
            let (now, rows) = self.feed.audit_page(walk.at().number, PAGE).await?;
            // Retention took away what was not walked yet; what was is proved.
            if now.purged.number > walk.at().number {
                return Ok(None);
            }
            for row in &rows {
                if let Err(broken) = walk.step(row, now.head) {
                    return self
                        .explain(&walk, row, broken)
                        .await
                        .map(|broken| Some(Verdict::Broken(broken)));
                }
            }
            if rows.is_empty() {
                let verified = Verified { after: purged, head: now.head };
                let ended = walk.end(now).map_or_else(Verdict::Broken, |()| Verdict::Unbroken(verified));
                return Ok(Some(ended));
            }
        }
    }

    /// Whether a row that does not follow has changed places with a later one.
    async fn explain(&self, walk: &Walk, found: &AuditRow, broken: Broken) -> Result<Broken, AdminError> {
        if broken.fault != Fault::Altered {
            return Ok(broken);
        }
        let mut after = found.number;
        loop {
            let (_, rows) = self.feed.audit_page(after, PAGE).await?;
            if let Some(row) = rows.iter().find(|row| walk.belongs_here(row, found)) {
                return Ok(Broken { fault: Fault::Reordered { with: row.number }, ..broken });
            }
            match rows.last() {
                Some(last) => after = last.number,
                None => return Ok(broken),
            }
        }
    }
}

/// How many numbers to look through at once; `None`: all, for there is an index of targets.
fn window(filter: &AuditFilter) -> Option<i64> {
    filter.target.is_none().then_some(WINDOW)
}
