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

/// A record was written once more, with the token in it; or may have been.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite {
    pub span: Span,
    pub certain: bool,
}

/// What became of Redis in a run.
pub struct RedisPast(Vec<Upheaval>);

/// What became of one token there: its fate from each moment on.
#[derive(Clone, Debug)]
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

    /// Whether Redis may have lost or got back anything in a span.
    pub fn is_upset(&self, span: Span) -> bool {
        self.0.iter().any(|upheaval| upheaval.span.overlaps(span))
    }

    /// What became of a token that was minted in this span, and written again in these.
    pub fn fates(&self, minted: Span, rewrites: &[Rewrite]) -> Fates {
        let mut fates = Fates(vec![(minted, Fate::Present)]);
        // When the last write and the last upheaval before were over.
        let (mut written, mut upset) = (minted.end, 0);
        for turn in self.turns(minted, rewrites) {
            let before = fates.last();
            let (span, after) = match turn {
                Turn::Write(Rewrite { span, certain }) => {
                    written = written.max(span.end);
                    let after = match certain {
                        _ if before == Fate::Present => Fate::Present,
                        true if upset < span.begin => Fate::Present,
                        _ => Fate::Unknown,
                    };
                    (span, after)
                }
                Turn::Upheaval(Upheaval { span, kind }) => {
                    let after = match kind {
                        _ if written >= span.begin => Fate::Unknown,
                        Kind::Flush => Fate::Absent,
                        Kind::GoBack(dump) => fates.during(dump, minted),
                        Kind::LoseUnsaved => {
                            let saved = span.begin.saturating_sub(UNSAVED);
                            if written.max(upset) > saved { Fate::Unknown } else { before }
                        }
                    };
                    upset = upset.max(span.end);
                    (span, after)
                }
            };
            fates.0.push((span, after));
        }
        fates
    }

    /// What may have changed its fate, in the order in which it began.
    fn turns(&self, minted: Span, rewrites: &[Rewrite]) -> Vec<Turn> {
        let upheavals = self.0.iter().filter(|upheaval| upheaval.span.end >= minted.begin);
        let mut turns: Vec<Turn> = upheavals.copied().map(Turn::Upheaval).collect();
        turns.extend(rewrites.iter().copied().map(Turn::Write));
        turns.sort_by_key(|turn| match turn {
            Turn::Write(rewrite) => rewrite.span.begin,
            Turn::Upheaval(upheaval) => upheaval.span.begin,
        });
        turns
    }
}

enum Turn {
    Write(Rewrite),
    Upheaval(Upheaval),
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
