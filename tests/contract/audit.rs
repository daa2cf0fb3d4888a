//! The audit: every change and every refusal has a row, in commit order; whatever is done to the rows shows.

use std::time::Duration;

use symbolon::admin::Admin;
use symbolon::admin::audit::Verdict;
use symbolon::changes::audit::{Attempt, AuditFilter, AuditMark, AuditRow, Fault, Outcome};
use symbolon::changes::{Actor, Change, KillScope, Recorder as _, recover};
use symbolon::domain::clock::Clock as _;
use symbolon::domain::identifier::{GrantId, RoleName};
use symbolon::domain::position::ChangeNumber;
use symbolon::domain::scope::Scope;
use tokio::task::JoinSet;

use crate::cases;
use crate::databases::{Kind, LONGEST, Sql, client, entry, head, killed, record, record_all, revoke_some};
use crate::people::admin;
use crate::stores::new_id;

const DAY: Duration = Duration::from_secs(86_400);

cases!(Kind: postgres = Postgres, sqlite = Sqlite => {
    every_change_leaves_a_row_that_says_who_what_and_why,
    a_revocation_asked_for_again_leaves_a_row_and_no_change,
    a_refusal_leaves_a_row_and_no_change,
    rows_of_many_recorders_at_once_stand_in_the_order_of_the_feed,
    x33_rows_that_were_removed_altered_or_reordered_are_found,
    x33_rows_taken_from_either_end_are_found,
    x33_the_table_lets_nobody_alter_or_delete,
    x33_a_chain_that_was_written_anew_contradicts_a_head_noted_before,
    what_cannot_be_audited_does_not_happen,
    retention_deletes_the_oldest_and_leaves_the_chain_provable,
    rows_are_found_by_each_filter_and_in_pages,
    recovering_is_audited_and_the_chain_goes_on,
});

async fn rows(admin: &Admin, filter: AuditFilter) -> Vec<AuditRow> {
    let mut rows = admin.audit(&filter, None, 10_000).await.unwrap();
    rows.reverse();
    rows
}

async fn all_rows(admin: &Admin) -> Vec<AuditRow> {
    rows(admin, AuditFilter::default()).await
}

/// Proves the audit; the mark at its end.
async fn unbroken(admin: &Admin) -> AuditMark {
    match admin.verify_audit(None).await.unwrap() {
        Verdict::Unbroken(verified) => verified.head,
        other => panic!("{other:?}"),
    }
}

/// The number of the first bad row, and what is wrong with it.
async fn broken(admin: &Admin) -> (i64, Fault) {
    match admin.verify_audit(None).await.unwrap() {
        Verdict::Broken(broken) => (broken.number, broken.fault),
        other => panic!("{other:?}"),
    }
}

/// Takes away what keeps honest hands off the table.
async fn disarm(sql: &Sql, kind: Kind) {
    sql.tamper(match kind {
        Kind::Postgres => "ALTER TABLE audit DISABLE TRIGGER USER",
        Kind::Sqlite => "DROP TRIGGER audit_is_not_altered; DROP TRIGGER audit_rows_stay",
    })
    .await;
}

/// A database whose audit has `count` rows about as many grants.
async fn audited(kind: Kind, count: usize) -> (Sql, Admin, Vec<GrantId>) {
    let sql = Sql::fresh(kind).await;
    let admin = admin(&sql);
    let grants = revoke_some(&sql, count).await;
    assert_eq!(unbroken(&admin).await.number, i64::try_from(count).unwrap());
    (sql, admin, grants)
}

fn attempt(target: &str) -> Attempt {
    let author = Actor::client(&client("app")).at(Some([192, 0, 2, 1].into()));
    let why = "the token was issued to another client".to_owned();
    Attempt { author, action: "revoke-grant", target: target.to_owned(), why }
}

async fn every_change_leaves_a_row_that_says_who_what_and_why(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let admin = admin(&sql);
    let grant = new_id();
    let mut revoked = entry(Change::GrantRevoked { grant, ends_at: Some(sql.clock.now()) });
    revoked.author = Actor::client(&client("app")).at(Some([192, 0, 2, 1].into()));
    let numbers = record_all(&sql.feed(), vec![revoked, killed(KillScope::Everything)]).await;
    let rows = all_rows(&admin).await;
    let said: Vec<_> = rows
        .iter()
        .map(|row| (row.actor.as_str(), row.place.as_deref(), row.action.as_str(), row.target.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            ("client app", Some("192.0.2.1"), "revoke-grant", grant.to_string().as_str()),
            ("command line", None, "kill-everything", ""),
        ]
    );
    for (row, number) in rows.iter().zip(numbers) {
        assert_eq!((row.change, row.outcome.as_str()), (i64::try_from(number).ok(), "done"));
        assert_eq!(row.reason.as_deref(), Some("a case of the contract"));
        assert_eq!(row.recorded_at, sql.clock.now().unix_seconds());
    }
    assert_eq!(unbroken(&admin).await.number, 2);
}

