//! A worker's own connection, and the supervisor that keeps it good.
//!
//! The link is up or down. While it is down requests fail at once instead of waiting for a server
//! that does not answer. Whatever makes the connection doubtful takes the link down, and only a
//! new connection that was verified and admitted brings it up again: a connection that heals by
//! itself might lead to another server, with older data.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, RedisError, ScriptInvocation};
use tokio::sync::Notify;

use super::connector::{Connector, RESPONSE_TIMEOUT, RedisUrl, explain, verify};
use crate::domain::position::{ChangeNumber, Position};
use crate::grants::{Admission, StoreError};

/// The pauses between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How often a connection that is up is verified again.
const VERIFY_EVERY: Duration = Duration::from_secs(1);

enum State {
    /// The connection, and its number among this link's connections: what fails on an earlier one
    /// says nothing about this one.
    Up(MultiplexedConnection, u64),
    Down(StoreError),
}

/// One worker's way to Redis.
pub struct Link {
    state: RwLock<State>,
    doubt: Notify,
    read_timeout: Duration,
}

impl Link {
    /// The link, down, and the supervisor that brings it up; to be spawned on the runtime of the
    /// worker that will use the link, and to end with it.
    pub fn new(
        url: &RedisUrl,
        admission: Arc<dyn Admission>,
        read_timeout: Duration,
    ) -> (Arc<Self>, impl Future<Output = ()> + Send + use<>) {
        let down = State::Down(StoreError::new("not connected to Redis yet"));
        let link = Arc::new(Self { state: RwLock::new(down), doubt: Notify::new(), read_timeout });
        let supervisor = supervise(Arc::clone(&link), Connector::new(url), admission);
        (link, supervisor)
    }

    /// Whether the link is up; else why not.
    ///
    /// # Errors
    /// Why the link is down.
    pub fn check(&self) -> Result<(), StoreError> {
        self.connection().map(drop)
    }

    fn connection(&self) -> Result<(MultiplexedConnection, u64), StoreError> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Up(conn, number) => Ok((conn.clone(), *number)),
            State::Down(why) => Err(why.clone()),
        }
    }

    fn set(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Sends a read, with the short timeout of the hot path.
    pub(super) async fn read<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let (mut conn, number) = self.connection()?;
        self.settle(number, self.read_timeout, command.query_async(&mut conn)).await
    }

    /// Sends a write.
    pub(super) async fn write<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let (mut conn, number) = self.connection()?;
        self.settle(number, RESPONSE_TIMEOUT, command.query_async(&mut conn)).await
    }

    /// Runs a script.
    pub(super) async fn invoke<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        let (mut conn, number) = self.connection()?;
        self.settle(number, RESPONSE_TIMEOUT, script.invoke_async(&mut conn)).await
    }

    async fn settle<T>(
        &self,
        number: u64,
        limit: Duration,
        answer: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(limit, answer).await {
            // Answers come in the order of their requests: once one of them was wrong, the next may
            // be meant for somebody else.
            Ok(Ok(value)) => self.trust(number).map(|()| value),
            Ok(Err(error)) => {
                let why = StoreError::new(explain(&error));
                // Out of memory, a disk that fails, too few replicas: reads are still good on this connection.
                if !matches!(error.code(), Some("OOM" | "MISCONF" | "NOREPLICAS")) {
                    self.take_down(number, why.clone());
                }
                Err(why)
            }
            Err(_) => {
                let why = StoreError::new("Redis does not answer in time");
                self.take_down(number, why.clone());
                Err(why)
            }
        }
    }

    /// Whether the connection with this number is still the one that is up.
    fn trust(&self, number: u64) -> Result<(), StoreError> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Up(_, current) if *current == number => Ok(()),
            State::Up(..) => Err(StoreError::new("the connection failed before its answer was looked at")),
            State::Down(why) => Err(why.clone()),
        }
    }

    fn take_down(&self, failed: u64, why: StoreError) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(&*state, State::Up(_, number) if *number == failed) {
            *state = State::Down(why);
            self.doubt.notify_one();
        }
    }

    /// Resolves when the connection with this number is up no more.
    async fn doubted(&self, watched: u64) {
        while self.connection().is_ok_and(|(_, number)| number == watched) {
            self.doubt.notified().await;
        }
    }
}

struct DownOnDrop(Arc<Link>);

impl Drop for DownOnDrop {
    fn drop(&mut self) {
        self.0.set(State::Down(StoreError::new("nobody watches this connection any more")));
    }
}

async fn supervise(link: Arc<Link>, connector: Result<Connector, StoreError>, admission: Arc<dyn Admission>) {
    let connector = match connector {
        Ok(connector) => connector,
        Err(why) => return link.set(State::Down(why)),
    };
    // Without its supervisor a link must not stay up: nobody would notice what it leads to.
    let _down = DownOnDrop(Arc::clone(&link));
    let mut pause = FIRST_PAUSE;
    for number in 0.. {
        let connected = connect(&connector, admission.as_ref()).await;
        match connected {
            Ok((conn, witness)) => {
                let verified = AtomicBool::new(false);
                link.set(State::Up(conn.clone(), number));
                let why = tokio::select! {
                    () = link.doubted(number) => StoreError::new("a request failed on it"),
                    why = watch(conn, witness, admission.as_ref(), &verified) => {
                        link.set(State::Down(why.clone()));
                        why
                    }
                    never = keep_a_timer_due(link.read_timeout) => match never {},
                };
                log::warn!("a worker's connection to Redis is given up: {}", why.0);
                if !verified.into_inner() {
                    // What fails at once, again and again, must not become a storm of connections.
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
                pause = FIRST_PAUSE;
            }
            Err(why) => {
                log::debug!("no connection to Redis: {}", why.0);
                link.set(State::Down(why));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

async fn connect(
    connector: &Connector,
    admission: &dyn Admission,
) -> Result<(MultiplexedConnection, Option<Position>), StoreError> {
    let (conn, witness) = connector.connect().await?;
    admission.admit(witness).await.map_err(StoreError)?;
    Ok((conn, witness))
}

/// Keeps a timer pending that is due before any read's. Tokio interrupts its driver, by a system
/// call, for each timer that is due before all it knows of; with this one pending, no read's is.
async fn keep_a_timer_due(read_timeout: Duration) -> Infallible {
    loop {
        tokio::time::sleep(read_timeout / 2).await;
    }
}

/// Verifies the connection every second, until it is doubtful; returns why.
async fn watch(
    mut conn: MultiplexedConnection,
    mut witness: Option<Position>,
    admission: &dyn Admission,
    verified: &AtomicBool,
) -> StoreError {
    loop {
        tokio::time::sleep(VERIFY_EVERY).await;
        let found = match verify(&mut conn).await {
            Ok(found) => found,
            Err(why) => return why,
        };
        verified.store(true, Ordering::Relaxed);
        // The data may be replaced under an open connection: a replica's, by those of its primary.
        let number = found.map_or(ChangeNumber::ZERO, |found| found.number);
        if number < admission.memory_floor() {
            return StoreError::new("its data is older than what this replica remembers");
        }
        // Back, but not behind the memory: nothing that is served is wrong while this is judged.
        if went_back(witness, found)
            && let Err(why) = admission.admit(found).await
        {
            return StoreError(why);
        }
        witness = found;
    }
}

/// Others only ever move a witness forward.
fn went_back(before: Option<Position>, now: Option<Position>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => before.feed != now.feed || now.number < before.number,
        (Some(_), None) => true,
        (None, _) => false,
    }
}
