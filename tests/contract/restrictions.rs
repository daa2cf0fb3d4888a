//! What live grants are restricted to: kept beside the feed, the strictest of all that was recorded, until the end of
//! the grant.

use std::sync::Arc;
use std::time::Duration;

use symbolon::changes::{
    Bonds, Change, Edit, Entry, FeedStore as _, History as _, KillScope, Published, Recorder as _, Replica,
    ReplicaParts, Restrictions, WitnessPassed,
};
use symbolon::domain::clock::{CLOCK_SLACK, Clock as _, Timestamp};
use symbolon::domain::entropy::SystemEntropy;
use symbolon::domain::identifier::{GrantId, UserId};
use symbolon::domain::position::ChangeNumber;
use symbolon::domain::scope::Scope;

use crate::cases;
use crate::databases::{
    Follower, Kind, LEASE, LONGEST, Sql, client, entry, keys, killed, record, record_all, revoke_some,
    revoked_until,
};
use crate::stores::new_id;

const DAY: Duration = Duration::from_secs(86_400);

cases!(Kind: postgres = Postgres, sqlite = Sqlite => {
    what_holds_is_the_strictest_of_all_edits_in_whatever_transaction,
    what_was_taken_back_restricts_nothing,
    an_edit_asked_for_again_is_another_change,
    restrictions_are_kept_until_the_grant_ends_and_then_forgotten,
    a_replica_that_runs_on_forgets_a_grant_after_its_end_too,
    whose_clock_is_set_back_acts_on_nothing_until_what_seemed_to_be_over_is_remembered,
    a_grant_whose_end_is_not_known_is_remembered_for_the_longest_lifetime,
    restrictions_outlive_the_rows_that_made_them,
    what_bears_on_a_few_grants_is_loaded_without_the_revocations_of_others,
});

fn edited(grant: GrantId, edit: Edit, ends_at: Option<Timestamp>) -> Entry {
    entry(Change::GrantEdited { grant, edit, ends_at })
}

fn narrow(scope: &str) -> Edit {
    Edit::Narrow(Scope::parse(scope).unwrap())
}

/// What a replica that starts now knows of a grant.
async fn held(sql: &Sql, grant: GrantId) -> Option<Restrictions> {
    sql.feed().load().await.unwrap().restricted.of(&grant).cloned()
}

async fn what_holds_is_the_strictest_of_all_edits_in_whatever_transaction(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    let (grant, spared) = (new_id(), new_id());
    let began = sql.clock.now();
    let (end, sooner) = (began + DAY, began + DAY / 2);
    let ends_at = Some(began + 2 * DAY);
    let edit = |edit| edited(grant, edit, ends_at);
    let first = vec![edit(narrow("a b c")), edit(Edit::Shorten(end)), edit(Edit::Freeze)];
    record_all(&sql.feed(), first).await;
    sql.clock.advance(Duration::from_secs(60));
    let second = vec![
        edit(Edit::Shorten(end + DAY)),
        edit(narrow("b c d")),
        edit(Edit::Freeze),
        edit(Edit::Shorten(sooner)),
    ];
    record_all(&sql.feed(), second).await;
    let frozen = held(&sql, grant).await.unwrap();
    assert_eq!(frozen.scope, Some(Scope::parse("b c").unwrap()));
    assert_eq!(frozen.ends_at, Some(sooner));
    assert_eq!((frozen.frozen_at, frozen.thawed_at), (Some(began), None), "frozen since the first time");
    assert_eq!(frozen.number, ChangeNumber::new(7));
    record(&sql.feed(), edit(Edit::Thaw)).await;
    let thawed = held(&sql, grant).await.unwrap();
    let at = began + Duration::from_secs(60);
    assert_eq!(thawed, Restrictions { thawed_at: Some(at), number: ChangeNumber::new(8), ..frozen });
    follower.confirm().await;
    assert_eq!(follower.snapshot.restricted.of(&grant), Some(&thawed), "who follows knows the same");
    assert_eq!(held(&sql, spared).await, None);
    // Two that have nothing in common leave nothing.
    record(&sql.feed(), edit(narrow("z"))).await;
    assert_eq!(held(&sql, grant).await.unwrap().scope, Some(Scope::default()));
}

async fn what_was_taken_back_restricts_nothing(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let grant = new_id();
    let (change, now) = (edited(grant, Edit::Freeze, None), sql.clock.now());
    let unit = sql.database.write(move |conn| {
        Box::pin(async move {
            symbolon::changes::record_in(conn, vec![change], now).await?;
            Err::<(), _>(symbolon::sql::SqlError::NotFound)
        })
    });
    unit.await.unwrap_err();
    assert_eq!(held(&sql, grant).await, None);
    record(&sql.feed(), edited(grant, Edit::Thaw, None)).await;
    assert_eq!(held(&sql, grant).await, None, "there is nothing to thaw");
}

