//! What the threads of a run do over HTTP, and what they make of the answers.

use std::thread;
use std::time::Duration;

use crate::dice::{Dice, index};
use crate::history::{Answer, Asked, By, ClientNumber, Replica, Scope, UserNumber};
use crate::people::People;
use crate::plan::{Deed, Step};
use crate::support::actors::{Client, Token};
use crate::support::http::{KeptConnections, Request, Response};
use crate::support::symbolon::Server;
use crate::world::{Held, World};

/// Twice what is promised, for a machine that is busy; then a server counts as silent.
pub const PATIENCE: Duration = Duration::from_secs(4);
/// The same for a revocation, which may wait for 4 s.
const PATIENCE_FOR_REVOCATIONS: Duration = Duration::from_secs(8);
/// Who gets no answer tries again a little later.
const PAUSE: Duration = Duration::from_millis(10);

/// One thread.
pub struct Worker<'w> {
    pub world: &'w World,
    pub thread: u16,
    connections: KeptConnections,
}

impl<'w> Worker<'w> {
    pub fn new(world: &'w World, thread: u16) -> Self {
        Self { world, thread, connections: KeptConnections::new() }
    }

    /// Takes steps until it is over.
    pub fn work(&self) {
        let mut dice = Dice::new(self.world.setup.seed, u64::from(self.thread));
        while !self.world.is_over() {
            let step = Step::roll(&mut dice, self.world.setup.replicas);
            self.take(step);
            thread::sleep(step.pause);
        }
    }

    fn take(&self, step: Step) {
        let which = index(step.which, usize::MAX);
        let world = self.world;
        match step.deed {
            Deed::Mint | Deed::MintForLess | Deed::MintWithRetiredSecret => self.mint(step),
            Deed::IntrospectDisputed => self.introspect_some(world.disputed_token(which), step.replica),
            Deed::IntrospectEdited => self.introspect_some(world.edited_token(which), step.replica),
            Deed::IntrospectRecent => self.introspect_some(world.recent_token(which), step.replica),
            Deed::IntrospectAny => self.introspect_some(world.any_token(which), step.replica),
            Deed::Authorize => self.authorize(step),
            Deed::Refresh => self.refresh(step),
            Deed::Administer => self.administer(step),
            Deed::KillUser | Deed::KillLoginSession | Deed::KillEverybody => self.kill(step),
            Deed::Edit => self.edit(step),
            Deed::RevokeList => self.revoke_list(step),
            _ => {
                // Mostly one of those that may be in use, now and then an old one.
                let old = step.how.is_multiple_of(8);
                let held = if old { world.any_token(which) } else { world.recent_token(which) };
                if let Some(held) = held {
                    self.revoke(&held, step);
                }
            }
        }
    }

    fn mint(&self, step: Step) {
        let number = ClientNumber::try_from(index(step.which, usize::from(World::clients()))).expect("few");
        let (client, secret) = match step.deed {
            Deed::MintWithRetiredSecret => {
                self.world.client_of_some_time(number, index(step.how, usize::MAX))
            }
            _ => self.world.client(number),
        };
        let scope = (step.deed == Deed::MintForLess).then(|| Scope::any(step.how));
        let text = scope.map(|scope| scope.to_string());
        let fields: Vec<(&str, &str)> = text.iter().map(|text| ("scope", text.as_str())).collect();
        let asked = Asked::Mint { client: number, secret, scope, replica: step.replica };
        let answer = self.world.record(self.thread, asked, || {
            let request = client.token_request(self.server(step.replica), &fields);
            self.send(request, PATIENCE, |answer| self.minted(answer, number, None))
        });
        wait_after(&answer);
    }

    pub fn minted(
        &self,
        answer: &Response,
        client: ClientNumber,
        user: Option<UserNumber>,
    ) -> Option<Answer> {
        let body = answer.json();
        let token = Token(body["access_token"].as_str()?.to_owned());
        let grant = token.grant_id().to_owned();
        let scope = Scope::parse(body["scope"].as_str()?)?;
        let expires_in = u32::try_from(body["expires_in"].as_u64()?).ok()?;
        let token = self.world.keep(token, client, user, scope);
        Some(Answer::Minted { token, grant, scope, expires_in })
    }

    fn introspect_some(&self, held: Option<Held>, replica: Replica) {
        if let Some(held) = held {
            wait_after(&self.introspect(&held, replica));
        }
    }

    pub fn introspect(&self, held: &Held, replica: Replica) -> Answer {
        let asked = Asked::Introspect { token: held.number, replica };
        self.world.record(self.thread, asked, || {
            let request = self.world.api.introspect_request(self.server(replica), held.token.as_str());
            self.send(request, PATIENCE, |answer| self.introspected(answer, held))
        })
    }

