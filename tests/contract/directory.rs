//! The directory's rows: what is written is read back, names are unique, what is gone is gone.

use std::time::Duration;

use symbolon::directory::{
    Client, Credentials, GrantType, ResourceServer, ScopeDescriptions, clients, resource_servers,
};
use symbolon::domain::clock::Timestamp;
use symbolon::domain::identifier::{ClientId, ResourceIdentifier, ResourceServerId};
use symbolon::domain::origin::Origin;
use symbolon::domain::redirect_uri::RedirectUri;
use symbolon::domain::scope::Scope;
use symbolon::domain::secret::SecretDigest;
use symbolon::sql::SqlError;

use crate::cases;
use crate::databases::{Kind, Sql};

cases!(Kind: postgres = Postgres, sqlite = Sqlite => {
    a_client_comes_back_as_it_was_written,
    a_resource_server_comes_back_as_it_was_written,
    a_client_is_found_by_its_id_and_else_by_its_name,
    a_resource_server_is_found_by_its_id_and_else_by_its_name_or_identifier,
    ids_and_names_of_clients_are_taken_once,
    ids_names_and_identifiers_of_resource_servers_are_taken_once,
    an_update_changes_one_row_and_only_one_that_is_there,
    a_deletion_can_be_repeated_and_frees_the_name,
    thousands_of_clients_are_found_in_one_go,
    lists_come_in_pages_that_leave_none_out,
    what_was_never_a_name_is_not_found,
});

/// Runs one unit of work of the directory.
macro_rules! unit {
    ($sql:expr, $module:ident::$verb:ident($($argument:expr),*)) => {{
        let unit = $sql.database.write(move |conn| {
            Box::pin(async move { $module::$verb(conn, $($argument),*).await })
        });
        unit.await
    }};
}

pub fn digest(seed: u8) -> SecretDigest {
    SecretDigest::of(&[seed])
}

/// A client that uses every column.
pub fn full_client(id: &str, name: &str) -> Client {
    let at = Timestamp::from_unix_seconds(1_800_000_000);
    Client {
        id: ClientId::parse(id).unwrap(),
        name: name.to_owned(),
        credentials: Some(Credentials::new(digest(1)).rotate(digest(2), Duration::from_secs(60), at)),
        grant_types: GrantType::ALL.into(),
        scope: Scope::parse("notes:read notes:write").unwrap(),
        access_token_ttl: Some(Duration::from_secs(300)),
        redirect_uris: ["https://app.example/cb", "http://127.0.0.1/cb"]
            .map(|uri| RedirectUri::parse(uri).unwrap())
            .into(),
        refresh_retry_window: Some(Duration::from_secs(10)),
        origins: ["https://app.example", "http://localhost:3000"]
            .map(|origin| Origin::parse(origin).unwrap())
            .into(),
        enabled: true,
        created_at: at,
    }
}

/// A client that uses as few columns as it may.
pub fn bare_client(id: &str, name: &str) -> Client {
    Client {
        credentials: None,
        grant_types: [].into(),
        scope: Scope::default(),
        access_token_ttl: None,
        redirect_uris: Vec::new(),
        refresh_retry_window: None,
        origins: [].into(),
        enabled: false,
        ..full_client(id, name)
    }
}

/// A resource server that uses every column.
pub fn full_server(id: &str, name: &str, identifier: &str) -> ResourceServer {
    let at = Timestamp::from_unix_seconds(1_800_000_000);
    let mut scope_descriptions = ScopeDescriptions::default();
    scope_descriptions.describe("notes:read", "Read \"all\" your notes \u{1f4d3}").unwrap();
    ResourceServer {
        id: ResourceServerId::parse(id).unwrap(),
        name: name.to_owned(),
        identifier: ResourceIdentifier::parse(identifier).unwrap(),
        scope: Scope::parse("notes:read notes:write").unwrap(),
        may_revoke: true,
        scopes_needing_permission: Scope::parse("notes:write").unwrap(),
        include_roles: true,
        scope_descriptions,
        enabled: true,
        credentials: Credentials::new(digest(3)).rotate(digest(4), Duration::from_secs(60), at),
        created_at: at,
    }
}

