//! One process's connections to SQL: the traits of the feed over the simulated server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use symbolon::changes::audit::Attempt;
use symbolon::changes::{
    Entry, FeedError, FeedStore, Head, History, Incarnation, Publish, RecordedChange, Recorder, Renewal,
    ReplicaRow, Replicas, RevocationPage, Snapshot,
};
use symbolon::domain::clock::{Clock, Timestamp};
use symbolon::domain::position::{ChangeHash, ChangeNumber};

use crate::broken::Broken;
use crate::server::Server;
use crate::sql::{Tables, Transaction};
use crate::time::{MachineClock, breathe};

#[derive(Clone)]
pub struct Connection {
    pub sql: Arc<Server<Tables>>,
    pub machine: usize,
    pub clock: MachineClock,
    pub broken: Option<Broken>,
    /// What the broken ways remember.
    pub earlier: Arc<Mutex<Earlier>>,
}

#[derive(Default)]
pub struct Earlier {
    head: ChangeNumber,
    replicas: Option<Vec<ReplicaRow>>,
    pub incarnation: Option<Incarnation>,
}

/// A transaction that is rolled back where its task is dropped, unless its commit was sent.
struct Open {
    sql: Arc<Server<Tables>>,
    name: Transaction,
    sent: bool,
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.sent {
            self.sql.state().roll_back(self.name);
        }
    }
}

impl Connection {
    fn open(&self) -> Open {
        let name = self.sql.state().name_transaction();
        Open { sql: Arc::clone(&self.sql), name, sent: false }
    }