async fn a_revocation_asked_for_again_leaves_a_row_and_no_change(kind: Kind) {
    let (sql, admin, grants) = audited(kind, 1).await;
    let again = entry(Change::GrantRevoked { grant: grants[0], ends_at: None });
    assert_eq!(record(&sql.feed(), again).await, 1);
    let rows = all_rows(&admin).await;
    assert_eq!((rows[1].outcome.as_str(), rows[1].change), ("repeated", Some(1)));
    assert_eq!((head(&sql.feed()).await, unbroken(&admin).await.number), (1, 2));
}

async fn a_refusal_leaves_a_row_and_no_change(kind: Kind) {
    let (sql, admin, _) = audited(kind, 1).await;
    sql.feed().record_attempts(vec![attempt("a"), attempt("b")]).await.unwrap();
    let refused = AuditFilter { outcome: Some(Outcome::Refused), ..AuditFilter::default() };
    let refused = rows(&admin, refused).await;
    assert_eq!(refused.iter().map(|row| row.target.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(refused[0].reason.as_deref(), Some("the token was issued to another client"));
    assert_eq!((refused[0].change, refused[0].place.as_deref()), (None, Some("192.0.2.1")));
    assert_eq!((head(&sql.feed()).await, unbroken(&admin).await.number), (1, 3));
}

async fn rows_of_many_recorders_at_once_stand_in_the_order_of_the_feed(kind: Kind) {
    const RECORDERS: usize = 8;
    let sql = Sql::fresh(kind).await;
    let mut recorders = JoinSet::new();
    for _ in 0..RECORDERS {
        let feed = sql.feed();
        let ends_at = Some(sql.clock.now() + LONGEST);
        recorders.spawn(async move {
            for _ in 0..5 {
                let changes = (0..4).map(|_| entry(Change::GrantRevoked { grant: new_id(), ends_at }));
                feed.record(changes.collect()).await.unwrap();
                feed.record_attempts(vec![attempt("x")]).await.unwrap();
            }
        });
    }
    recorders.join_all().await;
    let admin = admin(&sql);
    assert_eq!(unbroken(&admin).await.number, 200);
    let rows = all_rows(&admin).await;
    let changes: Vec<i64> = rows.iter().filter_map(|row| row.change).collect();
    assert_eq!(changes, (1..=160).collect::<Vec<_>>());
}

async fn x33_rows_that_were_removed_altered_or_reordered_are_found(kind: Kind) {
    for (tampering, found) in [
        ("UPDATE audit SET reason = 'of another' WHERE number = 4", (4, Fault::Altered)),
        ("UPDATE audit SET actor = 'client other' WHERE number = 1", (1, Fault::Altered)),
        ("UPDATE audit SET change = NULL WHERE number = 9", (9, Fault::Altered)),
        ("UPDATE audit SET outcome = 'nonsense' WHERE number = 9", (9, Fault::Altered)),
        ("DELETE FROM audit WHERE number = 5", (5, Fault::Removed)),
        ("DELETE FROM audit WHERE number IN (5, 6)", (5, Fault::Removed)),
        (
            "UPDATE audit SET number = 100 WHERE number = 3;
             UPDATE audit SET number = 3 WHERE number = 7;
             UPDATE audit SET number = 7 WHERE number = 100",
            (3, Fault::Reordered { with: 7 }),
        ),
        // One was removed and the rest moved up: no row is missing any more, but the last.
        (
            "DELETE FROM audit WHERE number = 8;
             UPDATE audit SET number = 8 WHERE number = 9;
             UPDATE audit SET number = 9 WHERE number = 10",
            (8, Fault::Altered),
        ),
        (
            "INSERT INTO audit (number, recorded_at, actor, action, target, outcome, hash)
             SELECT 11, recorded_at, actor, action, target, outcome, hash FROM audit WHERE number = 10",
            (11, Fault::Added),
        ),
    ] {
        let (sql, admin, _) = audited(kind, 10).await;
        disarm(&sql, kind).await;
        sql.tamper(tampering).await;
        assert_eq!(broken(&admin).await, found, "{tampering}");
    }
}

async fn x33_rows_taken_from_either_end_are_found(kind: Kind) {
    for (tampering, found) in [
        ("DELETE FROM audit WHERE number <= 3", (1, Fault::Removed)),
        ("DELETE FROM audit WHERE number > 7", (8, Fault::Removed)),
        ("DELETE FROM audit", (1, Fault::Removed)),
        // As if retention had done it.
        ("DELETE FROM audit WHERE number <= 3; UPDATE feed SET audit_purged_number = 3", (4, Fault::Altered)),
        ("DELETE FROM audit WHERE number > 7; UPDATE feed SET audit_number = 7", (7, Fault::Altered)),
    ] {
        let (sql, admin, _) = audited(kind, 10).await;
        disarm(&sql, kind).await;
        sql.tamper(tampering).await;
        assert_eq!(broken(&admin).await, found, "{tampering}");
    }
}

async fn x33_the_table_lets_nobody_alter_or_delete(kind: Kind) {
    let (sql, admin, _) = audited(kind, 3).await;
    let mut forbidden = vec![
        "UPDATE audit SET reason = 'of another' WHERE number = 2",
        "DELETE FROM audit WHERE number = 2",
        "DELETE FROM audit",
    ];
    if kind == Kind::Postgres {
        forbidden.push("TRUNCATE audit");
    }
    for statement in forbidden {
        let unit = sql.database.write(move |conn| Box::pin(async move { conn.batch(statement).await }));
        let refused = unit.await.unwrap_err().to_string();
        assert!(refused.contains("the audit is append-only"), "{statement}: {refused}");
    }
    assert_eq!(unbroken(&admin).await.number, 3);
}

async fn x33_a_chain_that_was_written_anew_contradicts_a_head_noted_before(kind: Kind) {
    let (sql, admin, _) = audited(kind, 5).await;
    let noted = unbroken(&admin).await;
    revoke_some(&sql, 2).await;
    let proved = |verdict| matches!(verdict, Verdict::Unbroken(_));
    assert!(proved(admin.verify_audit(Some(noted)).await.unwrap()));
    // Whoever may write every table writes a chain that holds, without what happened.
    disarm(&sql, kind).await;
    sql.tamper("DELETE FROM audit; UPDATE feed SET audit_number = 0").await;
    let zero = if kind == Kind::Postgres { "decode(repeat('00', 32), 'hex')" } else { "zeroblob(32)" };
    sql.tamper(format!("UPDATE feed SET audit_hash = {zero}")).await;
    revoke_some(&sql, 4).await;
    assert_eq!(unbroken(&admin).await.number, 4);
    let shorter = admin.verify_audit(Some(noted)).await.unwrap();
    assert!(matches!(&shorter, Verdict::Broken(found) if found.fault == Fault::Removed), "{shorter:?}");
    revoke_some(&sql, 3).await;
    let other = admin.verify_audit(Some(noted)).await.unwrap();
    let is_found =
        matches!(&other, Verdict::Broken(found) if (found.number, &found.fault) == (5, &Fault::NotAsNoted));
    assert!(is_found, "{other:?}");
}

async fn what_cannot_be_audited_does_not_happen(kind: Kind) {
    let (sql, admin, grants) = audited(kind, 1).await;
    sql.tamper("ALTER TABLE audit RENAME TO gone").await;
    let revoked = entry(Change::GrantRevoked { grant: new_id(), ends_at: None });
    sql.feed().record(vec![revoked]).await.unwrap_err();
    admin.kill(KillScope::Client(client("app"))).await.unwrap_err();
    admin.create_role(RoleName::parse("Editors").unwrap(), Scope::default()).await.unwrap_err();
    recover(&sql.database, entry(Change::Recovered), ChangeNumber::ZERO, sql.clock.now()).await.unwrap_err();
    assert_eq!(head(&sql.feed()).await, 1);
    sql.tamper("ALTER TABLE gone RENAME TO audit").await;
    assert!(admin.all_roles().await.unwrap().is_empty());
    assert_eq!(record(&sql.feed(), entry(Change::GrantRevoked { grant: grants[0], ends_at: None })).await, 1);
    assert_eq!(unbroken(&admin).await.number, 2);
}

async fn retention_deletes_the_oldest_and_leaves_the_chain_provable(kind: Kind) {
    let (sql, admin, _) = audited(kind, 5).await;
    let noted = unbroken(&admin).await;
    let keeper = || Actor::replica("a").into();
    assert_eq!(sql.feed().purge_audit(DAY, keeper()).await.unwrap(), 0);
    sql.clock.advance(2 * DAY);
    revoke_some(&sql, 3).await;
    assert_eq!(sql.feed().purge_audit(DAY, keeper()).await.unwrap(), 5);
    assert_eq!(sql.feed().purge_audit(DAY, keeper()).await.unwrap(), 0);
    let rows = all_rows(&admin).await;
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [6, 7, 8, 9]);
    let own = &rows[3];
    assert_eq!((own.actor.as_str(), own.action.as_str()), ("replica a", "purge-audit"));
    assert_eq!(own.detail.as_deref(), Some("rows 1 to 5"));
    assert_eq!(unbroken(&admin).await.number, 9);
    // The last one deleted is still known, those before are not.
    assert!(matches!(admin.verify_audit(Some(noted)).await.unwrap(), Verdict::Unbroken(_)));
    let older = AuditMark { number: 4, ..noted };
    assert!(matches!(admin.verify_audit(Some(older)).await.unwrap(), Verdict::NotedIsPurged(_)));
    disarm(&sql, kind).await;
    sql.tamper("DELETE FROM audit WHERE number = 6").await;
    assert_eq!(broken(&admin).await, (6, Fault::Removed));
}

async fn rows_are_found_by_each_filter_and_in_pages(kind: Kind) {
    let (sql, admin, grants) = audited(kind, 4).await;
    sql.clock.advance(DAY);
    sql.feed().record_attempts(vec![attempt("100%"), attempt("a_b")]).await.unwrap();
    record(&sql.feed(), killed(KillScope::Client(client("app")))).await;
    let now = sql.clock.now();
    let any = AuditFilter::default;
    for (filter, found) in [
        (AuditFilter { since: Some(now), ..any() }, vec![5, 6, 7]),
        (AuditFilter { until: Some(now), ..any() }, vec![1, 2, 3, 4]),
        (AuditFilter { actor: Some("client".to_owned()), ..any() }, vec![5, 6]),
        (AuditFilter { actor: Some("client_app".to_owned()), ..any() }, vec![]),
        (AuditFilter { actor: Some("Client".to_owned()), ..any() }, vec![]),
        (AuditFilter { actor: Some("command line".to_owned()), since: Some(now), ..any() }, vec![7]),
        (AuditFilter { action: Some("kill-client".to_owned()), ..any() }, vec![7]),
        (AuditFilter { target: Some(grants[2].to_string()), ..any() }, vec![3]),
        (AuditFilter { target: Some("app".to_owned()), ..any() }, vec![7]),
        (AuditFilter { outcome: Some(Outcome::Refused), ..any() }, vec![5, 6]),
    ] {
        let numbers: Vec<i64> = rows(&admin, filter.clone()).await.iter().map(|row| row.number).collect();
        assert_eq!(numbers, found, "{filter:?}");
        let mut exported = Vec::new();
        let take = |rows: Vec<AuditRow>| {
            exported.extend(rows.iter().map(|row| row.number));
            Ok::<(), symbolon::admin::AdminError>(())
        };
        admin.export_audit(&filter, take).await.unwrap();
        assert_eq!(exported, found, "{filter:?}");
    }
    let old = AuditFilter { until: Some(now), ..any() };
    let page = |before| admin.audit(&old, before, 3);
    let numbers = |rows: Vec<AuditRow>| rows.iter().map(|row| row.number).collect::<Vec<_>>();
    assert_eq!(numbers(page(None).await.unwrap()), [4, 3, 2]);
    assert_eq!(numbers(page(Some(2)).await.unwrap()), [1]);
    assert_eq!(numbers(page(Some(1)).await.unwrap()), [0; 0]);
}

async fn recovering_is_audited_and_the_chain_goes_on(kind: Kind) {
    let (sql, admin, _) = audited(kind, 2).await;
    let position = recover(&sql.database, entry(Change::Recovered), ChangeNumber::new(9), sql.clock.now())
        .await
        .unwrap();
    revoke_some(&sql, 1).await;
    let rows = all_rows(&admin).await;
    assert_eq!(rows[2].action, "recover");
    assert_eq!(rows[2].change, i64::try_from(position.number.get()).ok());
    assert_eq!(unbroken(&admin).await.number, 4);
}
