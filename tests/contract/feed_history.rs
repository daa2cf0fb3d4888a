//! The feed's past: retention, the pages that the witness reads, and recovery from a lost past.

use std::time::Duration;

use symbolon::changes::{
    Actor, Bonds, Change, Entry, FeedStore as _, History as _, KillScope, Renewal, recover,
};
use symbolon::domain::clock::Clock as _;
use symbolon::domain::identifier::UserId;
use symbolon::domain::position::{ChangeNumber, Position};

use crate::cases;
use crate::databases::{
    Follower, Kind, LONGEST, Sql, client, entry, head, killed, record, record_all, revoke_some, revoked_until,
};
use crate::stores::new_id;

const DAY: Duration = Duration::from_secs(86_400);

cases!(Kind: postgres = Postgres, sqlite = Sqlite => {
    the_head_and_every_hash_can_be_asked_for,
    purging_keeps_what_is_young_and_every_revocation_that_still_counts,
    the_end_of_a_login_session_is_kept_as_long_as_anything_of_it_may_live,
    a_kill_that_spares_one_session_is_kept_until_the_newest_of_it_has_nothing_to_reach,
    purging_stops_before_what_a_replica_has_not_applied,
    purging_again_never_moves_the_mark_back,
    a_purged_grant_revoked_again_gets_a_new_number,
    revocations_come_in_pages_that_leave_none_out,
    a_full_page_reaches_its_last_revocation_and_no_further,
    recovery_jumps_and_kills_everything_born_before,
    recovery_goes_beyond_whatever_was_seen,
    recovery_keeps_the_revocations_that_are_left,
    whoever_lived_through_a_loss_reloads_after_recovery,
});

fn number(number: u64) -> ChangeNumber {
    ChangeNumber::new(number)
}

async fn the_head_and_every_hash_can_be_asked_for(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let feed = sql.feed();
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    let start = feed.head().await.unwrap();
    assert_eq!(start.position, follower.snapshot.position);
    assert_eq!((start.purged, start.recovered), (number(0), number(0)));
    revoke_some(&sql, 4).await;
    for row in follower.confirm().await {
        assert_eq!(feed.hash_of(row.number).await, Ok(Some(row.hash)));
    }
    assert_eq!(feed.head().await.unwrap().position, follower.snapshot.position);
    for nobody in [0, 5, 1 << 40] {
        assert_eq!(feed.hash_of(number(nobody)).await, Ok(None));
    }
}

async fn purging_keeps_what_is_young_and_every_revocation_that_still_counts(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let feed = sql.feed();
    let end = |after| sql.clock.now() + after;
    let (ended, live) = (new_id(), new_id());
    let old = vec![
        killed(KillScope::Everything),
        revoked_until(ended, end(DAY / 2)),
        revoked_until(live, end(3 * DAY)),
        entry(Change::ClientChanged(client("app"))),
    ];
    record_all(&feed, old).await;
    assert_eq!(feed.purge(DAY).await, Ok(0), "everything is young");
    assert_eq!(feed.head().await.unwrap().purged, number(0));
    sql.clock.advance(2 * DAY);
    let young = vec![revoked_until(new_id(), sql.clock.now()), killed(KillScope::Client(client("app")))];
    record_all(&feed, young).await;
    assert_eq!(feed.purge(DAY).await, Ok(3));
    let head = feed.head().await.unwrap();
    assert_eq!((head.purged, head.position.number), (number(4), number(6)));
    for (at, kept) in [(1, false), (2, false), (3, true), (4, false), (5, true), (6, true)] {
        assert_eq!(feed.hash_of(number(at)).await.unwrap().is_some(), kept, "{at}");
    }
    let loaded = feed.load().await.unwrap();
    assert!(loaded.revoked.contains(&live) && !loaded.revoked.contains(&ended));
    assert_eq!(loaded.position, head.position);
    // The last revocation goes some time after its grant's end, and no sooner.
    sql.clock.advance(2 * DAY);
    assert_eq!(feed.purge(DAY).await, Ok(2), "one more of it ended within the day that is kept");
    sql.clock.advance(DAY);
    assert_eq!(feed.purge(DAY).await, Ok(1));
    assert_eq!(record(&feed, killed(KillScope::Everything)).await, 7, "numbers go on");
}