/// A resource server that uses as few columns as it may.
pub fn bare_server(id: &str, name: &str, identifier: &str) -> ResourceServer {
    ResourceServer {
        scope: Scope::default(),
        may_revoke: false,
        scopes_needing_permission: Scope::default(),
        include_roles: false,
        scope_descriptions: ScopeDescriptions::default(),
        enabled: false,
        credentials: Credentials::new(digest(5)),
        ..full_server(id, name, identifier)
    }
}

/// Rows in which every column is used.
pub async fn fill(sql: &Sql) {
    let client = full_client("app", "The app");
    unit!(sql, clients::insert(&client)).unwrap();
    let server = full_server("rs_api", "The API", "https://api.example");
    unit!(sql, resource_servers::insert(&server)).unwrap();
}

async fn put_client(sql: &Sql, client: &Client) -> Result<(), SqlError> {
    let client = client.clone();
    unit!(sql, clients::insert(&client))
}

async fn put_server(sql: &Sql, server: &ResourceServer) -> Result<(), SqlError> {
    let server = server.clone();
    unit!(sql, resource_servers::insert(&server))
}

async fn client(sql: &Sql, which: &str) -> Result<Client, SqlError> {
    let which = which.to_owned();
    unit!(sql, clients::require(&which))
}

async fn server(sql: &Sql, which: &str) -> Result<ResourceServer, SqlError> {
    let which = which.to_owned();
    unit!(sql, resource_servers::require(&which))
}

fn is_duplicate(outcome: &Result<(), SqlError>) {
    assert!(matches!(outcome, Err(SqlError::Duplicate(_))), "{outcome:?}");
}

const ODD_NAME: &str = "Jürgen's \"app\" \u{1f511} %_\\ \u{202e}";

async fn a_client_comes_back_as_it_was_written(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let longest = "x".repeat(64);
    let written = [full_client("app", "The app"), bare_client("bare", ""), full_client(&longest, ODD_NAME)];
    for client in &written {
        put_client(&sql, client).await.unwrap();
    }
    for expected in &written {
        assert_eq!(client(&sql, expected.id.as_str()).await.as_ref(), Ok(expected));
        assert_eq!(client(&sql, &expected.name).await.as_ref(), Ok(expected));
    }
    let mut listed = unit!(sql, clients::list()).unwrap();
    listed.sort_by_key(|client| written.iter().position(|other| other.id == client.id));
    assert_eq!(listed, written);
}

async fn a_resource_server_comes_back_as_it_was_written(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let longest = format!("https://api.example/{}", "x".repeat(492));
    let written = [
        full_server("rs_api", "The API", "https://api.example"),
        bare_server("rs_bare", "", "urn:example:bare"),
        full_server("rs_odd", ODD_NAME, &longest),
    ];
    for server in &written {
        put_server(&sql, server).await.unwrap();
    }
    for expected in &written {
        assert_eq!(server(&sql, expected.id.as_str()).await.as_ref(), Ok(expected));
        assert_eq!(server(&sql, expected.identifier.as_str()).await.as_ref(), Ok(expected));
    }
    let mut listed = unit!(sql, resource_servers::list()).unwrap();
    listed.sort_by_key(|server| written.iter().position(|other| other.id == server.id));
    assert_eq!(listed, written);
}

async fn a_client_is_found_by_its_id_and_else_by_its_name(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    // Each is named like the other's id.
    let (one, two) = (full_client("one", "two"), full_client("two", "one"));
    put_client(&sql, &one).await.unwrap();
    put_client(&sql, &two).await.unwrap();
    put_client(&sql, &full_client("three", "Three")).await.unwrap();
    assert_eq!(client(&sql, "one").await.unwrap().id, one.id);
    assert_eq!(client(&sql, "two").await.unwrap().id, two.id);
    assert_eq!(client(&sql, "Three").await.unwrap().id.as_str(), "three");
    assert_eq!(client(&sql, "Three ").await, Err(SqlError::NotFound));
    assert_eq!(client(&sql, "THREE").await, Err(SqlError::NotFound));
}

