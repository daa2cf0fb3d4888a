//! The installation that a run is about, what its threads share, and the record that they make.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::administration::Administration;
use crate::history::{
    Answer, Asked, Change, ClientNumber, Event, Fault, History, Moment, Scope, SecretNumber, Setup,
    TokenNumber, UserNumber,
};
use crate::people::People;
use crate::support::actors::{Client, ResourceServer, Token};
use crate::support::deployment::{Deployment, Plan};
use crate::support::redis::RedisOptions;

const CLIENTS: ClientNumber = 10;
/// So many are never changed. The tokens of the second one live for [`SHORT`] only.
pub const UNCHANGED: ClientNumber = 4;
/// The one of them that people log in for.
pub const APP: ClientNumber = 3;
/// Seconds.
const SHORT: u32 = 20;
/// Longer than any run.
const LIFETIME: &str = "12h";
/// How many tokens are remembered as disputed.
const DISPUTED: usize = 64;
/// How many are remembered as edited.
const EDITED: usize = 24;
/// So many stay frozen for a while.
const FROZEN: usize = 4;
/// How many count as recent.
const RECENT: usize = 100;

pub struct World {
    pub setup: Setup,
    pub deployment: Deployment,
    pub api: ResourceServer,
    clients: Vec<Mutex<Registered>>,
    pub administrations: Vec<Mutex<Administration>>,
    pub people: People,
    tokens: Mutex<Tokens>,
    operations: AtomicUsize,
    over: AtomicBool,
    began: Instant,
    record: Mutex<History>,
}

/// What is known of a client's secrets; of some only that they were asked for.
struct Registered {
    id: String,
    secrets: Vec<Option<String>>,
}

#[derive(Default)]
struct Tokens {
    all: Vec<Kept>,
    disputed: VecDeque<TokenNumber>,
    /// In the order of their acknowledgements.
    revoked: Vec<TokenNumber>,
    /// The last that were edited.
    edited: VecDeque<TokenNumber>,
    /// Those that somebody froze, and nobody thawed.
    frozen: VecDeque<TokenNumber>,
    /// Whose revocation was asked for and not acknowledged.
    limbo: BTreeSet<TokenNumber>,
}

struct Kept {
    token: Token,
    client: ClientNumber,
    user: Option<UserNumber>,
    scope: Scope,
}

/// How far things had come at some moment.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    tokens: usize,
    revoked: usize,
}

/// A token to ask about.
#[derive(Clone)]
pub struct Held {
    pub number: TokenNumber,
    pub token: Token,
    pub client: ClientNumber,
    pub user: Option<UserNumber>,
    /// What it was given for.
    pub scope: Scope,
}

impl World {
    /// Starts everything and registers everybody.
    pub fn start(setup: Setup) -> Self {
        let fsync: &[&str] = if setup.redis_is_durable { &[] } else { &["appendfsync everysec"] };
        let extra = fsync.iter().map(|line| (*line).to_owned()).collect();
        let redis = RedisOptions { appendonly: true, extra, ..RedisOptions::default() };
        let plan = Plan::scaled(usize::from(setup.replicas)).redis(redis).own_postgres().proxied();
        let plan = plan.lease(&format!("{}s", setup.lease_millis / 1000));
        let plan = plan.env("SYMBOLON_REVOKE_WAIT", "4s").env("SYMBOLON_DRAIN_DELAY", "0s");
        let deployment = plan.env("SYMBOLON_ACCESS_TOKEN_TTL", LIFETIME).start();
        let api = deployment.resource_server("api", "https://api.example", &Scope::ALL.to_string());
        let registered = |number: ClientNumber| {
            Mutex::new(Registered { id: format!("client-{number}"), secrets: Vec::new() })
        };
        let people = People::register(&deployment);
        let record = History { setup: setup.clone(), events: Vec::new(), faults: Vec::new(), sweep: None };
        let world = Self {
            setup,
            deployment,
            api,
            clients: (0..CLIENTS).map(registered).collect(),
            administrations: (0..CLIENTS).map(|_| Mutex::default()).collect(),
            people,
            tokens: Mutex::default(),
            operations: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            began: Instant::now(),
            record: Mutex::new(record),
        };
        for client in 0..CLIENTS {
            let lifetime = (client == 1).then_some(SHORT);
            let secret = world.new_secret(client);
            let create = Change::Create { scope: Scope::ALL, secret, lifetime };
            assert_eq!(world.administer(client, create, 0), Answer::Done);
        }
        world
    }

