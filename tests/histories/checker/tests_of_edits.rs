//! The checker against histories of edited grants written by hand.

use super::Rule;
use super::story::Story;
use crate::history::{Answer, Edit, FaultKind, Path, Scope};

fn words(text: &str) -> Scope {
    Scope::parse(text).expect("a scope")
}

fn read() -> Scope {
    words("notes:read")
}

fn refused(error: &str) -> Answer {
    Answer::Refused { status: 400, error: error.to_owned() }
}

fn refreshed(scope: Scope) -> Answer {
    Answer::Refreshed { token: 2, grant: "grant-1".to_owned(), scope, refresh: 1 }
}

/// Token 1, edited at 20 to 30.
fn edited(edit: Edit) -> Story {
    Story::new().authorize(7, 3, 1, 10..11).edit(1, edit, Answer::Done, 20..30)
}

/// The same, by a command that does not know what became of it.
fn perhaps(edit: Edit) -> Story {
    let story = Story::new().authorize(7, 3, 1, 10..11).fault(FaultKind::SqlPath(1, Path::Stalled), 15..35);
    story.edit(1, edit, Answer::Failed("no confirmation".to_owned()), 20..30)
}

#[test]
fn active_or_refreshed_while_it_is_frozen_is_found() {
    edited(Edit::Freeze).inactive(1, 0, 40..41).holds();
    edited(Edit::Freeze).active(1, 0, 40..41).violates(Rule::FreezesHold);
    edited(Edit::Freeze).try_refresh(1, 0, refreshed(Scope::ALL), 40..41).violates(Rule::FreezesHold);
    edited(Edit::Freeze).active(1, 0, 25..41).inactive(1, 1, 25..26).holds();
}

#[test]
fn a_frozen_grant_is_not_lost_to_its_client() {
    let unavailable = Answer::Unavailable { retry_after: true };
    edited(Edit::Freeze).try_refresh(1, 0, unavailable, 40..41).holds();
    let refusal = edited(Edit::Freeze).try_refresh(1, 0, refused("invalid_grant"), 40..41);
    refusal.violates(Rule::RefusalsHaveReasons);
}

#[test]
fn inactive_after_a_thaw_is_found() {
    let story = || edited(Edit::Freeze).inactive(1, 1, 40..41).edit(1, Edit::Thaw, Answer::Done, 50..60);
    story().active(1, 0, 70..71).active(1, 1, 70..71).holds();
    story().inactive(1, 0, 70..71).violates(Rule::NothingIsLost);
    story().inactive(1, 0, 55..71).holds();
    // Frozen again meanwhile, or not.
    let again = || story().edit(1, Edit::Freeze, Answer::Done, 55..65);
    again().active(1, 0, 70..71).holds();
    again().inactive(1, 0, 70..71).holds();
}

#[test]
fn a_freeze_that_was_not_acknowledged_may_or_may_not_hold_until_another_edit_is() {
    perhaps(Edit::Freeze).active(1, 0, 40..41).inactive(1, 1, 50..51).active(1, 0, 60..61).holds();
    let thawed = || perhaps(Edit::Freeze).edit(1, Edit::Thaw, Answer::Done, 9000..9001);
    thawed().active(1, 0, 9002..9003).holds();
    thawed().inactive(1, 0, 9002..9003).violates(Rule::NothingIsLost);
}

#[test]
fn a_scope_wider_than_a_narrowing_is_found() {
    let active = |scope| Answer::Active(scope);
    edited(Edit::Narrow(read())).introspect(1, 0, active(read()), 40..41).holds();
    edited(Edit::Narrow(read())).active(1, 0, 40..41).violates(Rule::ScopeIsLive);
    edited(Edit::Narrow(read())).active(1, 0, 25..41).holds();
    edited(Edit::Narrow(read())).inactive(1, 0, 40..41).violates(Rule::NothingIsLost);
    let wide = edited(Edit::Narrow(read())).try_refresh(1, 0, refreshed(Scope::ALL), 40..41);
    wide.violates(Rule::ScopeIsLive);
    let told = edited(Edit::Narrow(read())).try_refresh(1, 0, refreshed(read()), 40..41);
    told.introspect(2, 0, active(read()), 50..51).holds();
}

