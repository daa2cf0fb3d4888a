//! Replicas of one feed over one store of grants, a client, a resource server, and what they do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use diesel::dsl::sql;
use diesel::sql_types::{Nullable, Text};
use symbolon::admin::Admin;
use symbolon::admin::clients::NewClient;
use symbolon::admin::resource_servers::NewResourceServer;
use symbolon::admin::users::NewUser;
use symbolon::changes::{
    Acknowledger, Actor, ChangeFeed, KillScope, Published, Recorded, Replica as FeedReplica, ReplicaParts,
    Sequence, SqlFeed, Tail, TailHandle, WitnessMover, lock_sequence, record_longest_lifetime,
    wake_on_changes,
};
use symbolon::directory::{
    DirectoryProjection, DirectoryView, GrantType, ScopeDescriptions, UserCache, Users,
};
use symbolon::domain::clock::{BootTime, Clock, SystemClock};
use symbolon::domain::entropy::SystemEntropy;
use symbolon::domain::identifier::{ClientId, GrantId, ResourceIdentifier, UserId};
use symbolon::domain::login_name::LoginName;
use symbolon::domain::position::{ChangeNumber, Position};
use symbolon::domain::redirect_uri::RedirectUri;
use symbolon::domain::scope::Scope;
use symbolon::domain::secret::{PlainSecret, SecretDigest};
use symbolon::domain::token_key::TokenKeys;
use symbolon::grants::redis::{ControlPool, Link, RedisGrants, RedisUrl};
use symbolon::grants::sqlite::SqliteGrants;
use symbolon::grants::{Admission, GrantStore, Witness};
use symbolon::identity::Identity;
use symbolon::identity::login::Login;
use symbolon::identity::passwords::{PasswordPolicy, Passwords};
use symbolon::identity::sessions::{Lifetimes, LoginSessions};
use symbolon::identity::throttle::Throttle;
use symbolon::oauth::authorize::{Approval, AuthorizationRequest};
use symbolon::oauth::{
    AuthorizationServer, IssuedToken, OAuthError, PresentedCredentials, Settings, TokenRequest,
};
use symbolon::sql::{Database, DatabaseUrl, migrations};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::gate::{Gate, Gated};
pub use crate::requests::{parameter, parameters, redemption, refreshing};
use crate::runtime;
use crate::support::redis::RedisServer;
use crate::support::scratch;

pub const ISSUER: &str = "https://auth.example";
pub const REDIRECT_URI: &str = "https://app.example/callback";
pub const NOTES: &str = "https://notes.example";
pub const MAIL: &str = "https://mail.example";
/// All that the client is registered for.
pub const SCOPE: &str = "mail:send notes:read notes:write";
pub const ACCESS_TTL: Duration = Duration::from_secs(900);
pub const REFRESH_TTL: Duration = Duration::from_secs(30 * 86_400);
pub const IDLE_TTL: Duration = Duration::from_secs(14 * 86_400);
pub const SESSION_TTL: Duration = Duration::from_secs(86_400);
pub const SESSION_IDLE_TTL: Duration = Duration::from_secs(3_600);
/// The example of RFC 7636, Appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// How long something may take that a machine under load does late.
const LATE: Duration = Duration::from_secs(10);

/// Which store keeps the grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Redis,
    Sqlite,
}

/// The wall clock, so much later: the stores have clocks of their own.
#[derive(Default)]
pub struct LaterClock(AtomicI64);