    async fn call<T, F>(&self, what: &'static str, unit: F) -> Result<T, FeedError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tables) -> Result<T, FeedError> + Send + 'static,
    {
        self.sql.call(self.machine, what, unit).await
    }

    async fn commit<T, F>(&self, mut open: Open, what: &'static str, unit: F) -> Result<T, FeedError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tables) -> Result<T, FeedError> + Send + 'static,
    {
        breathe().await;
        let name = open.name;
        open.sent = true;
        let committed = self.call(what, move |tables| {
            tables.end(name)?;
            unit(tables)
        });
        let committed = committed.await;
        if committed.is_err() {
            // The server learns that its client is gone, if the commit never came.
            self.sql.state().roll_back(name);
        }
        committed
    }

    fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// The rows that a renewal goes by; its transaction's snapshot has just been taken.
    fn read(
        &self,
        tables: &mut Tables,
        from: &Snapshot<()>,
    ) -> Result<Option<Vec<RecordedChange>>, FeedError> {
        let rows = tables.rows_after(from.position)?;
        let mut earlier = self.earlier.lock().unwrap();
        let before = std::mem::replace(&mut earlier.head, tables.position().number);
        if self.is(Broken::RowsBeforeT0) {
            return Ok(rows.map(|rows| rows.into_iter().filter(|row| row.number <= before).collect()));
        }
        Ok(rows)
    }
}

#[async_trait]
impl FeedStore<()> for Connection {
    async fn load(&self) -> Result<Snapshot<()>, FeedError> {
        self.call("load", |tables| Ok(tables.load())).await
    }

    async fn retention_clock(&self) -> Result<Timestamp, FeedError> {
        Ok(self.clock.now())
    }

    async fn join(&self, row: &ReplicaRow) -> Result<(), FeedError> {
        self.earlier.lock().unwrap().incarnation = Some(row.incarnation.clone());
        let row = row.clone();
        self.call("insert", move |tables| {
            tables.insert(row);
            Ok(())
        })
        .await
    }

    async fn renew(
        &self,
        incarnation: &Incarnation,
        from: Arc<Snapshot<()>>,
        publish: Publish<()>,
    ) -> Result<Renewal, FeedError> {
        let open = self.open();
        let (name, machine) = (open.name, self.machine);
        let (this, inside) = (self.clone(), incarnation.clone());
        let read = self.call("read", move |tables| {
            tables.begin(name, machine);
            let rows = this.read(tables, &from)?;
            Ok((rows, tables.replicas.contains_key(&inside)))
        });
        let (rows, seen) = read.await?;
        let Some(rows) = rows else { return Ok(Renewal::Reload) };
        breathe().await;
        let early = !self.is(Broken::PublishAfterTheCommit);
        let published = if early {
            publish(&rows, ())?.number
        } else {
            rows.last().map_or(publish(&[], ())?.number, |row| row.number)
        };
        let (this, inside) = (self.clone(), incarnation.clone());
        let committed = self.commit(open, "commit-renewal", move |tables| {
            let head = tables.position().number;
            let applied = if this.is(Broken::AppliedIsTheHead) { head } else { published };
            let renewed = tables.renew(&inside, applied, seen);
            if !this.is(Broken::NotDurable) {
                tables.make_durable();
            }
            renewed
        });
        let committed = committed.await;
        if !early {
            breathe().await;
            publish(&rows, ())?;
        }
        match committed {
            Err(_) if self.is(Broken::FailureIsConfirmed) => Ok(Renewal::Confirmed),
            Ok(Renewal::RowGone) if self.is(Broken::NoRowIsConfirmed) => Ok(Renewal::Confirmed),
            committed => committed,
        }
    }

    async fn leave(&self, incarnation: &Incarnation) -> Result<(), FeedError> {
        let incarnation = incarnation.clone();
        self.call("leave", move |tables| {
            tables.delete(&incarnation, None);
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl Replicas for Connection {
    async fn replicas(&self) -> Result<Vec<ReplicaRow>, FeedError> {
        let mut rows: Vec<ReplicaRow> =
            self.call("replicas", |tables| Ok(tables.replicas.values().cloned().collect())).await?;
        if self.is(Broken::WaitAsShortAsTheLease) {
            for row in &mut rows {
                row.lease = row.lease.mul_f64(0.9);
            }
        }
        if self.is(Broken::StaleRead) {
            let earlier = self.earlier.lock().unwrap().replicas.replace(rows.clone());
            return Ok(earlier.unwrap_or(rows));
        }
        Ok(rows)
    }

    async fn evict(&self, incarnation: &Incarnation, beat: u64) -> Result<bool, FeedError> {
        let beat = (!self.is(Broken::EvictIgnoresTheBeat)).then_some(beat);
        let incarnation = incarnation.clone();
        self.call("evict", move |tables| Ok(tables.delete(&incarnation, beat))).await
    }
}

#[async_trait]
impl Recorder for Connection {
    async fn record(&self, entries: Vec<Entry>) -> Result<Vec<ChangeNumber>, FeedError> {
        let open = self.open();
        let (name, machine, now) = (open.name, self.machine, self.clock.now());
        let locked = self.sql.call_when(self.machine, "lock", Tables::head_is_free, move |tables| {
            tables.begin(name, machine);
            tables.lock_head(name);
            Ok::<(), FeedError>(())
        });
        locked.await?;
        self.commit(open, "commit-change", move |tables| Ok(tables.record(entries, now))).await
    }

    async fn record_attempts(&self, _: Vec<Attempt>) -> Result<(), FeedError> {
        Ok(()) // What was refused changes nothing that is simulated here.
    }
}

#[async_trait]
impl History for Connection {
    async fn head(&self) -> Result<Head, FeedError> {
        self.call("head", |tables| Ok(tables.head())).await
    }

    async fn hash_of(&self, number: ChangeNumber) -> Result<Option<ChangeHash>, FeedError> {
        self.call("hash", move |tables| Ok(tables.hash_of(number))).await
    }

    async fn revocations_after(&self, after: ChangeNumber) -> Result<RevocationPage, FeedError> {
        self.call("revocations", move |tables| Ok(tables.revocations_after(after))).await
    }

    async fn purge(&self, _keep: Duration) -> Result<usize, FeedError> {
        self.call("purge", |tables| {
            tables.purge();
            Ok(0)
        })
        .await
    }

    async fn note_key_use(&self) -> Result<(), FeedError> {
        Ok(())
    }
}
