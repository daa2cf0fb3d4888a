//! What can be told of a history at first sight.

use std::collections::HashMap;

use crate::history::{
    Answer, Asked, Edit, Event, Fault, FaultKind, History, KillSet, Moment, RefreshNumber, Scope,
    SessionNumber, TokenNumber, UserNumber,
};

/// What is left of a fault so long after it, nobody calls quiet.
const UNREST: Moment = 5_000_000;

/// An introspection that was answered.
pub const fn introspected(event: &Event) -> Option<TokenNumber> {
    match (event.asked, &event.answer) {
        (Asked::Introspect { token, .. }, Answer::Active(_) | Answer::Inactive) => Some(token),
        _ => None,
    }
}

/// A refresh that was answered or refused: of which grant, and with what.
pub const fn refreshed(event: &Event) -> Option<(TokenNumber, RefreshNumber)> {
    match (event.asked, &event.answer) {
        (Asked::Refresh { grant, presented, .. }, Answer::Refreshed { .. } | Answer::Refused { .. }) => {
            Some((grant, presented))
        }
        _ => None,
    }
}

/// Tokens are known here by the first one of their grant.
pub struct Known {
    first: HashMap<TokenNumber, TokenNumber>,
    owners: HashMap<TokenNumber, Owner>,
    kills: Vec<(KillSet, Event)>,
    edits: HashMap<TokenNumber, Vec<(Edit, Event)>>,
    revoked: HashMap<TokenNumber, Moment>,
    /// When anybody first tried to revoke them, also by a replay.
    disputed: HashMap<TokenNumber, Moment>,
    /// When each refresh token was first answered.
    answered: HashMap<(TokenNumber, RefreshNumber), Moment>,
    /// When Redis may have lost something.
    losses: Vec<(Moment, Moment)>,
    /// Between these something was broken, or had been a moment ago.
    broken: Vec<(Moment, Moment)>,
    pub sweep: Moment,
}

/// Whose a grant is.
struct Owner {
    /// Of the client that is never changed, or of the app's users.
    is_steady: bool,
    user: Option<UserNumber>,
    session: Option<SessionNumber>,
    begin: Moment,
    end: Moment,
}

impl Known {
    pub fn of(history: &History) -> Self {
        let losses = history.faults.iter().filter(|fault| may_lose(fault.kind));
        let broken = |fault: &Fault| (fault.begin, fault.healed.unwrap_or(Moment::MAX - UNREST) + UNREST);
        let mut known = Self {
            first: HashMap::new(),
            owners: HashMap::new(),
            kills: Vec::new(),
            edits: HashMap::new(),
            revoked: HashMap::new(),
            disputed: HashMap::new(),
            answered: HashMap::new(),
            losses: losses.map(|fault| (fault.begin, fault.end)).collect(),
            broken: history.faults.iter().map(broken).collect(),
            sweep: history.sweep.unwrap_or(Moment::MAX),
        };
        history.events.iter().for_each(|event| known.note_minted(event));
        history.events.iter().for_each(|event| known.note_end(event));
        known
    }

    fn note_minted(&mut self, event: &Event) {
        let Event { begin, end, .. } = *event;
        match (event.asked, &event.answer) {
            (Asked::Mint { client, .. }, Answer::Minted { token, .. }) => {
                let owner = Owner { is_steady: client == 0, user: None, session: None, begin, end };
                self.owners.insert(*token, owner);
            }
            (Asked::Authorize { user, session, .. }, Answer::Minted { token, .. }) => {
                let owner = Owner { is_steady: true, user: Some(user), session, begin, end };
                self.owners.insert(*token, owner);
            }
            (Asked::Refresh { grant, presented, .. }, Answer::Refreshed { token, .. }) => {
                self.first.insert(*token, grant);
                self.answered.entry((grant, presented)).or_insert(end);
            }
            _ => {}
        }
    }

    fn note_end(&mut self, event: &Event) {
        match event.asked {
            Asked::Revoke { token, .. } => {
                let first = self.first_of(token);
                self.dispute(first, event.begin);
                if event.answer == Answer::Done {
                    self.revoked.entry(first).or_insert(event.end);
                }
            }
            // Another one was presented later than this, so it may be a replay.
            Asked::Refresh { grant, presented, .. }
                if self.answered.contains_key(&(grant, presented + 1)) =>
            {
                self.dispute(grant, event.begin);
            }
            Asked::Edit { token, edit } => {
                self.edits.entry(self.first_of(token)).or_default().push((edit, event.clone()));
            }
            Asked::Kill(set) => self.kills.push((set, event.clone())),
            _ => {}
        }
    }

    fn dispute(&mut self, first: TokenNumber, begin: Moment) {
        let disputed = self.disputed.entry(first).or_insert(begin);
        *disputed = begin.min(*disputed);
    }

