//! What a replica knows, as one immutable value: a request judges by exactly one of them.

use std::collections::BTreeMap;
use std::fmt;

use super::change::{Change, FOREVER, KillScope, RecordedChange};
use super::restricted::RestrictedGrants;
use super::revoked::RevokedGrants;
use crate::domain::bonds::Bonds;
use crate::domain::clock::{BootTime, Timestamp};
use crate::domain::identifier::{ClientId, GrantId, UserId};
use crate::domain::position::{ChangeNumber, Position};
use crate::domain::token_key::{KeyFingerprint, TokenKeys};

/// The newest kill of each set of grants.
#[derive(Clone, Debug, Default)]
pub struct Kills {
    everything: ChangeNumber,
    clients: imbl::HashMap<ClientId, ChangeNumber>,
    subjects: imbl::HashMap<UserId, SubjectKills>,
    /// Login sessions that were ended. Each was born before the kill of it, so it needs no number.
    ended_sessions: RevokedGrants,
}

/// The newest kills of one user.
#[derive(Clone, Debug, Default)]
struct SubjectKills {
    everything: ChangeNumber,
    login_sessions: ChangeNumber,
    other_sessions: SparingKills,
    consents: BTreeMap<ClientId, ChangeNumber>,
}

/// The newest kills of all login sessions of a user but one, as far as any session can tell them apart.
#[derive(Clone, Debug, Default)]
struct SparingKills {
    newest: ChangeNumber,
    /// The session that the newest one spared.
    spared: Option<GrantId>,
    /// The newest one that did not spare it.
    reaching_it: ChangeNumber,
}

impl SparingKills {
    fn raise(&mut self, spared: GrantId, number: ChangeNumber) {
        let is_same = self.spared == Some(spared);
        if number > self.newest {
            self.reaching_it = if is_same { self.reaching_it } else { self.newest };
            (self.newest, self.spared) = (number, Some(spared));
        } else if !is_same {
            self.reaching_it = number.max(self.reaching_it);
        }
    }

    fn reaching(&self, session: GrantId) -> ChangeNumber {
        if self.spared == Some(session) { self.reaching_it } else { self.newest }
    }
}

impl Kills {
    /// Records a kill. Numbers never decrease: the strictest stands.
    pub fn raise(&mut self, scope: &KillScope, number: ChangeNumber) {
        let slot = match scope {
            KillScope::Everything => &mut self.everything,
            KillScope::Client(id) => self.clients.entry(id.clone()).or_default(),
            KillScope::Subject(id) => &mut self.subject(id).everything,
            KillScope::LoginSessionsOf(id) => &mut self.subject(id).login_sessions,
            KillScope::Consent(user, client) => {
                self.subject(user).consents.entry(client.clone()).or_default()
            }
            KillScope::OtherLoginSessionsOf { user, spared, .. } => {
                self.subject(user).other_sessions.raise(*spared, number);
                return;
            }
            KillScope::LoginSession { session, ends_at } => {
                self.ended_sessions.insert(*session, ends_at.unwrap_or(FOREVER), number);
                return;
            }
        };
        *slot = number.max(*slot);
    }

    fn subject(&mut self, id: &UserId) -> &mut SubjectKills {
        self.subjects.entry(id.clone()).or_default()
    }

    /// Whether what rests on `bonds` and was born at `born` survives every kill.
    fn spare(&self, bonds: &Bonds<'_>, born: ChangeNumber) -> bool {
        born >= self.strictest(bonds)
            && bonds.session.is_none_or(|session| !self.ended_sessions.contains(&session))
    }

    /// The number that what rests on `bonds` must have been born at, or after, to live.
    fn strictest(&self, bonds: &Bonds<'_>) -> ChangeNumber {
        let of_client = bonds.client.and_then(|client| self.clients.get(client)).copied();
        let of_subject = bonds.subject.and_then(|subject| self.subjects.get(subject));
        let of_subject = of_subject.map(|kills| kills.strictest(bonds));
        self.everything.max(of_client.unwrap_or_default()).max(of_subject.unwrap_or_default())
    }

    /// Forgets login sessions of which nothing lives any more.
    pub(super) fn prune(&mut self, now: Timestamp) {
        self.ended_sessions.prune(ChangeNumber::ZERO, now);
    }
}

impl SubjectKills {
    fn strictest(&self, bonds: &Bonds<'_>) -> ChangeNumber {
        let of_sessions =
            bonds.session.map(|session| self.login_sessions.max(self.other_sessions.reaching(session)));
        let of_consent = bonds.client.and_then(|client| self.consents.get(client)).copied();
        self.everything.max(of_sessions.unwrap_or_default()).max(of_consent.unwrap_or_default())
    }
}