    pub fn now(&self) -> Moment {
        Moment::try_from(self.began.elapsed().as_micros()).expect("a run ends")
    }

    /// Does something and records it.
    pub fn record(&self, thread: u16, asked: Asked, ask: impl FnOnce() -> Answer) -> Answer {
        self.record_all(thread, || vec![(asked, ask())]).remove(0)
    }

    /// Does something that is several at once, or of which is known only afterwards what it was, and records it.
    pub fn record_all(&self, thread: u16, ask: impl FnOnce() -> Vec<(Asked, Answer)>) -> Vec<Answer> {
        let begin = self.now();
        let all = ask();
        let end = self.now();
        self.operations.fetch_add(all.len(), Ordering::Relaxed);
        let events = all.iter().map(|(asked, answer)| {
            let (asked, answer) = (*asked, answer.clone());
            Event { begin, end, thread, asked, answer }
        });
        lock(&self.record).events.extend(events);
        all.into_iter().map(|(_, answer)| answer).collect()
    }

    pub fn record_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.record).faults.extend(faults);
    }

    pub fn begin_sweep(&self) {
        lock(&self.record).sweep = Some(self.now());
    }

    /// What was recorded until now.
    pub fn history(&self) -> History {
        lock(&self.record).clone()
    }

    pub fn operations(&self) -> usize {
        self.operations.load(Ordering::Relaxed)
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub fn call_off(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub fn client_id(&self, client: ClientNumber) -> String {
        lock(&self.clients[usize::from(client)]).id.clone()
    }

    /// The client with the newest secret that is known, and its number.
    pub fn client(&self, client: ClientNumber) -> (Client, SecretNumber) {
        let registered = lock(&self.clients[usize::from(client)]);
        let newest = registered.secrets.iter().rposition(Option::is_some).expect("the first one is known");
        registered.with(newest)
    }

    /// The client with any secret that was known at some time.
    pub fn client_of_some_time(&self, client: ClientNumber, which: usize) -> (Client, SecretNumber) {
        let registered = lock(&self.clients[usize::from(client)]);
        let known: Vec<usize> =
            (0..registered.secrets.len()).filter(|number| registered.secrets[*number].is_some()).collect();
        registered.with(known[which % known.len()])
    }

    /// The number of a secret that is about to be made.
    pub fn new_secret(&self, client: ClientNumber) -> SecretNumber {
        let mut registered = lock(&self.clients[usize::from(client)]);
        registered.secrets.push(None);
        number(registered.secrets.len() - 1)
    }

    pub fn learn_secret(&self, client: ClientNumber, secret: SecretNumber, text: String) {
        let secret = usize::try_from(secret).expect("few secrets");
        lock(&self.clients[usize::from(client)]).secrets[secret] = Some(text);
    }

    /// The number that a token has from now on.
    pub fn keep(
        &self,
        token: Token,
        client: ClientNumber,
        user: Option<UserNumber>,
        scope: Scope,
    ) -> TokenNumber {
        let mut tokens = lock(&self.tokens);
        tokens.all.push(Kept { token, client, user, scope });
        number(tokens.all.len() - 1)
    }

    /// Others shall look at these, now and for a while.
    pub fn dispute(&self, number: TokenNumber) {
        let mut tokens = lock(&self.tokens);
        tokens.disputed.push_back(number);
        if tokens.disputed.len() > DISPUTED {
            tokens.disputed.pop_front();
        }
    }

    pub fn note_revoked(&self, number: TokenNumber) {
        lock(&self.tokens).revoked.push(number);
    }

    /// Others shall look at this one again and again.
    pub fn note_edited(&self, number: TokenNumber) {
        let mut tokens = lock(&self.tokens);
        tokens.edited.push_back(number);
        if tokens.edited.len() > EDITED {
            tokens.edited.pop_front();
        }
    }

    pub fn edited_token(&self, which: usize) -> Option<Held> {
        let tokens = lock(&self.tokens);
        tokens.one_of(&tokens.edited, which)
    }

    pub fn note_frozen(&self, number: TokenNumber) {
        lock(&self.tokens).frozen.push_back(number);
    }

    /// The one that has been frozen for the longest time, if there are several.
    pub fn one_to_thaw(&self) -> Option<Held> {
        let mut tokens = lock(&self.tokens);
        if tokens.frozen.len() < FROZEN {
            return None;
        }
        let number = tokens.frozen.pop_front()?;
        Some(tokens.held(usize::try_from(number).expect("an index")))
    }

    pub fn note_limbo(&self, number: TokenNumber) {
        lock(&self.tokens).limbo.insert(number);
    }

    pub fn in_limbo(&self) -> Vec<Held> {
        let tokens = lock(&self.tokens);
        tokens.limbo.iter().map(|number| tokens.held(usize::try_from(*number).expect("an index"))).collect()
    }

    pub fn mark(&self) -> Mark {
        let tokens = lock(&self.tokens);
        Mark { tokens: tokens.all.len(), revoked: tokens.revoked.len() }
    }

    /// Others shall look at what there was at a mark and was revoked since.
    pub fn dispute_revoked_since(&self, mark: Mark) {
        let mut tokens = lock(&self.tokens);
        let old = |number: &&TokenNumber| usize::try_from(**number).expect("an index") < mark.tokens;
        let since: Vec<TokenNumber> =
            tokens.revoked[mark.revoked..].iter().filter(old).rev().take(DISPUTED).copied().collect();
        if !since.is_empty() {
            tokens.disputed = since.into();
        }
    }

    pub fn any_token(&self, which: usize) -> Option<Held> {
        let tokens = lock(&self.tokens);
        let count = tokens.all.len();
        (count > 0).then(|| tokens.held(which % count))
    }

    pub fn recent_token(&self, which: usize) -> Option<Held> {
        let tokens = lock(&self.tokens);
        let count = tokens.all.len();
        (count > 0).then(|| tokens.held(count - 1 - which % RECENT.min(count)))
    }

    pub fn disputed_token(&self, which: usize) -> Option<Held> {
        let tokens = lock(&self.tokens);
        tokens.one_of(&tokens.disputed, which)
    }

    /// The newest tokens of a kind.
    pub fn newest(&self, count: usize, fits: impl Fn(&Held) -> bool) -> Vec<Held> {
        let tokens = lock(&self.tokens);
        let newest = (0..tokens.all.len()).rev().take(10 * RECENT);
        newest.map(|index| tokens.held(index)).filter(fits).take(count).collect()
    }

    pub fn every_token(&self) -> Vec<Held> {
        let tokens = lock(&self.tokens);
        (0..tokens.all.len()).map(|index| tokens.held(index)).collect()
    }

    pub const fn clients() -> ClientNumber {
        CLIENTS
    }
}

impl Registered {
    fn with(&self, secret: usize) -> (Client, SecretNumber) {
        let text = self.secrets[secret].clone().expect("a secret that is known");
        (Client { id: self.id.clone(), secret: text }, number(secret))
    }
}

impl Tokens {
    fn one_of(&self, some: &VecDeque<TokenNumber>, which: usize) -> Option<Held> {
        let number = some.get(which % some.len().max(1))?;
        Some(self.held(usize::try_from(*number).expect("an index")))
    }

    fn held(&self, index: usize) -> Held {
        let Kept { token, client, user, scope } = &self.all[index];
        Held { number: number(index), token: token.clone(), client: *client, user: *user, scope: *scope }
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("fewer than there are numbers")
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
