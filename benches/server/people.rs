//! What users' grants cost: refreshing, introspecting with live roles, and their room in Redis.

use std::thread;
use std::time::Duration;

use crate::Options;
use crate::baselines;
use crate::installation::{Installation, used_memory};
use crate::load::Target;
use crate::page::{Budgets, Table};
use crate::rounds::{COLUMNS, interleave};
use crate::support::actors::{Client, Token};
use crate::support::browser::{self, App, Browser, Tokens, User};
use crate::support::encoding;
use crate::support::http::KeptConnections;
use crate::support::redis::RedisServer;

/// Two words, and the second needs a permission, which users have by a role.
const SCOPE: &str = "people:read people:write";
const USERS: usize = 20;
/// Of how many grants the chains are rotated in turn: more than there are connections.
const CHAINS: usize = 512;
const INTROSPECTED: usize = 1000;
const ROTATIONS: usize = 10_000;

/// Each of wrk's threads has its own share of the grants. It presents the newest refresh token of each in turn, and
/// keeps what it is given; what is under way when it ends is presented again the next time, as a client would.
///
/// It costs wrk more than a request that is always the same, so the mint beside it is asked for by the same script.
const SCRIPT: &str = r#"
local threads = {}
function setup(thread)
    thread:set("id", #threads)
    table.insert(threads, thread)
end
function init()
    headers = {
        ["Authorization"] = "@authorization@",
        ["Content-Type"] = "application/x-www-form-urlencoded",
    }
    refreshing = "@what@" == "refresh"
    queue, first, last, under_way = {}, 1, 0, {}
    local line = 0
    for token in io.lines("@directory@/tokens") do
        if line % @threads@ == id then
            last = last + 1
            queue[last] = token
        end
        line = line + 1
    end
end
function request()
    local token = queue[first]
    queue[first] = nil
    first = first + 1
    under_way[token:sub(5, 21)] = token
    local body = refreshing and "grant_type=refresh_token&refresh_token=" .. token or "grant_type=client_credentials"
    return wrk.format("POST", nil, headers, body)
end
function response(_, _, body)
    local token = body:match('"@what@_token":"([^"]+)"')
    if token then
        under_way[token:sub(5, 21)] = nil
        last = last + 1
        queue[last] = token
    end
end
function done(summary, latency)
    local file = io.open("@directory@/tokens", "w")
    for _, thread in ipairs(threads) do
        for _, tokens in ipairs({ thread:get("queue"), thread:get("under_way") }) do
            for _, token in pairs(tokens) do file:write(token, "\n") end
        end
    end
    file:close()
    local errors = summary.errors
    print(("RESULT %d %d %d %d %d"):format(
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.timeout + errors.status))
end
"#;

/// An installation, and people with a role who use an app there.
pub struct Cast {
    pub installation: Installation,
    pub users: Vec<User>,
    app: App,
}

impl Cast {
    pub fn new(users: usize) -> Self {
        let mut installation = Installation::start(1);
        let deployment = &installation.deployment;
        let further = ["--include-roles", "--scope-needs-permission", "people:write"];
        let api = deployment.resource_server_with("people", "https://people.example", SCOPE, &further);
        let machine = deployment.client("machine", SCOPE);
        // A token that is refreshed seldom has one live access token; one that is refreshed all the time has eight.
        let app = deployment.app("people-app", SCOPE, &["--refresh-retry-window", "1h"]);
        deployment.cli(&["role", "create", "editor", "--permission", "people:write"]).success();
        let users = (0..users).map(|number| {
            let user = deployment.user(&format!("person-{number}"));
            deployment.cli(&["user", "assign-role", &user.name, "editor"]).success();
            user
        });
        let users = users.collect();
        (installation.api, installation.app) = (api, machine);
        Self { installation, users, app }
    }

    /// Where a user is logged in.
    fn browser_of(&self, user: &User) -> Browser {
        let (server, mut browser) = (self.installation.deployment.replica(0), Browser::new());
        let page = browser.open(server, "/login").page();
        browser.log_in(server, &page, user);
        browser
    }

    /// What this app is given by a user, one grant after the other.
    fn grants(&self, app: &App, user: &User, browser: &mut Browser, count: usize) -> Vec<Tokens> {
        let server = self.installation.deployment.replica(0);
        let grant = |_| {
            let ask = app.ask().with("scope", SCOPE);
            let answer = browser.allow(server, user, &ask);
            app.redeem(server, &ask, &answer)
        };
        (0..count).map(grant).collect()
    }

    /// So many grants, of all users.
    fn grants_of_all(&self, count: usize) -> Vec<Tokens> {
        let each = count.div_ceil(self.users.len());
        let of = |user| self.grants(&self.app, user, &mut self.browser_of(user), each);
        self.users.iter().flat_map(of).take(count).collect()
    }

    /// Asks for `what`, access or refresh tokens, for what is given in return for `tokens` at first.
    fn asking(&self, name: &str, what: &str, client: &Client, tokens: &[&str]) -> Target {
        let server = self.installation.deployment.replica(0);
        let script = SCRIPT.replace("@authorization@", &encoding::basic(&client.id, &client.secret));
        let files = [("tokens", tokens.join("\n"))];
        let script = script.replace("@what@", what);
        Target::scripted(name, server.url("/token"), vec![server.id()], &script, &files)
    }
}

pub fn measure(options: &Options, budgets: &mut Budgets) -> Vec<Table> {
    eprintln!("users' grants");
    let cast = Cast::new(USERS);
    let tables = vec![refresh(options, &cast, budgets), live_roles(options, &cast, budgets)];
    drop(cast);
    room(options, budgets);
    tables
}

/// A rotation is a GET and a compare-and-swap, and four tokens are derived; a mint is a SET.
fn refresh(options: &Options, cast: &Cast, budgets: &mut Budgets) -> Table {
    let before = cast.grants_of_all(CHAINS);
    let refresh: Vec<_> = before.iter().map(|tokens| tokens.refresh.as_str()).collect();
    let minted = cast.installation.mint(CHAINS);
    let minted: Vec<_> = minted.iter().map(String::as_str).collect();
    let targets = [
        cast.asking("**Symbolon, mint**", "access", &cast.installation.app, &minted),
        cast.asking("**Symbolon, refresh**", "refresh", &cast.app.client, &refresh),
    ];
    let series = interleave(&targets.each_ref(), options.rounds, options.seconds);
    let [mint, refresh] = series.as_slice() else { panic!("a series for each target") };
    // They were rotations, and nobody was logged out: every chain goes on from its newest token.
    let (server, newest) = (cast.installation.deployment.replica(0), targets[1].left("tokens"));
    assert_eq!(newest.len(), CHAINS, "no chain was lost");
    assert!(before.iter().all(|tokens| !newest.contains(&tokens.refresh.0)), "every chain went on");
    for token in newest.into_iter().take(50) {
        let next = cast.app.refresh(server, &Token(token));
        assert!(cast.installation.is_active(next.access.as_str()));
    }
    let ratio = refresh.ratio(mint);
    budgets.note(
        "refresh, with eight live access tokens in each grant",
        "≥ 0.50 × the mint",
        ratio.to_string(),
        ratio.median >= 0.50,
    );
    table("Refreshing, 512 grants, 64 connections, 2 workers", &series)
}

/// The same resource server is asked for tokens of the same scope.
fn live_roles(options: &Options, cast: &Cast, budgets: &mut Budgets) -> Table {
    let of_client = cast.installation.mint(INTROSPECTED);
    let of_users: Vec<String> =
        cast.grants_of_all(INTROSPECTED).into_iter().map(|tokens| tokens.access.0).collect();
    for tokens in [&of_client, &of_users] {
        cast.installation.assert_active(tokens);
    }
    let token = Token(of_users[0].clone());
    let seen = cast.installation.api.introspect(cast.installation.deployment.replica(0), &token);
    assert_eq!(seen.claim("roles"), &serde_json::json!(["editor"]));
    assert_eq!(seen.scope(), ["people:read", "people:write"]);
    let targets = [
        cast.installation.introspection("introspection of a client's token", &of_client),
        cast.installation.introspection("introspection of a user's token, with roles", &of_users),
    ];
    let series = interleave(&targets.each_ref(), options.rounds, options.seconds);
    for tokens in [&of_client, &of_users] {
        cast.installation.assert_active(tokens);
    }
    let [client, user] = series.as_slice() else { panic!("a series for each target") };
    let ratio = client.ratio(user);
    let cpu = user.median(|run| run.cpu_micros) / client.median(|run| run.cpu_micros);
    budgets.note(
        "introspection of a user's token with live roles, the time of a client's ×",
        "≤ 1.15",
        format!("{ratio}; {cpu:.2} × the processor time"),
        ratio.median <= 1.15 && cpu <= 1.15,
    );
    table("Introspection of 1,000 tokens at one resource server", &series)
}

fn table(title: &str, series: &[crate::rounds::Series]) -> Table {
    let mut table = Table::new(title, &COLUMNS);
    for series in series {
        table.row(series.cells().to_vec());
    }
    table
}

/// Records as the server writes them, copied under keys of the same length: what many people's would take.
fn room(options: &Options, budgets: &mut Budgets) {
    let cast = Cast::new(2);
    let deployment = &cast.installation.deployment;
    let redis = deployment.redis();
    // Access tokens that end at once: what is left in a record is the newest.
    let brief = deployment.app("brief", SCOPE, &["--refresh-retry-window", "1h", "--access-token-ttl", "1s"]);
    for (user, (grants, most)) in cast.users.iter().zip([(1, 512.0), (10, 400.0)]) {
        // The login itself is no part of a grant: neither the session nor the list of sessions.
        let mut browser = cast.browser_of(user);
        let before = keys(redis);
        let given = settle(&cast, &brief, cast.grants(&brief, user, &mut browser, grants));
        let written = keys(redis).into_iter().filter(|key| !before.contains(key));
        let values: Vec<Vec<u8>> =
            written.map(|key| redis.command(&[b"GET".as_slice(), &key]).bytes().to_vec()).collect();
        assert_eq!(values.len(), grants + 1, "the records and their list");
        // Redis's tables, which double, are three quarters full of them.
        let people = options.million / (5 * values.len());
        let each = room_of_copies(&values, people) / grants as f64;
        budgets.note(
            &format!("Redis memory per user's grant, {grants} a user ({people} users), index included"),
            &format!("≤ {most:.0} bytes"),
            format!("{each:.0} bytes"),
            each <= most,
        );
        if grants == 1 {
            flat(&cast, &brief, given[0].clone(), budgets);
        }
    }
}

/// Lets the first access tokens end, and refreshes: one access token and one refresh token are left.
fn settle(cast: &Cast, app: &App, tokens: Vec<Tokens>) -> Vec<Tokens> {
    thread::sleep(Duration::from_millis(2_100));
    let server = cast.installation.deployment.replica(0);
    tokens.into_iter().map(|tokens| app.refresh(server, &tokens.refresh)).collect()
}

/// What a record takes before ten thousand rotations and after.
fn flat(cast: &Cast, app: &App, tokens: Tokens, budgets: &mut Budgets) {
    let (server, redis) = (cast.installation.deployment.replica(0), cast.installation.deployment.redis());
    let grant = symbolon::domain::identifier::GrantId::from_digits(tokens.access.grant_id().as_bytes());
    let key = symbolon::grants::keys::grant(grant.expect("a grant id"));
    let size = || redis.command(&[b"STRLEN".as_slice(), &key]).integer();
    let (before, connections, mut newest) = (size(), KeptConnections::new(), tokens);
    for _ in 0..ROTATIONS {
        let answer = app.refreshing(server, &newest.refresh, &[]).try_send_on(&connections);
        newest = browser::tokens(&answer.expect("an answer"));
    }
    settle(cast, app, vec![newest]);
    let after = size();
    budgets.note(
        "a grant's record after 10,000 rotations",
        "flat: the numbers in it grow by a byte each",
        format!("{before} bytes before, {after} after"),
        after <= before + 4,
    );
}

fn keys(redis: &RedisServer) -> Vec<Vec<u8>> {
    redis.command(&["KEYS", "g:*"]).array().iter().map(|key| key.bytes().to_vec()).collect()
}

/// `used_memory` for each copy of these values, of so many in a Redis of their own.
fn room_of_copies(values: &[Vec<u8>], count: usize) -> f64 {
    const SCRIPT: &[u8] = b"for i = ARGV[1], ARGV[2] do for k = 4, #ARGV do \
        redis.call('SET', 'g:' .. struct.pack('>I4I4I4', 0xfeedbeef, i, k), ARGV[k], 'EXAT', ARGV[3]) end end";
    const BATCH: usize = 1000;
    /// Far away.
    const END: &[u8] = b"4102444800";
    let redis = baselines::redis();
    let empty = used_memory(&redis);
    for from in (1..=count).step_by(BATCH) {
        let range = [from, (from + BATCH - 1).min(count)].map(|number| number.to_string());
        let mut command: Vec<&[u8]> =
            vec![b"EVAL", SCRIPT, b"0", range[0].as_bytes(), range[1].as_bytes(), END];
        command.extend(values.iter().map(Vec::as_slice));
        let reply = redis.command(&command);
        assert!(!reply.is_error(), "{reply:?}");
    }
    let keys = redis.command(&["DBSIZE"]).integer();
    assert_eq!(usize::try_from(keys), Ok(count * values.len()), "every copy is there");
    (used_memory(&redis) - empty) as f64 / count as f64
}