    fn first_of(&self, token: TokenNumber) -> TokenNumber {
        self.first.get(&token).copied().unwrap_or(token)
    }

    pub fn revoked_before(&self, token: TokenNumber, event: &Event) -> bool {
        self.revoked.get(&self.first_of(token)).is_some_and(|end| *end < event.begin)
    }

    /// Whether a token is asked about after everything was killed that it belongs to.
    pub fn killed_before(&self, event: &Event, is_meant: fn(KillSet) -> bool) -> bool {
        let Some(owner) = introspected(event).and_then(|token| self.owners.get(&self.first_of(token))) else {
            return false;
        };
        self.kills.iter().any(|(set, kill)| {
            let done = kill.answer == Answer::Done && owner.end < kill.begin && kill.end < event.begin;
            is_meant(*set) && owner.is_in(*set) && done
        })
    }

    /// Whether nobody tried to do anything to a grant, and nothing could be lost, until this ended.
    pub fn untouched(&self, token: TokenNumber, event: &Event) -> bool {
        let edited = self.edits_of(token).any(|(_, edit)| edit.begin < event.end);
        !edited && self.lives(token, event)
    }

    fn edits_of(&self, token: TokenNumber) -> impl Iterator<Item = &(Edit, Event)> {
        self.edits.get(&self.first_of(token)).into_iter().flatten()
    }

    /// Whether a living token is asked about after it was frozen, which nobody tried to undo.
    pub fn is_frozen(&self, event: &Event) -> bool {
        introspected(event).is_some_and(|token| {
            let thawed =
                self.edits_of(token).any(|(edit, thaw)| *edit == Edit::Thaw && thaw.begin < event.end);
            let frozen = |(edit, freeze): &(Edit, Event)| {
                *edit == Edit::Freeze && freeze.answer == Answer::Done && freeze.end < event.begin
            };
            !thawed && self.edits_of(token).any(frozen) && self.lasts(token) && self.lives(token, event)
        })
    }

    /// Whether a living token is asked about after it was narrowed, and was never frozen.
    pub fn is_narrowed(&self, event: &Event) -> bool {
        introspected(event).is_some_and(|token| {
            let frozen = self.edits_of(token).any(|(edit, _)| *edit == Edit::Freeze);
            let narrowed = |(edit, narrowing): &(Edit, Event)| {
                let done = narrowing.answer == Answer::Done && narrowing.end < event.begin;
                matches!(edit, Edit::Narrow(to) if *to != Scope::ALL) && done
            };
            !frozen && self.edits_of(token).any(narrowed) && self.lasts(token) && self.lives(token, event)
        })
    }

    fn lasts(&self, token: TokenNumber) -> bool {
        !self.edits_of(token).any(|(edit, _)| matches!(edit, Edit::Shorten(_)))
    }

    /// Whether nobody tried to end a grant, and nothing could be lost, until this ended.
    fn lives(&self, token: TokenNumber, event: &Event) -> bool {
        let first = self.first_of(token);
        let Some(owner) = self.owners.get(&first).filter(|owner| owner.is_steady) else { return false };
        let mut kills = self.kills.iter().filter(|(set, _)| owner.is_in(*set));
        let killed = kills.any(|(_, kill)| {
            let over = kill.answer == Answer::Done && kill.end < owner.begin;
            kill.begin < event.end && !over
        });
        let disputed = self.disputed.get(&first).is_some_and(|begin| *begin < event.end);
        let mut losses = self.losses.iter();
        let lost = losses.any(|(begin, end)| *begin < event.end && owner.begin < *end);
        !killed && !disputed && !lost
    }

    /// Whether an honest client was answered that had to be.
    pub fn is_honest(&self, event: &Event) -> bool {
        matches!(event.answer, Answer::Refreshed { .. })
            && refreshed(event).is_some_and(|(grant, _)| self.untouched(grant, event))
    }

    /// Whether a refresh token is answered that was answered before.
    pub fn is_retry(&self, event: &Event) -> bool {
        let before = |asked| self.answered.get(&asked).is_some_and(|end| *end < event.begin);
        matches!(event.answer, Answer::Refreshed { .. }) && refreshed(event).is_some_and(before)
    }

    pub fn is_quiet(&self, event: &Event) -> bool {
        self.broken.iter().all(|(begin, end)| event.end < *begin || *end < event.begin)
    }
}

impl Owner {
    fn is_in(&self, set: KillSet) -> bool {
        match set {
            KillSet::Everybody => true,
            KillSet::User(user) => self.user == Some(user),
            KillSet::LoginSession(session) => self.session == Some(session),
        }
    }
}

const fn may_lose(kind: FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::FlushRedis
            | FaultKind::RestoreRedis(_)
            | FaultKind::DemoteRedisTo(_)
            | FaultKind::KillRedis
            | FaultKind::KillEverything
    )
}