    fn introspected(&self, answer: &Response, held: &Held) -> Option<Answer> {
        if answer.body == br#"{"active":false}"# {
            return Some(Answer::Inactive);
        }
        let body = answer.json();
        let id = self.world.client_id(held.client);
        let whose = match held.user {
            Some(user) => body["username"] == People::name(user) && body["sub"] != id,
            None => body["username"].is_null() && body["sub"] == id,
        };
        let right = body["active"] == true && body["client_id"] == id && whose;
        let scope = Scope::parse(body["scope"].as_str()?).filter(|scope| right && !scope.is_empty())?;
        Some(Answer::Active(scope))
    }

    pub fn introspect_everywhere(&self, held: &Held) {
        for replica in 0..self.world.setup.replicas {
            self.introspect(held, replica);
        }
    }

    fn revoke(&self, held: &Held, step: Step) {
        let stranger = ClientNumber::try_from(index(step.how, usize::from(World::clients()))).expect("few");
        // Before it begins, so that others look while it is under way.
        self.world.dispute(held.number);
        let answer = match step.deed {
            Deed::RevokeByCommandLine => self.world.revoke_by_command_line(held, self.thread),
            Deed::RevokeAsOwner => {
                let (client, secret) = self.world.client(held.client);
                self.revoke_as(&client, By::Owner(secret), held, step.replica)
            }
            Deed::RevokeAsStranger if stranger != held.client => {
                let (client, secret) = self.world.client(stranger);
                self.revoke_as(&client, By::Stranger(stranger, secret), held, step.replica)
            }
            _ => self.revoke_as_resource_server(held, step.replica),
        };
        match answer {
            Answer::Done => {
                self.world.note_revoked(held.number);
                self.introspect_everywhere(held);
            }
            Answer::Refused { .. } => {}
            _ => self.world.note_limbo(held.number),
        }
        wait_after(&answer);
    }

    /// By the resource server, which everything here is meant for.
    pub fn revoke_again(&self, held: &Held) -> Answer {
        self.revoke_as_resource_server(held, 0)
    }

    fn revoke_as_resource_server(&self, held: &Held, replica: Replica) -> Answer {
        let api = &self.world.api;
        let as_client = Client { id: api.id.clone(), secret: api.secret.clone() };
        self.revoke_as(&as_client, By::ResourceServer, held, replica)
    }

    fn revoke_as(&self, who: &Client, by: By, held: &Held, replica: Replica) -> Answer {
        self.world.record(self.thread, Asked::Revoke { token: held.number, by, replica }, || {
            let request = who.revoke_request(self.server(replica), held.token.as_str());
            self.send(request, PATIENCE_FOR_REVOCATIONS, |_| Some(Answer::Done))
        })
    }

    fn administer(&self, step: Step) {
        if let Some(client) = self.world.change_something(step.which, step.how, self.thread) {
            for held in self.world.newest(6, |held| held.client == client) {
                self.introspect_everywhere(&held);
            }
        }
    }

    pub fn server(&self, replica: Replica) -> &'w Server {
        self.world.deployment.replica(usize::from(replica))
    }

    /// Sends a request; `read` says what a 200 means, `None` that it is none that a server may give.
    pub fn send(
        &self,
        request: Request,
        patience: Duration,
        read: impl FnOnce(&Response) -> Option<Answer>,
    ) -> Answer {
        let answer = match request.limit(patience).try_send_on(&self.connections) {
            Ok(answer) => answer,
            Err(error) => return Answer::Nothing(error.to_string()),
        };
        let understood = match (answer.status, answer.oauth_error()) {
            (200, _) => read(&answer),
            (status @ (400 | 401), Some(error)) => Some(Answer::Refused { status, error }),
            // Who is refused too often is told so, and needs the same reason.
            (429, Some(error)) => Some(Answer::Refused { status: 401, error }),
            (503, Some(error)) if error == "temporarily_unavailable" => {
                Some(Answer::Unavailable { retry_after: retry_after(&answer) })
            }
            _ => None,
        };
        understood.unwrap_or_else(|| Answer::Absurd { status: answer.status, body: answer.text() })
    }
}

/// Whether an answer says when to try again.
pub fn retry_after(answer: &Response) -> bool {
    let seconds = answer.header("retry-after").and_then(|value| value.parse::<u64>().ok());
    seconds.is_some_and(|seconds| seconds > 0)
}

pub fn wait_after(answer: &Answer) {
    if matches!(answer, Answer::Nothing(_) | Answer::Unavailable { .. }) {
        thread::sleep(PAUSE);
    }
}
