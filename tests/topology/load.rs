//! Clients and resource servers that go through the load balancer and count every request.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::stage::Stage;
use crate::support::encoding;
use crate::support::http::Response;
use crate::support::wire::{Wire, post};

/// What came of all requests.
#[derive(Default)]
pub struct Tally {
    over: AtomicBool,
    answered: AtomicUsize,
    failed: Mutex<Vec<Failure>>,
}

/// A request that was not answered as it should have been.
#[derive(Clone, Debug)]
pub struct Failure {
    pub path: String,
    /// `None`: the connection ended without an answer.
    pub status: Option<u16>,
    pub what: String,
}

impl Tally {
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    pub fn failures(&self) -> Vec<Failure> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn fail(&self, path: &str, answer: Option<&Response>) {
        let what = answer.map(|answer| format!("{:?} {}", answer.headers, answer.text())).unwrap_or_default();
        let failure = Failure { path: path.to_owned(), status: answer.map(|answer| answer.status), what };
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
    }
}

/// Ends the load also when the test fails in between, for it is waited for.
struct Over<'a>(&'a Tally);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// Somebody who asks, over one kept connection or a new one each time.
struct Visitor<'a> {
    address: SocketAddr,
    keeps: bool,
    wire: Option<Wire>,
    tally: &'a Tally,
}

impl Visitor<'_> {
    /// One request, sent once. `None` when it failed, which is counted.
    fn ask(&mut self, path: &str, (id, secret): (&str, &str), form: &str) -> Option<Response> {
        let mut wire = self.wire.take().unwrap_or_else(|| Wire::to(self.address));
        wire.write(post(path, id, secret, form));
        let answer = wire.try_read().ok().flatten();
        let closes = |answer: &Response| answer.header("connection") == Some("close");
        match answer {
            Some(answer) if answer.status == 200 => {
                self.tally.answered.fetch_add(1, Ordering::Relaxed);
                if self.keeps && !closes(&answer) {
                    self.wire = Some(wire);
                }
                Some(answer)
            }
            answer => {
                self.tally.fail(path, answer.as_ref());
                None
            }
        }
    }

    fn expect(&mut self, stage: &Stage, token: &str, active: bool) {
        let form = encoding::form(&[("token", token)]);
        if let Some(answer) = self.ask("/introspect", (&stage.api.id, &stage.api.secret), &form) {
            // A wrong answer is no failed request: it must never be.
            assert_eq!(answer.json()["active"], active, "{}", answer.text());
        }
    }

    /// A token lives from its mint to its revocation, whichever replica is asked.
    fn visit(&mut self, stage: &Stage, long_lived: &str) {
        let app = (stage.app.id.as_str(), stage.app.secret.as_str());
        let Some(minted) = self.ask("/token", app, "grant_type=client_credentials") else { return };
        let token = minted.json()["access_token"].as_str().unwrap().to_owned();
        self.expect(stage, &token, true);
        self.expect(stage, long_lived, true);
        if self.ask("/revoke", app, &encoding::form(&[("token", &token)])).is_some() {
            self.expect(stage, &token, false);
        }
        self.expect(stage, long_lived, true);
    }
}

/// Runs `work` while so many visitors ask, half of them over kept connections; returns what came of it.
pub fn under_load(stage: &Stage, visitors: usize, work: impl FnOnce(&Tally)) -> Tally {
    let tally = Tally::default();
    let address = stage.balancer.address();
    let long_lived = stage.app.mint(&stage.replicas[0]);
    thread::scope(|scope| {
        let _over = Over(&tally);
        for number in 0..visitors {
            let (tally, long_lived) = (&tally, long_lived.as_str());
            scope.spawn(move || {
                let mut visitor = Visitor { address, keeps: number % 2 == 0, wire: None, tally };
                while !tally.is_over() {
                    visitor.visit(stage, long_lived);
                }
            });
        }
        work(&tally);
    });
    tally
}
