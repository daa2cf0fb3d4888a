//! Writes down, every few seconds and for all workers together, where tokens were last introspected.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::replica::TaskWatch;
use super::stores::Stores;
use crate::directory::introspected::{self, Sighting};
use crate::domain::clock::Clock;
use crate::domain::identifier::GrantId;
use crate::oauth::sightings::{MOST_SIGHTINGS, Sightings};
use crate::sql::{Database, SqlError};
use crate::telemetry::{IntCounter, Metrics};

const WRITE_EVERY: Duration = Duration::from_secs(10);
/// How many rows are written in one transaction: others have to wait for it.
const BATCH: usize = 500;
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
    let mut failing = false;
    for round in 1_u32.. {
        tokio::time::sleep(WRITE_EVERY).await;
        let (sightings, missed) = take(&all);
        left_out.inc_by(missed);
        for batch in sightings.chunks(BATCH) {
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

/// What all workers noted, each grant once, and how much was left out.
fn take(all: &AllSightings) -> (Vec<Sighting>, u64) {
    let tables: Vec<_> = {
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|sightings| sightings.strong_count() > 0);
        all.iter().filter_map(Weak::upgrade).collect()
    };
    let mut left_out = 0;
    let mut newest: HashMap<GrantId, Sighting> = HashMap::new();
    for table in tables {
        let (table, missed) = table.take();
        left_out += missed;
        for (grant, server, seen) in table.rows() {
            let (at, ends_at) = (seen.at, seen.ends_at);
            if newest.get(&grant).is_some_and(|newer| newer.at >= at) {
                continue;
            }
            if newest.len() >= MOST_SIGHTINGS && !newest.contains_key(&grant) {
                left_out += 1;
                continue;
            }
            newest.insert(grant, Sighting { grant, server: server.to_owned(), at, ends_at });
        }
    }
    (newest.into_values().collect(), left_out)
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
