//! The checker against histories written by hand: every rule sees what violates it, and nothing else is called wrong.

use super::Rule;
use super::story::Story;
use crate::history::{Answer, Asked, By, Change, FaultKind, Path, Scope};

const OTHER: Change = Change::Create { scope: Scope::ALL, secret: 0, lifetime: None };

fn words(text: &str) -> Scope {
    Scope::parse(text).expect("a scope")
}

fn read() -> Scope {
    words("notes:read")
}

fn write() -> Scope {
    words("notes:write")
}

fn unavailable() -> Answer {
    Answer::Unavailable { retry_after: true }
}

fn refused(status: u16, error: &str) -> Answer {
    Answer::Refused { status, error: error.to_owned() }
}

fn minted(token: u32, scope: Scope) -> Answer {
    Answer::Minted { token, grant: format!("grant-{token}"), scope, expires_in: 3600 }
}

fn by_a_stranger() -> By {
    By::Stranger(0, 0)
}

// What was acknowledged.

#[test]
fn active_after_an_acknowledged_revocation_is_found() {
    for by in [By::Owner(0), By::ResourceServer, By::CommandLine] {
        let story = Story::new().mint(1, 10..11).revoke_by(by, 1, Answer::Done, 20..30);
        story.active(1, 1, 31..32).violates(Rule::AcknowledgedMeansGone);
    }
}

#[test]
fn active_while_a_revocation_is_under_way_is_good() {
    let story = Story::new().mint(1, 10..11).revoke(1, Answer::Done, 20..30);
    // The first began before the acknowledgement and was answered long after it.
    story.active(1, 1, 29..50).inactive(1, 0, 22..23).inactive(1, 1, 51..52).holds();
}

#[test]
fn the_earliest_acknowledgement_of_several_counts() {
    let story = Story::new().mint(1, 10..11);
    let story = story.revoke(1, Answer::Done, 20..90).revoke(1, Answer::Done, 25..40);
    story.active(1, 0, 50..51).violates(Rule::AcknowledgedMeansGone);
}

#[test]
fn a_revocation_that_was_not_acknowledged_may_or_may_not_have_been_done() {
    for answer in [unavailable(), Answer::Failed("down".to_owned())] {
        let fault = Story::new().fault(FaultKind::FreezePostgres, 5..2000);
        let story = fault.mint(1, 10..11).revoke_by(By::CommandLine, 1, answer, 20..30);
        story.active(1, 0, 40..41).inactive(1, 1, 40..41).inactive(1, 0, 90_000..90_001).holds();
    }
}

#[test]
fn active_after_a_kill_a_disabling_and_a_deletion_is_found() {
    for change in [Change::Kill, Change::Disable, Change::Delete] {
        let story = Story::new().mint(1, 10..11).administer(change, 20..30);
        story.active(1, 0, 31..32).violates(Rule::AcknowledgedMeansGone);
    }
}

#[test]
fn a_kill_reaches_no_token_that_was_minted_after_it() {
    let story = Story::new().administer(Change::Kill, 20..30).mint(1, 31..32);
    story.inactive(1, 0, 40..41).violates(Rule::NothingIsLost);
}

#[test]
fn a_kill_may_or_may_not_reach_a_token_that_was_minted_meanwhile() {
    let story = || Story::new().administer(Change::Kill, 20..30).mint(1, 25..26);
    story().inactive(1, 0, 40..41).holds();
    story().active(1, 0, 40..41).active(1, 1, 40..41).holds();
    story().inactive(1, 0, 40..41).active(1, 0, 42..43).violates(Rule::NothingComesBack);
}

#[test]
fn a_kill_that_was_not_acknowledged_reaches_no_token_that_was_minted_long_after() {
    let fault = || Story::new().fault(FaultKind::FreezePostgres, 15..3000);
    let story = fault().administer_in_vain(Change::Kill, 20..1000).mint(1, 9000..9001);
    story.inactive(1, 0, 9010..9011).holds();
    let story = fault().administer_in_vain(Change::Kill, 20..1000).mint(1, 20_000..20_001);
    story.inactive(1, 0, 20_010..20_011).violates(Rule::NothingIsLost);
}

#[test]
fn enabling_and_making_again_revive_nothing() {
    let story = Story::new().mint(1, 10..11).administer(Change::Disable, 20..30);
    let story = story.administer(Change::Enable, 40..50);
    story.active(1, 0, 60..61).violates(Rule::AcknowledgedMeansGone);
    let story = Story::new().mint(1, 10..11).administer(Change::Delete, 20..30).administer(OTHER, 40..50);
    story.active(1, 0, 60..61).violates(Rule::AcknowledgedMeansGone);
}

