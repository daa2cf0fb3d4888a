//! Who guesses at the secret of a client, or of a resource server, is told to slow down, and the audit says so.
//!
//! Failures are counted per id and address, in memory, by all workers of a process together. Some are free; the rest
//! comes back one by one. A right secret is no guess and always good: there are far more secrets than anybody could try,
//! and a neighbour with an old one, behind the same address, must not stop a client that has the new one.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::client_authentication::PresentedCredentials;
use super::{AuthorizationServer, OAuthError};
use crate::changes::Actor;
use crate::changes::audit::Attempt;
use crate::domain::clock::BootTime;
use crate::domain::party::Party;

/// Failures that cost nothing.
const FREE: u32 = 20;
/// How long it takes until one more is free.
const REGAINED_EVERY: Duration = Duration::from_secs(3);
/// How many pairs of id and address are counted at once, some 500 kB. Beyond that nobody new is told to slow down.
const MOST_COUNTED: usize = 10_000;

/// The counts of one process.
#[derive(Debug, Default)]
pub struct Guesses {
    /// Ids are whatever was sent, so not they are kept but a hash.
    ids: RandomState,
    counts: Mutex<HashMap<(u64, Option<Party>), Count>>,
}

/// Failures in a row, by the time when all of them will be forgotten.
#[derive(Clone, Copy, Debug)]
struct Count {
    forgotten_at: BootTime,
    /// Whether the audit says so.
    is_told: bool,
}

/// What one failure more means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guess {
    /// Somebody mistyped.
    Free,
    /// Too many: nothing is counted until then. `is_first` of those that were told so.
    TooMany { again_after: Duration, is_first: bool },
}

impl Guesses {
    fn count(&self, id: &str, address: Option<IpAddr>, now: BootTime) -> Guess {
        let key = (self.ids.hash_one(id), address.map(Party::of));
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST_COUNTED && !counts.contains_key(&key) {
            counts.retain(|_, count| count.forgotten_at > now);
            if counts.len() >= MOST_COUNTED {
                return Guess::Free;
            }
        }
        let count = counts.entry(key).or_insert(Count { forgotten_at: now, is_told: false });
        if count.forgotten_at <= now {
            *count = Count { forgotten_at: now, is_told: false };
        }
        let after = count.forgotten_at + REGAINED_EVERY;
        let again_after = (after - now).saturating_sub(REGAINED_EVERY * FREE);
        if again_after.is_zero() {
            count.forgotten_at = after;
            return Guess::Free;
        }
        Guess::TooMany { again_after, is_first: !std::mem::replace(&mut count.is_told, true) }
    }
}

impl AuthorizationServer {
    /// What a caller is told whose request came to `error`: if it was one wrong secret too many, to slow down.
    pub async fn unless_guessing(
        &self,
        guesses: &Guesses,
        error: OAuthError,
        credentials: &PresentedCredentials,
        address: Option<IpAddr>,
    ) -> OAuthError {
        if !matches!(error, OAuthError::InvalidClient(_)) || credentials.secret.is_none() {
            return error;
        }
        let Guess::TooMany { again_after, is_first } =
            guesses.count(&credentials.id, address, self.feed.clock().boot())
        else {
            return error;
        };
        if is_first {
            self.note_guessing(&credentials.id, address).await;
        }
        OAuthError::TooManyGuesses { again_after }
    }

    /// Only of ids that there are: of others anybody could make up as many as they like.
    async fn note_guessing(&self, id: &str, address: Option<IpAddr>) {
        let exists = self.feed.with_current(|known| {
            known.view.find_client(id).is_some() || known.view.find_resource_server(id).is_some()
        });
        if exists == Ok(true) {
            let (author, target) = (Actor::anonymous().at(address), id.to_owned());
            let why = format!("more than {FREE} wrong secrets in a row");
            self.feed.note(Attempt { author, action: "authenticate", target, why }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)));
    const ELSEWHERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 8)));

    fn free(guesses: &Guesses, id: &str, address: Option<IpAddr>, now: BootTime) -> usize {
        (0..1000).take_while(|_| guesses.count(id, address, now) == Guess::Free).count()
    }

    #[test]
    fn x8_so_many_are_free_and_come_back_one_by_one() {
        let (guesses, start) = (Guesses::default(), BootTime::default() + Duration::from_secs(1000));
        let most = usize::try_from(FREE).unwrap();
        assert_eq!(free(&guesses, "app", HERE, start), most);
        assert_eq!(free(&guesses, "app", ELSEWHERE, start), most, "another address has its own");
        assert_eq!(free(&guesses, "other", HERE, start), most, "and so has another client");
        let later = start + Duration::from_secs(2);
        let told = Guess::TooMany { again_after: Duration::from_secs(1), is_first: false };
        assert_eq!(guesses.count("app", HERE, later), told);
        assert_eq!(free(&guesses, "app", HERE, start + REGAINED_EVERY), 1);
        assert_eq!(
            free(&guesses, "app", HERE, start + REGAINED_EVERY * (FREE + 1)),
            most,
            "all are forgotten"
        );
    }

    #[test]
    fn x8_the_first_who_is_told_is_told_once_for_each_row_of_failures() {
        let (guesses, start) = (Guesses::default(), BootTime::default());
        let firsts = |now| {
            let is_first = |guess| matches!(guess, Guess::TooMany { is_first: true, .. });
            (0..100).filter(|_| is_first(guesses.count("app", HERE, now))).count()
        };
        assert_eq!([firsts(start), firsts(start), firsts(start + REGAINED_EVERY * (FREE + 1))], [1, 0, 1]);
    }

    #[test]
    fn x8_whoever_makes_up_ids_fills_no_memory_and_hides_nobody_for_long() {
        let (guesses, start) = (Guesses::default(), BootTime::default());
        for number in 0..MOST_COUNTED + 7 {
            guesses.count(&number.to_string(), HERE, start);
        }
        assert_eq!(guesses.counts.lock().unwrap().len(), MOST_COUNTED);
        assert_eq!(free(&guesses, "new", HERE, start), 1000, "there is no room to count in");
        assert_eq!(free(&guesses, "new", HERE, start + REGAINED_EVERY), usize::try_from(FREE).unwrap());
    }
}