async fn the_end_of_a_login_session_is_kept_as_long_as_anything_of_it_may_live(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let feed = sql.feed();
    let user = UserId::parse("usr_1").unwrap();
    let (long, brief) = (new_id(), new_id());
    let end = |after| Some(sql.clock.now() + after);
    let ended = vec![
        killed(KillScope::LoginSession { session: long, ends_at: end(3 * DAY) }),
        killed(KillScope::LoginSession { session: brief, ends_at: end(LONGEST) }),
        killed(KillScope::LoginSessionsOf(user.clone())),
    ];
    record_all(&feed, ended).await;
    let lives = async |session| {
        let bonds = Bonds::of_session(session, &user);
        feed.load().await.unwrap().is_live(&session, &bonds, number(3))
    };
    sql.clock.advance(LONGEST);
    assert!(!lives(long).await && !lives(brief).await && lives(new_id()).await);
    // What a kill did outlives its row; which of the two has ended is seen by its own end.
    sql.clock.advance(2 * DAY);
    assert_eq!(feed.purge(DAY).await, Ok(3 + 1));
    assert!(!lives(long).await && lives(brief).await);
    sql.clock.advance(DAY);
    assert!(lives(long).await);
    assert_eq!(feed.purge(DAY).await, Ok(0));
    sql.clock.advance(DAY);
    assert_eq!(feed.purge(DAY).await, Ok(1));
    let bonds = Bonds { subject: Some(&user), session: Some(new_id()), client: None };
    let loaded = feed.load().await.unwrap();
    assert!(!loaded.is_live(&new_id(), &bonds, number(2)), "no other kill is ever forgotten");
}

async fn a_kill_that_spares_one_session_is_kept_until_the_newest_of_it_has_nothing_to_reach(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let feed = sql.feed();
    let (user, spared) = (UserId::parse("usr_1").unwrap(), new_id());
    let kill = |days: u32| {
        let ends_at = Some(sql.clock.now() + days * DAY);
        killed(KillScope::OtherLoginSessionsOf { user: user.clone(), spared, ends_at })
    };
    let reaches = async |session, born| {
        let bonds = Bonds::of_session(session, &user);
        !feed.load().await.unwrap().is_live(&session, &bonds, number(born))
    };
    record(&feed, kill(1)).await;
    record(&feed, kill(4)).await;
    // By the end of the first it would be forgotten now.
    sql.clock.advance(3 * DAY);
    feed.purge(DAY).await.unwrap();
    assert!(reaches(new_id(), 1).await && !reaches(new_id(), 2).await && !reaches(spared, 0).await);
    sql.clock.advance(3 * DAY);
    feed.purge(DAY).await.unwrap();
    let left = "(SELECT count(*) FROM kills)::text";
    assert_eq!(sql.ask("(SELECT CAST(count(*) AS TEXT) FROM kills)", left).await.as_deref(), Some("0"));
    assert!(!reaches(new_id(), 0).await);
}

async fn purging_stops_before_what_a_replica_has_not_applied(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let kill = async || record(&sql.feed(), killed(KillScope::Everything)).await;
    kill().await;
    let mut slow = Follower::join(sql.feed(), "slow").await.unwrap();
    kill().await;
    let mut quick = Follower::join(sql.feed(), "quick").await.unwrap();
    kill().await;
    quick.confirm().await;
    sql.clock.advance(2 * DAY);
    assert_eq!(sql.feed().purge(DAY).await, Ok(1));
    assert_eq!(sql.feed().head().await.unwrap().purged, number(1));
    assert_eq!(slow.confirm().await.len(), 2, "nothing is missing");
    assert_eq!(sql.feed().purge(DAY).await, Ok(2));
    assert_eq!(sql.feed().head().await.unwrap().purged, number(3));
    assert_eq!(quick.confirm().await.len(), 0);
}

