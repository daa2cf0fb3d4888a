use super::super::entry::Actor;
use super::*;
use crate::domain::identifier::{ClientId, GrantId, UserId};
use crate::domain::scope::Scope;

const AT: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn deed(target: &str) -> Deed {
    Deed {
        author: Actor::command_line().on_machine("host", 1000),
        action: "revoke-grant",
        target: target.to_owned(),
        detail: None,
        outcome: Outcome::Done,
        reason: Some("it leaked".to_owned()),
        change: Some(ChangeNumber::new(7)),
    }
}

/// Five rows, and the place after them.
fn rows() -> (Vec<AuditRow>, AuditMark) {
    let mut mark = AuditMark::default();
    let rows = ["a", "b", "c", "d", "e"].map(|target| mark.append(deed(target), AT));
    (rows.into(), mark)
}

fn walk(rows: &[AuditRow], head: AuditMark, noted: Option<AuditMark>) -> Result<AuditMark, Broken> {
    let mut walk = Walk::new(AuditMark::default(), noted)?;
    rows.iter().try_for_each(|row| walk.step(row, head))?;
    walk.end(AuditBounds { head, ..AuditBounds::default() })?;
    Ok(walk.at())
}

/// The number of the first bad row, and what is wrong.
fn fault(rows: &[AuditRow], head: AuditMark) -> (i64, Fault) {
    let broken = walk(rows, head, None).unwrap_err();
    (broken.number, broken.fault)
}

#[test]
fn rows_that_nobody_touched_are_proved_from_whatever_came_before_them() {
    let (rows, head) = rows();
    assert_eq!(walk(&rows, head, None), Ok(head));
    let third = AuditMark { number: 3, hash: rows[2].chain_value(&mark_of(&rows[1]).hash, 3) };
    let mut later = Walk::new(third, None).unwrap();
    rows[3..].iter().for_each(|row| later.step(row, head).unwrap());
    assert_eq!((later.end(AuditBounds { head, ..AuditBounds::default() }), later.at()), (Ok(()), head));
}

#[test]
fn rows_that_retention_did_not_take_away_are_missed() {
    let (mut rows, mut head) = rows();
    let purge = |upto: i64| Deed { action: PURGE, detail: Some(format!("rows 1 to {upto}")), ..deed("") };
    rows.push(head.append(purge(2), AT));
    let second = mark_of(&rows[1]);
    let end = |purged: AuditMark| {
        let kept = usize::try_from(purged.number).unwrap();
        let mut walk = Walk::new(purged, None).unwrap();
        rows[kept..].iter().for_each(|row| walk.step(row, head).unwrap());
        walk.end(AuditBounds { purged, head })
    };
    assert_eq!(end(second), Ok(()));
    // Somebody moved the mark, and took one more.
    assert_eq!(end(mark_of(&rows[2])), Err(Broken { number: 3, fault: Fault::Removed }));
}

fn mark_of(row: &AuditRow) -> AuditMark {
    AuditMark { number: row.number, hash: ChangeHash(row.hash.clone().try_into().unwrap()) }
}

#[test]
fn every_column_is_in_the_chain() {
    let (rows, head) = rows();
    let alterations: [fn(&mut AuditRow); 11] = [
        |row| row.recorded_at += 1,
        |row| row.actor.push('x'),
        |row| row.place = None,
        |row| row.place = Some(String::new()),
        |row| row.action.push('x'),
        |row| row.target.push('x'),
        |row| row.detail = Some(String::new()),
        |row| row.outcome.push('x'),
        |row| row.reason = None,
        |row| row.change = None,
        |row| row.hash[0] ^= 1,
    ];
    for alter in alterations {
        let mut altered = rows.clone();
        alter(&mut altered[2]);
        assert_eq!(fault(&altered, head), (3, Fault::Altered), "{:?}", altered[2]);
    }
    // A letter that moves to the next column is another row.
    let mut moved = rows;
    (moved[2].action, moved[2].target) = ("revoke-gran".to_owned(), "tc".to_owned());
    assert_eq!(fault(&moved, head), (3, Fault::Altered));
}

