use std::time::Duration;

use futures_util::FutureExt as _;
use rustix::time::ClockId;

use super::*;
use crate::domain::entropy::SystemEntropy;

fn passwords(threads: usize) -> Passwords {
    Passwords::start(threads, PasswordPolicy::new(0, None), Arc::new(SystemEntropy)).unwrap()
}

fn typed(text: &str) -> Password {
    Password::parse(text).unwrap()
}

#[tokio::test]
async fn a_new_password_is_verified_and_no_other() {
    let passwords = passwords(1);
    let kept = passwords.hash_new(typed("correct horse battery staple"), "mira").await.unwrap().unwrap();
    let right = passwords.verify(typed("correct horse battery staple"), Some(kept.clone())).await;
    assert!(matches!(right, Ok(Verified::Right)));
    let wrong = passwords.verify(typed("correct horse battery stable"), Some(kept)).await;
    assert!(matches!(wrong, Ok(Verified::Wrong)));
}

#[tokio::test]
async fn two_users_with_one_password_keep_different_hashes() {
    let passwords = passwords(1);
    let one = passwords.hash_new(typed("correct horse battery staple"), "mira").await.unwrap().unwrap();
    let other = passwords.hash_new(typed("correct horse battery staple"), "noor").await.unwrap().unwrap();
    assert_ne!(one.expose(), other.expose());
}

#[tokio::test]
async fn an_unsuitable_password_is_not_hashed() {
    let refused = passwords(1).hash_new(typed("too short"), "mira").await.unwrap();
    assert_eq!(refused.unwrap_err(), UnsuitablePassword::Short);
}

#[tokio::test]
async fn what_was_hashed_otherwise_is_hashed_anew_when_its_password_is_typed() {
    // The example of the reference implementation's manual.
    let older = "$argon2i$v=19$m=65536,t=2,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG";
    let passwords = passwords(1);
    let kept = PasswordHash::from_stored(older.to_owned());
    let verified = passwords.verify(typed("password"), Some(kept.clone())).await.unwrap();
    let Verified::Outdated(newer) = verified else { panic!("{verified:?}") };
    assert!(newer.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    let again = passwords.verify(typed("password"), Some(newer)).await;
    assert!(matches!(again, Ok(Verified::Right)));
    let wrong = passwords.verify(typed("another password"), Some(kept)).await;
    assert!(matches!(wrong, Ok(Verified::Wrong)));
}

#[tokio::test]
async fn what_is_no_hash_is_a_failure() {
    let kept = PasswordHash::from_stored("hunter2".to_owned());
    let failed = passwords(1).verify(typed("hunter2"), Some(kept)).await;
    assert!(matches!(failed, Err(PasswordError::Failed(why)) if !why.contains("hunter2")));
}

#[expect(clippy::disallowed_methods, reason = "what is measured is work, and no wall clock tells it")]
fn thread_time() -> Duration {
    rustix::time::clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

/// The work is what must be equal; that its time is, follows, and is measured over HTTP.
#[tokio::test]
async fn x6_an_unknown_user_costs_what_a_wrong_password_costs() {
    let passwords = passwords(1);
    let kept = passwords.hash_new(typed("correct horse battery staple"), "mira").await.unwrap().unwrap();
    // Processor time of the one thread that works: other work on this machine does not count.
    let cost = async |kept: Option<PasswordHash>| {
        let spent = || passwords.quiet.run(|_| thread_time());
        let before = spent().await.unwrap();
        for _ in 0..5 {
            let compare = passwords.comparison(typed("a wrong password"), kept.clone());
            let verified = passwords.quiet.run(compare).await.unwrap();
            assert!(matches!(verified, Ok(Verified::Wrong)));
        }
        let after = spent().await.unwrap();
        after.saturating_sub(before)
    };
    let (known, unknown) = (cost(Some(kept)).await, cost(None).await);
    assert!(unknown < known * 2 && known < unknown * 2, "unknown {unknown:?}, known {known:?}");
}

#[tokio::test]
async fn x9_a_burst_beyond_the_queue_is_refused_and_all_else_is_answered() {
    let passwords = passwords(1);
    let (release, held) = std::sync::mpsc::channel::<()>();
    let mut busy = Box::pin(passwords.quiet.run(move |_| held.recv()));
    assert!(busy.as_mut().now_or_never().is_none());
    let burst = (0..QUEUE_PER_THREAD * 2).map(|_| Box::pin(passwords.hash_new(typed("too short"), "mira")));
    let mut refused = 0;
    let mut queued = Vec::new();
    for mut attempt in burst {
        match attempt.as_mut().now_or_never() {
            Some(answer) => {
                assert!(matches!(answer, Err(PasswordError::Busy)));
                refused += 1;
            }
            None => queued.push(attempt),
        }
    }
    // One more or less: the thread may not have taken up what holds it when the burst came.
    assert!(refused == QUEUE_PER_THREAD || refused == QUEUE_PER_THREAD + 1, "{refused} refused");
    release.send(()).unwrap();
    for attempt in queued {
        assert!(matches!(attempt.await, Ok(Err(UnsuitablePassword::Short))));
    }
}

#[tokio::test]
async fn where_every_core_is_wanted_by_others_passwords_are_hashed_all_the_same() {
    let passwords = passwords(1);
    let (release, held) = std::sync::mpsc::channel::<()>();
    let mut starved = Box::pin(passwords.quiet.run(move |_| held.recv()));
    assert!(starved.as_mut().now_or_never().is_none());
    let kept = passwords.hash_new(typed("correct horse battery staple"), "mira").await.unwrap().unwrap();
    let right = passwords.verify(typed("correct horse battery staple"), Some(kept)).await;
    assert!(matches!(right, Ok(Verified::Right)));
    drop(release);
}

#[tokio::test]
async fn x9_turns_are_as_many_as_threads_and_whoever_finds_no_place_is_refused() {
    let passwords = passwords(2);
    let mut held = vec![passwords.turn().await.unwrap(), passwords.turn().await.unwrap()];
    let mut waiting: Vec<_> = (0..2 * QUEUE_PER_THREAD).map(|_| Box::pin(passwords.turn())).collect();
    for turn in &mut waiting {
        assert!(turn.as_mut().now_or_never().is_none());
    }
    assert!(matches!(passwords.turn().await, Err(PasswordError::Busy)));
    drop(held.pop());
    held.push(waiting.remove(0).await.unwrap());
    assert!(waiting[0].as_mut().now_or_never().is_none());
    // Whoever stops waiting leaves a place.
    drop(waiting.pop());
    assert!(Box::pin(passwords.turn()).now_or_never().is_none());
}