async fn purging_again_never_moves_the_mark_back(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    for _ in 0..3 {
        record(&sql.feed(), killed(KillScope::Everything)).await;
    }
    sql.clock.advance(2 * DAY);
    assert_eq!(sql.feed().purge(DAY).await, Ok(3));
    // A row of somebody who had loaded before joins late; kept longer, less would be purged.
    let late = crate::databases::row("late", number(1));
    sql.feed().join(&late).await.unwrap();
    record(&sql.feed(), killed(KillScope::Everything)).await;
    sql.clock.advance(2 * DAY);
    assert_eq!(sql.feed().purge(DAY).await, Ok(0));
    assert_eq!(sql.feed().purge(100 * DAY).await, Ok(0));
    assert_eq!(sql.feed().head().await.unwrap().purged, number(3));
}

async fn a_purged_grant_revoked_again_gets_a_new_number(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let grant = new_id();
    assert_eq!(record(&sql.feed(), revoked_until(grant, sql.clock.now())).await, 1);
    sql.clock.advance(2 * DAY);
    assert_eq!(sql.feed().purge(DAY).await, Ok(1));
    assert_eq!(record(&sql.feed(), revoked_until(grant, sql.clock.now() + DAY)).await, 2);
    assert!(sql.feed().load().await.unwrap().revoked.contains(&grant));
}

async fn revocations_come_in_pages_that_leave_none_out(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let feed = sql.feed();
    let ends_at = sql.clock.now() + DAY;
    let grants: Vec<_> = (0..4321).map(|_| new_id()).collect();
    for (round, some) in grants.chunks(500).enumerate() {
        record_all(&feed, some.iter().map(|grant| revoked_until(*grant, ends_at)).collect()).await;
        if round % 2 == 0 {
            record(&feed, killed(KillScope::Everything)).await;
        }
    }
    let end = feed.head().await.unwrap().position;
    let (mut found, mut reached, mut pages) = (Vec::new(), number(0), 0);
    while reached < end.number {
        let page = feed.revocations_after(reached).await.unwrap();
        assert!(page.reached.number > reached, "a page moves on");
        if page.reached == end {
            assert!(page.grants.len() <= 2000);
        } else {
            assert_eq!(feed.hash_of(page.reached.number).await, Ok(Some(page.reached.hash)));
        }
        (reached, pages) = (page.reached.number, pages + 1);
        found.extend(page.grants);
    }
    assert_eq!(reached, end.number);
    assert!(found == grants, "each once, in order");
    assert!(pages > 2, "{pages} pages");
    let nothing = feed.revocations_after(end.number).await.unwrap();
    assert_eq!((nothing.grants.len(), nothing.reached), (0, end));
}

async fn a_full_page_reaches_its_last_revocation_and_no_further(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let feed = sql.feed();
    let entries = (0..2000).map(|_| revoked_until(new_id(), sql.clock.now())).collect();
    record_all(&feed, entries).await;
    record(&feed, killed(KillScope::Everything)).await;
    let page = feed.revocations_after(number(0)).await.unwrap();
    assert_eq!((page.grants.len(), page.reached.number), (2000, number(2000)));
    let page = feed.revocations_after(page.reached.number).await.unwrap();
    assert_eq!((page.grants.len(), page.reached.number), (0, number(2001)));
    let page = feed.revocations_after(number(1999)).await.unwrap();
    assert_eq!((page.grants.len(), page.reached.number), (1, number(2001)));
}

async fn recovered(sql: &Sql, seen: u64) -> Position {
    let entry = Entry::new(Change::Recovered, Actor::command_line());
    recover(&sql.database, entry, number(seen), sql.clock.now()).await.unwrap()
}