impl LaterClock {
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for LaterClock {
    fn unix_millis(&self) -> i64 {
        SystemClock.unix_millis() + self.0.load(Ordering::SeqCst)
    }

    fn boot(&self) -> BootTime {
        SystemClock.boot()
    }
}

enum Store {
    Redis(Box<RedisServer>),
    Sqlite(SqliteGrants),
}

/// One installation.
pub struct World {
    pub replicas: Vec<AuthorizationServer>,
    /// The people, as each replica knows them.
    pub identities: Vec<Identity>,
    pub clock: Arc<LaterClock>,
    pub admin: Admin,
    pub user: UserId,
    pub session: GrantId,
    feeds: Vec<ChangeFeed<DirectoryView>>,
    database: Database,
    store: Store,
    pub notes: PresentedCredentials,
    /// Before the store of every replica.
    pub gate: Arc<Gate>,
    mail: PresentedCredentials,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    /// A replica whose handle is gone leaves.
    handles: Vec<TailHandle>,
    _directory: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A registered client, and how it proves that it is.
#[derive(Clone, Debug)]
pub struct App {
    pub id: String,
    pub credentials: PresentedCredentials,
}

/// What to register.
pub struct Registration {
    pub public: bool,
    pub refresh: bool,
    pub retry_window: Option<Duration>,
}

impl Default for Registration {
    fn default() -> Self {
        Self { public: false, refresh: true, retry_window: None }
    }
}

struct AdmitAll;

#[async_trait]
impl Admission for AdmitAll {
    async fn admit(&self, _: Option<Position>) -> Result<(), String> {
        Ok(())
    }

    fn memory_floor(&self) -> ChangeNumber {
        ChangeNumber::ZERO
    }
}

pub fn keys(seeds: &[u8]) -> Arc<TokenKeys> {
    Arc::new(TokenKeys::from_secrets(seeds.iter().map(|seed| [*seed; 32])).unwrap())
}

pub fn secret(text: &str) -> PresentedCredentials {
    let (id, secret) = text.split_once(':').unwrap();
    PresentedCredentials { id: id.to_owned(), secret: Some(SecretDigest::of(secret.as_bytes())) }
}

impl World {
    /// One replica.
    pub async fn new(kind: Kind) -> Self {
        Self::with_keys(kind, &[&[1]]).await
    }

    /// A replica for each list of token keys.
    pub async fn with_keys(kind: Kind, keys_of: &[&[u8]]) -> Self {
        let directory = scratch::directory("user-grants");
        let clock = Arc::new(LaterClock::default());
        let url = format!("sqlite:{}", directory.path().join("symbolon.db").display());
        let url = DatabaseUrl::parse(&url, None).unwrap();
        migrations::run(&url).await.unwrap();
        let database = Database::new(&url, 8, runtime().handle().clone()).unwrap();
        let noted = database.write(|conn| Box::pin(record_longest_lifetime(conn, REFRESH_TTL)));
        noted.await.unwrap();
        let (store, witness): (Store, Arc<dyn Witness>) = match kind {
            Kind::Redis => {
                let redis = RedisServer::start();
                let url = RedisUrl::parse(&redis.url(), None).unwrap();
                (Store::Redis(Box::new(redis)), Arc::new(ControlPool::new(&url).unwrap()))
            }
            Kind::Sqlite => {
                let url = DatabaseUrl::SqliteGrants(directory.path().join("grants.db"));
                migrations::run(&url).await.unwrap();
                let database = Database::new(&url, 8, runtime().handle().clone()).unwrap();
                let grants = SqliteGrants::new(database, clock.clone());
                (Store::Sqlite(grants.clone()), Arc::new(grants))
            }
        };
        let sql = SqlFeed::new(database.clone(), DirectoryProjection::default(), clock.clone(), None);
        let mover = WitnessMover::new(Arc::clone(&witness), Arc::new(sql.clone()));
        let (entropy, actor) = (Arc::new(SystemEntropy), Actor::command_line());
        let admin = Admin::new(database.clone(), sql, clock.clone(), entropy, mover, actor);
        let nobody = || secret("nobody:nobody");
        let mut world = Self {
            replicas: Vec::new(),
            identities: Vec::new(),
            feeds: Vec::new(),
            clock,
            admin,
            user: UserId::generate(&SystemEntropy).unwrap(),
            session: GrantId::generate(&SystemEntropy).unwrap(),
            database,
            store,
            notes: nobody(),
            gate: Arc::default(),
            mail: nobody(),
            tasks: Vec::new(),
            handles: Vec::new(),
            _directory: directory,
        };
        for seeds in keys_of {
            world.join(&witness, &keys(seeds)).await;
        }
        let somebody = NewUser {
            name: LoginName::parse("somebody").unwrap(),
            password: None,
            must_change_password: false,
        };
        let (somebody, recorded) = world.admin.create_user(somebody).await.unwrap();
        world.user = somebody.user.id;
        world.settle(recorded).await;
        world.notes = world.resource_server("notes", NOTES, "notes:read notes:write").await;
        world.mail = world.resource_server("mail", MAIL, "mail:send").await;
        world
    }

