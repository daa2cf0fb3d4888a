//! The readiness checks of a replica, and the gauges that are measured when somebody looks.

use std::sync::Arc;
use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::stores::{GrantBackend, Stores};
use crate::changes::{LeaseStatus, Published, WitnessError};
use crate::directory::DirectoryView;
use crate::grants::redis::{Link, MAX_CLOCK_SKEW};
use crate::grants::{StoreError, Witness as _};
use crate::http::{Check, HealthCheck};
use crate::telemetry::Metrics;

/// How long one check may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Looks at everything that a request may need.
pub struct ReplicaHealth {
    pub stores: Stores,
    pub published: Arc<Published<DirectoryView>>,
    pub status: watch::Receiver<LeaseStatus>,
    pub links: Arc<Mutex<Vec<Weak<Link>>>>,
    pub metrics: Metrics,
}

impl ReplicaHealth {
    fn lease_remaining(&self) -> Duration {
        let deadline = self.published.newest().map(|newest| newest.deadline);
        deadline.map_or(Duration::ZERO, |deadline| deadline - self.stores.clock.boot())
    }

    fn lease(&self) -> Option<String> {
        let (newest, clock) = (self.published.newest(), &self.stores.clock);
        if newest.is_some_and(|newest| newest.holds_at(clock.boot(), clock.now())) {
            return None;
        }
        let status = self.status.borrow();
        let why = status.lease_error.as_ref().map(ToString::to_string);
        let otherwise = if self.lease_remaining().is_zero() {
            "no lease on the change feed yet"
        } else {
            "the wall clock was set back; remembering again what had seemed to be over"
        };
        Some(why.unwrap_or_else(|| otherwise.to_owned()))
    }

    fn witness(&self) -> Option<String> {
        let status = self.status.borrow();
        match &status.witness_error {
            // The grant store and SQL have checks of their own.
            None | Some(WitnessError::Store(_) | WitnessError::Feed(_)) => None,
            Some(error) => Some(error.to_string()),
        }
    }

    async fn sql(&self) -> Check {
        let before = self.stores.clock.unix_millis();
        let asked = tokio::time::timeout(PATIENCE, self.stores.database.wall_clock()).await;
        // While the lease runs, requests are answered without SQL: taking this replica out of
        // service would turn an SQL outage into one of everything.
        let away = |why: String| Check {
            critical: self.lease_remaining().is_zero(),
            ..Check::critical("sql", Some(why))
        };
        match asked {
            Err(_) => away("the database does not answer in time".to_owned()),
            Ok(Err(error)) => away(error.to_string()),
            Ok(Ok(None)) => Check::critical("sql", None),
            Ok(Ok(Some(millis))) => {
                let after = self.stores.clock.unix_millis();
                let apart = (before - millis).max(millis - after).max(0);
                let apart = Duration::from_millis(u64::try_from(apart).unwrap_or(0));
                Check::critical("sql", skew("the database", apart))
            }
        }
    }

    async fn grants(&self) -> Option<String> {
        let late = || Some("the grant store does not answer in time".to_owned());
        let clock = self.stores.clock.as_ref();
        match &self.stores.grants {
            GrantBackend::Sqlite(grants) => match tokio::time::timeout(PATIENCE, grants.read()).await {
                Err(_) => late(),
                Ok(read) => read.err().map(|error| error.to_string()),
            },
            GrantBackend::Redis { control, .. } => {
                let health = match tokio::time::timeout(PATIENCE, control.health(clock)).await {
                    Err(_) => return late(),
                    Ok(Err(error)) => return Some(error.to_string()),
                    Ok(Ok(health)) => health,
                };
                match health.maxmemory_policy.as_deref() {
                    Some("noeviction") | None => {}
                    Some(policy) => {
                        return Some(format!(
                            "Redis has maxmemory-policy {policy}, under which it throws tokens away; set it \
                             to noeviction"
                        ));
                    }
                }
                if health.is_full {
                    return Some(
                        "Redis has used up its maxmemory, so no token can be issued; give it more".to_owned(),
                    );
                }
                self.links_failure().or_else(|| skew("Redis", health.clock_skew))
            }
        }
    }

    fn links_failure(&self) -> Option<String> {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if links.is_empty() {
            return Some("the workers are starting".to_owned());
        }
        links.iter().filter_map(Weak::upgrade).find_map(|link| link.check().err()).map(|StoreError(why)| why)
    }
}

fn skew(whose: &str, apart: Duration) -> Option<String> {
    (apart > MAX_CLOCK_SKEW).then(|| {
        let apart = apart.as_secs_f64();
        format!("the clock of {whose} and ours are {apart:.1} s apart; keep them within 2 s")
    })
}

#[async_trait]
impl HealthCheck for ReplicaHealth {
    async fn check(&self) -> Vec<Check> {
        let grant_store = match &self.stores.grants {
            GrantBackend::Redis { .. } => "redis",
            GrantBackend::Sqlite(_) => "grants",
        };
        let (grants, sql) = futures_util::future::join(self.grants(), self.sql()).await;
        vec![
            Check::critical(grant_store, grants),
            sql,
            Check::critical("lease", self.lease()),
            Check::critical("witness", self.witness()),
        ]
    }

    async fn measure(&self) {
        let metrics = &self.metrics;
        metrics.lease_remaining_seconds.set(self.lease_remaining().as_secs_f64());
        let Some(newest) = self.published.newest() else { return };
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let position = newest.position.number.get();
        metrics.feed_position.set(gauge(position));
        metrics.revoked_in_memory.set(i64::try_from(newest.revoked.len()).unwrap_or(i64::MAX));
        let status = self.status.borrow();
        metrics.replicas.set(i64::try_from(status.replicas.len()).unwrap_or(i64::MAX));
        let furthest = status.replicas.iter().map(|row| row.applied.get()).max().unwrap_or(position);
        metrics.feed_lag.set(gauge(furthest.saturating_sub(position)));
    }
}
