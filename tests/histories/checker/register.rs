//! A value that some write while others read it.

use super::disturbances::Span;
use crate::history::Moment;

/// Somebody wrote a value, at one moment from `begin` to `until`, or never if that was not acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Write<T> {
    pub begin: Moment,
    pub until: Moment,
    /// From when on every reader has this value or a later one.
    pub acknowledged: Option<Moment>,
    pub value: T,
}

/// All writes of one value.
#[derive(Debug)]
pub struct Register<T> {
    writes: Vec<Write<T>>,
    /// When each write was acknowledged, in that order, and the latest beginning of those acknowledged by then.
    floors: Vec<(Moment, Moment)>,
}

impl<T: Copy> Register<T> {
    pub fn of(mut writes: Vec<Write<T>>) -> Self {
        writes.sort_by_key(|write| write.begin);
        let acknowledged = writes.iter().filter_map(|write| Some((write.acknowledged?, write.begin)));
        let mut floors: Vec<_> = acknowledged.collect();
        floors.sort_unstable();
        let mut latest = 0;
        for (_, begin) in &mut floors {
            latest = latest.max(*begin);
            *begin = latest;
        }
        Self { writes, floors }
    }

    /// What may be read in a span: everything that had begun to be written before its end, except what was
    /// overwritten, and that acknowledged, before its beginning.
    pub fn possible(&self, span: Span) -> impl Iterator<Item = T> + '_ {
        let acknowledged = self.floors.partition_point(|(moment, _)| *moment < span.begin);
        let floor = acknowledged.checked_sub(1).map_or(0, |last| self.floors[last].1);
        let begun = self.writes.partition_point(|write| write.begin < span.end);
        self.writes[..begun].iter().filter(move |write| write.until >= floor).map(|write| write.value)
    }
}
