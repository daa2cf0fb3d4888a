//! What must never happen, checked while it happens.

use std::collections::BTreeMap;
use std::sync::Mutex;

use symbolon::changes::{Change, KillScope};
use symbolon::domain::identifier::{ClientId, GrantId};
use symbolon::domain::position::ChangeNumber;

/// A grant whose token somebody holds.
#[derive(Clone, Debug)]
pub struct Grant {
    pub id: GrantId,
    pub client: ClientId,
    pub born: ChangeNumber,
    /// The position of the snapshot in which the fact was seen that justified the mint: a kill above it has to
    /// reach the grant, whatever birth number it was given.
    pub justified: ChangeNumber,
}

/// Orders the beginnings of requests and the acknowledgements.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Moment(u64);

#[derive(Default)]
pub struct Checker(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    moment: u64,
    grants: Vec<Grant>,
    revoked: BTreeMap<GrantId, Moment>,
    kills: Vec<(KillScope, ChangeNumber, Moment)>,
    acknowledged: Vec<(ChangeNumber, Change)>,
    violation: Option<String>,
    live_answers: u64,
}

impl Seen {
    fn now(&mut self) -> Moment {
        self.moment += 1;
        Moment(self.moment)
    }

    /// The acknowledgement, earlier than `moment`, of what ended this grant.
    fn ended(&self, grant: &Grant, moment: Moment) -> Option<String> {
        if self.revoked.get(&grant.id).is_some_and(|at| *at < moment) {
            return Some("its revocation".to_owned());
        }
        let reached = |(scope, number, at): &&(KillScope, ChangeNumber, Moment)| {
            let member = match scope {
                KillScope::Everything => true,
                KillScope::Client(id) => *id == grant.client,
                // The grants here are of clients for themselves.
                _ => false,
            };
            member && *number > grant.justified && *at < moment
        };
        self.kills.iter().find(reached).map(|(_, number, _)| format!("the kill {number}"))
    }
}

impl Checker {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap()
    }

    pub fn now(&self) -> Moment {
        self.seen().now()
    }

    pub fn violation(&self) -> Option<String> {
        self.seen().violation.clone()
    }

    pub fn violated(&self, what: String) {
        self.seen().violation.get_or_insert(what);
    }

    pub fn grants(&self) -> Vec<Grant> {
        self.seen().grants.clone()
    }

    /// The grants that nobody may say live any more.
    pub fn ended_grants(&self) -> Vec<Grant> {
        let mut seen = self.seen();
        let now = seen.now();
        seen.grants.iter().filter(|grant| seen.ended(grant, now).is_some()).cloned().collect()
    }

    pub fn acknowledged_changes(&self) -> Vec<(ChangeNumber, Change)> {
        self.seen().acknowledged.clone()
    }

    pub fn is_acknowledged(&self, number: u64) -> bool {
        self.seen().acknowledged.iter().any(|(at, _)| at.get() == number)
    }

    pub fn live_answers(&self) -> u64 {
        self.seen().live_answers
    }

    pub fn acknowledged(&self, number: ChangeNumber, change: &Change) {
        let mut seen = self.seen();
        let now = seen.now();
        match change {
            Change::GrantRevoked { grant, .. } => {
                seen.revoked.entry(*grant).or_insert(now);
            }
            Change::Killed(scope) => seen.kills.push((scope.clone(), number, now)),
            _ => {}
        }
        seen.acknowledged.push((number, change.clone()));
    }

    /// A request that began at `began` answers that the grant lives.
    pub fn says_live(&self, machine: usize, grant: &Grant, began: Moment) {
        let mut seen = self.seen();
        seen.live_answers += 1;
        if let Some(ended) = seen.ended(grant, began) {
            let id = grant.id;
            seen.violation.get_or_insert(format!(
                "machine {machine} says that {id}, born at {}, lives, to a request that began after {ended} \
                 was acknowledged",
                grant.born
            ));
        }
    }

    /// A mint is handed out, after a last look at this moment.
    pub fn handed_out(&self, machine: usize, grant: &Grant) {
        let mut seen = self.seen();
        let now = seen.now();
        if let Some(ended) = seen.ended(grant, now) {
            let id = grant.id;
            seen.violation
                .get_or_insert(format!("machine {machine} hands out {id} after {ended} was acknowledged"));
        }
        seen.grants.push(grant.clone());
    }
}
