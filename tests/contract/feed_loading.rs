//! Loading: everything, as it stands at one position; what cannot be understood is no state.

use std::sync::Arc;
use std::time::Duration;

use symbolon::changes::{
    Bonds, CannotApply, Change, Edit, Entry, FeedError, FeedStore as _, History as _, KillScope, Snapshot,
};
use symbolon::domain::clock::{Clock as _, Timestamp};
use symbolon::domain::identifier::{ClientId, GrantId, UserId};
use symbolon::domain::position::ChangeNumber;
use symbolon::domain::scope::Scope;
use symbolon::domain::token_key::TokenKeys;

use crate::cases;
use crate::databases::{
    Follower, Kind, LEASE, LONGEST, Sql, client, entry, head, keys, killed, record, record_all, revoke_some,
    revoked_until,
};
use crate::stores::new_id;

/// How much longer than its longest token a token key is needed.
const KEY_SLACK: Duration = Duration::from_secs(3600 + 600);
const DAY: Duration = Duration::from_secs(86_400);

cases!(Kind: postgres = Postgres, sqlite = Sqlite => {
    what_is_loaded_is_what_following_from_the_start_gives,
    a_kill_raises_its_number_and_never_lowers_it,
    a_kill_outlives_the_rows_that_made_it,
    a_revocation_is_loaded_until_its_end,
    a_change_of_an_unknown_kind_cannot_be_followed,
    a_change_of_an_unknown_kind_cannot_be_loaded,
    a_key_that_live_tokens_may_need_must_be_held_to_load,
    a_key_added_by_another_replica_must_be_held_to_follow,
    a_key_that_comes_back_into_use_is_announced_again,
    a_key_in_use_stays_needed,
});

/// Small numbers in no order (xorshift), the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What a grant may rest on: each client, user and login session, or none.
struct Ties {
    clients: [ClientId; 3],
    users: [UserId; 2],
    sessions: [GrantId; 2],
}

impl Ties {
    fn new() -> Self {
        Self {
            clients: [client("one"), client("two"), client("three")],
            users: ["usr_1", "usr_2"].map(|id| UserId::parse(id).unwrap()),
            sessions: [new_id(), new_id()],
        }
    }

    /// Every combination of them.
    fn bonds(&self) -> Vec<Bonds<'_>> {
        let mut all = Vec::new();
        for client in self.clients.iter().map(Some).chain([None]) {
            for subject in self.users.iter().map(Some).chain([None]) {
                for session in self.sessions.iter().copied().map(Some).chain([None]) {
                    all.push(Bonds { client, subject, session });
                }
            }
        }
        all
    }

    fn any_kill(&self, dice: &mut Dice) -> KillScope {
        let mut below = |bound| usize::try_from(dice.below(bound)).unwrap();
        let (client, user) = (self.clients[below(3)].clone(), self.users[below(2)].clone());
        match below(7) {
            0 => KillScope::Everything,
            1 => KillScope::Client(client),
            2 => KillScope::Subject(user),
            3 => KillScope::login_session(self.sessions[below(2)]),
            4 => KillScope::LoginSessionsOf(user),
            5 => KillScope::other_login_sessions(user, self.sessions[below(2)]),
            _ => KillScope::Consent(user, client),
        }
    }
}

/// Any edit, most of which meet others of the same grant.
fn any_edit(dice: &mut Dice, now: Timestamp) -> Edit {
    match dice.below(5) {
        0 => Edit::Narrow(
            Scope::parse(["a b c", "b c d", "c d e"][usize::try_from(dice.below(3)).unwrap()]).unwrap(),
        ),
        1 => Edit::Shorten(now + Duration::from_secs(dice.below(LONGEST.as_secs()))),
        2 | 3 => Edit::Freeze,
        _ => Edit::Thaw,
    }
}

fn assert_alike(one: &Snapshot<()>, other: &Snapshot<()>, grants: &[GrantId], ties: &Ties) {
    assert_eq!(one.position, other.position);
    assert_eq!(one.recovered, other.recovered);
    assert_eq!(one.revoked.len(), other.revoked.len());
    assert_eq!(one.restricted.len(), other.restricted.len());
    for grant in grants {
        assert_eq!(one.revoked.number(grant), other.revoked.number(grant));
        assert_eq!(one.restricted.of(grant), other.restricted.of(grant));
        for bonds in ties.bonds() {
            for born in 0..=one.position.number.get() + 1 {
                let born = ChangeNumber::new(born);
                assert_eq!(one.is_live(grant, &bonds, born), other.is_live(grant, &bonds, born), "{bonds:?}");
            }
        }
    }
}

