//! What happened in a run: who asked what, when that began and ended, and what was answered.
//!
//! All moments are microseconds of the test process's own monotonic clock since the run began. An operation that
//! ended before another began came before it; two that overlap may have happened in either order.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path as FilePath;

use serde::{Deserialize, Serialize};

/// A moment, in microseconds.
pub type Moment = u64;
/// The number of a token in its history. The token itself is in no history: only its grant id, which is safe to show.
pub type TokenNumber = u32;
/// The number of a client in its history.
pub type ClientNumber = u16;
/// A client's secrets are numbered in the order in which they were asked for.
pub type SecretNumber = u32;
pub type UserNumber = u8;
/// The number of a login session in its history.
pub type SessionNumber = u32;
/// The refresh tokens of a grant are numbered in the order in which they were first handed out.
pub type RefreshNumber = u32;
pub type Replica = u8;

/// The scope tokens that the resource server owns.
const WORDS: [&str; 3] = ["notes:read", "notes:write", "notes:share"];

/// A set of [`WORDS`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scope(u8);

impl Scope {
    pub const ALL: Self = Self(0b111);

    /// One of the seven that are not empty.
    pub const fn any(roll: u64) -> Self {
        Self((roll % 7) as u8 + 1)
    }

    /// `None` for a word that nobody knows.
    pub fn parse(text: &str) -> Option<Self> {
        let bit = |word| WORDS.iter().position(|known| *known == word).map(|index| 1 << index);
        text.split_whitespace().try_fold(Self(0), |scope, word| Some(Self(scope.0 | bit(word)?)))
    }

    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = WORDS.iter().enumerate().filter(|(index, _)| self.0 & (1 << index) != 0);
        f.write_str(&words.map(|(_, word)| *word).collect::<Vec<_>>().join(" "))
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// How the installation was set up; what a history means depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    pub seed: u64,
    pub operations: usize,
    pub replicas: Replica,
    pub lease_millis: u64,
    /// Whether Redis makes every write durable before it answers; else a kill may lose the last moments.
    pub redis_is_durable: bool,
}

/// Who revokes a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum By {
    /// The client whose token it is, with one of its secrets.
    Owner(SecretNumber),
    ResourceServer,
    /// `symbolon token revoke`
    CommandLine,
    /// Another client, which must not be able to.
    Stranger(ClientNumber, SecretNumber),
}

/// What the command line does to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// With a lifetime of its tokens in seconds, if not the server's.
    Create {
        scope: Scope,
        secret: SecretNumber,
        lifetime: Option<u32>,
    },
    /// `symbolon revoke --client`
    Kill,
    Scope(Scope),
    Disable,
    Enable,
    Rotate(SecretNumber),
    Delete,
}

impl Change {
    /// Whether every token issued before is dead after it.
    pub const fn kills(self) -> bool {
        matches!(self, Self::Kill | Self::Disable | Self::Delete)
    }
}

/// All that the command line kills at once, besides a client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KillSet {
    /// `symbolon revoke --user`
    User(UserNumber),
    /// `symbolon token revoke sys_…`: a login session, and all that was given in it.
    LoginSession(SessionNumber),
    /// `symbolon revoke --everything`
    Everybody,
}

