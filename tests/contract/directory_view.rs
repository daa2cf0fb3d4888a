//! The directory in memory: whoever follows the changes sees what whoever reads everything sees.

use std::sync::Arc;
use std::time::Duration;

use symbolon::changes::{
    Change, Entry, FeedStore as _, Publish, RecordedChange, Renewal, SqlFeed, record_in,
};
use symbolon::directory::{
    Client, DirectoryProjection, DirectoryView, ResourceServer, Snapshot, clients, resource_servers,
};
use symbolon::domain::clock::Clock as _;
use symbolon::domain::identifier::ResourceIdentifier;
use symbolon::domain::origin::Origin;
use symbolon::domain::scope::Scope;
use symbolon::sql::{Connection, SqlError};

use crate::cases;
use crate::databases::{Kind, Sql, entry, keys, row};
use crate::directory::{bare_client, digest, full_client, full_server};

cases!(Kind: postgres = Postgres, sqlite = Sqlite => {
    following_gives_what_reading_everything_gives,
    a_change_shows_together_with_its_number,
});

const CLIENTS: u64 = 5;
const SERVERS: u64 = 4;
const ORIGINS: [&str; 3] = ["https://a.example", "https://b.example", "http://localhost:3000"];
const SCOPES: [&str; 4] = ["a", "b", "c", "a b"];

/// Small numbers in no order (xorshift), the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn scope(&mut self) -> Scope {
        Scope::parse(SCOPES[usize::try_from(self.below(4)).unwrap()]).unwrap()
    }
}

/// One thing that an administrator does.
enum Step {
    PutClient(Client),
    DropClient(Client),
    PutServer(ResourceServer),
    DropServer(ResourceServer),
}

fn any_step(dice: &mut Dice) -> Step {
    let name = dice.below(3);
    if dice.below(2) == 0 {
        let id = dice.below(CLIENTS);
        let id = (format!("client-{id}"), format!("Client {id} {name}"));
        let mut client = if name == 0 { bare_client(&id.0, &id.1) } else { full_client(&id.0, &id.1) };
        client.enabled = dice.below(3) > 0;
        client.scope = dice.scope();
        let origins = ORIGINS.into_iter().filter(|_| dice.below(3) == 0);
        client.origins = origins.map(|origin| Origin::parse(origin).unwrap()).collect();
        if let Some(credentials) = &mut client.credentials {
            let rotated = digest(u8::try_from(dice.below(9)).unwrap());
            *credentials = credentials.rotate(rotated, Duration::from_secs(60), client.created_at);
        }
        if dice.below(4) == 0 { Step::DropClient(client) } else { Step::PutClient(client) }
    } else {
        let id = dice.below(SERVERS);
        // An identifier may pass from one resource server to another.
        let identifier = identifier(id + 10 * name);
        let mut server = full_server(&format!("rs_{id}"), &format!("API {id} {name}"), &identifier);
        server.enabled = dice.below(3) > 0;
        server.scope = dice.scope();
        if dice.below(4) == 0 { Step::DropServer(server) } else { Step::PutServer(server) }
    }
}

fn identifier(number: u64) -> String {
    format!("https://api-{number}.example")
}

/// What the step changes, and its row in the feed, in one transaction.
async fn take(conn: &mut Connection, step: Step) -> Result<Entry, SqlError> {
    Ok(entry(match step {
        Step::PutClient(client) => {
            match clients::update(conn, &client).await {
                Err(SqlError::NotFound) => clients::insert(conn, &client).await?,
                other => other?,
            }
            Change::ClientChanged(client.id)
        }
        Step::DropClient(client) => {
            clients::delete(conn, &client.id).await?;
            Change::ClientChanged(client.id)
        }
        Step::PutServer(server) => {
            match resource_servers::update(conn, &server).await {
                Err(SqlError::NotFound) => resource_servers::insert(conn, &server).await?,
                other => other?,
            }
            Change::ResourceServerChanged(server.id)
        }
        Step::DropServer(server) => {
            resource_servers::delete(conn, &server.id).await?;
            Change::ResourceServerChanged(server.id)
        }
    }))
}

