//! Whether Redis may have a token: what it was given it has, except what a fault made it lose.

use super::disturbances::Span;
use crate::history::{FaultKind, History, Moment};

/// What `appendfsync everysec` may lose: "one second", and up to two more while the disk is busy.
const UNSAVED: Moment = 3_000_000;

/// Whether Redis has a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Present,
    Absent,
    Unknown,
}

/// Something that changed what Redis has. These do not overlap each other.
#[derive(Clone, Copy, Debug)]
struct Upheaval {
    span: Span,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Flush,
    /// The last moments before a kill.
    LoseUnsaved,
    /// What Redis had in this span, and nothing since.
    GoBack(Span),
}

/// What became of Redis in a run.
pub struct RedisPast(Vec<Upheaval>);

/// What became of one token there: its fate from each moment on.
#[derive(Debug)]
pub struct Fates(Vec<(Span, Fate)>);

impl RedisPast {
    pub fn of(history: &History) -> Self {
        let dumped = |number: u32| {
            let fault = history.faults.iter().find(|fault| fault.kind == FaultKind::DumpRedis(number));
            fault.map(|fault| Span { begin: fault.begin, end: fault.end })
        };
        let kind = |kind| match kind {
            FaultKind::FlushRedis => Some(Kind::Flush),
            FaultKind::RestoreRedis(dump) | FaultKind::DemoteRedisTo(dump) => dumped(dump).map(Kind::GoBack),
            FaultKind::KillRedis | FaultKind::KillEverything if !history.setup.redis_is_durable => {
                Some(Kind::LoseUnsaved)
            }
            _ => None,
        };
        let upheavals = history.faults.iter().filter_map(|fault| {
            let span = Span { begin: fault.begin, end: fault.end };
            Some(Upheaval { span, kind: kind(fault.kind)? })
        });
        Self(upheavals.collect())
    }

    /// Whether Redis may have got back, in a span, what it had lost before.
    pub fn may_bring_back(&self, span: Span) -> bool {
        let brings_back = |upheaval: &&Upheaval| !matches!(upheaval.kind, Kind::Flush);
        self.0.iter().filter(brings_back).any(|upheaval| upheaval.span.overlaps(span))
    }

    /// What became of a token that was minted in this span.
    pub fn fates(&self, minted: Span) -> Fates {
        let mut fates = Fates(vec![(minted, Fate::Present)]);
        let mut previous: Option<Upheaval> = None;
        for upheaval in self.0.iter().filter(|upheaval| upheaval.span.end >= minted.begin) {
            let before = fates.last();
            let after = match upheaval.kind {
                _ if minted.end >= upheaval.span.begin => Fate::Unknown,
                Kind::Flush => Fate::Absent,
                Kind::GoBack(dump) => fates.during(dump, minted),
                Kind::LoseUnsaved => {
                    let saved = upheaval.span.begin.saturating_sub(UNSAVED);
                    let recent = previous.is_some_and(|previous| previous.span.end > saved);
                    if minted.end > saved || recent { Fate::Unknown } else { before }
                }
            };
            fates.0.push((upheaval.span, after));
            previous = Some(*upheaval);
        }
        fates
    }
}

impl Fates {
    fn last(&self) -> Fate {
        self.0.last().map_or(Fate::Absent, |(_, fate)| *fate)
    }

    /// What a copy taken in `dump` has of it.
    fn during(&self, dump: Span, minted: Span) -> Fate {
        if minted.begin > dump.end {
            return Fate::Absent;
        }
        if minted.end >= dump.begin {
            return Fate::Unknown;
        }
        let mut found = self.possible(dump);
        let first = found.next().unwrap_or(Fate::Unknown);
        if found.all(|other| other == first) { first } else { Fate::Unknown }
    }

    /// Its possible fates in a span: each from when it may have begun until the next one surely has.
    pub fn possible(&self, span: Span) -> impl Iterator<Item = Fate> + '_ {
        self.0.iter().enumerate().filter_map(move |(index, (since, fate))| {
            let replaced = self.0.get(index + 1).map_or(Moment::MAX, |(next, _)| next.end);
            (since.begin <= span.end && span.begin <= replaced).then_some(*fate)
        })
    }
}
