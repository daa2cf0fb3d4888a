//! Whether an answer is allowed.

use std::collections::HashMap;

use super::clients::{ClientPast, Clients, Credentials, State, clients};
use super::disturbances::{Disturbances, Span};
use super::grants::{Grants, refresh};
use super::kills::{Kill, Kills};
use super::redis::RedisPast;
use super::tokens::{Ends, TokenPast, Tokens, tokens};
use super::{Rule, Verdict};
use crate::history::{
    Answer, Asked, By, Change, ClientNumber, Edit, Event, History, Replica, Scope, SecretNumber, TokenNumber,
};

/// The whole past, to judge each answer by.
pub struct Judge<'h> {
    history: &'h History,
    disturbances: Disturbances<'h>,
    redis: RedisPast,
    clients: Clients,
    kills: Kills,
    grants: Grants<'h>,
    tokens: Tokens,
}

/// What is wrong, and why.
type Finding = (Rule, String);

impl<'h> Judge<'h> {
    pub fn of(history: &'h History) -> Self {
        let disturbances = Disturbances::of(history);
        let redis = RedisPast::of(history);
        let clients = clients(history, &disturbances);
        let (kills, grants) = (Kills::of(history, &disturbances), Grants::of(history));
        let ends = Ends { clients: &clients, kills: &kills, grants: &grants };
        let tokens = tokens(history, &ends, &redis, &disturbances);
        Self { history, disturbances, redis, clients, kills, grants, tokens }
    }

    /// Judges one event by itself.
    pub fn event(&self, index: usize, event: &Event, verdict: &mut Verdict) {
        let span = Span::of(event);
        let finding = match &event.answer {
            Answer::Unavailable { retry_after } => {
                if !self.disturbances.any(span) && !self.is_of_a_frozen_grant(&event.asked, span) {
                    verdict.tally.unavailable_without_a_fault += 1;
                }
                found(!retry_after, Rule::UnavailableSaysWhen, "503 without Retry-After")
            }
            Answer::Nothing(why) => {
                let silenced =
                    event.asked.replicas().any(|replica| self.disturbances.silenced(replica, span));
                found(!silenced, Rule::ServersAnswer, format!("no answer: {why}"))
            }
            Answer::Absurd { status, body } => Some((Rule::NoOtherStatus, format!("{status} {body}"))),
            Answer::Failed(why) => self.failure(&event.asked, span, why),
            answer => self.answer(event, span, answer),
        };
        if let Asked::Introspect { token, .. } = event.asked
            && matches!(event.answer, Answer::Active(_) | Answer::Inactive)
        {
            self.count(token, span, verdict);
        }
        if let Some((rule, text)) = finding {
            verdict.find(rule, Some(index), text);
        }
    }

    fn answer(&self, event: &Event, span: Span, answer: &Answer) -> Option<Finding> {
        match event.asked {
            Asked::Mint { client, secret, scope, .. } => {
                mint(self.clients.get(&client)?, secret, scope, span, answer)
            }
            Asked::Authorize { .. } => self.authorization(&event.asked, span, answer),
            Asked::Refresh { grant, .. } => {
                let replay = self.grants.is_replay(event);
                refresh(self.tokens.get(&grant)?, replay, &self.redis, span, answer)
            }
            Asked::Introspect { token, .. } => {
                let past = self.tokens.get(&token)?;
                introspection(past, self.clients.get(&past.client)?, span, answer)
            }
            Asked::Revoke { token, by, .. } => self.revocation(self.tokens.get(&token)?, by, span, answer),
            Asked::Edit { token, edit } => edited(self.tokens.get(&token)?, edit, span, answer),
            Asked::Administer { .. } | Asked::Kill(_) => None,
        }
    }

    /// Who presents a refresh token of a frozen grant is told to come again.
    fn is_of_a_frozen_grant(&self, asked: &Asked, span: Span) -> bool {
        let Asked::Refresh { grant, .. } = asked else { return false };
        self.tokens.get(grant).is_some_and(|grant| grant.edits.may_be_frozen(span))
    }

