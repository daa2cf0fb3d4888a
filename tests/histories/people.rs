//! Who logs in: users before their browsers, their login sessions, and the refresh tokens that the app holds for them.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::dice::index;
use crate::history::{Answer, RefreshNumber, SessionNumber, TokenNumber, UserNumber};
use crate::support::actors::Token;
use crate::support::browser::{Browser, CALLBACK, User};
use crate::support::deployment::Deployment;
use crate::world::lock;

/// What the app is registered with besides what every client is. The window is far longer than a grant is in use.
pub const FOR_PEOPLE: [&str; 8] = [
    "--grant",
    "authorization_code",
    "--grant",
    "refresh_token",
    "--redirect-uri",
    CALLBACK,
    "--refresh-retry-window",
    "1h",
];

const USERS: UserNumber = 3;
/// The cookie that a login session is known by.
const SESSION_COOKIE: &str = "__Host-symbolon-session";
/// A grant keeps 8 access tokens. The code gives the first; each request may make one more, also one without an answer.
const REQUESTS: usize = 7;
/// So many grants are refreshed in turn.
const IN_USE: usize = 24;
/// Login sessions that may still be in use.
const CURRENT: usize = 4;

pub struct People {
    persons: Vec<Mutex<Person>>,
    /// Whose each is, and its id.
    sessions: Mutex<Vec<(UserNumber, String)>>,
    chains: Mutex<Vec<Arc<Mutex<Chain>>>>,
}

pub struct Person {
    pub number: UserNumber,
    pub user: User,
    pub browser: Browser,
}

impl People {
    pub fn register(deployment: &Deployment) -> Self {
        let person = |number| {
            let user = deployment.user(&format!("user-{number}"));
            Mutex::new(Person { number, user, browser: Browser::new() })
        };
        let persons = (0..USERS).map(person).collect();
        Self { persons, sessions: Mutex::default(), chains: Mutex::default() }
    }

    pub fn anybody(which: u64) -> UserNumber {
        UserNumber::try_from(index(which, usize::from(USERS))).expect("few users")
    }

    /// Somebody, unless they are just doing something.
    pub fn person(&self, number: UserNumber) -> Option<MutexGuard<'_, Person>> {
        self.persons[usize::from(number)].try_lock().ok()
    }

    pub fn name(number: UserNumber) -> String {
        format!("user-{number}")
    }

    /// The login session that a browser is in, or was in last.
    pub fn session_of(&self, person: &Person) -> Option<SessionNumber> {
        let cookie = person.browser.cookies.get(SESSION_COOKIE)?;
        let id = Token(cookie.clone()).grant_id().to_owned();
        let mut sessions = lock(&self.sessions);
        let known = sessions.iter().position(|(_, known)| *known == id);
        let number = known.unwrap_or_else(|| {
            sessions.push((person.number, id));
            sessions.len() - 1
        });
        Some(SessionNumber::try_from(number).expect("few sessions"))
    }

    /// One that was begun lately, and whose it is.
    pub fn some_session(&self, which: u64) -> Option<(SessionNumber, UserNumber)> {
        let sessions = lock(&self.sessions);
        let back = index(which, CURRENT.min(sessions.len()));
        let number = sessions.len().checked_sub(1 + back)?;
        Some((SessionNumber::try_from(number).expect("few sessions"), sessions[number].0))
    }

    pub fn session_id(&self, session: SessionNumber) -> String {
        lock(&self.sessions)[usize::try_from(session).expect("an index")].1.clone()
    }

    pub fn begin_chain(&self, grant: TokenNumber, user: UserNumber, access: Token, refresh: Token) {
        let chain = Chain {
            grant,
            user,
            refresh: vec![refresh],
            access: vec![(access, grant)],
            requests: 0,
            presented: None,
            may_arrive: None,
        };
        lock(&self.chains).push(Arc::new(Mutex::new(chain)));
    }

    /// One of those that are in use.
    pub fn chain(&self, which: u64) -> Option<Arc<Mutex<Chain>>> {
        let mut chains = lock(&self.chains);
        // One that is being refreshed is kept.
        chains.retain(|chain| chain.try_lock().map_or(true, |chain| chain.requests < REQUESTS));
        let newest = IN_USE.min(chains.len());
        let back = index(which, newest);
        Some(Arc::clone(&chains[chains.len().checked_sub(1 + back)?]))
    }
}

/// The refresh tokens of a grant, as an honest client holds them.
pub struct Chain {
    /// Its first access token.
    pub grant: TokenNumber,
    pub user: UserNumber,
    refresh: Vec<Token>,
    access: Vec<(Token, TokenNumber)>,
    requests: usize,
    /// The newest that was ever presented.
    presented: Option<usize>,
    /// One that was presented and had no answer: a server that was frozen may read it at any time.
    may_arrive: Option<usize>,
}

impl Chain {
    /// Which token to present: mostly the newest; now and then the one before it once more, as if from another tab; and
    /// now and then one that was replaced long ago, as a thief would.
    pub fn choose(&self, how: u64) -> (RefreshNumber, Token) {
        let newest = self.refresh.len() - 1;
        let is_unused = self.presented.is_none_or(|presented| presented < newest);
        let index = match (self.may_arrive, how % 16) {
            (Some(presented), _) => presented,
            (None, 0..4) if is_unused && newest > 0 => newest - 1,
            (None, 4) if newest > 1 => newest - 2,
            _ => newest,
        };
        (number(index), self.refresh[index].clone())
    }

    /// The number of a refresh token that was handed out.
    pub fn refresh_number(&mut self, token: Token) -> RefreshNumber {
        let known = self.refresh.iter().position(|known| *known == token);
        number(known.unwrap_or_else(|| {
            self.refresh.push(token);
            self.refresh.len() - 1
        }))
    }

    /// The number of an access token that was handed out, if it was before.
    pub fn access_number(&self, token: &Token) -> Option<TokenNumber> {
        self.access.iter().find(|(known, _)| known == token).map(|(_, number)| *number)
    }

    pub fn keep(&mut self, token: Token, number: TokenNumber) {
        self.access.push((token, number));
    }

    /// What an honest client makes of an answer.
    pub fn note(&mut self, presented: RefreshNumber, answer: &Answer) {
        let presented = usize::try_from(presented).expect("an index");
        self.requests += 1;
        self.presented = self.presented.max(Some(presented));
        match answer {
            Answer::Nothing(_) => self.may_arrive = Some(presented),
            // What may still arrive would be a replay as soon as the chain has gone on: it is left alone.
            Answer::Refreshed { .. } if self.may_arrive.is_some() => self.requests = REQUESTS,
            _ => {}
        }
    }
}

fn number(index: usize) -> RefreshNumber {
    RefreshNumber::try_from(index).expect("few refresh tokens")
}
