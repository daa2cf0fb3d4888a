//! Breaks things and mends them.

use std::thread;
use std::time::{Duration, Instant};

use crate::dice::index;
use crate::history::{Fault, FaultKind, Moment, Path, Replica};
use crate::plan::{Blow, Faults, Planned};
use crate::support::ports;
use crate::support::proxy::Proxy;
use crate::support::redis::{RedisDump, RedisServer};
use crate::support::resp::RespClient;
use crate::support::symbolon::Server;
use crate::support::wait;
use crate::world::{Mark, World};

/// "By itself, and soon", on a machine that is busy.
const HEALING: Duration = Duration::from_secs(30);
/// Before the first fault: some tokens are minted and revoked in peace.
const CALM: Duration = Duration::from_secs(2);
/// How many dumps are kept to go back to.
const DUMPS: usize = 3;
/// What Redis itself may take for anything.
const SOON: Duration = Duration::from_secs(20);

/// What Redis had, and how far things had come by then.
struct Dump {
    number: u32,
    content: RedisDump,
    mark: Mark,
}

/// Whoever breaks things, with what is needed to mend them.
pub struct Breaker<'w> {
    world: &'w World,
    dumps: Vec<Dump>,
    taken: u32,
    /// A connection that stays good when the password is replaced.
    insider: Option<RespClient>,
}

impl<'w> Breaker<'w> {
    pub const fn new(world: &'w World) -> Self {
        Self { world, dumps: Vec::new(), taken: 0, insider: None }
    }

    /// One fault after the other, until enough was done and each kind had its turn.
    pub fn rage(&mut self, operations: usize) {
        let mut plan = Faults::of(&self.world.setup);
        thread::sleep(CALM);
        while !self.world.is_over() && (self.world.operations() < operations || plan.rounds == 0) {
            let blow = plan.next();
            thread::sleep(blow.calm);
            if !self.strike(&blow) {
                break;
            }
            if plan.is_round() {
                println!("round {}: {} operations", plan.rounds, self.world.operations());
            }
        }
    }

    /// One blow, until all is well again; whether it is.
    fn strike(&mut self, blow: &Blow) -> bool {
        let mut kinds = Vec::new();
        for planned in &blow.faults {
            let kind = self.decide(*planned);
            kinds.push((kind, self.world.now()));
            self.break_it(kind);
        }
        // What is over at once needs no holding.
        if kinds.iter().any(|(kind, _)| lasts(*kind)) {
            thread::sleep(blow.hold);
        }
        let mended: Vec<(FaultKind, Moment, Moment)> = kinds
            .into_iter()
            .map(|(kind, begin)| {
                let over = self.world.now();
                let end = if self.mend(kind) { self.world.now() } else { over };
                (kind, begin, end)
            })
            .collect();
        let healed = self.healed();
        let faults =
            mended.iter().map(|(kind, begin, end)| Fault { kind: *kind, begin: *begin, end: *end, healed });
        self.world.record_faults(faults);
        healed.is_some()
    }

    fn decide(&mut self, planned: Planned) -> FaultKind {
        match planned {
            Planned::Now(kind) => kind,
            Planned::Dump => FaultKind::DumpRedis(self.taken),
            Planned::Restore(roll) => FaultKind::RestoreRedis(self.some_dump(roll)),
            Planned::DemoteTo(roll) => FaultKind::DemoteRedisTo(self.some_dump(roll)),
        }
    }

    fn some_dump(&mut self, roll: u64) -> u32 {
        if self.dumps.is_empty() {
            let begin = self.world.now();
            let kind = FaultKind::DumpRedis(self.taken);
            self.break_it(kind);
            let end = self.world.now();
            self.world.record_faults([Fault { kind, begin, end, healed: Some(end) }]);
            // What happens now is not in it.
            thread::sleep(Duration::from_millis(500));
        }
        self.dumps[index(roll, self.dumps.len())].number
    }

    /// A dump that is about to be gone back to: what was revoked since is what it could bring back.
    fn dump(&self, number: u32) -> &RedisDump {
        let dump = self.dumps.iter().find(|dump| dump.number == number).expect("a dump that was kept");
        self.world.dispute_revoked_since(dump.mark);
        &dump.content
    }

    fn break_it(&mut self, kind: FaultKind) {
        let (redis, postgres) = (self.world.deployment.redis(), self.world.deployment.postgres());
        match kind {
            FaultKind::KillReplica(replica) => self.replica(replica).kill(),
            FaultKind::FreezeReplica(replica) => self.replica(replica).freeze(),
            FaultKind::RollingRestart => self.replicas().for_each(Server::restart),
            FaultKind::KillEverything => {
                self.replicas().for_each(Server::kill);
                redis.kill();
                postgres.kill();
            }
            FaultKind::KillRedis => redis.kill(),
            FaultKind::FreezeRedis => redis.freeze(),
            FaultKind::FlushRedis => command(redis, &["FLUSHALL"]),
            FaultKind::DumpRedis(number) => {
                let mark = self.world.mark();
                self.dumps.push(Dump { number, content: redis.dump(), mark });
                self.taken = number + 1;
                if self.dumps.len() > DUMPS {
                    self.dumps.remove(0);
                }
            }
            FaultKind::RestoreRedis(number) => redis.restore(self.dump(number)),
            FaultKind::DemoteRedis => {
                command(redis, &["REPLICAOF", "127.0.0.1", &ports::free_port().to_string()]);
            }
            FaultKind::DemoteRedisTo(number) => demote(redis, self.dump(number)),
            FaultKind::FillRedis => command(redis, &["CONFIG", "SET", "maxmemory", "1"]),
            FaultKind::ReplaceRedisPassword => self.replace_password(),
            FaultKind::KillPostgres => postgres.kill(),
            FaultKind::StopPostgres => postgres.stop(),
            FaultKind::FreezePostgres => postgres.freeze(),
            FaultKind::RedisPath(replica, path) => {
                fail(self.world.deployment.redis_path(usize::from(replica)), path);
            }
            FaultKind::SqlPath(replica, path) => {
                fail(self.world.deployment.sql_path(usize::from(replica)), path);
            }
        }
    }