// Scope and credentials.

#[test]
fn a_scope_that_was_taken_away_is_found() {
    let story = || Story::new().mint(1, 10..11).administer(Change::Scope(read()), 20..30);
    story().active(1, 0, 40..41).violates(Rule::ScopeIsLive);
    story().introspect(1, 0, Answer::Active(read()), 40..41).holds();
    // Meanwhile either.
    story().active(1, 0, 25..26).introspect(1, 1, Answer::Active(read()), 25..26).holds();
}

#[test]
fn a_scope_that_was_given_back_has_to_be_seen() {
    let story = Story::new().mint(1, 10..11).administer(Change::Scope(read()), 20..30);
    let story = story.administer(Change::Scope(Scope::ALL), 40..50);
    story.introspect(1, 0, Answer::Active(read()), 60..61).violates(Rule::ScopeIsLive);
}

#[test]
fn a_token_keeps_to_the_scope_that_it_was_minted_for() {
    let story = Story::new().event(
        Asked::Mint { client: 0, secret: 0, scope: Some(read()), replica: 0 },
        minted(1, read()),
        10..11,
    );
    story.active(1, 0, 20..21).violates(Rule::ScopeIsLive);
}

#[test]
fn a_token_without_any_scope_left_is_inactive_until_some_is_given_back() {
    let story = Story::new().event(
        Asked::Mint { client: 0, secret: 0, scope: Some(read()), replica: 0 },
        minted(1, read()),
        10..11,
    );
    let story = story.administer(Change::Scope(write()), 20..30).inactive(1, 0, 40..41);
    let story = story.administer(Change::Scope(Scope::ALL), 50..60);
    story.introspect(1, 0, Answer::Active(read()), 70..71).holds();
}

#[test]
fn a_change_that_was_not_acknowledged_may_be_seen_until_another_is() {
    let story = || {
        let story = Story::new().fault(FaultKind::StopPostgres, 15..25).mint(1, 10..11);
        story.administer_in_vain(Change::Scope(read()), 20..30)
    };
    let narrow = Answer::Active(read());
    story().active(1, 0, 7000..7001).introspect(1, 1, narrow.clone(), 8000..8001).holds();
    let settled = || story().administer(Change::Scope(Scope::ALL), 20_000..20_001);
    settled().active(1, 0, 20_002..20_003).holds();
    settled().introspect(1, 0, narrow, 20_002..20_003).violates(Rule::ScopeIsLive);
}

#[test]
fn a_mint_by_a_client_that_is_disabled_or_gone_is_found() {
    for change in [Change::Disable, Change::Delete] {
        let story = || Story::new().administer(change, 20..30);
        story().mint(1, 40..41).violates(Rule::CredentialsAreLive);
        story().try_mint(0, refused(401, "invalid_client"), 40..41).holds();
        story().mint(1, 29..41).holds();
    }
}

#[test]
fn a_mint_with_a_retired_secret_is_found() {
    let story = || Story::new().administer(Change::Rotate(1), 20..30);
    story().mint(1, 40..41).violates(Rule::CredentialsAreLive);
    story().try_mint(1, minted(1, Scope::ALL), 40..41).holds();
    story().try_mint(0, refused(401, "invalid_client"), 40..41).holds();
    story().try_mint(1, refused(401, "invalid_client"), 40..41).violates(Rule::RefusalsHaveReasons);
    story().mint(1, 25..26).try_mint(1, minted(2, Scope::ALL), 25..26).holds();
}

#[test]
fn a_mint_beyond_what_the_client_is_registered_for_is_found() {
    let asked = Asked::Mint { client: 0, secret: 0, scope: Some(Scope::ALL), replica: 0 };
    let story = || Story::new().administer(Change::Scope(read()), 20..30);
    story().event(asked, minted(1, Scope::ALL), 40..41).violates(Rule::ScopeIsLive);
    story().event(asked, refused(400, "invalid_scope"), 40..41).holds();
    Story::new().event(asked, refused(400, "invalid_scope"), 40..41).violates(Rule::RefusalsHaveReasons);
}

// Losing, and coming back.

#[test]
fn inactive_without_a_reason_is_found() {
    Story::new().mint(1, 10..11).inactive(1, 1, 20..21).violates(Rule::NothingIsLost);
}

#[test]
fn a_token_that_was_minted_by_what_another_replica_has_not_heard_is_not_inactive_there() {
    let story = || Story::new().administer(Change::Disable, 20..30).administer(Change::Enable, 40..90);
    let story = || story().fault(FaultKind::SqlPath(1, Path::Stalled), 35..95).mint(1, 50..51);
    story().introspect(1, 1, unavailable(), 60..61).active(1, 1, 70..71).holds();
    story().inactive(1, 1, 60..61).violates(Rule::NothingIsLost);
}

