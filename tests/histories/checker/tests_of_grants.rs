//! The checker against histories of users' grants written by hand: refresh tokens, and kills of whole sets.

use super::Rule;
use super::story::Story;
use crate::history::{Answer, FaultKind, KillSet, Path, Scope};

/// Token 1, of user 7, in login session 3.
fn granted() -> Story {
    Story::new().authorize(7, 3, 1, 10..20)
}

fn unavailable() -> Answer {
    Answer::Unavailable { retry_after: true }
}

fn silence() -> Answer {
    Answer::Nothing("reset".to_owned())
}

fn failed() -> Answer {
    Answer::Failed("the database is away".to_owned())
}

fn refused() -> Answer {
    Answer::Refused { status: 400, error: "invalid_grant".to_owned() }
}

fn refreshed(token: u32, refresh: u32) -> Answer {
    Answer::Refreshed { token, grant: "grant-1".to_owned(), scope: Scope::ALL, refresh }
}

// Kills.

#[test]
fn active_or_refreshed_after_a_kill_of_all_that_it_belongs_to_is_found() {
    for set in [KillSet::User(7), KillSet::LoginSession(3), KillSet::Everybody] {
        let story = || granted().refresh(1, 0, 2, 30..40).kill(set, Answer::Done, 50..60);
        story().inactive(1, 0, 70..71).inactive(2, 1, 70..71).try_refresh(1, 1, refused(), 70..71).holds();
        story().active(1, 0, 70..71).violates(Rule::AcknowledgedMeansGone);
        story().active(2, 1, 70..71).violates(Rule::AcknowledgedMeansGone);
        story().refresh(1, 1, 3, 70..71).violates(Rule::AcknowledgedMeansGone);
        // Meanwhile either.
        story().active(2, 1, 55..56).refresh(1, 1, 3, 55..70).holds();
    }
}

#[test]
fn a_kill_of_others_is_no_reason_for_inactive() {
    for set in [KillSet::User(6), KillSet::LoginSession(7)] {
        let story = || granted().kill(set, Answer::Done, 50..60);
        story().inactive(1, 0, 70..71).violates(Rule::NothingIsLost);
        story().try_refresh(1, 0, refused(), 70..71).violates(Rule::RefusalsHaveReasons);
        story().mint(9, 30..31).inactive(9, 0, 70..71).violates(Rule::NothingIsLost);
    }
}

#[test]
fn everybodys_are_clients_too() {
    let story = || Story::new().mint(1, 10..11).kill(KillSet::Everybody, Answer::Done, 20..30);
    story().inactive(1, 0, 31..32).holds();
    story().active(1, 0, 31..32).violates(Rule::AcknowledgedMeansGone);
    story().mint(2, 40..41).inactive(2, 0, 50..51).violates(Rule::NothingIsLost);
}

#[test]
fn a_kill_that_was_not_acknowledged_may_or_may_not_have_been_done() {
    let story = || {
        let story = granted().fault(FaultKind::FreezePostgres, 45..2000);
        story.kill(KillSet::User(7), failed(), 50..60)
    };
    story().active(1, 0, 70..71).inactive(1, 1, 80..81).inactive(1, 0, 90..91).holds();
    story().inactive(1, 0, 70..71).active(1, 0, 80..81).violates(Rule::NothingComesBack);
    granted().kill(KillSet::User(7), failed(), 50..60).violates(Rule::RefusalsHaveReasons);
}

#[test]
fn a_kill_reaches_no_grant_that_was_given_after_it() {
    let story = Story::new().kill(KillSet::User(7), Answer::Done, 1..5).authorize(7, 3, 1, 10..20);
    story.inactive(1, 0, 70..71).violates(Rule::NothingIsLost);
}

#[test]
fn a_code_that_is_refused_without_a_reason_is_found() {
    let story = || Story::new().try_authorize(7, 3, refused(), 10..20);
    story().violates(Rule::RefusalsHaveReasons);
    story().kill(KillSet::User(7), Answer::Done, 15..30).holds();
    story().kill(KillSet::User(6), Answer::Done, 15..30).violates(Rule::RefusalsHaveReasons);
    story().fault(FaultKind::FlushRedis, 15..16).holds();
}

