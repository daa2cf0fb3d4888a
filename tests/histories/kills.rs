//! The command line kills many tokens at once: a user's, a login session's, everybody's, and lists of them.

use crate::administration::answer;
use crate::dice::index;
use crate::history::{Answer, Asked, By, KillSet};
use crate::people::People;
use crate::plan::{Deed, Step};
use crate::requests::Worker;
use crate::world::Held;

/// Nobody kills everybody's before there is something to kill, nor so often that nothing lives for long.
const SOME: usize = 1000;
const SELDOM: u64 = 4;
/// How many of the dead are looked at at once.
const LOOKED_AT: usize = 6;

impl Worker<'_> {
    pub fn kill(&self, step: Step) {
        let chosen = match step.deed {
            Deed::KillUser => {
                let user = People::anybody(step.which);
                Some((KillSet::User(user), Some(user)))
            }
            Deed::KillLoginSession => {
                let session = self.world.people.some_session(step.which);
                session.map(|(session, user)| (KillSet::LoginSession(session), Some(user)))
            }
            _ => {
                let is_time = step.how.is_multiple_of(SELDOM) && self.world.operations() >= SOME;
                is_time.then_some((KillSet::Everybody, None))
            }
        };
        if let Some((set, user)) = chosen {
            self.kill_set(set, |held| user.is_none_or(|user| held.user == Some(user)));
        }
    }

    fn kill_set(&self, set: KillSet, reached: impl Fn(&Held) -> bool) {
        let before = self.world.newest(LOOKED_AT, reached);
        for held in &before {
            self.world.dispute(held.number);
        }
        let done = self.world.record(self.thread, Asked::Kill(set), || {
            let output = match set {
                KillSet::User(user) => {
                    self.world.command(&["revoke", "--user", &People::name(user), "--yes"], "")
                }
                KillSet::LoginSession(session) => {
                    let prefix = format!("sys_{}", self.world.people.session_id(session));
                    self.world.command(&["token", "revoke", &prefix, "--yes"], "")
                }
                KillSet::Everybody => self.world.command(&["revoke", "--everything", "--yes"], ""),
            };
            answer(output)
        });
        if done == Answer::Done {
            for held in &before {
                self.introspect_everywhere(held);
            }
        }
    }

    /// A few tokens by one command, each in one of the ways in which it may be written.
    pub fn revoke_list(&self, step: Step) {
        let count = 2 + index(step.how, 5);
        let recent = self.world.newest(count + index(step.which, 40), |_| true);
        let list = &recent[recent.len().saturating_sub(count)..];
        let written = |held: &Held| match held.number % 3 {
            0 => held.token.as_str().to_owned(),
            1 => held.token.as_str()[..30].to_owned(),
            _ => held.token.grant_id().to_owned(),
        };
        let lines: Vec<String> = list.iter().map(written).collect();
        for held in list {
            self.world.dispute(held.number);
        }
        let done = self.world.record_all(self.thread, || {
            let output = self.world.command(&["token", "revoke", "-", "--yes"], &lines.join("\n"));
            let asked = |held: &Held| Asked::Revoke { token: held.number, by: By::CommandLine, replica: 0 };
            let done = answer(output);
            list.iter().map(|held| (asked(held), done.clone())).collect()
        });
        for (held, done) in list.iter().zip(done) {
            if done == Answer::Done {
                self.world.note_revoked(held.number);
                self.introspect_everywhere(held);
            } else {
                self.world.note_limbo(held.number);
            }
        }
    }
}
