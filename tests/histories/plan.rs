//! What a seed makes of a run: the steps of every thread, and the faults. How they interleave in real time no seed
//! decides, so a run can be repeated but not replayed; its record can be judged again and again.

use std::time::Duration;

use crate::dice::Dice;
use crate::history::{FaultKind, Path, Replica, Setup};

/// What a thread does next. Everything it chooses by was rolled before, so that what it finds does not shift what
/// comes after.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub deed: Deed,
    /// Which token or client, of those that there are.
    pub which: u64,
    pub replica: Replica,
    /// For whatever else is to be chosen.
    pub how: u64,
    pub pause: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Mint,
    MintForLess,
    MintWithRetiredSecret,
    Authorize,
    Refresh,
    IntrospectDisputed,
    IntrospectEdited,
    IntrospectRecent,
    IntrospectAny,
    RevokeAsOwner,
    RevokeAsResourceServer,
    RevokeAsStranger,
    RevokeByCommandLine,
    RevokeList,
    Administer,
    KillUser,
    KillLoginSession,
    KillEverybody,
    Edit,
}

/// Per thousand. Commands are processes of their own, a hundred times the work of a request.
const WEIGHTS: &[(Deed, usize)] = &[
    (Deed::Mint, 150),
    (Deed::MintForLess, 60),
    (Deed::MintWithRetiredSecret, 10),
    (Deed::Authorize, 30),
    (Deed::Refresh, 100),
    (Deed::IntrospectDisputed, 200),
    (Deed::IntrospectEdited, 100),
    (Deed::IntrospectRecent, 160),
    (Deed::IntrospectAny, 92),
    (Deed::RevokeAsOwner, 35),
    (Deed::RevokeAsResourceServer, 35),
    (Deed::RevokeAsStranger, 8),
    (Deed::RevokeByCommandLine, 1),
    (Deed::RevokeList, 2),
    (Deed::Administer, 6),
    (Deed::KillUser, 2),
    (Deed::KillLoginSession, 1),
    (Deed::KillEverybody, 1),
    (Deed::Edit, 7),
];

impl Step {
    pub fn roll(dice: &mut Dice, replicas: Replica) -> Self {
        let mut left = dice.below(1000);
        let deed = WEIGHTS.iter().find(|(_, weight)| {
            let hit = left < *weight;
            left = left.saturating_sub(*weight);
            hit
        });
        Self {
            deed: deed.expect("the weights add up to a thousand").0,
            which: dice.roll(),
            replica: any_replica(dice, replicas),
            how: dice.roll(),
            pause: Duration::from_micros(dice.roll() % 3000),
        }
    }
}

fn any_replica(dice: &mut Dice, replicas: Replica) -> Replica {
    Replica::try_from(dice.below(usize::from(replicas))).expect("few replicas")
}

/// One fault, or two at once.
#[derive(Clone, Debug)]
pub struct Blow {
    pub calm: Duration,
    pub faults: Vec<Planned>,
    /// How long it stays broken.
    pub hold: Duration,
}

/// A fault whose dump is yet to be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planned {
    Now(FaultKind),
    Dump,
    /// To one of the last dumps.
    Restore(u64),
    DemoteTo(u64),
}

/// Faults without end: all kinds, in an order that differs, then all again in another.
pub struct Faults {
    dice: Dice,
    replicas: Replica,
    lease: Duration,
    deck: Vec<Blow>,
    /// How often everything has had its turn.
    pub rounds: usize,
}

impl Faults {
    pub fn of(setup: &Setup) -> Self {
        let dice = Dice::new(setup.seed, u64::MAX);
        let lease = Duration::from_millis(setup.lease_millis);
        let mut faults = Self { dice, replicas: setup.replicas, lease, deck: Vec::new(), rounds: 0 };
        faults.deck = faults.shuffled();
        faults
    }

    pub fn next(&mut self) -> Blow {
        loop {
            if let Some(blow) = self.deck.pop() {
                self.rounds += usize::from(self.deck.is_empty());
                return blow;
            }
            self.deck = self.shuffled();
        }
    }