/// One state of a replica: everything it knows at a position of the feed, and until when it may
/// act on that. `V` is what others derive from the feed and keep exact by it: the directory.
#[derive(Clone, Debug, Default)]
pub struct Snapshot<V> {
    pub position: Position,
    /// The end of the lease under which this state may be acted on.
    pub deadline: BootTime,
    /// What ended before this was forgotten. By an earlier clock some of it has not ended.
    pub forgotten_before: Timestamp,
    /// Every revocation above this number is in memory; of those below, the witness has long
    /// passed the deletion of the records.
    pub memory_floor: ChangeNumber,
    /// The last change that `recover` wrote.
    pub recovered: ChangeNumber,
    pub revoked: RevokedGrants,
    /// What else holds of grants that live.
    pub restricted: RestrictedGrants,
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
    /// Whether this state may be acted on: its lease runs, and whatever was forgotten is over.
    pub fn holds_at(&self, boot: BootTime, now: Timestamp) -> bool {
        boot < self.deadline && self.remembers_enough(now)
    }

    /// Whether by this clock everything has ended that was forgotten because it had: not so when the
    /// clock was set back since.
    pub(super) fn remembers_enough(&self, now: Timestamp) -> bool {
        now >= self.forgotten_before
    }

    /// Forgets what ended before `ended`, and of the revocations those up to `floor` too.
    pub(super) fn forget(&mut self, ended: Timestamp, floor: ChangeNumber) {
        self.revoked.prune(floor, ended);
        self.restricted.prune(ended);
        self.kills.prune(ended);
        self.memory_floor = floor;
        self.forgotten_before = ended.max(self.forgotten_before);
    }

    /// Whether the feed says that a grant lives: it is not revoked, and it was born at or after
    /// the newest kill of every set it belongs to.
    pub fn is_live(&self, grant: &GrantId, bonds: &Bonds<'_>, born: ChangeNumber) -> bool {
        self.kills.spare(bonds, born) && !self.revoked.contains(grant)
    }

    /// The state after `rows`, which follow this position without a hole; `view` is the view
    /// after them. The lease stays what it was.
    ///
    /// # Errors
    /// When one of them cannot be applied.
    pub fn apply(&self, rows: &[RecordedChange], view: V, keys: &TokenKeys) -> Result<Self, CannotApply> {
        let mut revoked = self.revoked.clone();
        let mut restricted = self.restricted.clone();
        let mut kills = self.kills.clone();
        let (mut position, mut recovered) = (self.position, self.recovered);
        for row in rows {
            if let Some(scope) = row.entry.change.killed() {
                kills.raise(scope, row.number);
            }
            if let Some((grant, edit)) = row.edit() {
                restricted.edit(grant, edit);
            }
            match &row.entry.change {
                Change::GrantRevoked { grant, ends_at } => {
                    revoked.insert(*grant, ends_at.unwrap_or(FOREVER), row.number);
                }
                Change::TokenKeyAdded(fingerprint) if !keys.holds(fingerprint) => {
                    return Err(CannotApply::MissingTokenKey(fingerprint.clone()));
                }
                Change::Recovered => recovered = row.number,
                Change::RotationLost { .. }
                | Change::GrantEdited { .. }
                | Change::Killed(_)
                | Change::ClientChanged(_)
                | Change::ResourceServerChanged(_)
                | Change::UserChanged(_)
                | Change::RoleChanged(_)
                | Change::TokenKeyAdded(_) => {}
            }
            position = Position { number: row.number, hash: row.hash, ..position };
        }
        Ok(Self { position, recovered, revoked, restricted, kills, view, ..*self })
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Actor, Entry};
    use super::*;

    fn start() -> Snapshot<()> {
        Snapshot::default()
    }

    fn keys(seed: u8) -> TokenKeys {
        TokenKeys::from_secrets([[seed; 32].to_vec()]).unwrap()
    }

    fn after(snapshot: &Snapshot<()>, change: Change) -> Result<Snapshot<()>, CannotApply> {
        let entry = Entry::new(change, Actor::command_line());
        let number = snapshot.position.number.next();
        let at = Timestamp::from_unix_seconds(1);
        let row = RecordedChange::chain(&snapshot.position.hash, number, entry, at);
        snapshot.apply(&[row], (), &keys(1))
    }

