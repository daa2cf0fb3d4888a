//! A thousand people log in at once while resource servers go on asking.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Options;
use crate::page::Budgets;
use crate::people::Cast;
use crate::rounds::{Spread, percentile};
use crate::support::browser::{Browser, User};
use crate::support::encoding;
use crate::support::http::KeptConnections;
use crate::support::splitmix;

const LOGINS: usize = 1000;
/// Each of them logs in twenty times.
const USERS: usize = 50;
/// Introspections a second.
const RATE: u32 = 1000;
const ASKERS: u32 = 10;
/// For all of them together.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn measure(options: &Options, budgets: &mut Budgets) {
    eprintln!("logins");
    let cast = Cast::new(USERS);
    let tokens = cast.installation.mint(100);
    let forms: Vec<Vec<u8>> = cast.users.iter().map(|user| login(&cast, user)).collect();
    let idle_for = Duration::from_secs(options.seconds.max(8));
    // One that warms up.
    ask(&cast, &tokens, |began| began.elapsed() < Duration::from_secs(1));
    let (mut ratios, mut all, mut took, mut refused) = (Vec::new(), [Vec::new(), Vec::new()], Vec::new(), 0);
    for round in 1..=options.rounds {
        let mut idle = ask(&cast, &tokens, |began| began.elapsed() < idle_for);
        let (mut busy, (lasted, again)) = thread::scope(|scope| {
            let logins = scope.spawn(|| log_in_all(&cast, &forms));
            let busy = ask(&cast, &tokens, |_| !logins.is_finished());
            (busy, logins.join().expect("everybody is logged in"))
        });
        let [idle, busy] = [percentile(&mut idle, 99), percentile(&mut busy, 99)];
        eprintln!("  round {round}: p99 {idle:?} idle, {busy:?} during {LOGINS} logins in {lasted:?}");
        ratios.push(busy.as_secs_f64() / idle.as_secs_f64());
        all[0].push(idle.as_secs_f64() * 1000.0);
        all[1].push(busy.as_secs_f64() * 1000.0);
        took.push(lasted.as_secs_f64());
        refused += again;
    }
    let ratio = Spread::of(ratios);
    let [idle, busy] = all.map(Spread::of);
    budgets.note(
        "p99 of introspection at 1,000 a second while 1,000 people log in at once, × that of none",
        "≤ 2",
        format!(
            "{ratio}; {busy:.2} ms beside {idle:.2} ms; the logins took {:.1} s, {} were asked to come again",
            Spread::of(took),
            refused / options.rounds
        ),
        ratio.median <= 2.0,
    );
}

/// The bytes of a login, as a browser sends them. The form is good for every login that brings its cookie.
fn login(cast: &Cast, user: &User) -> Vec<u8> {
    let (server, mut browser) = (cast.installation.deployment.replica(0), Browser::new());
    let page = browser.open(server, "/login").page();
    let form = page.form();
    let fields: Vec<(&str, &str)> = form
        .inputs
        .iter()
        .map(|(name, value)| match name.as_str() {
            "username" => ("username", user.name.as_str()),
            "password" => ("password", user.password.as_str()),
            name => (name, value.as_str()),
        })
        .collect();
    let body = encoding::form(&fields);
    let cookies: Vec<_> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        form.action,
        server.address(),
        cookies.join("; "),
        body.len()
    )
    .into_bytes()
}

/// Everybody at once; whoever is told to come again does. How long it took, and how many were told so.
fn log_in_all(cast: &Cast, forms: &[Vec<u8>]) -> (Duration, usize) {
    let address = cast.installation.deployment.replica(0).address();
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let people = forms.iter().cycle().take(LOGINS).enumerate();
    let again = runtime.block_on(async {
        let all = people.map(|(person, form)| log_in(address, person, form));
        let all = tokio::time::timeout(PATIENCE, futures_util::future::join_all(all)).await;
        all.expect("everybody is logged in").into_iter().sum()
    });
    (began.elapsed(), again)
}

/// Logs in, coming again as often as told to; how often that was.
async fn log_in(address: SocketAddr, person: usize, form: &[u8]) -> usize {
    for refusals in 0.. {
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        stream.write_all(form).await.expect("a login is sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        match answer.get(9..12) {
            Some(b"303") => return refusals,
            Some(b"503") => {}
            _ => panic!("{}", String::from_utf8_lossy(&answer)),
        }
        // What Retry-After says, and however long somebody then takes to press the button.
        let chance = splitmix::mix(splitmix::STEP.wrapping_mul((person * 100 + refusals) as u64));
        tokio::time::sleep(Duration::from_millis(1000 + chance % 4000)).await;
    }
    0
}

/// Asks at a fixed rate, for as long as `goes_on` says. How long each answer took from the moment at which it was due:
/// a server that stalls delays those behind, too.
fn ask(cast: &Cast, tokens: &[String], goes_on: impl Fn(Instant) -> bool + Sync) -> Vec<Duration> {
    let (server, api) = (cast.installation.deployment.replica(0), &cast.installation.api);
    let began = Instant::now();
    let goes_on = &goes_on;
    thread::scope(|scope| {
        let askers = (0..ASKERS).map(|asker| {
            scope.spawn(move || {
                let (connections, mut took) = (KeptConnections::new(), Vec::new());
                for turn in 0.. {
                    let number = turn * ASKERS + asker;
                    let due = began + number * Duration::from_secs(1) / RATE;
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    if !goes_on(began) {
                        return took;
                    }
                    let token = &tokens[number as usize % tokens.len()];
                    let answer = api.introspect_request(server, token).try_send_on(&connections);
                    took.push(due.elapsed());
                    assert_eq!(answer.expect("an answer").status, 200);
                }
                took
            })
        });
        let askers: Vec<_> = askers.collect();
        askers.into_iter().flat_map(|asker| asker.join().expect("it was answered")).collect()
    })
}