    /// Starts a replica, as the server does.
    async fn join(&mut self, witness: &Arc<dyn Witness>, keys: &Arc<TokenKeys>) {
        let clock = || Arc::clone(&self.clock) as Arc<dyn Clock>;
        let users = Arc::new(UserCache::default());
        let projection = DirectoryProjection::new(Arc::clone(&users));
        let sql = SqlFeed::new(self.database.clone(), projection, clock(), Some(Arc::clone(keys)));
        let store = Arc::new(sql.clone());
        let published = Arc::new(Published::default());
        let mover = Arc::new(WitnessMover::new(Arc::clone(witness), Arc::clone(&store) as _));
        let wake = Arc::new(Notify::new());
        let lease = Duration::from_secs(30);
        let replica = FeedReplica::new(ReplicaParts {
            store: Arc::clone(&store) as _,
            replicas: Arc::clone(&store) as _,
            published: Arc::clone(&published),
            clock: clock(),
            entropy: Arc::new(SystemEntropy),
            keys: Arc::clone(keys),
            witness: mover.passed(),
            name: format!("replica {}", self.replicas.len()),
            lease,
            memory: Duration::from_secs(3600),
        });
        let (tail, handle) =
            Tail::new(replica, Arc::clone(&store) as _, Arc::clone(&mover), Arc::clone(&wake), lease);
        let (sequence, committing) = Sequence::new(Arc::clone(&store) as _, clock(), Arc::clone(&wake));
        let acknowledger = Arc::new(Acknowledger::new(store, clock()));
        let feed = ChangeFeed::new(published, clock(), sequence, acknowledger, mover);
        self.tasks.push(runtime().spawn(wake_on_changes(sql, wake)));
        self.tasks.push(runtime().spawn(committing));
        self.tasks.push(runtime().spawn(tail.witness_keeper()));
        self.tasks.push(runtime().spawn(tail.run()));
        self.handles.push(handle);
        let settings = Settings {
            issuer: ISSUER.into(),
            access_token_ttl: ACCESS_TTL,
            refresh_token_ttl: REFRESH_TTL,
            refresh_token_idle_ttl: IDLE_TTL,
            revoke_wait: LATE,
        };
        let store = self.grants().await;
        let grants = Arc::new(Gated { store, gate: Arc::clone(&self.gate) }) as Arc<dyn GrantStore>;
        let users = Users::new(users, self.database.clone());
        let login = Arc::new(self.login(keys));
        let database = self.database.clone();
        let identity = Identity::new(feed.clone(), Arc::clone(&grants), users.clone(), database, login);
        self.identities.push(identity);
        let server = AuthorizationServer::new(
            feed.clone(),
            grants,
            Arc::clone(keys),
            Arc::new(SystemEntropy),
            users,
            Arc::default(),
            Arc::new(settings),
        );
        eventually("the replica has joined", async || feed.current().is_ok()).await;
        self.feeds.push(feed);
        self.replicas.push(server);
    }