    fn client(id: &str) -> ClientId {
        ClientId::parse(id).unwrap()
    }

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    #[test]
    fn a_kill_spares_what_was_born_at_or_after_it() {
        let (app, other) = (client("app"), client("other"));
        let (of_app, of_other) = (Bonds::of_client(&app), Bonds::of_client(&other));
        let grant = GrantId::from_bytes([1; 12]);
        let before = start();
        let killed = after(&before, Change::Killed(KillScope::Client(app.clone()))).unwrap();
        assert!(before.is_live(&grant, &of_app, before.position.number));
        assert!(!killed.is_live(&grant, &of_app, before.position.number));
        assert!(killed.is_live(&grant, &of_app, killed.position.number));
        assert!(killed.is_live(&grant, &of_other, before.position.number));
        let all = after(&killed, Change::Killed(KillScope::Everything)).unwrap();
        assert!(!all.is_live(&grant, &of_other, killed.position.number));
        assert!(all.is_live(&grant, &of_app, all.position.number));
    }

    #[test]
    fn a_kill_reaches_what_rests_on_its_set_and_nothing_else() {
        let clients = [client("one"), client("two")];
        let users = [user("usr_1"), user("usr_2")];
        let sessions = [GrantId::from_bytes([1; 12]), GrantId::from_bytes([2; 12])];
        let mut all = Vec::new();
        for client in clients.iter().map(Some).chain([None]) {
            for subject in users.iter().map(Some).chain([None]) {
                for session in sessions.map(Some).into_iter().chain([None]) {
                    all.push(Bonds { client, subject, session });
                }
            }
        }
        let (before, grant) = (start(), GrantId::from_bytes([9; 12]));
        for scope in [
            KillScope::Everything,
            KillScope::Client(clients[0].clone()),
            KillScope::Subject(users[0].clone()),
            KillScope::login_session(sessions[0]),
            KillScope::LoginSessionsOf(users[0].clone()),
            KillScope::other_login_sessions(users[0].clone(), sessions[1]),
            KillScope::Consent(users[0].clone(), clients[0].clone()),
        ] {
            let killed = after(&before, Change::Killed(scope.clone())).unwrap();
            for bonds in &all {
                let lives = killed.is_live(&grant, bonds, before.position.number);
                assert_eq!(lives, !scope.reaches(bonds), "{scope:?} {bonds:?}");
                let over = matches!(scope, KillScope::LoginSession { .. }) && scope.reaches(bonds);
                let later = killed.is_live(&grant, bonds, killed.position.number);
                assert_eq!(later, !over, "only a login session is over for ever: {scope:?} {bonds:?}");
            }
        }
    }

    #[test]
    fn a_kill_number_never_decreases() {
        let app = client("app");
        let scope = KillScope::Client(app.clone());
        let mut kills = Kills::default();
        kills.raise(&scope, ChangeNumber::new(9));
        kills.raise(&scope, ChangeNumber::new(3));
        assert_eq!(kills.strictest(&Bonds::of_client(&app)), ChangeNumber::new(9));
    }

    #[test]
    fn kills_that_spare_different_sessions_add_up_in_whatever_order_they_are_read() {
        let sessions = [1, 2, 3].map(|id| GrantId::from_bytes([id; 12]));
        // Which session each kill spares, by number; and the order in which they are read.
        for spared in (0..27).map(|code| [code % 3, code / 3 % 3, code / 9]) {
            for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
                let mut kills = SparingKills::default();
                for at in order {
                    kills.raise(sessions[spared[at]], ChangeNumber::new(at as u64 + 1));
                }
                for (index, session) in sessions.iter().enumerate() {
                    let reaching = (1..=3).filter(|number| spared[*number - 1] != index).max().unwrap_or(0);
                    let expected = ChangeNumber::new(reaching as u64);
                    assert_eq!(kills.reaching(*session), expected, "{spared:?} read as {order:?}");
                }
            }
        }
    }

    #[test]
    fn an_ended_session_is_forgotten_after_its_end_and_no_other_kill_is() {
        let (session, subject) = (GrantId::from_bytes([1; 12]), user("usr_1"));
        let ends_at = Some(Timestamp::from_unix_seconds(100));
        let mut kills = Kills::default();
        kills.raise(&KillScope::LoginSession { session, ends_at }, ChangeNumber::new(1));
        kills.raise(&KillScope::LoginSessionsOf(subject.clone()), ChangeNumber::new(2));
        let bonds = Bonds::of_session(session, &subject);
        kills.prune(Timestamp::from_unix_seconds(100));
        assert!(!kills.spare(&bonds, ChangeNumber::new(2)), "something of it may live up to the end");
        kills.prune(Timestamp::from_unix_seconds(1_000));
        assert!(kills.spare(&bonds, ChangeNumber::new(2)));
        assert!(!kills.spare(&bonds, ChangeNumber::new(1)));
    }

    #[test]
    fn recovery_kills_everything_born_before() {
        let app = client("app");
        let recovered = after(&start(), Change::Recovered).unwrap();
        assert!(!recovered.is_live(
            &GrantId::from_bytes([1; 12]),
            &Bonds::of_client(&app),
            ChangeNumber::ZERO
        ));
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
