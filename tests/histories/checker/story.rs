//! Histories written by hand, in milliseconds.

use super::{Rule, judge};
use crate::history::{
    Answer, Asked, By, Change, Edit, Event, Fault, FaultKind, History, KillSet, Moment, RefreshNumber,
    Replica, Scope, SessionNumber, Setup, TokenNumber, UserNumber,
};

/// A history in the making. Client 0 is there from the beginning, may do everything, and has secret 0.
pub struct Story(History);

/// When something began and ended.
pub type Time = std::ops::Range<Moment>;

impl Story {
    pub fn new() -> Self {
        let setup =
            Setup { seed: 0, operations: 0, replicas: 2, lease_millis: 2_000, redis_is_durable: true };
        let story = Self(History { setup, events: Vec::new(), faults: Vec::new(), sweep: None });
        story.administer(Change::Create { scope: Scope::ALL, secret: 0, lifetime: None }, 0..1)
    }

    /// Redis as it is by default: a kill may lose its last moments.
    pub fn with_unsure_redis(mut self) -> Self {
        self.0.setup.redis_is_durable = false;
        self
    }

    pub fn event(mut self, asked: Asked, answer: Answer, time: Time) -> Self {
        let (begin, end) = (time.start * 1000, time.end * 1000);
        self.0.events.push(Event { begin, end, thread: 0, asked, answer });
        self
    }

    /// Token `token` of client 0, for everything.
    pub fn mint(self, token: TokenNumber, time: Time) -> Self {
        self.mint_lasting(token, Scope::ALL, 3600, time)
    }

    pub fn mint_lasting(self, token: TokenNumber, scope: Scope, expires_in: u32, time: Time) -> Self {
        let grant = format!("grant-{token}");
        self.try_mint(0, Answer::Minted { token, grant, scope, expires_in }, time)
    }

    pub fn try_mint(self, secret: u32, answer: Answer, time: Time) -> Self {
        self.event(Asked::Mint { client: 0, secret, scope: None, replica: 0 }, answer, time)
    }

    /// Token `token` of a grant that a user gave client 0 in a login session.
    pub fn authorize(self, user: UserNumber, session: SessionNumber, token: TokenNumber, time: Time) -> Self {
        let grant = format!("grant-{token}");
        let answer = Answer::Minted { token, grant, scope: Scope::ALL, expires_in: 43_200 };
        self.try_authorize(user, session, answer, time)
    }

    pub fn try_authorize(self, user: UserNumber, session: SessionNumber, answer: Answer, time: Time) -> Self {
        let session = Some(session);
        self.event(Asked::Authorize { user, client: 0, session, replica: 0, redeemed_at: 1 }, answer, time)
    }

    /// The grant of token `grant` is refreshed with one refresh token, which gives the next one and token `token`.
    pub fn refresh(
        self,
        grant: TokenNumber,
        presented: RefreshNumber,
        token: TokenNumber,
        time: Time,
    ) -> Self {
        let name = format!("grant-{grant}");
        let answer = Answer::Refreshed { token, grant: name, scope: Scope::ALL, refresh: presented + 1 };
        self.try_refresh(grant, presented, answer, time)
    }

    pub fn try_refresh(
        self,
        grant: TokenNumber,
        presented: RefreshNumber,
        answer: Answer,
        time: Time,
    ) -> Self {
        self.event(Asked::Refresh { grant, presented, replica: 0 }, answer, time)
    }

    pub fn kill(self, set: KillSet, answer: Answer, time: Time) -> Self {
        self.event(Asked::Kill(set), answer, time)
    }

    pub fn edit(self, token: TokenNumber, edit: Edit, answer: Answer, time: Time) -> Self {
        self.event(Asked::Edit { token, edit }, answer, time)
    }

    pub fn introspect(self, token: TokenNumber, replica: Replica, answer: Answer, time: Time) -> Self {
        self.event(Asked::Introspect { token, replica }, answer, time)
    }

    pub fn active(self, token: TokenNumber, replica: Replica, time: Time) -> Self {
        self.introspect(token, replica, Answer::Active(Scope::ALL), time)
    }

    pub fn inactive(self, token: TokenNumber, replica: Replica, time: Time) -> Self {
        self.introspect(token, replica, Answer::Inactive, time)
    }

    pub fn revoke(self, token: TokenNumber, answer: Answer, time: Time) -> Self {
        self.revoke_by(By::ResourceServer, token, answer, time)
    }

    pub fn revoke_by(self, by: By, token: TokenNumber, answer: Answer, time: Time) -> Self {
        self.event(Asked::Revoke { token, by, replica: 0 }, answer, time)
    }

    pub fn administer(self, change: Change, time: Time) -> Self {
        self.event(Asked::Administer { client: 0, change }, Answer::Done, time)
    }

    pub fn administer_in_vain(self, change: Change, time: Time) -> Self {
        let answer = Answer::Failed("the database is away".to_owned());
        self.event(Asked::Administer { client: 0, change }, answer, time)
    }

    /// A fault that is over, and healed, at its end.
    pub fn fault(mut self, kind: FaultKind, time: Time) -> Self {
        let (begin, end) = (time.start * 1000, time.end * 1000);
        self.0.faults.push(Fault { kind, begin, end, healed: Some(end) });
        self
    }

    pub fn never_healed(mut self) -> Self {
        self.0.faults.last_mut().expect("a fault").healed = None;
        self
    }

    pub fn sweep(mut self, at: Moment) -> Self {
        self.0.sweep = Some(at * 1000);
        self
    }

    #[track_caller]
    pub fn holds(self) {
        let violations = judge(&self.0).violations;
        assert!(violations.is_empty(), "{violations:#?}");
    }

    /// Fails unless just this rule is violated.
    #[track_caller]
    pub fn violates(self, rule: Rule) {
        let violations = judge(&self.0).violations;
        let found: Vec<Rule> = violations.iter().map(|violation| violation.rule).collect();
        assert_eq!(found, [rule], "{violations:#?}");
    }
}