    fn login(&self, keys: &Arc<TokenKeys>) -> Login {
        let clock = || Arc::clone(&self.clock) as Arc<dyn Clock>;
        let passwords = Passwords::start(1, PasswordPolicy::new(0, None), Arc::new(SystemEntropy)).unwrap();
        let lifetimes = Lifetimes { idle: SESSION_IDLE_TTL, absolute: SESSION_TTL };
        let sessions = LoginSessions::new(Arc::clone(keys), Arc::new(SystemEntropy), lifetimes);
        let throttle = Throttle::new(Arc::clone(keys), clock());
        Login::new(self.database.clone(), Arc::new(passwords), throttle, sessions, clock())
    }

    /// The store, by a connection of its own.
    pub async fn grants(&mut self) -> Arc<dyn GrantStore> {
        match &self.store {
            Store::Sqlite(grants) => Arc::new(grants.clone()),
            Store::Redis(redis) => {
                let url = RedisUrl::parse(&redis.url(), None).unwrap();
                let (link, supervisor) = Link::new(&url, Arc::new(AdmitAll), Duration::from_secs(1));
                self.tasks.push(runtime().spawn(supervisor));
                eventually("the link comes up", async || link.check().is_ok()).await;
                Arc::new(RedisGrants::new(link))
            }
        }
    }

    async fn resource_server(&self, name: &str, identifier: &str, scope: &str) -> PresentedCredentials {
        let new = NewResourceServer {
            name: name.to_owned(),
            identifier: ResourceIdentifier::parse(identifier).unwrap(),
            scope: Scope::parse(scope).unwrap(),
            may_revoke: true,
            include_roles: false,
            scope_descriptions: ScopeDescriptions::default(),
            scopes_needing_permission: Scope::default(),
        };
        let (server, secret, recorded) = self.admin.create_resource_server(new).await.unwrap();
        self.settle(recorded).await;
        PresentedCredentials { id: server.id.to_string(), secret: Some(secret.digest()) }
    }

    /// Waits until every replica knows of a change.
    pub async fn settle(&self, recorded: Recorded) {
        let settled = self.admin.settle(recorded, LATE).await.unwrap();
        assert!(settled.is_complete());
    }

    /// Registers a client for [`SCOPE`] and [`REDIRECT_URI`].
    pub async fn app(&self, id: &str, registration: Registration) -> App {
        let mut grant_types = BTreeSet::from([GrantType::AuthorizationCode]);
        if registration.refresh {
            grant_types.insert(GrantType::RefreshToken);
        }
        let new = NewClient {
            name: id.to_owned(),
            id: Some(ClientId::parse(id).unwrap()),
            public: registration.public,
            grant_types,
            scope: Scope::parse(SCOPE).unwrap(),
            access_token_ttl: None,
            redirect_uris: vec![
                RedirectUri::parse(REDIRECT_URI).unwrap(),
                RedirectUri::parse("http://127.0.0.1/callback").unwrap(),
            ],
            refresh_retry_window: registration.retry_window,
            origins: [].into(),
            secret: None,
        };
        let (_, secret, recorded) = self.admin.create_client(new).await.unwrap();
        self.settle(recorded).await;
        let secret = secret.as_ref().map(PlainSecret::digest);
        App { id: id.to_owned(), credentials: PresentedCredentials { id: id.to_owned(), secret } }
    }

    /// A confidential client that may refresh.
    pub async fn usual_app(&self) -> App {
        self.app("app", Registration::default()).await
    }

    /// What the user approves now.
    pub fn approval(&self) -> Approval {
        let born = self.feeds[0].current().unwrap().position.number;
        Approval { subject: self.user.clone(), session: self.session, born, address: None }
    }

    /// The request that [`Self::code`] approves.
    pub fn request(&self, app: &App) -> AuthorizationRequest {
        self.replicas[0].authorize(&parameters(app)).unwrap()
    }

    /// A code that the user approved.
    pub async fn code(&self, app: &App) -> String {
        self.code_for(&self.request(app)).await
    }

