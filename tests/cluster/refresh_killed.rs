//! A replica dies between each two things that it does to refresh, or to burn a replayed grant: its messages to client,
//! Redis and SQL are counted, and after 0, 1, 2, … of them it is killed. The client comes again, to the other replica.

use std::sync::Arc;

use crate::people::{People, refused};
use crate::scene::{SOON, Said, ask, measured};
use crate::support::actors::Token;
use crate::support::browser::{self, App, Tokens};
use crate::support::deployment::Plan;
use crate::support::http::Response;
use crate::support::proxy::Proxy;
use crate::support::redis::RedisOptions;
use crate::support::tripwire::Tripwire;
use crate::support::wait;

/// Far more than any of these takes.
const MOST_STEPS: usize = 200;

/// Two replicas; the first one's messages, on every path, are counted.
struct Stage {
    people: People,
    wire: Arc<Tripwire>,
    front: Proxy,
}

impl Stage {
    fn new() -> Self {
        let redis = RedisOptions { appendonly: true, ..RedisOptions::default() };
        let people = People::of(Plan::scaled(2).proxied().redis(redis).lease("1s"));
        let (wire, front) = (Tripwire::new(), Proxy::to(people.replica(0).address()));
        wire.watch("HTTP", &front);
        wire.watch("Redis", people.deployment().redis_path(0));
        Self { people, wire, front }
    }

    fn watch_sql(&self) {
        self.wire.watch("SQL", self.people.deployment().sql_path(0));
    }

    /// Presents a refresh token to the first replica, which dies after so many messages; the answer if there was one,
    /// and what it died of.
    fn refresh(&self, messages: usize, app: &App, token: &Token) -> (Option<Response>, Option<String>) {
        let request = app.refreshing(self.people.replica(0), token, &[]).by_way_of(self.front.address());
        self.wire.arm(self.people.replica(0).id(), messages);
        let answer = request.limit(SOON).try_send().ok();
        (answer, self.wire.disarm())
    }

    fn bring_back(&self) {
        self.people.replica(0).kill();
        self.people.replica(0).restart();
    }
}

/// A client refreshes while the replica dies of message 0, 1, 2, … until it lives; what it died of.
fn refresh_through_deaths(stage: &Stage, tokens: &mut Tokens) -> Vec<String> {
    let (people, app) = (&stage.people, &stage.people.in_browser);
    let mut deaths = Vec::new();
    for messages in 0..MOST_STEPS {
        let (answer, death) = stage.refresh(messages, app, &tokens.refresh);
        let given = answer.map(|answer| browser::tokens(&answer));
        // The client comes again, to the survivor, and is given what it was given, if it was.
        let again = app.refresh(people.replica(1), &tokens.refresh);
        assert!(given.is_none_or(|given| given == again), "one branch");
        assert_eq!(ask(&people.scene.api, people.replica(1), &again.access), Said::Active);
        let Some(death) = death else { break };
        deaths.push(death);
        stage.bring_back();
        assert_eq!(app.refresh(people.replica(0), &tokens.refresh), again, "and again, by who died");
        people.scene.everywhere(&again.access, Said::Active);
        *tokens = again;
    }
    deaths
}

#[test]
fn f9_a_replica_killed_at_each_step_of_a_refresh_logs_nobody_out_and_leaves_one_branch() {
    let stage = Stage::new();
    let mut tokens = stage.people.log_in(&stage.people.in_browser);
    // Each second a connection to Redis is verified too. When that came between, the steps are gone through once more.
    let all_steps = |deaths: &[String]| {
        let on = |path: &str| deaths.iter().filter(|death| death.starts_with(path)).count();
        on("HTTP") >= 2 && on("Redis") >= 4
    };
    let (mut last, mut all) = (Vec::new(), 0);
    for _ in 0..5 {
        last = refresh_through_deaths(&stage, &mut tokens);
        all += last.len();
        if all_steps(&last) {
            break;
        }
    }
    assert!(all_steps(&last), "load and swap, there and back: {last:?}");
    assert_eq!(stage.people.audit(&tokens.refresh), [""; 0]);
    measured(&format!("{all} kill points, the same pair after each; 0 logged out"));
}

#[test]
fn a_replica_killed_at_each_step_of_burning_a_grant_leaves_it_whole_or_dead_and_the_next_replay_burns_it() {
    let stage = Stage::new();
    stage.watch_sql();
    let people = &stage.people;
    let app = &people.server_side;
    let (mut deaths, mut burnt) = (0, 0);
    for messages in 0..MOST_STEPS {
        let first = people.log_in(app);
        let second = app.refresh(people.replica(1), &first.refresh);
        let third = app.refresh(people.replica(0), &second.refresh);
        let (answer, death) = stage.refresh(messages, app, &first.refresh);
        if let Some(answer) = &answer {
            refused(answer);
            // It may have died since; a message of its lease was the one.
            for replica in [0, 1] {
                let said = ask(&people.scene.api, people.replica(replica), &third.access);
                assert!(said == Said::Inactive || replica == 0 && said == Said::Nothing, "{said:?}");
            }
        }
        if death.is_some() {
            deaths += 1;
            burnt += people.audit(&first.refresh).len();
            stage.bring_back();
            // Nobody waits any more for who died.
            wait::until_true("the rows of the dead are gone", SOON, || {
                people.deployment().database().execute("SELECT count(*) FROM replicas") == "2"
            });
        }
        wait::until_true("both replicas know", SOON, || {
            let dead = people.audit(&first.refresh).len() == 1;
            [0, 1].iter().all(|replica| {
                let said = ask(&people.scene.api, people.replica(*replica), &third.access);
                assert!(dead || said != Said::Inactive, "an honest client was logged out");
                said == if dead { Said::Inactive } else { Said::Active }
            })
        });
        // The thief comes again; a replica that died holds it up for a lease at most.
        wait::until_true("the replay is refused", SOON, || {
            let answer = app.refreshing(people.replica(1), &first.refresh, &[]).send();
            answer.status == 400
        });
        people.is_dead(app, &third);
        assert_eq!(people.audit(&first.refresh).len(), 1, "once");
        if death.is_none() {
            break;
        }
    }
    assert!(deaths >= 6, "{deaths} deaths");
    measured(&format!(
        "{deaths} kill points, {burnt} of them after the commit; dead everywhere at the next replay"
    ));
}