    /// A code may end before it is redeemed, as everything else may, and a login session while it begins.
    fn authorization(&self, asked: &Asked, span: Span, answer: &Answer) -> Option<Finding> {
        let begun = |kill: &Kill| kill.begin <= span.end && kill.may_reach(span);
        let killed = || self.kills.of_minted(asked).any(begun);
        match answer {
            Answer::Minted { .. } => None,
            Answer::Refused { status: 400, error } if error == "invalid_grant" => {
                refused(killed() || self.redis.is_upset(span), "the code of a user who had just consented")
            }
            Answer::Refused { status: 403, error } if error == "login" => {
                refused(killed(), "the right password was refused")
            }
            other => refused(false, &format!("{other:?} to an authorization")),
        }
    }

    fn revocation(&self, token: &TokenPast, by: By, span: Span, answer: &Answer) -> Option<Finding> {
        let credentials = |client: ClientNumber, secret| {
            let client = self.clients.get(&client);
            client.map(|client: &ClientPast| client.credentials(secret, span))
        };
        let presented = match by {
            By::Owner(secret) => credentials(token.client, secret),
            By::Stranger(client, secret) => credentials(client, secret),
            By::ResourceServer | By::CommandLine => None,
        };
        match (answer, by, presented) {
            (Answer::Done, By::Stranger(..), Some(presented)) => admitted(presented).or_else(|| {
                let stolen = token.was_stolen(span.begin);
                found(stolen, Rule::StrangersRevokeNothing, "another client's token was revoked")
            }),
            (Answer::Done, _, Some(presented)) => admitted(presented),
            (Answer::Done, _, None) => None,
            (Answer::Refused { status: 401, .. }, _, Some(presented)) => {
                refused(presented.may_be_bad, "nothing was wrong with the credentials")
            }
            (Answer::Refused { status: 400, error }, By::Stranger(..), _) if error == "invalid_grant" => None,
            (other, ..) => refused(false, &format!("{other:?} to a revocation")),
        }
    }

    fn failure(&self, asked: &Asked, span: Span, why: &str) -> Option<Finding> {
        let expected = match *asked {
            Asked::Administer { client, change } => {
                let create = matches!(change, Change::Create { .. });
                let gone = |state| state == State::Gone;
                let past = self.clients.get(&client);
                past.is_none_or(|past| past.state.possible(span).any(|state| gone(state) != create))
            }
            _ => false,
        };
        refused(expected || self.disturbances.any(span), why)
    }

    fn count(&self, token: TokenNumber, span: Span, verdict: &mut Verdict) {
        let Some(token) = self.tokens.get(&token) else { return };
        let Some(client) = self.clients.get(&token.client) else { return };
        if token.is_gone(span) {
            verdict.tally.asked_of_the_dead += 1;
        } else if token.is_lost(span) {
            verdict.tally.asked_of_the_lost += 1;
        } else if token.may_be_gone(span) {
            // Nobody can tell.
        } else if token.edits.is_frozen(span) {
            verdict.tally.asked_of_the_frozen += 1;
        } else if !token.may_be_barred(client, span) {
            verdict.tally.asked_of_the_living += 1;
            let is_narrowed = token.edits.left(token.scope, span).iter().all(|left| *left != token.scope);
            verdict.tally.asked_of_the_narrowed += usize::from(is_narrowed);
        }
    }

    /// Judges the answers about each token, and each refresh token, by each other.
    pub fn by_each_other(&self, verdict: &mut Verdict) {
        self.nothing_comes_back(verdict);
        self.grants.retries_get_the_same(&self.redis, verdict);
    }

    fn nothing_comes_back(&self, verdict: &mut Verdict) {
        let mut inactive: HashMap<TokenNumber, Vec<(Span, Replica)>> = HashMap::new();
        for event in &self.history.events {
            if let (Asked::Introspect { token, replica }, Answer::Inactive) = (event.asked, &event.answer) {
                inactive.entry(token).or_default().push((Span::of(event), replica));
            }
        }
        for (index, event) in self.history.events.iter().enumerate() {
            if let (Asked::Introspect { token, replica }, Answer::Active(_)) = (event.asked, &event.answer) {
                let Some(past) = self.tokens.get(&token) else { continue };
                let earlier = inactive.get(&token).map(Vec::as_slice).unwrap_or_default();
                let contradicts =
                    |(span, there): &&(Span, Replica)| self.contradicts(past, *span, *there, event, replica);
                if let Some((span, there)) = earlier.iter().find(contradicts) {
                    let text = format!(
                        "active, and replica {there} had called it inactive at {}",
                        span.begin / 1000
                    );
                    verdict.find(Rule::NothingComesBack, Some(index), text);
                }
            }
        }
    }