async fn what_is_loaded_is_what_following_from_the_start_gives(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut from_the_start = Follower::join(sql.feed(), "a").await.unwrap();
    let mut dice = Dice(0x5eed);
    let grants: Vec<_> = (0..12).map(|_| new_id()).collect();
    let ties = Ties::new();
    for _ in 0..12 {
        let mut any_entry = || -> Entry {
            let which = usize::try_from(dice.below(3)).unwrap();
            match dice.below(16) {
                10.. => {
                    let edit = any_edit(&mut dice, sql.clock.now());
                    let ends_at = [None, Some(sql.clock.now() + LONGEST), Some(sql.clock.now() + DAY)][which];
                    entry(Change::GrantEdited { grant: grants[which], edit, ends_at })
                }
                0..=3 => killed(ties.any_kill(&mut dice)),
                4 => entry(Change::ClientChanged(ties.clients[which].clone())),
                5 => entry(Change::GrantRevoked { grant: grants[which], ends_at: None }),
                _ => {
                    let grant = grants[usize::try_from(dice.below(12)).unwrap()];
                    revoked_until(grant, sql.clock.now() + LONGEST)
                }
            }
        };
        let batch = (0..4).map(|_| any_entry()).collect();
        record_all(&sql.feed(), batch).await;
        sql.clock.advance(Duration::from_secs(1));
        from_the_start.confirm().await;
        let loaded = sql.feed().load().await.unwrap();
        assert_alike(&loaded, &from_the_start.snapshot, &grants, &ties);
    }
}

async fn a_kill_raises_its_number_and_never_lowers_it(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let (app, other) = (client("app"), client("other"));
    let live = async |client: &ClientId, born: u64| {
        let loaded = sql.feed().load().await.unwrap();
        loaded.is_live(&new_id(), &Bonds::of_client(client), ChangeNumber::new(born))
    };
    assert!(live(&app, 0).await);
    assert_eq!(record(&sql.feed(), killed(KillScope::Client(app.clone()))).await, 1);
    assert!(!live(&app, 0).await && live(&app, 1).await && live(&other, 0).await);
    assert_eq!(record(&sql.feed(), killed(KillScope::Everything)).await, 2);
    assert!(!live(&app, 1).await && live(&app, 2).await && !live(&other, 1).await);
    assert_eq!(record(&sql.feed(), killed(KillScope::Client(app.clone()))).await, 3);
    assert!(!live(&app, 2).await && live(&app, 3).await && live(&other, 2).await);
    // The directory's own changes touch no kill.
    record(&sql.feed(), entry(Change::ClientChanged(app.clone()))).await;
    assert!(!live(&app, 2).await && live(&app, 3).await);
}

async fn a_kill_outlives_the_rows_that_made_it(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let app = client("app");
    record(&sql.feed(), killed(KillScope::Client(app.clone()))).await;
    record(&sql.feed(), killed(KillScope::Everything)).await;
    sql.clock.advance(2 * DAY);
    assert_eq!(sql.feed().purge(DAY).await, Ok(2));
    let loaded = sql.feed().load().await.unwrap();
    assert!(!loaded.is_live(&new_id(), &Bonds::of_client(&app), ChangeNumber::new(1)));
    assert!(!loaded.is_live(&new_id(), &Bonds::of_client(&client("other")), ChangeNumber::new(1)));
    assert!(loaded.is_live(&new_id(), &Bonds::of_client(&app), ChangeNumber::new(2)));
}

async fn a_revocation_is_loaded_until_its_end(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let (brief, long) = (new_id(), new_id());
    record(&sql.feed(), revoked_until(brief, sql.clock.now() + Duration::from_secs(60))).await;
    record(&sql.feed(), revoked_until(long, sql.clock.now() + DAY)).await;
    let revoked = async |grant| sql.feed().load().await.unwrap().revoked.contains(&grant);
    assert!(revoked(brief).await && revoked(long).await);
    sql.clock.advance(Duration::from_secs(60));
    assert!(revoked(brief).await, "a grant lives up to its end");
    sql.clock.advance(Duration::from_secs(600));
    assert!(!revoked(brief).await && revoked(long).await);
}

/// Writes what a newer version would: a change of a kind that this one does not know.
async fn record_unknown_kind(sql: &Sql) -> u64 {
    let next = head(&sql.feed()).await + 1;
    sql.tamper(format!(
        "INSERT INTO changes (number, kind, target, ends_at, recorded_at, actor, reason, hash)
         SELECT {next}, 'bury-grant', target, ends_at, recorded_at, actor, reason, hash
           FROM changes WHERE number = {next} - 1;
         UPDATE feed SET number = {next};"
    ))
    .await;
    next
}