#[test]
fn faults_that_lose_nothing_are_no_reason_for_inactive() {
    let harmless = [
        FaultKind::KillRedis,
        FaultKind::FreezeRedis,
        FaultKind::KillPostgres,
        FaultKind::KillEverything,
        FaultKind::DemoteRedis,
        FaultKind::FillRedis,
        FaultKind::RedisPath(1, Path::Stalled),
        FaultKind::FreezeReplica(1),
        FaultKind::DumpRedis(0),
    ];
    for kind in harmless {
        let story = Story::new().mint(1, 10..11).fault(kind, 20..30);
        story.inactive(1, 1, 25..26).violates(Rule::NothingIsLost);
    }
}

#[test]
fn what_a_flush_lost_is_inactive_and_stays_so() {
    let story = || Story::new().mint(1, 10..11).fault(FaultKind::FlushRedis, 20..30);
    story().active(1, 0, 25..26).inactive(1, 1, 29..30).inactive(1, 0, 40..41).holds();
    story().active(1, 0, 40..41).violates(Rule::LostIsInactive);
    story().mint(2, 31..32).inactive(2, 0, 40..41).violates(Rule::NothingIsLost);
    // This one was minted meanwhile, so it may be lost; but it is, or it is not.
    story().mint(2, 29..32).inactive(2, 0, 40..41).active(2, 1, 50..51).violates(Rule::NothingComesBack);
}

#[test]
fn a_restored_redis_has_what_was_there_when_it_was_dumped() {
    let story = || {
        let story = Story::new().mint(1, 10..11).fault(FaultKind::DumpRedis(0), 20..30).mint(2, 31..32);
        story.fault(FaultKind::FlushRedis, 40..50).mint(3, 51..52).fault(FaultKind::RestoreRedis(0), 60..70)
    };
    story().inactive(1, 0, 55..56).active(1, 0, 80..81).holds();
    story().inactive(1, 0, 80..81).violates(Rule::NothingIsLost);
    story().active(2, 0, 80..81).violates(Rule::LostIsInactive);
    story().active(3, 0, 55..56).inactive(3, 0, 80..81).holds();
    story().active(3, 0, 80..81).violates(Rule::LostIsInactive);
}

#[test]
fn a_restored_redis_brings_back_nothing_that_was_revoked() {
    let story = Story::new().mint(1, 10..11).fault(FaultKind::DumpRedis(0), 20..30);
    let story = story.revoke(1, Answer::Done, 35..40).fault(FaultKind::DemoteRedisTo(0), 60..70);
    story.inactive(1, 0, 75..76).active(1, 0, 80..81).violates(Rule::AcknowledgedMeansGone);
}

#[test]
fn a_killed_redis_may_lose_its_last_moments_only_if_it_was_set_up_so() {
    let story = |unsure: bool, at: u64| {
        let story = if unsure { Story::new().with_unsure_redis() } else { Story::new() };
        story.mint(1, at..at + 1).fault(FaultKind::KillRedis, 9_000..9_500).inactive(1, 0, 9_600..9_601)
    };
    story(true, 8_900).holds();
    story(true, 1_000).violates(Rule::NothingIsLost);
    story(false, 8_900).violates(Rule::NothingIsLost);
}

#[test]
fn a_kill_right_after_a_flush_may_undo_it() {
    let story = Story::new().with_unsure_redis().mint(1, 10..11).fault(FaultKind::FlushRedis, 20..30);
    let story = story.inactive(1, 0, 35..36).fault(FaultKind::KillRedis, 40..50);
    story.active(1, 0, 60..61).active(1, 1, 60..61).holds();
}

#[test]
fn a_revocation_on_its_way_may_be_seen_on_one_replica_and_not_yet_on_another() {
    let story = || {
        let cut = FaultKind::SqlPath(1, Path::Stalled);
        let story = Story::new().fault(cut, 15..9000).mint(1, 10..11);
        story.revoke(1, unavailable(), 20..4000).inactive(1, 0, 30..31)
    };
    story().active(1, 1, 40..41).holds();
    story().active(1, 0, 40..41).violates(Rule::NothingComesBack);
}

#[test]
fn a_token_lives_for_its_time_and_no_longer() {
    let story = || Story::new().mint_lasting(1, Scope::ALL, 20, 10..11);
    story().inactive(1, 0, 17_000..17_001).violates(Rule::NothingIsLost);
    story().active(1, 0, 19_000..19_001).inactive(1, 1, 19_500..19_501).holds();
    story().inactive(1, 0, 30_000..30_001).holds();
    story().active(1, 0, 30_000..30_001).violates(Rule::TokensExpire);
}

