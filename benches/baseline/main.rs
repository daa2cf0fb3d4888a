//! The smallest servers that could stand in Symbolon's place, to be measured against it by `scripts/bench`.
//!
//! `baseline VARIANT LISTEN [REDIS_URL]`; `baseline-mimalloc` is the same with another allocator. All but `constant` parse the form, check Basic and hash the token, as any
//! introspection endpoint must; they differ in where they look the token up. None of them checks a lease, a revocation,
//! a scope or an expiry: what Symbolon takes beyond them is the price of its promises.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a baseline that cannot go on has to stop"
)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, Responder};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rand::TryRng as _;
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, ConnectionInfo, IntoConnectionInfo as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// As long as a typical introspection answer.
const CONSTANT: &[u8; 250] = &[b'x'; 250];
/// Longer than a benchmark runs.
const TOKEN_SECONDS: u64 = 6 * 3600;
const WORKERS: usize = 2;

/// Where a token is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// Nowhere: the body is read, and 250 bytes are answered.
    Constant,
    /// In a map in the process.
    Memory,
    /// In Redis, over one multiplexed connection for each worker.
    PerWorker,
    /// In Redis, over one multiplexed connection for all workers.
    Shared,
    /// In Redis, over a connection checked out of a pool.
    Pool,
}

impl FromStr for Variant {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "constant" => Ok(Self::Constant),
            "memory" => Ok(Self::Memory),
            "per-worker" => Ok(Self::PerWorker),
            "shared" => Ok(Self::Shared),
            "pool" => Ok(Self::Pool),
            other => Err(format!("{other:?} is none of constant, memory, per-worker, shared, pool")),
        }
    }
}

type Key = [u8; 16];

/// The way to the tokens, of one worker.
enum Tokens {
    Memory(Arc<RwLock<HashMap<Key, Vec<u8>>>>),
    Redis(MultiplexedConnection),
    Pool(deadpool_redis::Pool),
}

impl Tokens {
    async fn get(&self, key: &Key) -> Option<Vec<u8>> {
        match self {
            Self::Memory(map) => map.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned(),
            Self::Redis(conn) => conn.clone().get(key).await.expect("Redis answers"),
            Self::Pool(pool) => {
                pool.get().await.expect("a connection is free").get(key).await.expect("Redis answers")
            }
        }
    }

    async fn set(&self, key: &Key, record: &[u8]) {
        match self {
            Self::Memory(map) => {
                map.write().unwrap_or_else(PoisonError::into_inner).insert(*key, record.to_vec());
            }
            Self::Redis(conn) => {
                let () = conn.clone().set_ex(key, record, TOKEN_SECONDS).await.expect("Redis answers");
            }
            Self::Pool(pool) => {
                let mut conn = pool.get().await.expect("a connection is free");
                let () = conn.set_ex(key, record, TOKEN_SECONDS).await.expect("Redis answers");
            }
        }
    }
}

struct State {
    tokens: Tokens,
    /// Who may call, and the digest of their secret.
    callers: HashMap<String, [u8; 32]>,
}

#[derive(Deserialize)]
struct Introspection {
    token: String,
}

#[derive(Deserialize)]
struct TokenRequest {
    grant_type: String,
}

#[derive(Serialize, Deserialize)]
struct Record {
    client_id: String,
    scope: String,
    exp: u64,
}

#[derive(Serialize)]
struct Answer<'a> {
    active: bool,
    scope: &'a str,
    client_id: &'a str,
    token_type: &'static str,
    exp: u64,
    iat: u64,
    nbf: u64,
    sub: &'a str,
    aud: &'static str,
    iss: &'static str,
    jti: String,
}

#[derive(Serialize)]
struct Issued<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    scope: &'static str,
}

fn authenticate(request: &HttpRequest, state: &State) -> Option<String> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(STANDARD.decode(header).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    let digest: [u8; 32] = Sha256::digest(secret).into();
    (state.callers.get(id)? == &digest).then(|| id.to_owned())
}

fn key_of(token: &str) -> Key {
    let digest: [u8; 32] = Sha256::digest(token).into();
    *digest.first_chunk().expect("32 bytes hold 16")
}

