//! What the command line does: it changes and kills clients, and revokes tokens.
//!
//! A command that failed may have done its work all the same. So it is tried again, as an operator would, before
//! anything else is done to that client.

use std::collections::VecDeque;

use serde_json::Value;

use crate::dice::index;
use crate::history::{Answer, Asked, By, Change, ClientNumber, Scope};
use crate::people;
use crate::support::cli::{CliOutput, cli_with_stdin};
use crate::world::{APP, Held, UNCHANGED, World};

/// What is still to be done to a client before anything new is.
#[derive(Default)]
pub struct Administration(VecDeque<Planned>);

/// A change whose secret has no number yet.
#[derive(Clone, Copy, Debug)]
enum Planned {
    Create,
    Kill,
    Scope(Scope),
    Disable,
    Enable,
    Rotate,
    Delete,
}

const CHOICES: [Planned; 8] = [
    Planned::Kill,
    Planned::Kill,
    Planned::Scope(Scope::ALL),
    Planned::Scope(Scope::ALL),
    Planned::Scope(Scope::ALL),
    Planned::Disable,
    Planned::Rotate,
    Planned::Delete,
];

impl World {
    /// Changes some client, if nobody else is doing so; which, if that was acknowledged.
    pub fn change_something(&self, which: u64, how: u64, thread: u16) -> Option<ClientNumber> {
        let changing = usize::from(Self::clients() - UNCHANGED);
        let client = UNCHANGED + ClientNumber::try_from(index(which, changing)).expect("few clients");
        let mut administration = self.administrations[usize::from(client)].try_lock().ok()?;
        let planned =
            administration.0.pop_front().unwrap_or_else(|| match CHOICES[index(how, CHOICES.len())] {
                Planned::Scope(_) => Planned::Scope(Scope::any(how / 8)),
                planned => planned,
            });
        let change = self.numbered(client, planned);
        let answer = self.administer(client, change, thread);
        let acknowledged = answer == Answer::Done;
        let next: &[Planned] = match (planned, &answer) {
            // Enabled again at its next turn.
            (Planned::Disable, Answer::Done) => &[Planned::Enable],
            (Planned::Delete, Answer::Done) => &[Planned::Create],
            // It was made by an attempt that seemed to fail, or deleted by one.
            (Planned::Create, Answer::Failed(why)) if why.contains("already") => {
                &[Planned::Enable, Planned::Rotate]
            }
            (_, Answer::Failed(why)) if why.contains("there is no client") => &[Planned::Create],
            (planned, Answer::Failed(_)) => &[planned],
            _ => &[],
        };
        for planned in next.iter().rev() {
            administration.0.push_front(*planned);
        }
        acknowledged.then_some(client)
    }

    fn numbered(&self, client: ClientNumber, planned: Planned) -> Change {
        match planned {
            Planned::Create => {
                Change::Create { scope: Scope::ALL, secret: self.new_secret(client), lifetime: None }
            }
            Planned::Kill => Change::Kill,
            Planned::Scope(scope) => Change::Scope(scope),
            Planned::Disable => Change::Disable,
            Planned::Enable => Change::Enable,
            Planned::Rotate => Change::Rotate(self.new_secret(client)),
            Planned::Delete => Change::Delete,
        }
    }

    /// Does one thing to a client and records it.
    pub fn administer(&self, client: ClientNumber, change: Change, thread: u16) -> Answer {
        if change.kills() {
            for held in self.newest(4, |held| held.client == client) {
                self.dispute(held.number);
            }
        }
        self.record(thread, Asked::Administer { client, change }, || {
            let output = self.run(client, change);
            if let Change::Rotate(secret) = change
                && let Ok(document) = serde_json::from_str::<Value>(&output.stdout)
                && let Some(text) = document["client_secret"].as_str()
            {
                // Shown before it is confirmed everywhere.
                self.learn_secret(client, secret, text.to_owned());
            }
            answer(output)
        })
    }

    fn run(&self, client: ClientNumber, change: Change) -> CliOutput {
        let id = &self.client_id(client);
        match change {
            Change::Create { scope, secret, lifetime } => {
                // Of our own making, so that it is known whatever becomes of the command.
                let text = format!("syk_{:020}-{client}-{secret}-chosen-by-the-client", self.setup.seed);
                self.learn_secret(client, secret, text.clone());
                let (scope, lifetime) = (scope.to_string(), lifetime.map(|seconds| format!("{seconds}s")));
                let mut arguments = vec!["client", "create", id, "--client-id", id, "--scope", &scope];
                arguments.extend(["--grant", "client_credentials", "--secret-stdin", "--json"]);
                if client == APP {
                    arguments.extend(people::FOR_PEOPLE);
                }
                if let Some(lifetime) = &lifetime {
                    arguments.extend(["--access-token-ttl", lifetime]);
                }
                self.command(&arguments, &text)
            }
            Change::Kill => self.command(&["revoke", "--client", id, "--yes"], ""),
            Change::Scope(scope) => {
                self.command(&["client", "update", id, "--scope", &scope.to_string()], "")
            }
            Change::Disable => self.command(&["client", "disable", id], ""),
            Change::Enable => self.command(&["client", "enable", id], ""),
            Change::Rotate(_) => self.command(&["client", "rotate-secret", id, "--json"], ""),
            Change::Delete => self.command(&["client", "delete", id], ""),
        }
    }

    /// `symbolon token revoke`
    pub fn revoke_by_command_line(&self, held: &Held, thread: u16) -> Answer {
        let asked = Asked::Revoke { token: held.number, by: By::CommandLine, replica: 0 };
        self.record(thread, asked, || {
            answer(self.command(&["token", "revoke", held.token.grant_id(), "--yes"], ""))
        })
    }

    pub fn command(&self, arguments: &[&str], stdin: &str) -> CliOutput {
        cli_with_stdin(self.deployment.environment(), arguments, stdin)
    }
}

pub fn answer(output: CliOutput) -> Answer {
    match output.status {
        Some(0) => Answer::Done,
        Some(1) => Answer::Failed(output.stderr),
        // Usage, or a signal that nobody sent.
        _ => Answer::Absurd { status: 0, body: output.stderr },
    }
}