async fn an_edit_asked_for_again_is_another_change(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let grant = new_id();
    let twice = vec![edited(grant, Edit::Freeze, None), edited(grant, Edit::Freeze, None)];
    let numbers = sql.feed().record(twice).await.unwrap();
    assert_eq!(
        numbers,
        [ChangeNumber::new(1), ChangeNumber::new(2)],
        "between the two it may have been thawed"
    );
}

async fn restrictions_are_kept_until_the_grant_ends_and_then_forgotten(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let (brief, long) = (new_id(), new_id());
    let end = |after| Some(sql.clock.now() + after);
    // An end that an edit gives it is not the end: the record in the grant store may say otherwise for longer.
    let sooner = Edit::Shorten(sql.clock.now() + DAY);
    let edits = vec![edited(brief, sooner, end(2 * DAY)), edited(long, Edit::Freeze, end(5 * DAY))];
    record_all(&sql.feed(), edits).await;
    sql.clock.advance(2 * DAY);
    assert!(held(&sql, brief).await.is_some(), "a grant lives up to its end");
    sql.clock.advance(Duration::from_secs(600));
    assert!(held(&sql, brief).await.is_none() && held(&sql, long).await.is_some());
    assert_eq!(sql.feed().purge(DAY).await, Ok(2), "the rows of the changes, which everybody has applied");
    sql.clock.advance(DAY);
    assert_eq!(sql.feed().purge(DAY).await, Ok(1), "and one that restricts nothing any more");
    assert!(held(&sql, long).await.unwrap().is_frozen());
    sql.clock.advance(3 * DAY);
    assert_eq!(sql.feed().purge(DAY).await, Ok(1));
    assert_eq!(sql.feed().purge(DAY).await, Ok(0));
}

/// A replica, and what it shows its workers.
fn replica_of(sql: &Sql) -> (Replica<()>, Arc<Published<()>>) {
    let (store, published) = (Arc::new(sql.feed()), Arc::new(Published::default()));
    let replica = Replica::new(ReplicaParts {
        store: Arc::clone(&store) as _,
        replicas: store,
        published: Arc::clone(&published),
        clock: sql.clock.clone(),
        entropy: Arc::new(SystemEntropy),
        keys: keys(0),
        witness: WitnessPassed::default(),
        name: "a".to_owned(),
        lease: LEASE,
        memory: DAY,
    });
    (replica, published)
}

async fn a_replica_that_runs_on_forgets_a_grant_after_its_end_too(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let (mut replica, published) = replica_of(&sql);
    replica.join().await.unwrap();
    let (brief, long) = (new_id(), new_id());
    for (grant, after) in [(brief, DAY), (long, 2 * DAY)] {
        record(&sql.feed(), edited(grant, Edit::Freeze, Some(sql.clock.now() + after))).await;
    }
    assert!(replica.renew().await.unwrap());
    let mut knows_after = async |pause| {
        sql.clock.advance(pause);
        replica.prune().await.unwrap();
        let known = published.newest().unwrap();
        [brief, long].map(|grant| known.restricted.of(&grant).is_some())
    };
    assert_eq!(knows_after(DAY).await, [true, true], "a grant lives up to its end");
    assert_eq!(knows_after(Duration::from_secs(61)).await, [false, true]);
    assert_eq!(knows_after(DAY).await, [false, false]);
}

async fn whose_clock_is_set_back_acts_on_nothing_until_what_seemed_to_be_over_is_remembered(kind: Kind) {
    const AHEAD: i64 = 2 * 86_400;
    let sql = Sql::fresh(kind).await;
    let (mut replica, published) = replica_of(&sql);
    replica.join().await.unwrap();
    let (frozen, session) = (new_id(), new_id());
    let ends_at = Some(sql.clock.now() + DAY);
    record(&sql.feed(), edited(frozen, Edit::Freeze, ends_at)).await;
    record(&sql.feed(), killed(KillScope::LoginSession { session, ends_at })).await;
    assert!(replica.renew().await.unwrap());
    let user = UserId::parse("usr_1").unwrap();
    let known = || {
        let known = published.newest().unwrap();
        let over = !known.is_live(&new_id(), &Bonds::of_session(session, &user), ChangeNumber::new(9));
        (known.holds_at(sql.clock.boot(), sql.clock.now()), known.restricted.of(&frozen).is_some(), over)
    };
    assert_eq!(known(), (true, true, true));
    sql.clock.set_by(AHEAD);
    replica.prune().await.unwrap();
    assert_eq!(known(), (true, false, false), "by this clock nothing of them lives");
    sql.clock.set_by(-AHEAD);
    assert_eq!(known(), (false, false, false), "and by this one something may");
    assert_eq!(replica.renew().await, Ok(false));
    assert_eq!(known(), (true, true, true));
    assert_eq!(replica.renew().await, Ok(true));
    // What is loaded by a wrong clock is no better.
    sql.clock.set_by(AHEAD);
    replica.reload().await.unwrap();
    assert_eq!(known(), (true, false, false));
    sql.clock.set_by(-AHEAD);
    assert!(!known().0);
}

