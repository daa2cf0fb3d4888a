//! What is to be recorded: a change; and who made it, from where, by what act, and why.

use std::fmt;
use std::net::IpAddr;

use super::change::Change;
use crate::domain::identifier::{ClientId, ResourceServerId, UserId};

/// Who made a change: a principal, or an operator at a command line. Not a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor(String);

impl Actor {
    pub fn client(id: &ClientId) -> Self {
        Self(format!("client {id}"))
    }

    pub fn resource_server(id: &ResourceServerId) -> Self {
        Self(format!("resource server {id}"))
    }

    pub fn user(id: &UserId) -> Self {
        Self(format!("user {id}"))
    }

    /// Somebody who did not prove who they are.
    pub fn anonymous() -> Self {
        Self("anonymous".to_owned())
    }

    pub fn command_line() -> Self {
        Self("command line".to_owned())
    }

    pub fn replica(name: &str) -> Self {
        Self(format!("replica {name}"))
    }

    pub(super) const fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The same, at the address that the request came from.
    pub fn at(self, address: Option<IpAddr>) -> Author {
        Author { actor: self, place: address.map(|address| address.to_string()) }
    }

    /// The same, on a machine of this name, as this user of its operating system.
    pub fn on_machine(self, name: &str, user: u32) -> Author {
        Author { actor: self, place: Some(format!("uid {user} on {name}")) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A program that may ask for the same as often as it likes.
    pub(super) fn is_program(&self) -> bool {
        ["client ", "resource server "].iter().any(|kind| self.0.starts_with(kind))
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who acts, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    pub actor: Actor,
    place: Option<String>,
}

impl Author {
    /// An IP address, or the machine that a command ran on.
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }
}

impl From<Actor> for Author {
    fn from(actor: Actor) -> Self {
        Self { actor, place: None }
    }
}

/// A change that is to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub change: Change,
    pub author: Author,
    /// What was done, where the kind of the change does not say: `disable-client`.
    pub action: Option<&'static str>,
    /// More about it, for people: which role was given. Never a secret.
    pub detail: Option<String>,
    pub reason: Option<String>,
}

impl Entry {
    pub fn new(change: Change, author: impl Into<Author>) -> Self {
        Self { change, author: author.into(), action: None, detail: None, reason: None }
    }

    /// The same, and why.
    #[must_use]
    pub fn because(self, reason: Option<String>) -> Self {
        Self { reason, ..self }
    }

    /// What was done: the kind of the change where nobody said more.
    pub fn action(&self) -> &'static str {
        self.action.unwrap_or_else(|| self.change.columns().0)
    }
}