#[test]
fn rows_that_are_missing_at_either_end_or_between_are_found() {
    let (rows, head) = rows();
    for gone in 0..rows.len() {
        let mut fewer = rows.clone();
        let number = fewer.remove(gone).number;
        assert_eq!(fault(&fewer, head), (number, Fault::Removed));
    }
    assert_eq!(fault(&[], head), (1, Fault::Removed));
    // Closing the gap takes other numbers, which the chain knows.
    let mut closed = rows;
    closed.remove(1);
    closed.iter_mut().zip(1..).for_each(|(row, number)| row.number = number);
    assert_eq!(fault(&closed, head), (2, Fault::Altered));
}

#[test]
fn a_row_after_the_end_is_found() {
    let (mut rows, head) = rows();
    rows.push(head.clone().append(deed("f"), AT));
    assert_eq!(fault(&rows, head), (6, Fault::Added));
}

#[test]
fn rows_that_changed_places_are_told_from_rows_that_were_altered() {
    let (rows, head) = rows();
    for takes_its_hash in [true, false] {
        let mut swapped = rows.clone();
        swapped.swap(1, 3);
        (swapped[1].number, swapped[3].number) = (2, 4);
        if !takes_its_hash {
            (swapped[1].hash, swapped[3].hash) = (rows[1].hash.clone(), rows[3].hash.clone());
        }
        assert_eq!(fault(&swapped, head), (2, Fault::Altered));
        let mut walk = Walk::new(AuditMark::default(), None).unwrap();
        walk.step(&swapped[0], head).unwrap();
        let belongs: Vec<i64> = swapped[2..]
            .iter()
            .filter(|row| walk.belongs_here(row, &swapped[1]))
            .map(|row| row.number)
            .collect();
        assert_eq!(belongs, [4]);
    }
}

#[test]
fn a_chain_that_was_written_anew_is_found_by_a_place_noted_before() {
    let (rows, head) = rows();
    for row in &rows {
        assert_eq!(walk(&rows, head, Some(mark_of(row))), Ok(head));
    }
    let mut forged = AuditMark::default();
    let anew: Vec<_> =
        ["a", "b", "x", "d", "e"].map(|target| forged.append(deed(target), AT)).into_iter().collect();
    assert_eq!(walk(&anew, forged, None), Ok(forged));
    assert_eq!(walk(&anew, forged, Some(mark_of(&rows[1]))), Ok(forged));
    let noted = walk(&anew, forged, Some(mark_of(&rows[3])));
    assert_eq!(noted, Err(Broken { number: 4, fault: Fault::NotAsNoted }));
    // Rows and head taken away alike.
    let shorter = walk(&rows[..3], mark_of(&rows[2]), Some(head));
    assert_eq!(shorter, Err(Broken { number: 4, fault: Fault::Removed }));
}

#[test]
fn a_mark_is_read_as_it_is_written() {
    let (_, head) = rows();
    assert_eq!(AuditMark::parse(&head.to_string()), Some(head));
    let text = head.to_string();
    for other in
        ["", "5", "5:", ":00", &text[..text.len() - 1], &format!("{text}0"), &text.replace("5:", "-5:")]
    {
        assert_eq!(AuditMark::parse(other), None, "{other}");
    }
    let signed = format!("5:{}", "+1".repeat(32));
    assert_eq!(AuditMark::parse(&signed), None);
}

#[test]
fn what_a_change_is_about_is_one_thing() {
    let grant = GrantId::from_bytes([5; 12]);
    let edited = |edit| Change::GrantEdited { grant, edit, ends_at: None };
    let (user, client) = (UserId::parse("usr_1").unwrap(), ClientId::parse("app").unwrap());
    for (change, target, detail) in [
        (Change::GrantRevoked { grant, ends_at: None }, grant.to_string(), None),
        (
            Change::RotationLost { grant, number: 7 },
            grant.to_string(),
            Some("refresh token 7 was taken up".to_owned()),
        ),
        (
            Change::Killed(KillScope::other_login_sessions(user.clone(), grant)),
            user.to_string(),
            Some(format!("all but {grant}")),
        ),
        (
            Change::Killed(KillScope::Consent(user.clone(), client)),
            user.to_string(),
            Some("client app".to_owned()),
        ),
        (edited(Edit::Narrow(Scope::default())), grant.to_string(), Some("to \"\"".to_owned())),
        (edited(Edit::Shorten(AT)), grant.to_string(), Some("until 2027-01-15T08:00:00Z".to_owned())),
        (edited(Edit::Freeze), grant.to_string(), None),
        (Change::Killed(KillScope::Everything), String::new(), None),
    ] {
        assert_eq!(about(&change), (target, detail));
    }
}
