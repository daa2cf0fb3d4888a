//! Grants in Redis.
//!
//! Each worker reads and writes over a [`Link`] of its own, a multiplexed connection that
//! pipelines by itself. The witness and the health check use a small pool ([`ControlPool`]): they
//! must not wait behind a worker's traffic. Both verify each new connection alike: it leads to a
//! primary.
//!
//! Redis takes no decision: rules are in Rust, and the scripts only compare and swap.

mod connector;
mod control;
mod link;

use std::sync::Arc;

use async_trait::async_trait;
use redis::{Cmd, Script};

pub use self::connector::{Connector, RedisUrl};
pub use self::control::{ControlPool, MAX_CLOCK_SKEW, RedisHealth};
pub use self::link::Link;
use super::{EncodedRecord, GrantStore, StoreError, kept_until, keys};
use crate::domain::clock::Timestamp;
use crate::domain::identifier::GrantId;

const COMPARE_AND_SWAP: &str = "\
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
    redis.call('SET', KEYS[1], ARGV[2], 'EXAT', ARGV[3]) \
    return 1";

/// The grant store of one worker.
pub struct RedisGrants {
    link: Arc<Link>,
    compare_and_swap: Script,
}

impl RedisGrants {
    pub fn new(link: Arc<Link>) -> Self {
        Self { link, compare_and_swap: Script::new(COMPARE_AND_SWAP) }
    }
}

#[async_trait]
impl GrantStore for RedisGrants {
    async fn load(&self, id: GrantId) -> Result<Option<EncodedRecord>, StoreError> {
        let key = keys::grant(id);
        // Sized beforehand, for this runs at every introspection.
        let mut get = Cmd::with_capacity(2, 3 + key.len());
        get.arg("GET").arg(&key);
        let found: Option<Vec<u8>> = self.link.read(&get).await?;
        Ok(found.map(EncodedRecord::from_bytes))
    }

    async fn insert(
        &self,
        id: GrantId,
        record: &EncodedRecord,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut set = redis::cmd("SET");
        set.arg(&keys::grant(id)).arg(record.as_bytes());
        set.arg("NX").arg("EXAT").arg(kept_until(expires_at));
        let set: Option<String> = self.link.write(&set).await?;
        Ok(set.is_some())
    }

    async fn compare_and_swap(
        &self,
        id: GrantId,
        expected: &EncodedRecord,
        record: &EncodedRecord,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut invocation = self.compare_and_swap.key(&keys::grant(id));
        invocation.arg(expected.as_bytes()).arg(record.as_bytes()).arg(kept_until(expires_at));
        let swapped: i64 = self.link.invoke(&invocation).await?;
        Ok(swapped == 1)
    }

    async fn remove(&self, id: GrantId) -> Result<bool, StoreError> {
        let mut del = redis::cmd("DEL");
        del.arg(&keys::grant(id));
        let removed: i64 = self.link.write(&del).await?;
        Ok(removed == 1)
    }
}
