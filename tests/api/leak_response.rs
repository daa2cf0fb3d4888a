//! `docs/LEAK-RESPONSE.md` shows what commands print: here each of them is run, in the order of the page, on a real
//! installation, and has to print it again. Ids, times and ports may differ.
//!
//! `UPDATE_DOCS=1 cargo test --test api leak_response` writes the page anew.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use tempfile::TempDir;

use super::SCOPE;
use super::support::actors::{Client, Token};
use super::support::browser::Browser;
use super::support::deployment::{Deployment, Plan};
use super::support::scratch;
use super::support::symbolon::Symbolon;
use super::tokens::forge;

/// The installation of the page, and what its reader has at hand.
struct Night {
    deployment: Deployment,
    /// A client that is still well when everything was revoked.
    late: Client,
    directory: TempDir,
    variables: BTreeMap<&'static str, String>,
}

impl Night {
    fn falls() -> Self {
        let plan = Plan::scaled(2).own_postgres().lease("2s").env("SYMBOLON_LOG", "error");
        let deployment = plan.start();
        deployment.resource_server("api", "https://api.example", SCOPE);
        let billing = deployment.client("billing", SCOPE);
        let late = deployment.client("late", SCOPE);
        let server = deployment.replica(0);
        let (app, mira) = (deployment.app("app", "notes:read", &[]), deployment.user("mira"));
        for _ in 0..2 {
            let ask = app.ask();
            let answer = Browser::new().allow(server, &mira, &ask);
            app.redeem(server, &ask, &answer);
        }
        let [leaked, second, third, fourth] = [(); 4].map(|()| billing.mint(server));
        let list = [
            second.as_str(),
            &third.as_str()[..21],
            "",
            leaked.as_str(),
            forge(fourth.grant_id()).as_str(),
            "sya_4fR2k9QxT0",
        ]
        .join("\n");
        let directory = scratch::directory("night");
        fs::write(directory.path().join("leaked-token"), leaked.as_str()).unwrap();
        fs::write(directory.path().join("leaked.txt"), list).unwrap();
        symlink(Symbolon::build(), directory.path().join("symbolon")).unwrap();
        let variables = BTreeMap::from([("PART", part(&leaked))]);
        Self { deployment, late, directory, variables }
    }

    /// What happens between two commands.
    fn happens(&mut self, what: &str) {
        match what {
            "freeze a server" => {
                self.variables.insert("OTHER", part(&self.late.mint(self.deployment.replica(0))));
                self.deployment.replica(1).freeze();
            }
            "thaw the server" => {
                self.deployment.replica(1).thaw();
                self.deployment.replica(1).wait_until_ready(true, Duration::from_secs(10));
            }
            "stop PostgreSQL" => {
                self.variables.insert("LAST", part(&self.late.mint(self.deployment.replica(0))));
                self.deployment.postgres().kill();
            }
            "start PostgreSQL" => {
                self.deployment.postgres().restart();
                for server in self.deployment.replicas() {
                    server.wait_until_ready(true, Duration::from_secs(10));
                }
            }
            other => panic!("{other:?} is nothing that happens here"),
        }
    }

    /// What a command prints, on both streams, as a shell would run it.
    #[expect(clippy::disallowed_methods, reason = "a shell finds its programs as this process does")]
    fn run(&self, line: &str) -> String {
        let path = env::var("PATH").unwrap_or_default();
        let output = Command::new("bash")
            .args(["-c", &format!("{{ {line}\n}} 2>&1")])
            .current_dir(self.directory.path())
            .env_clear()
            .envs(self.deployment.environment())
            .envs(&self.variables)
            .env("LC_ALL", "C")
            .env("PATH", format!("{}:{path}", self.directory.path().display()))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        anonymous(&text).lines().map(|line| shown(line) + "\n").collect()
    }

    /// The page with what is printed now.
    fn page(&mut self, page: &str) -> String {
        let (mut text, mut in_console) = (String::new(), false);
        for line in page.lines() {
            let command = line.strip_prefix("$ ").filter(|_| in_console);
            if !in_console || command.is_some() || line == "```" {
                text += line;
                text.push('\n');
            }
            in_console = if in_console { line != "```" } else { line == "```console" };
            if let Some(command) = command {
                text += &self.run(command);
            } else if let Some(what) = line.strip_prefix("<!-- test: ") {
                self.happens(what.trim_end_matches(" -->"));
            }
        }
        text
    }
}

/// What of a token is enough, and may be shown.
fn part(token: &Token) -> String {
    token.as_str()[..21].to_owned()
}

/// A table of the audit without the name of the machine and of who works there.
fn anonymous(text: &str) -> String {
    const DESK: &str = "uid 1000 on desk";
    let header = text.lines().next().unwrap_or_default();
    let (Some(from), Some(action)) = (header.find("FROM"), header.find("ACTION")) else {
        return text.to_owned();
    };
    let row = |line: &str| {
        let place = if line.starts_with("NUMBER") { "FROM" } else { DESK };
        format!("{}{place:width$}  {}\n", &line[..from], &line[action..], width = DESK.len())
    };
    text.lines().map(row).collect()
}

/// A line as the page shows it: without a secret, and without the names of one machine.
fn shown(line: &str) -> String {
    let mut line = line.to_owned();
    if let Some((before, secret)) = line.split_once("syk_") {
        let rest = secret.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        line = format!("{before}syk_…{rest}");
    }
    if let (Some(from), Some(to)) = (line.find("waiting for "), line.find(" (at most")) {
        line.replace_range(from + "waiting for ".len()..to, "auth-2/10.0.0.12:8080 pid 7");
    }
    // Whether its row was deleted first is a matter of milliseconds.
    line.replace("; the lease of 1 more has run out (", " in ").replace(" ms)", " ms")
}

/// A page without what differs from run to run: ids, times, ports, numbers of changes.
fn comparable(page: &str) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len()).max(first.len_utf8());
        let (word, after) = rest.split_at(length);
        let is_id =
            matches!(word.len(), 17 | 22) && word.chars().any(|c| !c.is_ascii_lowercase() && c != '_');
        let prefix = ["cl_", "usr_", "rs_"].into_iter().find(|prefix| word.starts_with(prefix));
        let varies = text.ends_with([':', '-', '.'])
            || text.ends_with("change ")
            || after.starts_with([':', '-'])
            || after.starts_with(" ms");
        match prefix {
            Some(prefix) => text += prefix,
            None if is_id => text += "ID",
            None if varies && word.starts_with(|c: char| c.is_ascii_digit()) => text += "0",
            None => text += word,
        }
        rest = after;
    }
    text
}

#[test]
#[expect(clippy::disallowed_methods, reason = "whoever wants the page written says so in the environment")]
fn every_command_of_the_page_prints_what_the_page_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/LEAK-RESPONSE.md");
    let page = fs::read_to_string(&path).unwrap();
    let now = Night::falls().page(&page);
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &now).unwrap();
        return;
    }
    for (line, (written, printed)) in (1..).zip(comparable(&page).lines().zip(comparable(&now).lines())) {
        assert_eq!(printed, written, "about line {line} of the page; UPDATE_DOCS=1 writes it anew\n{now}");
    }
    assert_eq!(now.lines().count(), page.lines().count(), "{now}");
}
