//! The app presents refresh tokens.

use crate::history::{Answer, Asked, Scope};
use crate::people::Chain;
use crate::plan::Step;
use crate::requests::{PATIENCE, Worker, wait_after};
use crate::support::actors::Token;
use crate::support::http::Response;
use crate::world::APP;

impl Worker<'_> {
    /// Refreshes a grant, unless somebody else is doing so.
    pub fn refresh(&self, step: Step) {
        let Some(chain) = self.world.people.chain(step.which) else { return };
        let Ok(mut chain) = chain.try_lock() else { return };
        let (presented, token) = chain.choose(step.how);
        let asked = Asked::Refresh { grant: chain.grant, presented, replica: step.replica };
        let answer = self.world.record(self.thread, asked, || {
            let request = self.app().refreshing(self.server(step.replica), &token, &[]);
            self.send(request, PATIENCE, |answer| self.refreshed(answer, &mut chain))
        });
        chain.note(presented, &answer);
        if matches!(answer, Answer::Refused { .. }) {
            // A replay, or a grant that had ended: no replica may know better.
            self.world.dispute(chain.grant);
        }
        wait_after(&answer);
    }

    fn refreshed(&self, answer: &Response, chain: &mut Chain) -> Option<Answer> {
        let body = answer.json();
        let text = |member: &str| Some(body[member].as_str()?.to_owned());
        let (access, refresh) = (Token(text("access_token")?), Token(text("refresh_token")?));
        let scope = Scope::parse(&text("scope")?)?;
        let grant = access.grant_id().to_owned();
        let token = chain.access_number(&access).unwrap_or_else(|| {
            let number = self.world.keep(access.clone(), APP, Some(chain.user), scope);
            chain.keep(access, number);
            number
        });
        Some(Answer::Refreshed { token, grant, scope, refresh: chain.refresh_number(refresh) })
    }
}
