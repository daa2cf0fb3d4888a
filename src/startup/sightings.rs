//! Writes down, every few seconds and for all workers together, where tokens were last introspected.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::replica::TaskWatch;
use super::stores::Stores;
use crate::directory::introspected::{self, Sighting};
use crate::domain::clock::Clock;
use crate::domain::identifier::GrantId;
use crate::oauth::sightings::Sightings;
use crate::sql::{Database, SqlError};
use crate::telemetry::{IntCounter, Metrics};

const WRITE_EVERY: Duration = Duration::from_secs(10);
/// How many rows are written in one transaction: others have to wait for it.
const BATCH: usize = 500;
/// How many are written at a time: however many tokens there are, writing where they were seen takes little from
/// answering.
const PER_ROUND: usize = 5_000;
/// How many may wait to be written.
const MOST_WAITING: usize = 50_000;
/// Once in so many times rows are deleted of which nobody will ask any more.
const PURGE_EVERY: u32 = 60;
/// For how long after a grant's end somebody might.
const KEEP: Duration = Duration::from_secs(24 * 3600);

/// The tables of all workers. Those of workers that ended go by themselves.
pub type AllSightings = Arc<Mutex<Vec<Weak<Sightings>>>>;

/// A table for one more worker.
pub fn add(all: &AllSightings) -> Arc<Sightings> {
    let sightings = Arc::default();
    all.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&sightings));
    sightings
}

/// Starts writing.
pub fn start(all: AllSightings, stores: &Stores, metrics: &Metrics, watch: &TaskWatch) {
    let (database, clock) = (stores.database.clone(), Arc::clone(&stores.clock));
    let left_out = metrics.introspections_not_noted.clone();
    watch.spawn("the keeper of sightings", keep(all, database, clock, left_out));
}

/// Writes until it is stopped. What SQL does not take is forgotten and counted: nothing rests on it.
async fn keep(all: AllSightings, database: Database, clock: Arc<dyn Clock>, left_out: IntCounter) {
    let (mut backlog, mut failing) = (Backlog::default(), false);
    for round in 1_u32.. {
        tokio::time::sleep(WRITE_EVERY).await;
        left_out.inc_by(backlog.add(&all));
        for batch in backlog.next(PER_ROUND).chunks(BATCH) {
            if let Err(error) = write(&database, batch.to_vec()).await {
                log::debug!("where tokens were introspected is not written down: {error}");
                left_out.inc_by(batch.len() as u64);
            }
            database.give_way().await;
        }
        if round.is_multiple_of(PURGE_EVERY) {
            tidy(&database, clock.as_ref(), &mut failing).await;
        }
    }
}

/// What is to be written, each grant once, in the order in which they were first seen: whoever is seen all the time
/// has a turn too.
#[derive(Default)]
struct Backlog {
    order: VecDeque<GrantId>,
    newest: HashMap<GrantId, Sighting>,
}

impl Backlog {
    /// Adds what all workers noted; returns how much was left out.
    fn add(&mut self, all: &AllSightings) -> u64 {
        let tables: Vec<_> = {
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|sightings| sightings.strong_count() > 0);
            all.iter().filter_map(Weak::upgrade).collect()
        };
        let mut left_out = 0;
        for table in tables {
            let (table, missed) = table.take();
            left_out += missed;
            for (grant, server, seen) in table.rows() {
                let (at, ends_at) = (seen.at, seen.ends_at);
                let sighting = Sighting { grant, server: server.to_owned(), at, ends_at };
                left_out += u64::from(!self.note(sighting));
            }
        }
        left_out
    }

    /// Whether there was room for it, or something newer.
    fn note(&mut self, sighting: Sighting) -> bool {
        if let Some(newest) = self.newest.get_mut(&sighting.grant) {
            if newest.at < sighting.at {
                *newest = sighting;
            }
            return true;
        }
        if self.newest.len() >= MOST_WAITING {
            return false;
        }
        self.order.push_back(sighting.grant);
        self.newest.insert(sighting.grant, sighting);
        true
    }

    /// The next of them, at most so many.
    fn next(&mut self, most: usize) -> Vec<Sighting> {
        let due = self.order.drain(..most.min(self.order.len()));
        due.filter_map(|grant| self.newest.remove(&grant)).collect()
    }
}

async fn write(database: &Database, batch: Vec<Sighting>) -> Result<(), SqlError> {
    database.write(move |conn| Box::pin(introspected::note(conn, batch))).await
}

/// Deletes what nobody will ask for. A table that is never tidied grows for ever, so that it fails is said, once.
async fn tidy(database: &Database, clock: &dyn Clock, failing: &mut bool) {
    match introspected::purge(database, clock.now() - KEEP).await {
        Ok(_) => *failing = false,
        Err(error) if !*failing => {
            *failing = true;
            log::warn!("where tokens were introspected is not tidied: {error}");
        }
        Err(error) => log::debug!("where tokens were introspected is not tidied: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::Timestamp;

    fn sighting(number: usize, at: i64) -> Sighting {
        let mut bytes = [0; GrantId::BYTES];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let at = Timestamp::from_unix_seconds(at);
        Sighting { grant: GrantId::from_bytes(bytes), server: "rs_one".to_owned(), at, ends_at: at }
    }

    #[test]
    fn each_is_written_once_with_what_was_seen_last_in_the_order_of_the_first_time() {
        let mut backlog = Backlog::default();
        for (number, at) in [(1, 10), (2, 10), (3, 10), (1, 12), (2, 9)] {
            assert!(backlog.note(sighting(number, at)));
        }
        assert_eq!(backlog.next(2), [sighting(1, 12), sighting(2, 10)]);
        // Seen again, it stands behind whoever waits.
        assert!(backlog.note(sighting(1, 20)));
        assert_eq!(backlog.next(9), [sighting(3, 10), sighting(1, 20)]);
        assert_eq!(backlog.next(9), []);
    }

    #[test]
    fn what_waits_is_bounded_and_whoever_waits_is_kept_up_to_date() {
        let mut backlog = Backlog::default();
        assert!((0..MOST_WAITING).all(|number| backlog.note(sighting(number, 10))));
        assert!(!backlog.note(sighting(MOST_WAITING, 10)), "there is no room");
        assert!(backlog.note(sighting(0, 20)));
        let written = backlog.next(PER_ROUND);
        assert_eq!((written.len(), &written[0]), (PER_ROUND, &sighting(0, 20)));
        assert!(backlog.note(sighting(MOST_WAITING, 10)));
    }
}