    /// Whether everything has had its turn equally often.
    pub const fn is_round(&self) -> bool {
        self.deck.is_empty()
    }

    /// Every kind of fault; `true` holds it for longer than a lease.
    fn shuffled(&mut self) -> Vec<Blow> {
        use Planned::Now;
        let deck = [
            (vec![Now(FaultKind::KillReplica(self.replica()))], false),
            (vec![Now(FaultKind::FreezeReplica(self.replica()))], false),
            (vec![Now(FaultKind::FreezeReplica(self.replica()))], true),
            (vec![Now(FaultKind::RollingRestart)], false),
            (vec![Now(FaultKind::KillEverything)], false),
            (vec![Now(FaultKind::KillRedis)], false),
            (vec![Now(FaultKind::FreezeRedis)], false),
            (vec![Now(FaultKind::FlushRedis)], false),
            (vec![Planned::Dump], false),
            (vec![Planned::Dump], false),
            (vec![Planned::Restore(self.dice.roll())], false),
            (vec![Now(FaultKind::DemoteRedis)], true),
            (vec![Planned::DemoteTo(self.dice.roll())], false),
            (vec![Now(FaultKind::FillRedis)], false),
            (vec![Now(FaultKind::ReplaceRedisPassword)], true),
            (vec![Now(FaultKind::KillPostgres)], false),
            (vec![Now(FaultKind::StopPostgres)], true),
            (vec![Now(FaultKind::FreezePostgres)], false),
            (vec![Now(FaultKind::FreezePostgres)], true),
            (vec![Now(FaultKind::RedisPath(self.replica(), self.path()))], true),
            (vec![Now(FaultKind::SqlPath(self.replica(), self.path()))], false),
            (vec![Now(FaultKind::SqlPath(self.replica(), self.path()))], true),
            // Two at once. In the second, Redis goes back under a replica that does not hear what was revoked since.
            (vec![Now(FaultKind::FreezePostgres), Now(FaultKind::KillRedis)], false),
            (vec![Now(self.deaf()), Planned::Restore(self.dice.roll())], true),
            (vec![Now(self.deaf()), Now(FaultKind::KillReplica(self.replica()))], true),
        ];
        let mut deck: Vec<Blow> = deck.into_iter().map(|(faults, long)| self.blow(faults, long)).collect();
        self.dice.shuffle(&mut deck);
        deck
    }

    fn deaf(&mut self) -> FaultKind {
        FaultKind::SqlPath(self.replica(), Path::Stalled)
    }

    fn path(&mut self) -> Path {
        self.dice.pick(&[Path::Stalled, Path::Reset, Path::Refused])
    }

    fn replica(&mut self) -> Replica {
        any_replica(&mut self.dice, self.replicas)
    }

    fn blow(&mut self, faults: Vec<Planned>, long: bool) -> Blow {
        let hold = match long {
            // A change that is asked for when it begins is acknowledged after a lease, and looked at after that.
            true => self.lease.mul_f64(1.5) + Duration::from_millis(self.dice.roll() % 500),
            false => Duration::from_millis(100 + self.dice.roll() % 700),
        };
        Blow { calm: Duration::from_millis(200 + self.dice.roll() % 600), faults, hold }
    }
}

#[test]
fn the_same_seed_makes_the_same_plan() {
    let steps = |seed| {
        let mut dice = Dice::new(seed, 3);
        (0..1000).map(|_| format!("{:?}", Step::roll(&mut dice, 3))).collect::<Vec<_>>()
    };
    assert_eq!(steps(7), steps(7));
    assert_ne!(steps(7), steps(8));
    let faults = |seed| {
        let setup = Setup { seed, operations: 0, replicas: 3, lease_millis: 2000, redis_is_durable: true };
        let mut faults = Faults::of(&setup);
        (0..100).map(|_| format!("{:?}", faults.next())).collect::<Vec<_>>()
    };
    assert_eq!(faults(7), faults(7));
    assert_ne!(faults(7), faults(8));
}

#[test]
fn the_weights_add_up() {
    assert_eq!(WEIGHTS.iter().map(|(_, weight)| weight).sum::<usize>(), 1000);
}
