//! Requests: introspections, mints, and changes that wait until they are known everywhere.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use symbolon::changes::{Actor, Bonds, Change, Entry, KillScope, Recorded, Snapshot};
use symbolon::domain::clock::{Clock, Timestamp};
use symbolon::domain::entropy;
use symbolon::domain::identifier::{ClientId, GrantId};
use symbolon::domain::position::ChangeNumber;

use crate::broken::Broken;
use crate::checker::Grant;
use crate::process::Process;
use crate::time::{breathe, pause};

const ENDS: Timestamp = Timestamp::from_unix_seconds(3_000_000_000);

pub fn client(number: u64) -> ClientId {
    ClientId::parse(["app", "shop"][usize::from(number % 2 == 1)]).unwrap()
}

/// Counts a request as long as it is there, dropped or answered.
struct Underway(Arc<Process>);

impl Underway {
    fn begin(process: &Arc<Process>) -> Self {
        process.requests.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(process))
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Process {
    async fn dawdle(&self) {
        for _ in 0..self.shared.rng.below(3) {
            breathe().await;
        }
    }

    /// The snapshot to judge by; under a broken rule, not the one that the real feed gives.
    async fn judge_by(&self) -> Option<Arc<Snapshot<()>>> {
        let newest = self.published.newest()?;
        if self.is(Broken::CachedSnapshot) {
            let cached = self.cached_snapshot.lock().unwrap().replace(newest);
            return cached.filter(|cached| self.clock.boot() < cached.deadline);
        }
        if self.is(Broken::CachedClock) {
            let now = self.clock.boot();
            let cached = self.cached_clock.lock().unwrap().replace(now).unwrap_or(now);
            return (cached < newest.deadline).then_some(newest);
        }
        if self.is(Broken::DeadlineOutsideTheSnapshot) {
            breathe().await;
            pause(&self.clock, Duration::from_millis(20)).await;
            let deadline = self.published.newest()?.deadline;
            return (self.clock.boot() < deadline).then_some(newest);
        }
        self.feed.current().ok()
    }

    pub async fn introspect(self: Arc<Self>, grant: Grant) {
        let _underway = Underway::begin(&self);
        let began = self.shared.checker.now();
        self.dawdle().await;
        let Ok(true) = self.find(grant.id).await else { return };
        let Some(snapshot) = self.judge_by().await else { return };
        let live = snapshot.is_live(&grant.id, &Bonds::of_client(&grant.client), grant.born);
        self.shared.note(|| format!("machine {}: {} lives: {live}", self.machine, grant.id));
        if live {
            self.shared.checker.says_live(self.machine, &grant, began);
        }
    }

    pub async fn mint(self: Arc<Self>, client: ClientId) {
        let _underway = Underway::begin(&self);
        let Some(grant) = self.mint_one(client).await else { return };
        self.shared.note(|| format!("machine {}: hands out {grant:?}", self.machine));
        self.shared.checker.handed_out(self.machine, &grant);
    }

    async fn mint_one(&self, client: ClientId) -> Option<Grant> {
        let born_first = self.feed.current().ok()?.position.number;
        self.dawdle().await;
        // The fact, say that the client is not disabled, as of this snapshot.
        let justified = self.feed.current().ok()?.position.number;
        self.dawdle().await;
        let born = match self.shared.broken {
            Some(Broken::BirthAfterTheFact) => self.feed.current().ok()?.position.number,
            Some(Broken::BirthFromTheHead) => self.shared.sql.state().position().number,
            _ => born_first,
        };
        let id = GrantId::from_bytes(entropy::random(self.shared.rng.as_ref()).ok()?);
        self.ask("put", move |store| store.insert(id)).await.ok()?;
        let last = self.feed.current().ok()?;
        let live = last.is_live(&id, &Bonds::of_client(&client), born);
        (live || self.is(Broken::NoFinalSnapshot)).then_some(Grant { id, client, born, justified })
    }

    pub async fn revoke(self: Arc<Self>, grant: GrantId) {
        self.change(Change::GrantRevoked { grant, ends_at: Some(ENDS) }).await;
    }

    pub async fn kill(self: Arc<Self>, scope: KillScope) {
        self.change(Change::Killed(scope)).await;
    }

    /// Records a change and waits until it is known everywhere; asks again when it does not know whether it
    /// was recorded, as whoever calls `/revoke` does.
    async fn change(self: Arc<Self>, change: Change) {
        let _underway = Underway::begin(&self);
        let before = self.clock.boot();
        let recorded = loop {
            let entry = Entry::new(change.clone(), Actor::command_line());
            match self.feed.record(entry).await {
                Ok(recorded) => break recorded,
                Err(_) => pause(&self.clock, Duration::from_millis(10)).await,
            }
        };
        let early = Recorded { since: before, ..recorded };
        let recorded = if self.is(Broken::CountsFromBeforeTheCommit) { early } else { recorded };
        self.await_acknowledgement(recorded, change).await;
    }

    /// Takes over a change that somebody recorded and did not live to see acknowledged.
    pub async fn take_over(self: Arc<Self>, number: ChangeNumber, change: Change) {
        let _underway = Underway::begin(&self);
        if self.feed.newest().is_some_and(|newest| newest.position.number >= number) {
            self.await_acknowledgement(self.feed.known(number), change).await;
        }
    }

    async fn await_acknowledgement(&self, recorded: Recorded, change: Change) {
        self.shared.note(|| format!("machine {}: recorded {} {change:?}", self.machine, recorded.number));
        if self.shared.rng.percent(50) {
            self.mover.pass(recorded.number).await.ok();
        }
        loop {
            if let Ok(looked) = self.acknowledger.look(recorded).await
                && looked.is_complete()
            {
                self.shared.note(|| format!("machine {}: acknowledged {}", self.machine, recorded.number));
                return self.shared.checker.acknowledged(recorded.number, &change);
            }
            let longest = self.shared.rng.below(60);
            pause(&self.clock, Duration::from_millis(longest)).await;
        }
    }
}