fn json<T: Serialize>(answer: &T) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/json"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(serde_json::to_vec(answer).expect("an answer can be written"))
}

async fn constant(_body: Bytes) -> impl Responder {
    Bytes::from_static(CONSTANT)
}

async fn introspect(
    request: HttpRequest,
    form: web::Form<Introspection>,
    state: Data<State>,
) -> HttpResponse {
    if authenticate(&request, &state).is_none() {
        return HttpResponse::Unauthorized().finish();
    }
    let key = key_of(&form.token);
    let Some(record) = state.tokens.get(&key).await else {
        return HttpResponse::Ok().content_type("application/json").body(r#"{"active":false}"#);
    };
    let record: Record = serde_json::from_slice(&record).expect("a record can be read");
    json(&Answer {
        active: true,
        scope: &record.scope,
        client_id: &record.client_id,
        token_type: "Bearer",
        exp: record.exp,
        iat: record.exp - TOKEN_SECONDS,
        nbf: record.exp - TOKEN_SECONDS,
        sub: &record.client_id,
        aud: "https://api.example",
        iss: "https://auth.example",
        jti: URL_SAFE_NO_PAD.encode(key),
    })
}

async fn mint(request: HttpRequest, form: web::Form<TokenRequest>, state: Data<State>) -> HttpResponse {
    let Some(client_id) = authenticate(&request, &state) else {
        return HttpResponse::Unauthorized().finish();
    };
    if form.grant_type != "client_credentials" {
        return HttpResponse::BadRequest().finish();
    }
    let mut random = [0; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut random).expect("there are random bytes");
    let token = URL_SAFE_NO_PAD.encode(random);
    let record = Record { client_id, scope: "notes:read notes:write".to_owned(), exp: 1_800_000_900 };
    state.tokens.set(&key_of(&token), &serde_json::to_vec(&record).expect("a record can be written")).await;
    json(&Issued {
        access_token: &token,
        token_type: "Bearer",
        expires_in: TOKEN_SECONDS,
        scope: "notes:read notes:write",
    })
}

async fn connect(url: &str) -> MultiplexedConnection {
    let info: ConnectionInfo = url.into_connection_info().expect("a Redis URL");
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let client = redis::Client::open(info).expect("a Redis URL");
    let config = AsyncConnectionConfig::new();
    client.get_multiplexed_async_connection_with_config(&config).await.expect("Redis answers")
}

#[actix_web::main]
pub async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: baseline VARIANT LISTEN [REDIS_URL]";
    let variant: Variant = arguments.next().expect(usage).parse().expect(usage);
    let listen: SocketAddr = arguments.next().expect(usage).parse().expect(usage);
    let url = arguments.next().unwrap_or_default();
    let map = Arc::new(RwLock::new(HashMap::new()));
    let shared = if variant == Variant::Shared { Some(connect(&url).await) } else { None };
    let pool = (variant == Variant::Pool).then(|| {
        let config = deadpool_redis::Config::from_url(url.as_str());
        config.create_pool(Some(deadpool_redis::Runtime::Tokio1)).expect("a pool can be made")
    });
    HttpServer::new(move || {
        let (map, shared, pool, url) = (Arc::clone(&map), shared.clone(), pool.clone(), url.clone());
        App::new()
            .data_factory(move || {
                let (map, shared, pool, url) = (Arc::clone(&map), shared.clone(), pool.clone(), url.clone());
                async move {
                    let tokens = match (variant, shared, pool) {
                        (Variant::PerWorker, _, _) => Tokens::Redis(connect(&url).await),
                        (_, Some(conn), _) => Tokens::Redis(conn),
                        (_, _, Some(pool)) => Tokens::Pool(pool),
                        _ => Tokens::Memory(map),
                    };
                    let callers = HashMap::from([("caller".to_owned(), Sha256::digest("secret").into())]);
                    Ok::<_, std::io::Error>(State { tokens, callers })
                }
            })
            .route("/constant", web::post().to(constant))
            .route("/introspect", web::post().to(introspect))
            .route("/token", web::post().to(mint))
    })
    .workers(WORKERS)
    .tcp_nodelay(true)
    .bind(listen)?
    .run()
    .await
}