#[test]
fn narrowings_add_up() {
    let two = words("notes:read notes:write");
    let story = || edited(Edit::Narrow(two)).edit(1, Edit::Narrow(read()), Answer::Done, 40..50);
    story().introspect(1, 0, Answer::Active(read()), 60..61).holds();
    story().introspect(1, 0, Answer::Active(two), 60..61).violates(Rule::ScopeIsLive);
    let unsure =
        || perhaps(Edit::Narrow(two)).edit(1, Edit::Narrow(words("notes:share")), Answer::Done, 40..50);
    unsure().introspect(1, 0, Answer::Active(words("notes:share")), 60..61).inactive(1, 1, 60..61).holds();
    unsure().try_refresh(1, 0, refused("invalid_scope"), 60..61).holds();
    unsure().active(1, 0, 60..61).violates(Rule::ScopeIsLive);
}

#[test]
fn active_or_refreshed_after_a_shortened_end_is_found() {
    let story = || edited(Edit::Shorten(5));
    story().active(1, 0, 4000..4001).inactive(1, 1, 5000..5001).inactive(1, 0, 9000..9001).holds();
    story().inactive(1, 0, 1000..1001).violates(Rule::NothingIsLost);
    story().active(1, 0, 9000..9001).violates(Rule::TokensExpire);
    story().try_refresh(1, 0, refreshed(Scope::ALL), 9000..9001).violates(Rule::TokensExpire);
    story().try_refresh(1, 0, refused("invalid_grant"), 9000..9001).holds();
    perhaps(Edit::Shorten(5)).active(1, 0, 9000..9001).inactive(1, 1, 9000..9001).holds();
}

#[test]
fn an_edit_of_any_token_holds_for_the_whole_grant() {
    let story = || Story::new().authorize(7, 3, 1, 10..11).refresh(1, 0, 2, 15..16);
    for (edited, asked) in [(1, 2), (2, 1)] {
        let story = story().edit(edited, Edit::Freeze, Answer::Done, 20..30);
        story.active(asked, 0, 40..41).violates(Rule::FreezesHold);
    }
}

#[test]
fn an_objection_without_a_reason_is_found_and_nothing_was_done() {
    let objection = || Answer::Objected("dead".to_owned());
    let story = || Story::new().mint(1, 10..11);
    story().edit(1, Edit::Freeze, objection(), 20..30).violates(Rule::RefusalsHaveReasons);
    let dead = || story().revoke(1, Answer::Done, 12..15);
    dead().edit(1, Edit::Freeze, objection(), 20..30).holds();
    let narrow = Edit::Narrow(read());
    story().edit(1, narrow, objection(), 20..30).violates(Rule::RefusalsHaveReasons);
    let elsewhere = story().edit(1, Edit::Narrow(words("notes:share")), Answer::Done, 12..15);
    elsewhere.edit(1, narrow, objection(), 20..30).holds();
    let shortened = || story().edit(1, Edit::Shorten(9), Answer::Done, 12..15);
    shortened().edit(1, Edit::Shorten(20), objection(), 20..30).active(1, 0, 40..41).holds();
    let failed = Answer::Failed("the database is away".to_owned());
    story().edit(1, Edit::Freeze, failed, 20..30).violates(Rule::RefusalsHaveReasons);
}

#[test]
fn a_frozen_token_that_is_revoked_stays_dead_after_the_thaw() {
    let story =
        edited(Edit::Freeze).revoke(1, Answer::Done, 40..41).edit(1, Edit::Thaw, Answer::Done, 50..60);
    story.active(1, 0, 70..71).violates(Rule::AcknowledgedMeansGone);
}

#[test]
fn a_restored_redis_takes_nothing_back() {
    let story = Story::new().authorize(7, 3, 1, 10..11).fault(FaultKind::DumpRedis(0), 12..13);
    let story = story.edit(1, Edit::Freeze, Answer::Done, 20..30).fault(FaultKind::RestoreRedis(0), 40..50);
    story.active(1, 0, 60..61).violates(Rule::FreezesHold);
}
