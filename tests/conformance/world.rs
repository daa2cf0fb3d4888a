//! The installations that the tests share, and who lives in them.

use std::cell::RefCell;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::support::actors::{Client, ResourceServer};
use crate::support::deployment::Deployment;
use crate::support::process::{Farewell, Process};
use crate::support::symbolon::Server;

/// The audience of [`World::notes`].
pub const NOTES: &str = "https://notes.example";
/// The audience of [`World::mail`].
pub const MAIL: &str = "https://mail.example/v1";
/// All that [`World::app`] is registered for.
pub const APP_SCOPE: &str = "mail:send notes:read notes:write shared";

/// An installation with the actors that most tests need. Nobody changes these.
pub struct World {
    pub deployment: Deployment,
    /// Owns `notes:read`, `notes:write` and `shared`.
    pub notes: ResourceServer,
    /// Owns `mail:send` and `shared`.
    pub mail: ResourceServer,
    /// Owns `notes:read`, and may not revoke.
    pub reader: ResourceServer,
    /// A confidential client for [`APP_SCOPE`].
    pub app: Client,
    /// Another confidential client, for `notes:read`.
    pub other: Client,
    /// A client without a secret.
    pub public: Client,
}

impl World {
    pub fn new(deployment: Deployment) -> Self {
        let notes = deployment.resource_server("notes", NOTES, "notes:read notes:write shared");
        let mail = deployment.resource_server("mail", MAIL, "mail:send shared");
        let reader =
            deployment.resource_server_with("reader", "urn:example:reader", "notes:read", &["--no-revoke"]);
        let app = deployment.client("app", APP_SCOPE);
        let other = deployment.client("other", "notes:read");
        let public = ["client", "create", "public", "--public", "--scope", "notes:read", "--json"];
        let public = deployment.cli(&public).success().json();
        let public = Client { id: public["client_id"].as_str().unwrap().to_owned(), secret: String::new() };
        Self { deployment, notes, mail, reader, app, other, public }
    }

    /// The first server.
    pub fn server(&self) -> &Server {
        self.deployment.replica(0)
    }
}

/// One process with embedded stores.
pub fn embedded() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    visited(WORLD.get_or_init(|| {
        let world = World::new(Deployment::embedded());
        // A static is never dropped: a watchdog takes the directory away when this process ends.
        Box::leak(Box::new(watched(world.deployment.data_dir().parent().unwrap())));
        world
    }))
}

/// Two processes over one Redis and one PostgreSQL.
pub fn scaled() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    visited(WORLD.get_or_init(|| World::new(Deployment::scaled(2))))
}

/// What the servers wrote during a test is searched for secrets at its end: a static is never dropped.
fn visited(world: &'static World) -> &'static World {
    struct Visits(RefCell<Vec<&'static World>>);

    impl Drop for Visits {
        fn drop(&mut self) {
            for world in self.0.take() {
                world.deployment.replicas().for_each(Server::look_for_secrets);
            }
        }
    }

    thread_local! {
        static VISITS: Visits = const { Visits(RefCell::new(Vec::new())) };
    }
    VISITS.with(|visits| visits.0.borrow_mut().push(world));
    world
}

fn watched(directory: &Path) -> Process {
    let mut sleep = Command::new("sleep");
    sleep.arg("infinity").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Process::spawn(&mut sleep, Farewell::Kill, Some(directory))
}