fn unknown_kind(number: u64) -> FeedError {
    let (number, kind) = (ChangeNumber::new(number), "bury-grant".to_owned());
    FeedError::CannotApply(CannotApply::UnknownKind { number, kind })
}

async fn a_change_of_an_unknown_kind_cannot_be_followed(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    revoke_some(&sql, 2).await;
    follower.confirm().await;
    let before = follower.row().await;
    revoke_some(&sql, 1).await;
    let number = record_unknown_kind(&sql).await;
    for _ in 0..2 {
        assert_eq!(follower.renew().await.unwrap_err(), unknown_kind(number));
        assert_eq!(follower.row().await, before, "what cannot be applied confirms nothing");
    }
}

async fn a_change_of_an_unknown_kind_cannot_be_loaded(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    revoke_some(&sql, 2).await;
    let number = record_unknown_kind(&sql).await;
    // Else a replica of an older version that starts now would serve as if it had not happened.
    assert_eq!(sql.feed().load().await.map(drop), Err(unknown_kind(number)));
}

fn missing(keys: &TokenKeys) -> FeedError {
    FeedError::CannotApply(CannotApply::MissingTokenKey(keys.current().fingerprint().clone()))
}

async fn a_key_that_live_tokens_may_need_must_be_held_to_load(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let (old, new) = (keys(1), keys(2));
    let both = Arc::new(TokenKeys::from_secrets([[2; 32], [1; 32]]).unwrap());
    assert!(sql.feed_with(&new).load().await.is_ok(), "no token exists yet");
    let replica = Follower::join(sql.feed_with(&old), "old").await.unwrap();
    assert_eq!(sql.feed_with(&new).load().await.map(drop), Err(missing(&old)));
    assert!(sql.feed_with(&both).load().await.is_ok());
    assert!(sql.feed().load().await.is_ok(), "the command line answers for no token");
    // Tokens are made under it until it leaves.
    sql.clock.advance(DAY);
    replica.feed.leave(&replica.incarnation).await.unwrap();
    sql.clock.advance(LONGEST + KEY_SLACK);
    assert_eq!(sql.feed_with(&new).load().await.map(drop), Err(missing(&old)));
    sql.clock.advance(Duration::from_secs(1));
    assert!(sql.feed_with(&new).load().await.is_ok(), "none of its tokens lives any more");
}

async fn a_key_added_by_another_replica_must_be_held_to_follow(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    let foreign = keys(3);
    Follower::join(sql.feed_with(&foreign), "b").await.unwrap();
    assert_eq!(head(&sql.feed()).await, 1);
    assert_eq!(follower.renew().await.unwrap_err(), missing(&foreign));
    // The one who made it, and all who start with it, say it once.
    Follower::join(sql.feed_with(&foreign), "c").await.unwrap();
    assert_eq!(head(&sql.feed()).await, 1);
}

async fn a_key_that_comes_back_into_use_is_announced_again(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let foreign = keys(3);
    let gone = Follower::join(sql.feed_with(&foreign), "first").await.unwrap();
    gone.feed.leave(&gone.incarnation).await.unwrap();
    sql.clock.advance(DAY);
    // Nobody needs the key now, so this replica may start without it …
    let mut without = Follower::join(sql.feed_with(&keys(0)), "without").await.unwrap();
    without.confirm().await;
    // … and must hear when tokens are made under it again.
    Follower::join(sql.feed_with(&Arc::new(both(3, 0))), "again").await.unwrap();
    assert_eq!(without.renew().await.unwrap_err(), missing(&foreign));
}

fn both(current: u8, older: u8) -> TokenKeys {
    TokenKeys::from_secrets([[current; 32], [older; 32]]).unwrap()
}

async fn a_key_in_use_stays_needed(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let (old, new) = (keys(1), keys(2));
    let feed = sql.feed_with(&old);
    Follower::join(feed.clone(), "old").await.unwrap();
    for _ in 0..3 {
        sql.clock.advance(LONGEST + KEY_SLACK.saturating_sub(LEASE));
        feed.note_key_use().await.unwrap();
        assert_eq!(sql.feed_with(&new).load().await.map(drop), Err(missing(&old)));
    }
    assert_eq!(head(&sql.feed()).await, 1, "noting the use of a known key is no change");
}
