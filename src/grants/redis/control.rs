//! The few connections that are not for requests: the witness, the health check, the command line.

use std::time::Duration;

use async_trait::async_trait;
use deadpool_redis::{Connection, Hook, HookError, Pool};
use redis::Script;

use super::connector::{RESPONSE_TIMEOUT, RedisUrl, explain, manager, verify};
use crate::domain::clock::Clock;
use crate::domain::identifier::GrantId;
use crate::domain::position::Position;
use crate::grants::reader::PAGE;
use crate::grants::{Cursor, EncodedRecord, GrantReader, Page, StoreError, Witness, keys};

const CONNECTIONS: usize = 4;
const PATIENCE: Duration = Duration::from_millis(500);
/// How far the wall clocks may be apart.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(2);

/// Deletes the records first and moves the mark last, so that a script that fails halfway has
/// claimed nothing. A thousand in one command: Lua's stack takes some thousands of values, and a
/// command for each takes several times as long.
const ADVANCE: &str = "\
    if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end \
    for i = 2, #KEYS, 1000 do redis.call('DEL', unpack(KEYS, i, math.min(i + 999, #KEYS))) end \
    redis.call('SET', KEYS[1], ARGV[2]) \
    return 1";

/// A small pool for everything but requests.
#[derive(Clone)]
pub struct ControlPool {
    pool: Pool,
}

/// What the health check asks of Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisHealth {
    /// Redis must never evict a token to make room: `maxmemory-policy` is `noeviction`.
    pub maxmemory_policy: Option<String>,
    /// Whether Redis has used up `maxmemory`: it reads, and refuses to write.
    pub is_full: bool,
    /// How far Redis's wall clock and ours are apart.
    pub clock_skew: Duration,
}

impl ControlPool {
    /// # Errors
    /// When the address makes no sense.
    pub fn new(url: &RedisUrl) -> Result<Self, StoreError> {
        let verified = Hook::async_fn(|conn: &mut redis::aio::MultiplexedConnection, _| {
            Box::pin(async move { verify(conn).await.map(drop).map_err(|error| HookError::message(error.0)) })
        });
        let pool = Pool::builder(manager(url, Some(RESPONSE_TIMEOUT))?)
            .max_size(CONNECTIONS)
            .runtime(deadpool_redis::Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .recycle_timeout(Some(PATIENCE))
            .post_create(verified)
            .build()
            .map_err(StoreError::new)?;
        Ok(Self { pool })
    }

    async fn connection(&self) -> Result<Connection, StoreError> {
        use deadpool_redis::PoolError;
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => StoreError::new(explain(&error)),
            PoolError::PostCreateHook(HookError::Message(why)) => StoreError::new(why),
            PoolError::Timeout(_) => StoreError::new("Redis does not answer in time"),
            other => StoreError::new(other),
        })
    }

    /// Asks Redis how it is.
    ///
    /// # Errors
    /// When it cannot be asked, or is no primary.
    pub async fn health(&self, clock: &dyn Clock) -> Result<RedisHealth, StoreError> {
        let mut conn = self.connection().await?;
        verify(&mut conn).await?;
        let before = clock.unix_millis();
        let mut ask = redis::pipe();
        ask.cmd("TIME").cmd("INFO").arg("memory");
        let ((seconds, micros), info): ((i64, i64), String) =
            ask.query_async(&mut conn).await.map_err(|error| StoreError::new(explain(&error)))?;
        let redis_millis = seconds * 1000 + micros / 1000;
        let (early, late) = (before - redis_millis, redis_millis - clock.unix_millis());
        let skew = u64::try_from(early.max(late).max(0)).unwrap_or(0);
        let field = |name: &str| {
            let mut values = info.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            values.next().map(str::trim)
        };
        let bytes = |name: &str| field(name).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
        let (used, limit) = (bytes("used_memory"), bytes("maxmemory"));
        Ok(RedisHealth {
            maxmemory_policy: field("maxmemory_policy").map(str::to_owned),
            is_full: limit > 0 && used.saturating_sub(bytes("mem_not_counted_for_evict")) >= limit,
            clock_skew: Duration::from_millis(skew),
        })
    }

    /// Puts the witness where `recover` wants it, whatever it was.
    ///
    /// # Errors
    /// When Redis did not confirm.
    pub async fn reset_witness(&self, position: Position) -> Result<(), StoreError> {
        let mut conn = self.connection().await?;
        let mut set = redis::cmd("SET");
        set.arg(keys::WITNESS).arg(&position.to_bytes());
        set.query_async(&mut conn).await.map_err(|error| StoreError::new(explain(&error)))
    }
}

#[async_trait]
impl GrantReader for ControlPool {
    async fn read(&self, id: GrantId) -> Result<Option<EncodedRecord>, StoreError> {
        let mut conn = self.connection().await?;
        let mut get = redis::cmd("GET");
        get.arg(&keys::grant(id));
        let found: Option<Vec<u8>> =
            get.query_async(&mut conn).await.map_err(|error| StoreError::new(explain(&error)))?;
        Ok(found.map(EncodedRecord::from_bytes))
    }

    async fn read_many(&self, ids: &[GrantId]) -> Result<Vec<Option<EncodedRecord>>, StoreError> {
        read_all(&mut self.connection().await?, ids).await
    }

    async fn page(&self, from: Cursor) -> Result<Page, StoreError> {
        let cursor = match from {
            Cursor::Start => 0,
            Cursor::Scan(cursor) => cursor,
            Cursor::After(_) => return Err(StoreError::new("a cursor of another store")),
        };
        let mut conn = self.connection().await?;
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(keys::RECORDS).arg("COUNT").arg(PAGE);
        let (next, found): (u64, Vec<Vec<u8>>) =
            scan.query_async(&mut conn).await.map_err(|error| StoreError::new(explain(&error)))?;
        let ids: Vec<GrantId> = found.iter().filter_map(|key| keys::id_of(key)).collect();
        let found = ids.iter().copied().zip(read_all(&mut conn, &ids).await?);
        let records = found.filter_map(|(id, record)| Some((id, record?))).collect();
        Ok(Page { records, next: (next != 0).then_some(Cursor::Scan(next)) })
    }
}

/// The records of these ids. Each is a command of its own: others' go in between, and each key may
/// be on another primary.
async fn read_all(conn: &mut Connection, ids: &[GrantId]) -> Result<Vec<Option<EncodedRecord>>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut gets = redis::pipe();
    for id in ids {
        gets.cmd("GET").arg(&keys::grant(*id));
    }
    let records: Vec<Option<Vec<u8>>> =
        gets.query_async(conn).await.map_err(|error| StoreError::new(explain(&error)))?;
    Ok(records.into_iter().map(|record| record.map(EncodedRecord::from_bytes)).collect())
}

#[async_trait]
impl Witness for ControlPool {
    async fn read(&self) -> Result<Option<Position>, StoreError> {
        verify(&mut *self.connection().await?).await
    }

    async fn advance(
        &self,
        from: Option<Position>,
        to: Position,
        revoked: &[GrantId],
    ) -> Result<bool, StoreError> {
        let mut conn = self.connection().await?;
        let script = Script::new(ADVANCE);
        let mut invocation = script.key(keys::WITNESS);
        for grant in revoked {
            invocation.key(&keys::grant(*grant));
        }
        invocation.arg(from.map_or(Vec::new(), |from| from.to_bytes().to_vec()));
        invocation.arg(&to.to_bytes());
        let moved: i64 =
            invocation.invoke_async(&mut *conn).await.map_err(|error| StoreError::new(explain(&error)))?;
        Ok(moved == 1)
    }
}