#[test]
fn a_replica_whose_clock_is_ahead_forgets_by_the_clock_of_sql() {
    crate::run(async {
        let sql = Sql::fresh(Kind::Postgres).await;
        let (mut replica, published) = replica_of(&sql);
        replica.join().await.unwrap();
        sql.set_ahead_of_the_server(2 * 86_400).await;
        let right = sql.clock.now().unix_seconds() - 2 * 86_400;
        let (ended, frozen) = (new_id(), new_id());
        for (grant, end) in [(ended, right - 600), (frozen, right + 3600)] {
            let ends_at = Some(Timestamp::from_unix_seconds(end));
            record(&sql.feed(), edited(grant, Edit::Freeze, ends_at)).await;
        }
        assert!(replica.renew().await.unwrap());
        replica.prune().await.unwrap();
        sql.clock.set_by(-2 * 86_400);
        let known = published.newest().unwrap();
        assert!(known.holds_at(sql.clock.boot(), sql.clock.now()), "nothing was forgotten too early");
        assert_eq!([ended, frozen].map(|grant| known.restricted.of(&grant).is_some()), [false, true]);
    });
}

async fn a_grant_whose_end_is_not_known_is_remembered_for_the_longest_lifetime(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    sql.set_ahead_of_the_server(3600).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    let grant = new_id();
    let end = sql.clock.now() + LONGEST + CLOCK_SLACK;
    record(&sql.feed(), edited(grant, Edit::Freeze, None)).await;
    assert_eq!(held(&sql, grant).await.unwrap().needed_until, end);
    follower.confirm().await;
    assert_eq!(follower.snapshot.restricted.of(&grant).unwrap().needed_until, end);
    // The later of two ends stands: one of them was a guess.
    record(&sql.feed(), edited(grant, Edit::Freeze, Some(end + DAY))).await;
    record(&sql.feed(), edited(grant, Edit::Freeze, Some(end - DAY))).await;
    assert_eq!(held(&sql, grant).await.unwrap().needed_until, end + DAY);
}

async fn restrictions_outlive_the_rows_that_made_them(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let (frozen, thawed) = (new_id(), new_id());
    let ends_at = Some(sql.clock.now() + 30 * DAY);
    let edits = [(frozen, Edit::Freeze), (thawed, Edit::Freeze), (thawed, Edit::Thaw), (frozen, narrow("a"))];
    record_all(&sql.feed(), edits.map(|(grant, edit)| edited(grant, edit, ends_at)).to_vec()).await;
    let before = [held(&sql, frozen).await, held(&sql, thawed).await];
    assert!(before.iter().all(Option::is_some));
    sql.clock.advance(2 * DAY);
    assert_eq!(sql.feed().purge(DAY).await, Ok(4));
    assert_eq!([held(&sql, frozen).await, held(&sql, thawed).await], before);
}

async fn what_bears_on_a_few_grants_is_loaded_without_the_revocations_of_others(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    revoke_some(&sql, 3).await;
    let (revoked, frozen, spared) = (new_id(), new_id(), new_id());
    let ends_at = sql.clock.now() + LONGEST;
    let changes = vec![
        revoked_until(revoked, ends_at),
        edited(frozen, Edit::Freeze, Some(ends_at)),
        killed(KillScope::Client(client("app"))),
    ];
    record_all(&sql.feed(), changes).await;
    let about = sql.feed().load_about(vec![revoked, frozen, spared]).await.unwrap();
    let all = sql.feed().load().await.unwrap();
    assert_eq!((about.position, about.revoked.len(), all.revoked.len()), (all.position, 1, 4));
    assert!(about.restricted.of(&frozen).is_some_and(Restrictions::is_frozen));
    for grant in [revoked, frozen, spared] {
        assert_eq!(about.revoked.number(&grant), all.revoked.number(&grant));
        assert_eq!(about.restricted.of(&grant), all.restricted.of(&grant));
        for born in [5, 6] {
            let (app, born) = (client("app"), ChangeNumber::new(born));
            let bonds = Bonds::of_client(&app);
            assert_eq!(about.is_live(&grant, &bonds, born), all.is_live(&grant, &bonds, born));
        }
    }
}