/// Takes some steps in one unit of work.
async fn take_all(sql: &Sql, steps: Vec<Step>) {
    let now = sql.clock.now();
    let unit = sql.database.write(move |conn| {
        Box::pin(async move {
            let mut entries = Vec::new();
            for step in steps {
                entries.push(take(conn, step).await?);
            }
            record_in(conn, entries, now).await
        })
    });
    unit.await.unwrap();
}

/// Everything that can be asked of a view.
fn assert_alike(one: &DirectoryView, other: &DirectoryView) {
    for id in 0..=CLIENTS {
        let id = format!("client-{id}");
        assert_eq!(one.find_client(&id), other.find_client(&id));
    }
    for id in 0..=SERVERS {
        let server = format!("rs_{id}");
        assert_eq!(one.find_resource_server(&server), other.find_resource_server(&server));
        for name in 0..3 {
            let identifier = ResourceIdentifier::parse(&identifier(id + 10 * name)).unwrap();
            assert_eq!(one.find_audience(&identifier), other.find_audience(&identifier));
        }
    }
    for origin in ORIGINS {
        assert_eq!(one.knows_origin(origin), other.knows_origin(origin));
    }
    for scope in SCOPES {
        let scope = Scope::parse(scope).unwrap();
        assert_eq!(one.owners(&scope), other.owners(&scope));
    }
    assert_eq!(one.scopes(), other.scopes());
}

fn feed(sql: &Sql) -> SqlFeed<DirectoryProjection> {
    SqlFeed::new(sql.database.clone(), DirectoryProjection::default(), sql.clock.clone(), None)
}

/// A replica that follows step by step.
struct Follower {
    feed: SqlFeed<DirectoryProjection>,
    incarnation: symbolon::changes::Incarnation,
    snapshot: Arc<Snapshot>,
}

impl Follower {
    async fn join(sql: &Sql) -> Self {
        let feed = feed(sql);
        let snapshot = Arc::new(feed.load().await.unwrap());
        let row = row("a", snapshot.position.number);
        feed.join(&row).await.unwrap();
        Self { feed, incarnation: row.incarnation, snapshot }
    }

    async fn renew(&mut self) {
        let published = Arc::new(std::sync::Mutex::new(None));
        let publish: Publish<DirectoryView> = {
            let (published, from) = (Arc::clone(&published), Arc::clone(&self.snapshot));
            Arc::new(move |rows: &[RecordedChange], view| {
                let next = from.apply(rows, view, &keys(0))?;
                let position = next.position;
                *published.lock().unwrap() = Some(Arc::new(next));
                Ok(position)
            })
        };
        let renewal = self.feed.renew(&self.incarnation, Arc::clone(&self.snapshot), publish).await;
        assert_eq!(renewal, Ok(Renewal::Confirmed));
        self.snapshot = published.lock().unwrap().take().expect("a renewal publishes");
    }
}

async fn following_gives_what_reading_everything_gives(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut dice = Dice(0xd1ce);
    let (mut often, mut seldom) = (Follower::join(&sql).await, Follower::join(&sql).await);
    for round in 0..40 {
        let steps = (0..=dice.below(4)).map(|_| any_step(&mut dice)).collect();
        take_all(&sql, steps).await;
        let loaded = feed(&sql).load().await.unwrap();
        often.renew().await;
        assert_eq!(often.snapshot.position, loaded.position);
        assert_alike(&often.snapshot.view, &loaded.view);
        if round % 7 == 0 {
            seldom.renew().await;
            assert_alike(&seldom.snapshot.view, &loaded.view);
        }
    }
}

async fn a_change_shows_together_with_its_number(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(&sql).await;
    let before = Arc::clone(&follower.snapshot);
    take_all(&sql, vec![Step::PutClient(full_client("client-0", "Client"))]).await;
    // What changes after the rows were read belongs to the next snapshot: two at once show both.
    let mut renamed = full_client("client-0", "Renamed");
    renamed.enabled = false;
    take_all(&sql, vec![Step::PutClient(renamed.clone())]).await;
    follower.renew().await;
    assert!(before.view.find_client("client-0").is_none(), "a snapshot never changes");
    assert_eq!(follower.snapshot.view.find_client("client-0").map(Arc::as_ref), Some(&renamed));
    assert_eq!(follower.snapshot.position.number.get(), 2);
}