async fn a_resource_server_is_found_by_its_id_and_else_by_its_name_or_identifier(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let one = full_server("rs_one", "rs_two", "https://one.example");
    let two = full_server("rs_two", "rs_one", "urn:rs_one");
    let three = full_server("rs_three", "Three", "https://three.example");
    for server in [&one, &two, &three] {
        put_server(&sql, server).await.unwrap();
    }
    for (which, found) in [
        ("rs_one", &one),
        ("rs_two", &two),
        ("https://one.example", &one),
        ("Three", &three),
        ("https://three.example", &three),
    ] {
        assert_eq!(server(&sql, which).await.as_ref(), Ok(found), "{which}");
    }
    for which in ["three", "https://three.example/", "HTTPS://three.example", "rs_", ""] {
        assert_eq!(server(&sql, which).await, Err(SqlError::NotFound), "{which}");
    }
}

async fn ids_and_names_of_clients_are_taken_once(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    put_client(&sql, &full_client("app", "The app")).await.unwrap();
    put_client(&sql, &full_client("other", "Other")).await.unwrap();
    is_duplicate(&put_client(&sql, &full_client("app", "New")).await);
    is_duplicate(&put_client(&sql, &full_client("new", "The app")).await);
    let renamed = full_client("other", "The app");
    is_duplicate(&unit!(sql, clients::update(&renamed)));
    // Ids differ by case, as the URLs that hold them do.
    put_client(&sql, &full_client("App", "the app")).await.unwrap();
    assert_eq!(client(&sql, "other").await.unwrap().name, "Other");
    assert_eq!(unit!(sql, clients::list()).unwrap().len(), 3);
}

async fn ids_names_and_identifiers_of_resource_servers_are_taken_once(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    put_server(&sql, &full_server("rs_api", "The API", "https://api.example")).await.unwrap();
    put_server(&sql, &full_server("rs_other", "Other", "https://other.example")).await.unwrap();
    is_duplicate(&put_server(&sql, &full_server("rs_api", "New", "https://new.example")).await);
    is_duplicate(&put_server(&sql, &full_server("rs_new", "The API", "https://new.example")).await);
    is_duplicate(&put_server(&sql, &full_server("rs_new", "New", "https://api.example")).await);
    for taken in [("The API", "https://other.example"), ("Other", "https://api.example")] {
        let changed = full_server("rs_other", taken.0, taken.1);
        is_duplicate(&unit!(sql, resource_servers::update(&changed)));
    }
    assert_eq!(unit!(sql, resource_servers::list()).unwrap().len(), 2);
}

async fn an_update_changes_one_row_and_only_one_that_is_there(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    put_client(&sql, &full_client("app", "The app")).await.unwrap();
    put_client(&sql, &full_client("other", "Other")).await.unwrap();
    let bare = bare_client("app", "Bare");
    let written = bare.clone();
    unit!(sql, clients::update(&written)).unwrap();
    assert_eq!(client(&sql, "app").await, Ok(bare), "what is no longer set is cleared");
    assert_eq!(client(&sql, "other").await, Ok(full_client("other", "Other")));
    let nobody = full_client("nobody", "Nobody");
    assert_eq!(unit!(sql, clients::update(&nobody)), Err(SqlError::NotFound));

    put_server(&sql, &full_server("rs_api", "The API", "https://api.example")).await.unwrap();
    let changed = ResourceServer {
        scope: Scope::parse("other").unwrap(),
        ..bare_server("rs_api", "Bare", "https://bare.example")
    };
    let written = changed.clone();
    unit!(sql, resource_servers::update(&written)).unwrap();
    assert_eq!(server(&sql, "rs_api").await, Ok(changed));
    assert_eq!(server(&sql, "https://api.example").await, Err(SqlError::NotFound));
    let nobody = full_server("rs_nobody", "Nobody", "https://nobody.example");
    assert_eq!(unit!(sql, resource_servers::update(&nobody)), Err(SqlError::NotFound));
}