/// What the command line does to a live grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edit {
    Freeze,
    Thaw,
    Narrow(Scope),
    /// To end so many seconds later.
    Shorten(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asked {
    Mint {
        client: ClientNumber,
        secret: SecretNumber,
        scope: Option<Scope>,
        replica: Replica,
    },
    /// From the authorization request, by way of login and consent, to the redemption of the code on another replica.
    Authorize {
        user: UserNumber,
        client: ClientNumber,
        /// In which it ended, if there was one.
        session: Option<SessionNumber>,
        replica: Replica,
        redeemed_at: Replica,
    },
    Refresh {
        /// The first token of the grant.
        grant: TokenNumber,
        presented: RefreshNumber,
        replica: Replica,
    },
    Introspect {
        token: TokenNumber,
        replica: Replica,
    },
    /// `replica` means nothing for the command line. A list of tokens that was revoked by one command is one of these
    /// for each of them, all at the same time.
    Revoke {
        token: TokenNumber,
        by: By,
        replica: Replica,
    },
    Administer {
        client: ClientNumber,
        change: Change,
    },
    Kill(KillSet),
    /// Of the whole grant that the token belongs to.
    Edit {
        token: TokenNumber,
        edit: Edit,
    },
}

impl Asked {
    /// Which servers were asked; none by the command line.
    pub fn replicas(&self) -> impl Iterator<Item = Replica> {
        let (one, other) = match *self {
            Self::Revoke { by: By::CommandLine, .. }
            | Self::Administer { .. }
            | Self::Kill(_)
            | Self::Edit { .. } => (None, None),
            Self::Mint { replica, .. }
            | Self::Refresh { replica, .. }
            | Self::Introspect { replica, .. }
            | Self::Revoke { replica, .. } => (Some(replica), None),
            Self::Authorize { replica, redeemed_at, .. } => (Some(replica), Some(redeemed_at)),
        };
        one.into_iter().chain(other)
    }

    /// Whether a server was asked, and not the command line.
    pub fn is_request(&self) -> bool {
        self.replicas().next().is_some()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Minted {
        token: TokenNumber,
        grant: String,
        scope: Scope,
        expires_in: u32,
    },
    /// What a refresh gives: the next refresh token, and an access token that may have been given before.
    Refreshed {
        token: TokenNumber,
        grant: String,
        scope: Scope,
        refresh: RefreshNumber,
    },
    Active(Scope),
    Inactive,
    /// A revocation's 200, a command's exit status 0: acknowledged.
    Done,
    /// 400 or 401, with the `error` member; 429 is a 401 too many.
    Refused {
        status: u16,
        error: String,
    },
    /// 503; whether it said when to try again.
    Unavailable {
        retry_after: bool,
    },
    /// Nobody listened, the connection was cut, or it took longer than any answer may take.
    Nothing(String),
    /// A command that found that what it was to do would do nothing, and did not do it.
    Objected(String),
    /// A command that failed: what it asked for may or may not have been done.
    Failed(String),
    /// What no server may answer.
    Absurd {
        status: u16,
        body: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub begin: Moment,
    pub end: Moment,
    pub thread: u16,
    pub asked: Asked,
    pub answer: Answer,
}

/// How a network path fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Path {
    Stalled,
    Reset,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FaultKind {
    KillReplica(Replica),
    FreezeReplica(Replica),
    /// SIGTERM and a start, one replica after the other.
    RollingRestart,
    /// SIGKILL for the stores and every replica.
    KillEverything,
    KillRedis,
    FreezeRedis,
    FlushRedis,
    /// No fault, but what the next two go back to; Redis stands still for it.
    DumpRedis(u32),
    RestoreRedis(u32),
    /// Made a replica of nobody, and a primary again.
    DemoteRedis,
    /// Made a replica of a server that runs from an old dump, under open connections, and a primary again.
    DemoteRedisTo(u32),
    /// No memory left for a write.
    FillRedis,
    /// Another password, and all connections cut; later the old one again.
    ReplaceRedisPassword,
    KillPostgres,
    StopPostgres,
    FreezePostgres,
    /// One replica's path.
    RedisPath(Replica, Path),
    SqlPath(Replica, Path),
}

impl FaultKind {
    /// Its name without what it was done to.
    pub fn name(self) -> String {
        let text = format!("{self:?}");
        text.split('(').next().unwrap_or_default().to_owned()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub kind: FaultKind,
    pub begin: Moment,
    /// When all that it broke was mended or started again.
    pub end: Moment,
    /// When every replica was ready again, by itself; `None` if that was waited for in vain.
    pub healed: Option<Moment>,
}

/// A whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    pub setup: Setup,
    /// In the order of their ends.
    pub events: Vec<Event>,
    pub faults: Vec<Fault>,
    /// When the last look at every token on every replica began.
    pub sweep: Option<Moment>,
}

/// A line of the file that a history is kept in.
#[derive(Serialize, Deserialize)]
enum Line {
    Setup(Setup),
    Event(Event),
    Fault(Fault),
    Sweep(Moment),
}

impl History {
    pub fn write_to(&self, path: &FilePath) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        let mut write = |line: &Line| {
            serde_json::to_writer(&mut file, line)?;
            file.write_all(b"\n")
        };
        write(&Line::Setup(self.setup.clone()))?;
        self.faults.iter().try_for_each(|fault| write(&Line::Fault(*fault)))?;
        self.sweep.iter().try_for_each(|sweep| write(&Line::Sweep(*sweep)))?;
        self.events.iter().try_for_each(|event| write(&Line::Event(event.clone())))?;
        file.flush()
    }

    pub fn read_from(path: &FilePath) -> io::Result<Self> {
        let (mut setup, mut events, mut faults, mut sweep) = (None, Vec::new(), Vec::new(), None);
        for line in BufReader::new(File::open(path)?).lines() {
            match serde_json::from_str(&line?)? {
                Line::Setup(found) => setup = Some(found),
                Line::Event(event) => events.push(event),
                Line::Fault(fault) => faults.push(fault),
                Line::Sweep(begin) => sweep = Some(begin),
            }
        }
        let setup = setup.ok_or_else(|| io::Error::other("the file says nothing of the set-up"))?;
        Ok(Self { setup, events, faults, sweep })
    }
}