async fn recovery_jumps_and_kills_everything_born_before(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    revoke_some(&sql, 3).await;
    assert_eq!(follower.confirm().await.len(), 3);
    let position = recovered(&sql, 0).await;
    assert!(position.number > number(3 + (1 << 31)), "far beyond what may have been lost");
    let head = sql.feed().head().await.unwrap();
    assert_eq!((head.position, head.recovered), (position, position.number));
    assert_eq!(follower.renew().await.unwrap().0, Renewal::Reload, "the numbers have a hole");
    let mut again = Follower::join(sql.feed(), "a").await.unwrap();
    assert_eq!((again.snapshot.position, again.snapshot.recovered), (position, position.number));
    for born in [0, 3, position.number.get() - 1] {
        assert!(
            !again.snapshot.is_live(&new_id(), &Bonds::of_client(&client("app")), number(born)),
            "{born}"
        );
    }
    assert!(again.snapshot.is_live(&new_id(), &Bonds::of_client(&client("app")), position.number));
    assert_eq!(record(&sql.feed(), killed(KillScope::Everything)).await, position.number.get() + 1);
    assert_eq!(again.confirm().await.len(), 1);
}

async fn recovery_goes_beyond_whatever_was_seen(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    revoke_some(&sql, 1).await;
    let seen = 7 << 40;
    let first = recovered(&sql, seen).await;
    assert!(first.number > number(seen));
    let second = recovered(&sql, 5).await;
    assert!(second.number > first.number, "and it may be called again");
    assert_ne!(first.hash, second.hash);
}

async fn recovery_keeps_the_revocations_that_are_left(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let grants = revoke_some(&sql, 5).await;
    sql.lose_commits_after(3).await;
    let position = recovered(&sql, 5).await;
    let loaded = sql.feed().load().await.unwrap();
    for (index, grant) in grants.iter().enumerate() {
        assert_eq!(loaded.revoked.contains(grant), index < 3, "{index}");
    }
    // A page ends before the hole at the latest; the next goes on behind it.
    let page = sql.feed().revocations_after(number(0)).await.unwrap();
    assert_eq!((page.grants.as_slice(), page.reached.number), (&grants[..3], number(3)));
    let page = sql.feed().revocations_after(page.reached.number).await.unwrap();
    assert_eq!((page.grants.len(), page.reached), (0, position));
    // What was lost is recorded anew when somebody asks again; what is left keeps its number.
    let again = |grant| revoked_until(grant, sql.clock.now() + DAY);
    assert_eq!(record(&sql.feed(), again(grants[0])).await, 1);
    assert_eq!(record(&sql.feed(), again(grants[4])).await, position.number.get() + 1);
}

async fn whoever_lived_through_a_loss_reloads_after_recovery(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    revoke_some(&sql, 5).await;
    follower.confirm().await;
    for kept in [3, 1] {
        sql.lose_commits_after(kept).await;
        revoke_some(&sql, 1).await;
        assert!(follower.renew().await.is_err(), "it has seen what is lost");
    }
    recovered(&sql, head(&sql.feed()).await).await;
    assert_eq!(follower.renew().await.unwrap().0, Renewal::Reload);
    let loaded = sql.feed().load().await.unwrap();
    assert!(loaded.position.number > follower.snapshot.position.number);
}

/// Whoever starts, and whoever brings a restored store up to date, goes through all revocations, page by page. On a new
/// database PostgreSQL guesses, and must not guess that each page is found by reading everything.
#[test]
fn going_through_all_revocations_reads_none_of_them_often() {
    const ALL: usize = 10_000;
    crate::run(async {
        let sql = Sql::fresh(Kind::Postgres).await;
        revoke_some(&sql, ALL).await;
        let read = async || -> usize {
            let counters = "(SELECT (seq_tup_read + idx_tup_fetch)::text FROM pg_stat_user_tables WHERE relname = 'changes')";
            // What a connection has counted is reported within a second, when it is used again.
            tokio::time::sleep(Duration::from_secs(2)).await;
            sql.feed().head().await.unwrap();
            sql.ask("'0'", counters).await.unwrap().parse().unwrap()
        };
        let before = read().await;
        assert_eq!(sql.beside().feed().load().await.unwrap().revoked.len(), ALL);
        let (mut after, mut seen) = (number(0), 0);
        while seen < ALL {
            let page = sql.feed().revocations_after(after).await.unwrap();
            (after, seen) = (page.reached.number, seen + page.grants.len());
        }
        let rows = read().await - before;
        assert!(rows > 2 * ALL, "{rows} rows were counted: not all that was read");
        assert!(rows < 4 * ALL, "{rows} rows were read");
    });
}