    pub async fn code_for(&self, request: &AuthorizationRequest) -> String {
        let location = self.replicas[0].approve(request, &self.approval()).await.unwrap().unwrap();
        parameter(&location, "code").unwrap()
    }

    /// The first tokens of a new grant.
    pub async fn tokens(&self, app: &App) -> IssuedToken {
        let code = self.code(app).await;
        self.redeem(0, app, &code).await.unwrap()
    }

    pub async fn redeem(&self, replica: usize, app: &App, code: &str) -> Result<IssuedToken, OAuthError> {
        self.ask(replica, &redemption(app, code)).await
    }

    pub async fn refresh(&self, replica: usize, app: &App, token: &str) -> Result<IssuedToken, OAuthError> {
        self.ask(replica, &refreshing(app, token)).await
    }

    pub async fn ask(&self, replica: usize, request: &TokenRequest) -> Result<IssuedToken, OAuthError> {
        self.replicas[replica].issue(request).await
    }

    /// Whether an access token is active at the notes, by every replica.
    pub async fn is_active(&self, token: &str) -> bool {
        self.is_active_at(&self.notes, token).await
    }

    pub async fn is_active_at_mail(&self, token: &str) -> bool {
        self.is_active_at(&self.mail, token).await
    }

    async fn is_active_at(&self, caller: &PresentedCredentials, token: &str) -> bool {
        let mut answers = BTreeSet::new();
        for replica in &self.replicas {
            answers.insert(replica.introspect(caller, token.as_bytes()).await.unwrap().is_active());
        }
        assert_eq!(answers.len(), 1, "the replicas differ");
        answers.contains(&true)
    }

    /// Revokes a token, as its client.
    pub async fn revoke(&self, app: &App, token: &str) {
        self.replicas[0].revoke(&app.credentials, token.as_bytes(), None).await.unwrap();
    }

    /// The set of what was given in the user's login session.
    pub fn login_session(&self) -> KillScope {
        KillScope::login_session(self.session)
    }

    /// Kills a set of grants, and waits until it is known.
    pub async fn kill(&self, scope: KillScope) {
        let recorded = self.admin.kill(scope).await.unwrap();
        self.settle(recorded).await;
    }

    /// The number of the newest change.
    pub async fn head(&self) -> ChangeNumber {
        self.database.write(|conn| Box::pin(lock_sequence(conn))).await.unwrap()
    }

    /// Why grants were revoked, and by whom, in order.
    pub async fn audit(&self) -> Vec<String> {
        use diesel_async::RunQueryDsl as _;

        let rows = "(SELECT group_concat(actor || ': ' || coalesce(reason, nullif(kind, 'revoke-grant'), ''), ';') \
                    FROM changes WHERE kind IN ('revoke-grant', 'lost-rotation'))";
        let unit = self.database.read(move |conn| {
            Box::pin(async move {
                let query = diesel::select(sql::<Nullable<Text>>(rows));
                match conn {
                    symbolon::sql::Connection::Sqlite(c) => Ok(query.get_result::<Option<String>>(c).await?),
                    symbolon::sql::Connection::Postgres(_) => unreachable!("the database is a file"),
                }
            })
        });
        unit.await.unwrap().map(|text| text.split(';').map(str::to_owned).collect()).unwrap_or_default()
    }
}

pub fn access(issued: &IssuedToken) -> &str {
    issued.access_token.expose()
}

pub fn next(issued: &IssuedToken) -> &str {
    issued.refresh_token.as_ref().expect("a refresh token").expose()
}

/// The error that was refused with.
#[track_caller]
pub fn code_of(outcome: Result<IssuedToken, OAuthError>) -> &'static str {
    outcome.expect_err("refused").code()
}

async fn eventually(what: &str, mut probe: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + LATE;
    while !probe().await {
        assert!(std::time::Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