    /// Whether a token that was inactive cannot be active here and now.
    fn contradicts(
        &self,
        token: &TokenPast,
        inactive: Span,
        there: Replica,
        active: &Event,
        here: Replica,
    ) -> bool {
        let between = Span { begin: inactive.begin, end: active.end };
        if inactive.end >= active.begin || self.redis.may_bring_back(between) || token.may_come_back(between)
        {
            return false;
        }
        if token.is_gone(Span::of(active)) || token.is_lost(Span::of(active)) {
            // Wrong already by itself.
            return false;
        }
        // A revocation that is not acknowledged yet reaches each replica at its own time.
        let on_its_way = here != there && token.may_be_ending(inactive);
        let was_barred = self.clients.get(&token.client).is_some_and(|c| token.may_be_barred(c, inactive));
        !on_its_way && !was_barred
    }
}

fn mint(
    client: &ClientPast,
    secret: SecretNumber,
    asked: Option<Scope>,
    span: Span,
    answer: &Answer,
) -> Option<Finding> {
    let allowed = |given: Scope, registered: Scope| match asked {
        Some(asked) => asked == given && asked.is_within(registered),
        None => given == registered,
    };
    match answer {
        Answer::Minted { scope, .. } => admitted(client.credentials(secret, span)).or_else(|| {
            let good = client.scope.possible(span).any(|registered| allowed(*scope, registered));
            found(!good, Rule::ScopeIsLive, format!("minted for {scope:?}, which the client had not then"))
        }),
        Answer::Refused { status: 401, .. } => {
            refused(client.credentials(secret, span).may_be_bad, "nothing was wrong with the credentials")
        }
        Answer::Refused { error, .. } if error == "invalid_scope" => {
            let beyond = |registered| asked.is_some_and(|asked| !asked.is_within(registered));
            refused(client.scope.possible(span).any(beyond), "the client was registered for the scope")
        }
        other => refused(false, &format!("{other:?} to a mint")),
    }
}

fn introspection(token: &TokenPast, client: &ClientPast, span: Span, answer: &Answer) -> Option<Finding> {
    match answer {
        Answer::Active(_) if token.is_gone(span) => {
            Some((Rule::AcknowledgedMeansGone, "active after its acknowledged end".to_owned()))
        }
        Answer::Active(_) if token.is_lost(span) => {
            Some((Rule::LostIsInactive, "active, though Redis had lost it".to_owned()))
        }
        Answer::Active(_) if token.is_expired(span) => {
            Some((Rule::TokensExpire, "active after its time".to_owned()))
        }
        Answer::Active(_) if token.edits.is_frozen(span) => {
            Some((Rule::FreezesHold, "active while it was frozen".to_owned()))
        }
        Answer::Active(scope) => {
            let good = token.scopes(client, span).any(|possible| possible == *scope);
            found(!good, Rule::ScopeIsLive, format!("active for {scope}, which is not what it then had"))
        }
        Answer::Inactive => {
            let allowed = token.may_be_gone(span) || token.may_be_barred(client, span);
            found(!allowed, Rule::NothingIsLost, "inactive, and nobody had asked for its end")
        }
        other => refused(false, &format!("{other:?} to an introspection")),
    }
}

/// Who objects to an edit says that there is nothing to edit.
fn edited(token: &TokenPast, edit: Edit, span: Span, answer: &Answer) -> Option<Finding> {
    let objected = matches!(answer, Answer::Objected(_));
    let may_object = || token.may_be_gone(span) || token.edits.may_object(edit, token.scope, span);
    refused(!objected || may_object(), "an edit of a live grant that left something")
}

fn found(wrong: bool, rule: Rule, text: impl Into<String>) -> Option<Finding> {
    wrong.then(|| (rule, text.into()))
}

fn admitted(credentials: Credentials) -> Option<Finding> {
    let text = "the client was disabled, gone, or had another secret";
    found(!credentials.may_be_good, Rule::CredentialsAreLive, text)
}

fn refused(with_reason: bool, text: &str) -> Option<Finding> {
    found(!with_reason, Rule::RefusalsHaveReasons, text)
}
