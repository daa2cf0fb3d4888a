//! Which faults may explain what.

use crate::history::{Event, Fault, FaultKind, History, Moment, Replica};

/// What is in flight when a fault is mended, and what a busy machine takes for it.
const AFTERMATH: Moment = 1_000_000;
/// How long after its command has failed a transaction may still commit on a database that is well: far longer than
/// any does, and than an idle one is tolerated.
const LINGERING: Moment = 5_000_000;

/// From the beginning of something to its end.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub begin: Moment,
    pub end: Moment,
}

impl Span {
    pub const fn of(event: &Event) -> Self {
        Self { begin: event.begin, end: event.end }
    }

    pub const fn overlaps(self, other: Self) -> bool {
        self.begin <= other.end && other.begin <= self.end
    }
}

/// The faults of a history.
pub struct Disturbances<'h>(&'h [Fault]);

impl<'h> Disturbances<'h> {
    pub fn of(history: &'h History) -> Self {
        Self(&history.faults)
    }

    /// Whether anything was broken, or not yet well again.
    pub fn any(&self, span: Span) -> bool {
        self.overlapping(span).next().is_some()
    }

    /// Whether this replica may have given no answer: it was killed, frozen, or starting.
    pub fn silenced(&self, replica: Replica, span: Span) -> bool {
        self.overlapping(span).any(|fault| match fault.kind {
            FaultKind::KillReplica(which) | FaultKind::FreezeReplica(which) => which == replica,
            FaultKind::KillEverything | FaultKind::RollingRestart => true,
            _ => false,
        })
    }

    /// Until when what was asked of SQL in a span, and not acknowledged, may still be done.
    pub fn settled(&self, span: Span) -> Moment {
        let mut until = span.end + LINGERING;
        // In the order of their beginnings: each may hold up what the one before it let go.
        for fault in self.0.iter().filter(|fault| withholds_sql(fault.kind)) {
            if fault.begin <= until && span.begin <= fault.end {
                until = until.max(fault.end + LINGERING);
            }
        }
        until
    }

    /// A request without an answer, until all is over that may have held it up: it may be carried out that late.
    pub fn aftermath(&self, span: Span) -> Span {
        let ends = self.overlapping(span).map(|fault| whole(fault).end);
        Span { end: ends.fold(span.end, Moment::max), ..span }
    }

    fn overlapping(&self, span: Span) -> impl Iterator<Item = &Fault> {
        // The faults are in the order of their beginnings.
        let begun = self.0.partition_point(|fault| fault.begin <= span.end);
        self.0[..begun].iter().filter(move |fault| whole(fault).overlaps(span))
    }
}

/// From its beginning until nothing is left of it.
fn whole(fault: &Fault) -> Span {
    let end = fault.healed.map_or(Moment::MAX, |healed| healed.max(fault.end) + AFTERMATH);
    Span { begin: fault.begin, end }
}

const fn withholds_sql(kind: FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::KillEverything
            | FaultKind::KillPostgres
            | FaultKind::StopPostgres
            | FaultKind::FreezePostgres
            | FaultKind::SqlPath(..)
    )
}