    /// Whether there was anything to mend.
    fn mend(&mut self, kind: FaultKind) -> bool {
        let (redis, postgres) = (self.world.deployment.redis(), self.world.deployment.postgres());
        match kind {
            FaultKind::KillReplica(replica) => self.replica(replica).restart(),
            FaultKind::FreezeReplica(replica) => self.replica(replica).thaw(),
            FaultKind::KillEverything => {
                redis.restart();
                postgres.restart();
                self.replicas().for_each(Server::restart);
            }
            FaultKind::KillRedis => redis.restart(),
            FaultKind::FreezeRedis => redis.thaw(),
            FaultKind::DemoteRedis => command(redis, &["REPLICAOF", "NO", "ONE"]),
            FaultKind::FillRedis => command(redis, &["CONFIG", "SET", "maxmemory", "0"]),
            FaultKind::ReplaceRedisPassword => {
                let mut insider = self.insider.take().expect("it was connected before");
                let reply = insider.command(&["CONFIG", "SET", "requirepass", ""]).expect("Redis answers");
                assert!(!reply.is_error(), "{reply:?}");
            }
            FaultKind::KillPostgres | FaultKind::StopPostgres => postgres.restart(),
            FaultKind::FreezePostgres => postgres.thaw(),
            FaultKind::RedisPath(replica, _) => {
                self.world.deployment.redis_path(usize::from(replica)).pass();
            }
            FaultKind::SqlPath(replica, _) => self.world.deployment.sql_path(usize::from(replica)).pass(),
            FaultKind::RollingRestart
            | FaultKind::FlushRedis
            | FaultKind::DumpRedis(_)
            | FaultKind::RestoreRedis(_)
            | FaultKind::DemoteRedisTo(_) => return false,
        }
        true
    }

    fn replace_password(&mut self) {
        let mut insider = self.world.deployment.redis().client().expect("Redis can be reached");
        for arguments in
            [&["CONFIG", "SET", "requirepass", "another"][..], &["CLIENT", "KILL", "TYPE", "normal"]]
        {
            let reply = insider.command(arguments).expect("Redis answers");
            assert!(!reply.is_error(), "{reply:?}");
        }
        self.insider = Some(insider);
    }

    fn replica(&self, replica: Replica) -> &'w Server {
        self.world.deployment.replica(usize::from(replica))
    }

    fn replicas(&self) -> impl Iterator<Item = &'w Server> {
        self.world.deployment.replicas()
    }

    /// When every replica was ready, if that was soon enough.
    fn healed(&self) -> Option<Moment> {
        let began = Instant::now();
        let ready = |server: &Server| {
            wait::try_until(HEALING.saturating_sub(began.elapsed()), || server.is_ready().then_some(()))
        };
        self.replicas().all(|server| ready(server).is_some()).then(|| self.world.now())
    }
}

fn fail(proxy: &Proxy, path: Path) {
    match path {
        Path::Stalled => proxy.stall(),
        Path::Reset => proxy.reset(),
        Path::Refused => proxy.refuse(),
    }
}

const fn lasts(kind: FaultKind) -> bool {
    !matches!(
        kind,
        FaultKind::RollingRestart
            | FaultKind::FlushRedis
            | FaultKind::DumpRedis(_)
            | FaultKind::RestoreRedis(_)
            | FaultKind::DemoteRedisTo(_)
    )
}

fn command(redis: &RedisServer, arguments: &[&str]) {
    let reply = redis.command(arguments);
    assert!(!reply.is_error(), "{arguments:?}: {reply:?}");
}

/// Under open connections the data become those of an older copy; then Redis is a primary again, and keeps them.
fn demote(redis: &RedisServer, dump: &RedisDump) {
    let older = RedisServer::start();
    older.restore(dump);
    command(redis, &["REPLICAOF", "127.0.0.1", &older.port().to_string()]);
    let info = |section: &str| redis.command(&["INFO", section]).text();
    wait::until_true("the older data have arrived", SOON, || {
        info("replication").contains("master_link_status:up")
    });
    command(redis, &["REPLICAOF", "NO", "ONE"]);
    // Until then a kill would bring the former data back.
    wait::until_true("the append-only file is that of the older data", SOON, || {
        let info = info("persistence");
        info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
    });
}