async fn a_deletion_can_be_repeated_and_frees_the_name(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    put_client(&sql, &full_client("app", "The app")).await.unwrap();
    put_server(&sql, &full_server("rs_api", "The API", "https://api.example")).await.unwrap();
    for _ in 0..2 {
        let id = ClientId::parse("app").unwrap();
        unit!(sql, clients::delete(&id)).unwrap();
        assert_eq!(client(&sql, "app").await, Err(SqlError::NotFound));
        let id = ResourceServerId::parse("rs_api").unwrap();
        unit!(sql, resource_servers::delete(&id)).unwrap();
        assert_eq!(server(&sql, "rs_api").await, Err(SqlError::NotFound));
    }
    put_client(&sql, &full_client("new", "The app")).await.unwrap();
    put_server(&sql, &full_server("rs_new", "The API", "https://api.example")).await.unwrap();
}

async fn thousands_of_clients_are_found_in_one_go(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let made = sql.database.write(|conn| {
        Box::pin(async move {
            for number in 0..1200 {
                let client = bare_client(&format!("client-{number}"), &format!("Client {number}"));
                clients::insert(conn, &client).await?;
            }
            Ok(())
        })
    });
    made.await.unwrap();
    // More than there are, and more than one statement takes.
    let ids: Vec<String> = (200..1700).map(|number| format!("client-{number}")).collect();
    let found = sql.database.read(move |conn| {
        Box::pin(async move {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            clients::find_all(conn, &ids).await
        })
    });
    assert_eq!(found.await.unwrap().len(), 1000);
    let none = sql.database.read(|conn| Box::pin(clients::find_all(conn, &[])));
    assert_eq!(none.await, Ok(Vec::new()));
}

async fn what_was_never_a_name_is_not_found(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    fill(&sql).await;
    for which in ["", " ", "%", "app' OR '1'='1", "\u{feff}app"] {
        assert_eq!(client(&sql, which).await, Err(SqlError::NotFound), "{which:?}");
        assert_eq!(server(&sql, which).await, Err(SqlError::NotFound), "{which:?}");
    }
}

/// Each database has its own order of names: a page begins where the one before it ended, in that order.
async fn lists_come_in_pages_that_leave_none_out(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    for name in ["b", "A", "a.b", "a-b", "a_b", "ab", "Z", "\u{e9}mile", "\u{3b1}", "a b", "_", "~", "%"] {
        let number = name.bytes().fold(0u64, |sum, byte| sum * 256 + u64::from(byte));
        put_client(&sql, &bare_client(&format!("c{number}"), name)).await.unwrap();
        let identifier = format!("urn:example:{number}");
        put_server(&sql, &bare_server(&format!("rs_{number}"), name, &identifier)).await.unwrap();
    }
    let (all_clients, all_servers) =
        (unit!(sql, clients::list()).unwrap(), unit!(sql, resource_servers::list()).unwrap());
    for limit in [1, 5, 13, 1000] {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let from = after.clone();
            let page = unit!(sql, clients::page(&from, limit)).unwrap();
            let Some(last) = page.last() else { break };
            after.clone_from(&last.name);
            assert!(page.len() <= usize::try_from(limit).unwrap());
            found.extend(page);
        }
        assert_eq!(found, all_clients, "{limit} at a time");
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let from = after.clone();
            let page = unit!(sql, resource_servers::page(&from, limit)).unwrap();
            let Some(last) = page.last() else { break };
            after.clone_from(&last.name);
            assert!(page.len() <= usize::try_from(limit).unwrap());
            found.extend(page);
        }
        assert_eq!(found, all_servers, "{limit} at a time");
    }
}
