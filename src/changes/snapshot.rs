//! What a replica knows, as one immutable value: a request judges by exactly one of them.

use std::fmt;

use super::change::{Change, KillScope, RecordedChange};
use super::revoked::RevokedGrants;
use crate::domain::clock::{BootTime, Timestamp};
use crate::domain::identifier::{ClientId, GrantId};
use crate::domain::position::{ChangeNumber, Position};
use crate::domain::token_key::{KeyFingerprint, TokenKeys};

/// The newest kill of each set of grants.
#[derive(Clone, Debug, Default)]
pub struct Kills {
    everything: ChangeNumber,
    clients: imbl::HashMap<ClientId, ChangeNumber>,
}

impl Kills {
    /// Records a kill. Numbers never decrease: the strictest stands.
    pub fn raise(&mut self, scope: &KillScope, number: ChangeNumber) {
        let slot = match scope {
            KillScope::Everything => &mut self.everything,
            KillScope::Client(id) => self.clients.entry(id.clone()).or_default(),
        };
        *slot = number.max(*slot);
    }

    /// The number that a grant of this client must have been born at, or after, to live.
    fn strictest(&self, client: &ClientId) -> ChangeNumber {
        self.clients.get(client).copied().unwrap_or_default().max(self.everything)
    }
}

/// One state of a replica: everything it knows at a position of the feed, and until when it may
/// act on that. `V` is what others derive from the feed and keep exact by it: the directory.
#[derive(Clone, Debug)]
pub struct Snapshot<V> {
    pub position: Position,
    /// The end of the lease under which this state may be acted on.
    pub deadline: BootTime,
    /// Every revocation above this number is in memory; of those below, the witness has long
    /// passed the deletion of the records.
    pub memory_floor: ChangeNumber,
    /// The last change that `recover` wrote.
    pub recovered: ChangeNumber,
    pub revoked: RevokedGrants,
    pub kills: Kills,
    pub view: V,
}

/// A change that this version, or this configuration, cannot apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CannotApply {
    /// The kind came with a newer version.
    UnknownKind { number: ChangeNumber, kind: String },
    /// Tokens may live under a key that this replica does not hold.
    MissingTokenKey(KeyFingerprint),
}

impl fmt::Display for CannotApply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKind { number, kind } => write!(
                f,
                "change {number} is of the kind {kind:?}, which this version does not know; run a \
                 newer version"
            ),
            Self::MissingTokenKey(fingerprint) => write!(
                f,
                "live tokens may exist under the token key with fingerprint {fingerprint}, which \
                 this replica lacks; add that key to SYMBOLON_TOKEN_KEY"
            ),
        }
    }
}

impl std::error::Error for CannotApply {}

impl<V> Snapshot<V> {
    /// Whether the feed says that a grant lives: it is not revoked, and it was born at or after
    /// the newest kill of every set it belongs to.
    pub fn is_live(&self, grant: &GrantId, client: &ClientId, born: ChangeNumber) -> bool {
        born >= self.kills.strictest(client) && !self.revoked.contains(grant)
    }

    /// The state after `rows`, which follow this position without a hole; `view` is the view
    /// after them. The lease stays what it was.
    ///
    /// # Errors
    /// When one of them cannot be applied.
    pub fn apply(&self, rows: &[RecordedChange], view: V, keys: &TokenKeys) -> Result<Self, CannotApply> {
        let mut revoked = self.revoked.clone();
        let mut kills = self.kills.clone();
        let (mut position, mut recovered) = (self.position, self.recovered);
        for row in rows {
            if let Some(scope) = row.entry.change.killed() {
                kills.raise(scope, row.number);
            }
            match &row.entry.change {
                Change::GrantRevoked { grant, ends_at } => {
                    // A recorded revocation always has its end; without one it is kept for ever.
                    let forever = Timestamp::from_unix_seconds(i64::MAX);
                    revoked.insert(*grant, ends_at.unwrap_or(forever), row.number);
                }
                Change::TokenKeyAdded(fingerprint) if !keys.holds(fingerprint) => {
                    return Err(CannotApply::MissingTokenKey(fingerprint.clone()));
                }
                Change::Recovered => recovered = row.number,
                Change::Killed(_)
                | Change::ClientChanged(_)
                | Change::ResourceServerChanged(_)
                | Change::TokenKeyAdded(_) => {}
            }
            position = Position { number: row.number, hash: row.hash, ..position };
        }
        let (deadline, memory_floor) = (self.deadline, self.memory_floor);
        Ok(Self { position, deadline, memory_floor, recovered, revoked, kills, view })
    }
}

#[cfg(test)]
mod tests {
    use super::super::change::{Actor, Entry};
    use super::*;

    fn start() -> Snapshot<()> {
        Snapshot {
            position: Position::default(),
            deadline: BootTime::default(),
            memory_floor: ChangeNumber::ZERO,
            recovered: ChangeNumber::ZERO,
            revoked: RevokedGrants::default(),
            kills: Kills::default(),
            view: (),
        }
    }

    fn keys(seed: u8) -> TokenKeys {
        TokenKeys::from_secrets([[seed; 32].to_vec()]).unwrap()
    }

    fn after(snapshot: &Snapshot<()>, change: Change) -> Result<Snapshot<()>, CannotApply> {
        let entry = Entry { change, actor: Actor::command_line(), reason: None };
        let number = snapshot.position.number.next();
        let at = Timestamp::from_unix_seconds(1);
        let row = RecordedChange::chain(&snapshot.position.hash, number, entry, at);
        snapshot.apply(&[row], (), &keys(1))
    }

    #[test]
    fn a_kill_spares_what_was_born_at_or_after_it() {
        let (app, other) = (ClientId::parse("app").unwrap(), ClientId::parse("other").unwrap());
        let grant = GrantId::from_bytes([1; 12]);
        let before = start();
        let killed = after(&before, Change::Killed(KillScope::Client(app.clone()))).unwrap();
        assert!(before.is_live(&grant, &app, before.position.number));
        assert!(!killed.is_live(&grant, &app, before.position.number));
        assert!(killed.is_live(&grant, &app, killed.position.number));
        assert!(killed.is_live(&grant, &other, before.position.number));
        let all = after(&killed, Change::Killed(KillScope::Everything)).unwrap();
        assert!(!all.is_live(&grant, &other, killed.position.number));
        assert!(all.is_live(&grant, &app, all.position.number));
    }

    #[test]
    fn a_kill_number_never_decreases() {
        let scope = KillScope::Client(ClientId::parse("app").unwrap());
        let mut kills = Kills::default();
        kills.raise(&scope, ChangeNumber::new(9));
        kills.raise(&scope, ChangeNumber::new(3));
        assert_eq!(kills.strictest(&ClientId::parse("app").unwrap()), ChangeNumber::new(9));
    }

    #[test]
    fn recovery_kills_everything_born_before() {
        let app = ClientId::parse("app").unwrap();
        let recovered = after(&start(), Change::Recovered).unwrap();
        assert!(!recovered.is_live(&GrantId::from_bytes([1; 12]), &app, ChangeNumber::ZERO));
        assert_eq!(recovered.recovered, recovered.position.number);
    }

    #[test]
    fn a_key_that_is_not_held_cannot_be_applied() {
        let foreign = keys(2).current().fingerprint().clone();
        let own = keys(1).current().fingerprint().clone();
        let error = after(&start(), Change::TokenKeyAdded(foreign.clone())).unwrap_err();
        assert_eq!(error, CannotApply::MissingTokenKey(foreign));
        assert!(after(&start(), Change::TokenKeyAdded(own)).is_ok());
    }
}