#[test]
fn a_login_that_is_refused_without_a_reason_is_found() {
    let refused = Answer::Refused { status: 403, error: "login".to_owned() };
    let story = || Story::new().try_authorize(7, 3, refused.clone(), 10..20);
    story().violates(Rule::RefusalsHaveReasons);
    story().fault(FaultKind::FlushRedis, 15..16).violates(Rule::RefusalsHaveReasons);
    story().kill(KillSet::User(7), Answer::Done, 5..15).holds();
    story().kill(KillSet::User(7), Answer::Done, 5..9).violates(Rule::RefusalsHaveReasons);
}

#[test]
fn silence_of_either_server_that_a_user_met_may_be_explained() {
    let story = |replica| {
        let story = Story::new().fault(FaultKind::KillReplica(replica), 5..30);
        story.try_authorize(7, 3, silence(), 10..20)
    };
    story(0).holds();
    story(1).holds();
    story(2).violates(Rule::ServersAnswer);
}

// Refreshing.

#[test]
fn revoking_any_token_of_a_grant_ends_all() {
    for token in [1, 2] {
        let story = || granted().refresh(1, 0, 2, 30..40).revoke(token, Answer::Done, 50..60);
        story().inactive(1, 0, 70..71).inactive(2, 0, 70..71).try_refresh(1, 1, refused(), 70..71).holds();
        story().active(1, 0, 70..71).violates(Rule::AcknowledgedMeansGone);
        story().active(2, 0, 70..71).violates(Rule::AcknowledgedMeansGone);
        story().refresh(1, 1, 3, 70..71).violates(Rule::AcknowledgedMeansGone);
    }
}

#[test]
fn an_honest_client_that_is_refused_is_found() {
    granted().try_refresh(1, 0, refused(), 30..40).violates(Rule::RefusalsHaveReasons);
    let after_silence = granted().fault(FaultKind::KillReplica(0), 25..45);
    let after_silence = after_silence.try_refresh(1, 0, silence(), 30..40);
    after_silence.try_refresh(1, 0, refused(), 50..60).violates(Rule::RefusalsHaveReasons);
    let after_a_restart = granted().refresh(1, 0, 2, 30..40).fault(FaultKind::KillRedis, 50..60);
    after_a_restart.try_refresh(1, 1, refused(), 70..80).violates(Rule::RefusalsHaveReasons);
}

#[test]
fn a_refresh_token_that_leads_to_two_is_found() {
    let story = || granted().refresh(1, 0, 2, 30..40);
    story().refresh(1, 0, 2, 50..60).active(2, 0, 70..71).holds();
    story().try_refresh(1, 0, refreshed(2, 2), 50..60).violates(Rule::RetriesGetTheSame);
    story().try_refresh(1, 0, refreshed(3, 1), 50..60).violates(Rule::RetriesGetTheSame);
    // Which access tokens it had made a store that was set back has forgotten, but not where the chain leads.
    let upset = || story().fault(FaultKind::DumpRedis(0), 22..23).fault(FaultKind::RestoreRedis(0), 42..45);
    upset().try_refresh(1, 0, refreshed(3, 1), 50..60).holds();
    upset().try_refresh(1, 0, refreshed(2, 2), 50..60).violates(Rule::RetriesGetTheSame);
}

#[test]
fn a_replay_that_is_answered_is_found() {
    let story = || granted().refresh(1, 0, 2, 30..40).refresh(1, 1, 3, 50..60);
    story().refresh(1, 0, 2, 70..80).violates(Rule::ReplaysBurn);
    // The one before the newest is no replay.
    story().refresh(1, 1, 3, 70..80).holds();
    let forgotten = story().fault(FaultKind::DumpRedis(0), 22..23).fault(FaultKind::RestoreRedis(0), 62..65);
    forgotten.refresh(1, 0, 2, 70..80).refresh(1, 2, 4, 90..91).holds();
}