// How it is answered.

#[test]
fn a_status_that_is_never_right_is_found() {
    for status in [404, 500, 502] {
        let absurd = Answer::Absurd { status, body: String::new() };
        let story = Story::new().mint(1, 10..11).fault(FaultKind::KillRedis, 12..90);
        story.introspect(1, 0, absurd, 20..21).violates(Rule::NoOtherStatus);
    }
}

#[test]
fn a_503_that_does_not_say_when_is_found() {
    let story = Story::new().mint(1, 10..11).fault(FaultKind::KillRedis, 12..90);
    let silent = Answer::Unavailable { retry_after: false };
    story.introspect(1, 0, silent, 20..21).violates(Rule::UnavailableSaysWhen);
}

#[test]
fn silence_of_a_server_that_was_not_touched_is_found() {
    let silence = || Answer::Nothing("connection reset".to_owned());
    let story = |kind| Story::new().mint(1, 10..11).fault(kind, 15..30);
    story(FaultKind::KillReplica(1)).introspect(1, 1, silence(), 20..21).holds();
    story(FaultKind::FreezeReplica(1)).introspect(1, 1, silence(), 20..21).holds();
    story(FaultKind::RollingRestart).introspect(1, 0, silence(), 20..21).holds();
    story(FaultKind::KillReplica(1)).introspect(1, 0, silence(), 20..21).violates(Rule::ServersAnswer);
    story(FaultKind::KillRedis).introspect(1, 0, silence(), 20..21).violates(Rule::ServersAnswer);
    story(FaultKind::KillReplica(1)).introspect(1, 1, silence(), 5000..5001).violates(Rule::ServersAnswer);
}

#[test]
fn refusals_without_a_reason_are_found() {
    let story = || Story::new().mint(1, 10..11);
    let refusal = || refused(401, "invalid_client");
    story().introspect(1, 0, refusal(), 20..21).violates(Rule::RefusalsHaveReasons);
    story().try_mint(0, refusal(), 20..21).violates(Rule::RefusalsHaveReasons);
    story().revoke(1, refusal(), 20..21).violates(Rule::RefusalsHaveReasons);
    story().revoke_by(By::Owner(0), 1, refusal(), 20..21).violates(Rule::RefusalsHaveReasons);
    let foreign = refused(400, "invalid_grant");
    story().revoke_by(By::Owner(0), 1, foreign, 20..21).violates(Rule::RefusalsHaveReasons);
    story().administer_in_vain(Change::Kill, 20..21).violates(Rule::RefusalsHaveReasons);
}

#[test]
fn a_refused_revocation_did_nothing() {
    let story = Story::new().mint(1, 10..11);
    let story = story.revoke_by(by_a_stranger(), 1, refused(400, "invalid_grant"), 20..21);
    story.inactive(1, 0, 30..31).violates(Rule::NothingIsLost);
}

#[test]
fn a_stranger_who_revokes_a_token_is_found() {
    let story = Story::new().mint(1, 10..11).revoke_by(by_a_stranger(), 1, Answer::Done, 20..21);
    story.violates(Rule::StrangersRevokeNothing);
    // What Redis does not have is nobody's; but then it stays dead.
    let lost = Story::new().mint(1, 10..11).fault(FaultKind::DumpRedis(0), 12..13);
    let lost = lost.fault(FaultKind::FlushRedis, 14..15).revoke_by(by_a_stranger(), 1, Answer::Done, 20..21);
    lost.fault(FaultKind::RestoreRedis(0), 30..40).inactive(1, 0, 50..51).holds();
}

#[test]
fn a_grant_id_that_is_used_twice_is_found() {
    Story::new().mint(1, 10..11).mint(1, 20..21).violates(Rule::TokensAreUnique);
}

#[test]
fn what_does_not_recover_is_found() {
    let story = Story::new().fault(FaultKind::KillPostgres, 10..20).never_healed();
    story.violates(Rule::EverythingRecovers);
    let story = || Story::new().mint(1, 10..11).sweep(100).active(1, 0, 101..102);
    story().violates(Rule::EverythingRecovers);
    story().active(1, 1, 50..51).violates(Rule::EverythingRecovers);
    story().active(1, 1, 101..102).holds();
    let story = || Story::new().mint(1, 10..11).sweep(100).fault(FaultKind::KillRedis, 10..110);
    let story =
        || story().revoke(1, unavailable(), 101..102).inactive(1, 0, 120..121).inactive(1, 1, 120..121);
    story().violates(Rule::EverythingRecovers);
    story().revoke(1, Answer::Done, 103..104).holds();
}
