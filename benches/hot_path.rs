//! The functions that run on every request, and what publishing a revocation costs.
//!
//! `cargo bench --bench hot_path`, or with a part of a name to run some. What they must not exceed is in
//! `docs/ARCHITECTURE.md`; the whole server is measured by `scripts/bench`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a bench that cannot be set up has to stop"
)]

use std::collections::HashMap;
use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use symbolon::changes::{
    Actor, Bonds, Change, Entry, KillScope, Kills, RecordedChange, RevokedGrants, Snapshot,
};
use symbolon::domain::base62;
use symbolon::domain::clock::Timestamp;
use symbolon::domain::entropy::{Entropy, EntropyUnavailable, SystemEntropy, random};
use symbolon::domain::identifier::{ClientId, GrantId, ResourceServerId};
use symbolon::domain::position::{ChangeNumber, Position};
use symbolon::domain::scope::Scope;
use symbolon::domain::secret::{PlainSecret, SecretDigest};
use symbolon::domain::token::{PlainToken, TokenDigest, TokenKind, TokenString};
use symbolon::domain::token_key::TokenKeys;
use symbolon::grants::{AccessToken, GrantRecord};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const LATER: Timestamp = Timestamp::from_unix_seconds(1_800_000_900);
const MILLION: u64 = 1_000_000;

/// Bytes that look random and are the same in every run.
struct Sequence(std::sync::atomic::AtomicU64);

impl Entropy for Sequence {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        for chunk in bytes.chunks_mut(8) {
            let step = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, std::sync::atomic::Ordering::Relaxed);
            // splitmix64
            let mixed = (step ^ (step >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let length = chunk.len();
            chunk.copy_from_slice(mixed.to_le_bytes().split_at(length).0);
        }
        Ok(())
    }
}

fn sequence() -> Sequence {
    Sequence(std::sync::atomic::AtomicU64::new(1))
}

/// Keys, the current one first; older ones are held after a rotation.
fn keys(seeds: &[u8]) -> TokenKeys {
    TokenKeys::from_secrets(seeds.iter().map(|seed| [*seed; 32])).unwrap()
}

fn token(keys: &TokenKeys) -> String {
    let grant = GrantId::generate(&SystemEntropy).unwrap();
    PlainToken::generate(TokenKind::Access, grant, keys, &SystemEntropy).unwrap().expose().to_owned()
}

fn tokens(c: &mut Criterion) {
    let mut group = c.benchmark_group("token");
    let text = token(&keys(&[1]));
    group.bench_function("parse", |b| b.iter(|| TokenString::parse(black_box(text.as_bytes()))));
    let junk = text.replace("sya_", "syx_");
    group.bench_function("parse, another's prefix", |b| {
        b.iter(|| TokenString::parse(black_box(junk.as_bytes())).is_err());
    });
    let mistyped = format!("{}{}", text.split_at(59).0, if text.ends_with('0') { '1' } else { '0' });
    group.bench_function("parse, wrong checksum", |b| {
        b.iter(|| TokenString::parse(black_box(mistyped.as_bytes())).is_err());
    });
    let parsed = TokenString::parse(text.as_bytes()).unwrap();
    for (what, seeds) in [
        ("tag, 1 key", &[1][..]),
        ("tag, the last of 3 keys", &[3, 2, 1]),
        ("tag, a forgery, 3 keys", &[4, 3, 2]),
    ] {
        let keys = keys(seeds);
        group.bench_function(what, |b| b.iter(|| black_box(&parsed).made_by(&keys).is_some()));
    }
    let one = keys(&[1]);
    let grant = GrantId::generate(&SystemEntropy).unwrap();
    group.bench_function("generate", |b| {
        b.iter(|| PlainToken::generate(TokenKind::Access, grant, &one, &SystemEntropy));
    });
    group.finish();
}

fn digests(c: &mut Criterion) {
    let mut group = c.benchmark_group("digest");
    let digest = TokenDigest::from_bytes(random(&SystemEntropy).unwrap());
    group.bench_function("jti", |b| b.iter(|| black_box(digest).jti()));
    let secret = PlainSecret::generate(&SystemEntropy).unwrap();
    let kept = secret.digest();
    group.bench_function("secret, digest and compare", |b| {
        b.iter(|| SecretDigest::of(black_box(secret.expose().as_bytes())) == kept);
    });
    group.finish();
}

fn base_62(c: &mut Criterion) {
    let mut group = c.benchmark_group("base62");
    let id: [u8; 12] = random(&SystemEntropy).unwrap();
    let mut id_digits = [0; 17];
    group.bench_function("encode 12 bytes", |b| b.iter(|| base62::encode(black_box(&id), &mut id_digits)));
    base62::encode(&id, &mut id_digits);
    group.bench_function("decode 12 bytes", |b| b.iter(|| base62::decode::<12>(black_box(&id_digits))));
    let secret: [u8; 24] = random(&SystemEntropy).unwrap();
    let mut digits = [0; 33];
    group.bench_function("encode 24 bytes", |b| b.iter(|| base62::encode(black_box(&secret), &mut digits)));
    base62::encode(&secret, &mut digits);
    group.bench_function("decode 24 bytes", |b| b.iter(|| base62::decode::<24>(black_box(&digits))));
    group.finish();
}