#[test]
fn a_replay_that_was_refused_ends_the_grant() {
    let story = || {
        let story = granted().refresh(1, 0, 2, 30..40).refresh(1, 1, 3, 50..60);
        story.try_refresh(1, 0, refused(), 70..80)
    };
    story().inactive(3, 0, 90..91).try_refresh(1, 2, refused(), 90..91).holds();
    story().active(3, 0, 90..91).violates(Rule::AcknowledgedMeansGone);
    story().refresh(1, 2, 4, 90..91).violates(Rule::AcknowledgedMeansGone);
    // A grant that the store does not know is not touched by it, and may come back.
    let lost = story().fault(FaultKind::DumpRedis(0), 61..62).fault(FaultKind::FlushRedis, 63..64);
    lost.fault(FaultKind::RestoreRedis(0), 81..85).active(3, 0, 90..91).holds();
}

#[test]
fn a_replay_of_a_grant_that_somebody_is_revoking_is_refused_before_that_is_acknowledged() {
    let story = granted().refresh(1, 0, 2, 30..40).refresh(1, 1, 3, 50..60);
    let story = story.fault(FaultKind::SqlPath(1, Path::Stalled), 45..5000);
    let story = story.revoke(3, unavailable(), 65..4065).try_refresh(1, 0, refused(), 70..80);
    story.active(3, 1, 90..91).inactive(3, 0, 90..91).holds();
}

#[test]
fn a_replay_without_an_answer_may_have_ended_the_grant() {
    let story = || {
        let story = granted().refresh(1, 0, 2, 30..40).refresh(1, 1, 3, 50..60);
        story.try_refresh(1, 0, unavailable(), 70..80)
    };
    story().active(3, 0, 90..91).inactive(3, 0, 95..96).holds();
    story().inactive(3, 0, 90..91).active(3, 0, 95..96).violates(Rule::NothingComesBack);
}

#[test]
fn a_refresh_of_what_redis_lost_is_found() {
    let lost = || granted().fault(FaultKind::FlushRedis, 30..40);
    lost().try_refresh(1, 0, refused(), 50..60).holds();
    lost().refresh(1, 0, 2, 50..60).violates(Rule::LostIsInactive);
}

#[test]
fn a_rotation_that_redis_lost_is_taken_up_and_costs_nobody_the_grant() {
    let story = || {
        let story = granted().fault(FaultKind::DumpRedis(0), 22..25).refresh(1, 0, 2, 30..40);
        story.fault(FaultKind::RestoreRedis(0), 50..60)
    };
    // What the rotation had made is lost, the grant is not.
    story().inactive(2, 0, 65..66).refresh(1, 1, 3, 70..80).active(3, 0, 90..91).active(1, 0, 90..91).holds();
    story().active(2, 0, 70..80).violates(Rule::LostIsInactive);
    story().inactive(1, 0, 70..80).violates(Rule::NothingIsLost);
    story().try_refresh(1, 1, refused(), 70..80).violates(Rule::RefusalsHaveReasons);
}

#[test]
fn a_retry_brings_back_what_redis_lost() {
    let story = || {
        let story = granted().fault(FaultKind::DumpRedis(0), 22..25).refresh(1, 0, 2, 30..40);
        story.fault(FaultKind::RestoreRedis(0), 50..60).inactive(2, 0, 65..66)
    };
    let again = || story().refresh(1, 0, 2, 70..80);
    again().active(2, 0, 90..91).active(2, 1, 90..91).holds();
    again().inactive(2, 0, 90..91).violates(Rule::NothingIsLost);
    // One without an answer may have done so, also after it was given up.
    let fault = || story().fault(FaultKind::FreezeReplica(0), 68..6000);
    let perhaps = || fault().try_refresh(1, 0, silence(), 70..4070);
    perhaps().inactive(2, 1, 4080..4081).active(2, 1, 5000..5001).holds();
    perhaps().active(2, 1, 4080..4081).holds();
}

#[test]
fn what_is_refreshed_keeps_to_its_grant_and_its_scope() {
    let of = |grant: &str, scope: &str| {
        let scope = Scope::parse(scope).expect("a scope");
        Answer::Refreshed { token: 2, grant: grant.to_owned(), scope, refresh: 1 }
    };
    granted().try_refresh(1, 0, of("grant-1", "notes:read"), 30..40).violates(Rule::ScopeIsLive);
    let other = of("grant-9", "notes:read notes:write notes:share");
    granted().try_refresh(1, 0, other, 30..40).violates(Rule::TokensAreUnique);
}
