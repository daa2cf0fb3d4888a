//! A user gives the app a grant: login if need be, consent, the code, and its redemption on any replica.

use crate::history::{Answer, Asked};
use crate::people::{People, Person};
use crate::plan::Step;
use crate::requests::{PATIENCE, Worker, retry_after, wait_after};
use crate::support::actors::Token;
use crate::support::browser::{self, App, Ask, CALLBACK, Page, target};
use crate::support::http::{Request, Response};
use crate::support::symbolon::Server;
use crate::world::APP;

/// More pages and redirects than there are on the way.
const HOPS: usize = 16;

impl Worker<'_> {
    /// A grant that a user gives the app, unless that user is doing so already.
    pub fn authorize(&self, step: Step) {
        let Some(mut person) = self.world.people.person(People::anybody(step.which)) else { return };
        let replicas = u64::from(self.world.setup.replicas);
        let redeemed_at =
            u8::try_from((u64::from(step.replica) + step.how) % replicas).expect("few replicas");
        let answers = self.world.record_all(self.thread, || {
            let (app, pages) = (self.app(), self.server(step.replica));
            let ask = app.ask();
            let answer = match walk(&mut person, pages, &ask) {
                Ok(code) => {
                    let request = app.redemption(self.server(redeemed_at), &ask, &code);
                    self.send(request, PATIENCE, |answer| self.granted(answer, &person))
                }
                Err(answer) => answer,
            };
            let session = self.world.people.session_of(&person);
            let (user, replica) = (person.number, step.replica);
            vec![(Asked::Authorize { user, client: APP, session, replica, redeemed_at }, answer)]
        });
        answers.iter().for_each(wait_after);
    }

    pub fn app(&self) -> App {
        App { client: self.world.client(APP).0, redirect_uri: CALLBACK.to_owned() }
    }

    fn granted(&self, answer: &Response, person: &Person) -> Option<Answer> {
        let refresh = Token(answer.json()["refresh_token"].as_str()?.to_owned());
        let minted = self.minted(answer, APP, Some(person.number))?;
        if let Answer::Minted { token, .. } = minted {
            let access = Token(answer.json()["access_token"].as_str()?.to_owned());
            self.world.people.begin_chain(token, person.number, access, refresh);
        }
        Some(minted)
    }
}

/// To the code, or to the answer that was in the way.
fn walk(person: &mut Person, server: &Server, ask: &Ask) -> Result<String, Answer> {
    let mut address = ask.address();
    let mut request = Request::get(server.url(&address));
    for _ in 0..HOPS {
        let response = person.browser.try_send(request.limit(PATIENCE));
        let response = response.map_err(|error| Answer::Nothing(error.to_string()))?;
        request = match (target(&response), response.status) {
            (Some(path), _) if path.starts_with('/') => {
                address = path;
                Request::get(server.url(&address))
            }
            (Some(url), _) => return code(&browser::Answer { url }),
            (None, 200) => {
                let page = Page { address, response };
                address = page.form().action;
                fill(person, server, &page)
            }
            (None, 503) => return Err(Answer::Unavailable { retry_after: retry_after(&response) }),
            // One answer for whatever was wrong with a login.
            (None, 403) if address == "/login" => {
                return Err(Answer::Refused { status: 403, error: "login".to_owned() });
            }
            (None, status) => return Err(Answer::Absurd { status, body: response.text() }),
        };
    }
    Err(Answer::Absurd { status: 200, body: format!("asked without end, at last on {address}") })
}

fn fill(person: &Person, server: &Server, page: &Page) -> Request {
    if page.path() == "/login" {
        let values = [("username", person.user.name.as_str()), ("password", &person.user.password)];
        return browser::filled(server, page, &values, None);
    }
    browser::filled(server, page, &[], Some(("decision", "allow")))
}

fn code(answer: &browser::Answer) -> Result<String, Answer> {
    match answer.get("error").as_deref() {
        None => Ok(answer.code().to_owned()),
        // An answer to an application by way of a browser has no header to say when.
        Some("temporarily_unavailable") => Err(Answer::Unavailable { retry_after: true }),
        Some(error) => Err(Answer::Absurd { status: 302, body: error.to_owned() }),
    }
}