fn record(tokens: usize) -> GrantRecord {
    let access_token = |_| AccessToken {
        digest: TokenDigest::from_bytes(random(&SystemEntropy).unwrap()),
        issued_at: NOW,
        expires_at: LATER,
        attempt: 0,
        restriction: None,
    };
    GrantRecord {
        born: ChangeNumber::new(300_000),
        expires_at: LATER,
        client: ClientId::generate(&SystemEntropy).unwrap(),
        scope: Scope::parse("notes:read notes:write").unwrap(),
        audience: vec![ResourceServerId::generate(&SystemEntropy).unwrap()],
        access_tokens: (0..tokens).map(access_token).collect(),
        user: None,
        address: Some(std::net::IpAddr::from([192, 0, 2, 7])),
    }
}

fn records(c: &mut Criterion) {
    let mut group = c.benchmark_group("record");
    for tokens in [1, 8] {
        let record = record(tokens);
        let encoded = record.encode();
        group.throughput(Throughput::Bytes(encoded.as_bytes().len() as u64));
        group.bench_function(BenchmarkId::new("encode, access tokens", tokens), |b| {
            b.iter(|| black_box(&record).encode());
        });
        group.bench_function(BenchmarkId::new("decode, access tokens", tokens), |b| {
            b.iter(|| black_box(&encoded).decode());
        });
        let last = record.access_tokens.last().unwrap().digest;
        group.bench_function(BenchmarkId::new("find among access tokens", tokens), |b| {
            b.iter(|| black_box(&record).access_token(black_box(&last)).is_some());
        });
    }
    group.finish();
}

/// A replica's knowledge: so many revoked grants, and a kill for each of so many clients.
fn snapshot(revoked_grants: u64, killed_clients: u64) -> Snapshot<()> {
    let entropy = sequence();
    let mut revoked = RevokedGrants::default();
    for number in 1..=revoked_grants {
        revoked.insert(GrantId::generate(&entropy).unwrap(), LATER, ChangeNumber::new(number));
    }
    let mut kills = Kills::default();
    for client in 0..killed_clients {
        let client = ClientId::parse(&format!("client-{client}")).unwrap();
        kills.raise(&KillScope::Client(client), ChangeNumber::new(1));
    }
    let position = Position { number: ChangeNumber::new(revoked_grants), ..Position::default() };
    Snapshot { position, revoked, kills, ..Snapshot::default() }
}

fn liveness(c: &mut Criterion) {
    let mut group = c.benchmark_group("is_live");
    let born = ChangeNumber::new(2);
    for (revoked_grants, killed_clients) in [(0, 0), (1_000, 0), (MILLION, 0), (MILLION, 10_000)] {
        let known = snapshot(revoked_grants, killed_clients);
        let client = ClientId::parse("client-5000").unwrap();
        // Many ids, as in life: one alone would always be in the cache.
        let entropy = Sequence(std::sync::atomic::AtomicU64::new(7));
        let grants: Vec<_> = (0..4096).map(|_| GrantId::generate(&entropy).unwrap()).collect();
        let name = format!("{revoked_grants} revoked grants, {killed_clients} kills");
        let mut next = grants.iter().cycle();
        group.bench_function(name, |b| {
            b.iter(|| known.is_live(black_box(next.next().unwrap()), &Bonds::of_client(&client), born));
        });
    }
    group.finish();
}

/// The rows that follow a position, each revoking another grant.
fn rows_after(position: &Position, count: u64) -> Vec<RecordedChange> {
    let (mut hash, mut number) = (position.hash, position.number);
    let row = |_| {
        let grant = GrantId::generate(&SystemEntropy).unwrap();
        let change = Change::GrantRevoked { grant, ends_at: Some(LATER) };
        number = number.next();
        let entry = Entry::new(change, Actor::command_line());
        let row = RecordedChange::chain(&hash, number, entry, NOW);
        hash = row.hash;
        row
    };
    (0..count).map(row).collect()
}

fn revoking(c: &mut Criterion) {
    let mut group = c.benchmark_group("revoke");
    let keys = keys(&[1]);
    let known = snapshot(MILLION, 10_000);
    group.bench_function("insert into a clone of 1000000", |b| {
        let grant = || GrantId::generate(&SystemEntropy).unwrap();
        b.iter_batched(
            || (known.revoked.clone(), grant()),
            |(mut revoked, grant)| {
                revoked.insert(grant, LATER, ChangeNumber::new(MILLION));
                revoked
            },
            BatchSize::SmallInput,
        );
    });
    // What a replica does with each answer of the tail before it publishes.
    for count in [1, 100] {
        let rows = rows_after(&known.position, count);
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::new("apply to 1000000, rows", count), |b| {
            b.iter(|| known.apply(black_box(&rows), (), &keys));
        });
    }
    group.throughput(Throughput::Elements(MILLION));
    group.sample_size(10);
    group.bench_function("load 1000000", |b| b.iter(|| snapshot(MILLION, 0)));
    group.bench_function("prune 1000000, nothing to forget", |b| {
        b.iter_batched(
            || known.revoked.clone(),
            |mut revoked| {
                revoked.prune(ChangeNumber::ZERO, NOW);
                revoked
            },
            BatchSize::PerIteration,
        );
    });
    // For comparison: what a map that cannot be shared would cost to look into.
    let entropy = sequence();
    let map: HashMap<_, _> =
        (1..=MILLION).map(|number| (GrantId::generate(&entropy).unwrap(), number)).collect();
    let absent = GrantId::generate(&SystemEntropy).unwrap();
    group.throughput(Throughput::Elements(1));
    group.bench_function("contains, HashMap of 1000000 for comparison", |b| {
        b.iter(|| map.contains_key(black_box(&absent)));
    });
    group.finish();
}

criterion_group!(hot_path, tokens, digests, base_62, records, liveness, revoking);
criterion_main!(hot_path);
