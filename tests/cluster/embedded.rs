//! The embedded default: one process with its stores in a directory, and the command line beside it. What is
//! acknowledged there holds over kills and restarts too, and the quickstart does what it prints.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::scene::{SOON, Said, Scene, ask, measured, pause, timed, try_mint};
use crate::support::actors::Token;
use crate::support::cli;
use crate::support::deployment::Plan;
use crate::support::process::Signal;
use crate::support::symbolon::{Environment, Server, ServerConfig, WaitFor};
use crate::support::{ports, scratch, wait};

/// "Stops within 2 s of SIGTERM or Ctrl-C"
const QUICK: Duration = Duration::from_secs(2);

fn is_command(line: &str) -> bool {
    line.starts_with("curl ") || line.starts_with("TOKEN=$(curl ")
}

/// The commands that this start printed: those after the last announcement.
fn commands(server: &Server, starts: usize) -> Vec<String> {
    let printed = wait::until("the commands are printed", SOON, || {
        let text = server.stdout();
        (text.matches("Symbolon is serving").count() == starts && text.contains("Ctrl-C")).then_some(text)
    });
    let (_, last) = printed.rsplit_once("Symbolon is serving").expect("it was announced");
    for line in last.lines().filter(|line| line.contains("curl")) {
        assert!(is_command(line), "a line with curl that cannot be pasted: {line}");
    }
    last.lines().filter(|line| is_command(line)).map(str::to_owned).collect()
}

/// What the commands print in one fresh bash that has curl and sed and nothing else.
fn paste(commands: &[String]) -> String {
    let directory = scratch::directory("paste");
    for program in ["bash", "curl", "sed"] {
        let found = ["/usr/bin", "/bin"].map(|place| Path::new(place).join(program));
        let found =
            found.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("{program} is not installed"));
        symlink(found, directory.path().join(program)).expect("a link can be made");
    }
    let output = Command::new(directory.path().join("bash"))
        .args(["--noprofile", "--norc", "-c", &commands.join("\n")])
        .env_clear()
        .env("PATH", directory.path())
        .current_dir(directory.path())
        .output()
        .expect("bash starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{}\n{errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_quickstart_prints_commands_that_work_and_works_again_when_run_twice() {
    let server = Server::start(&ServerConfig::quickstart());
    for starts in [1, 2] {
        let commands = commands(&server, starts);
        assert!(commands.len() >= 4, "{commands:#?}");
        // Twice, for a newcomer pastes twice.
        for _ in 0..2 {
            let printed = paste(&commands);
            let active = printed.find(r#"{"active":true"#);
            let inactive = printed.find(r#"{"active":false}"#);
            assert!(active.is_some() && active < inactive, "{commands:#?}\n{printed}");
        }
        let signal = if starts == 1 { Signal::TERM } else { Signal::INT };
        let ending = server.end_with(signal);
        println!("start {starts}: ended {:?} after {signal:?}", ending.took);
        assert!(ending.status.success(), "{}", ending.status);
        assert!(ending.took < QUICK, "{signal:?} took {:?}", ending.took);
        if starts == 1 {
            server.restart();
        }
    }
}

/// The local addresses, in hexadecimal, of the sockets on which a process listens.
fn listening(process: u32) -> BTreeSet<String> {
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).expect("its descriptors can be read");
    let sockets: BTreeSet<String> = descriptors
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let tables = ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/{process}/net/{table}")));
    let tables = tables.map(Result::unwrap_or_default).join("\n");
    let rows = tables.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.len() > 9 && row[3] == "0A" && sockets.contains(row[9]))
        .map(|row| row[1].to_owned())
        .collect()
}

#[test]
fn the_quickstart_listens_on_loopback_only_and_refuses_anything_else() {
    let server = Server::start(&ServerConfig::quickstart());
    let addresses = listening(server.id());
    assert_eq!(addresses.len(), 2, "{addresses:?}");
    assert!(addresses.iter().all(|address| address.starts_with("0100007F:")), "{addresses:?}");
    for variable in ["SYMBOLON_LISTEN", "SYMBOLON_MANAGEMENT_LISTEN"] {
        let directory = scratch::directory("open");
        let environment = Environment::from([
            ("SYMBOLON_LISTEN".to_owned(), ports::free_address().to_string()),
            ("SYMBOLON_MANAGEMENT_LISTEN".to_owned(), ports::free_address().to_string()),
            ("SYMBOLON_DATA_DIR".to_owned(), directory.path().join("data").display().to_string()),
            // Without it the server would not even ask what it is for.
            ("SYMBOLON_ISSUER".to_owned(), "https://auth.example".to_owned()),
            (variable.to_owned(), format!("0.0.0.0:{}", ports::free_port())),
        ]);
        let refused = cli::cli(&environment, &["quickstart"]).expect_status(2);
        assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
        assert!(refused.stderr.contains(variable) && refused.stderr.contains("loopback"), "{refused:?}");
        assert!(refused.stdout.is_empty(), "{refused:?}");
    }
}

#[test]
fn what_was_acknowledged_holds_when_the_embedded_server_is_killed_and_started_again() {
    let scene = Scene::of(Plan::embedded());
    let server = scene.replica(0);
    let doomed = scene.deployment.client("doomed", "notes:read");
    let (mut live, mut dead) = (vec![scene.live_token()], Vec::new());
    for round in 0..4 {
        let (kept, revoked, killed) = (scene.live_token(), scene.live_token(), doomed.mint(server));
        match round % 2 {
            0 => scene.app.revoke(server, &revoked),
            _ => drop(scene.deployment.cli(&["token", "revoke", revoked.as_str(), "--yes"]).success()),
        }
        scene.deployment.cli(&["revoke", "--client", &doomed.id, "--yes"]).success();
        live.push(kept);
        dead.extend([revoked, killed]);
        server.kill();
        server.restart();
        for token in &live {
            assert_eq!(ask(&scene.api, server, token), Said::Active, "round {round}: an acknowledged mint");
        }
        for token in &dead {
            assert_eq!(ask(&scene.api, server, token), Said::Inactive, "round {round}");
        }
        // The one that was killed cannot answer any more: its lease of 30 s is not waited for.
        let dying = live.remove(0);
        let (answer, took) = timed(|| scene.revoke(0, &dying));
        answer.expect_status(200);
        println!("round {round}: a revocation right after the restart took {took:?}");
        assert!(took < SOON / 2, "{took:?}: somebody waited for the dead");
        dead.push(dying);
    }
}

#[test]
fn an_embedded_server_that_is_killed_at_any_moment_keeps_every_promise_it_made() {
    let scene = Scene::of(Plan::embedded());
    let server = scene.replica(0);
    let (mut live, mut dead): (Vec<Token>, Vec<Token>) = (Vec::new(), Vec::new());
    let mut limbo = 0;
    for round in 0..8 {
        let over = AtomicBool::new(false);
        let (minted, revoked, asked) = thread::scope(|scope| {
            let working = scope.spawn(|| {
                let (mut minted, mut revoked, mut asked) = (Vec::new(), Vec::new(), 0);
                while !over.load(Ordering::Relaxed) {
                    minted.extend(try_mint(&scene.app, server));
                    if asked * 2 >= minted.len() {
                        continue;
                    }
                    let token = minted.swap_remove(0);
                    asked += 1;
                    match scene.app.revoke_request(server, token.as_str()).try_send() {
                        Ok(answer) if answer.status == 200 => revoked.push(token),
                        // Asked for, and not acknowledged: it may be either.
                        _ => {}
                    }
                }
                (minted, revoked, asked)
            });
            pause(150 + 67 * round);
            server.kill();
            over.store(true, Ordering::Relaxed);
            working.join().expect("nothing but a kill happened")
        });
        limbo += asked - revoked.len();
        live.extend(minted);
        dead.extend(revoked);
        server.restart();
        for token in &live {
            assert_eq!(ask(&scene.api, server, token), Said::Active, "round {round}: minted, never revoked");
        }
        for token in &dead {
            assert_eq!(ask(&scene.api, server, token), Said::Inactive, "round {round}: revoked");
        }
    }
    measured(&format!("{} live, {} dead, {limbo} in limbo", live.len(), dead.len()));
    assert!(live.len() > 10 && dead.len() > 10, "nothing happened between the kills");
}

#[test]
fn the_command_line_beside_the_running_server_is_believed_at_once() {
    let scene = Scene::of(Plan::embedded());
    let (server, deployment) = (scene.replica(0), &scene.deployment);
    for round in 0..10 {
        let token = scene.live_token();
        let (output, took) =
            timed(|| deployment.cli(&["token", "revoke", token.grant_id(), "--yes", "--json"]).success());
        for _ in 0..5 {
            assert_eq!(ask(&scene.api, server, &token), Said::Inactive, "round {round}, after exit 0");
        }
        let confirmed = &output.json()["confirmed"]["replicas"];
        assert_eq!(confirmed[0]["standing"], "applied", "{confirmed}");
        println!("round {round}: {took:?}");
    }
    // And the other way round: the server's own revocation, seen from the command line.
    let token = scene.live_token();
    scene.app.revoke(server, &token);
    let seen = deployment.cli(&["token", "inspect", token.as_str(), "--json"]).success().json();
    assert_eq!(seen["alive"], false, "{seen}");
    let live = scene.live_token();
    deployment.cli(&["revoke", "--everything", "--yes"]).success();
    assert_eq!(ask(&scene.api, server, &live), Said::Inactive);
    scene.live_token();
}

#[test]
fn a_data_directory_that_is_restored_to_an_older_state_is_made_safe_by_recover() {
    let scene = Scene::of(Plan::embedded());
    let (server, data) = (scene.replica(0), scene.deployment.data_dir());
    let (kept, revoked) = (scene.live_token(), scene.live_token());
    assert!(server.terminate().status.success());
    let backup = scratch::directory("backup");
    let copy = |from: &Path, to: &Path| {
        let status = Command::new("cp").arg("--archive").arg(from).arg(to).status().expect("cp starts");
        assert!(status.success());
    };
    copy(&data, backup.path());
    server.restart();
    scene.app.revoke(server, &revoked);
    assert!(server.terminate().status.success());
    fs::remove_dir_all(&data).expect("the data can be lost");
    copy(&backup.path().join("data"), &data);
    scene.deployment.cli(&["recover", "--yes", "--json"]).success();
    server.restart();
    for token in [&kept, &revoked] {
        assert_eq!(ask(&scene.api, server, token), Said::Inactive, "from before the recovery");
    }
    let new = scene.live_token();
    scene.app.revoke(server, &new);
    assert_eq!(ask(&scene.api, server, &new), Said::Inactive);
}

#[test]
fn a_second_server_on_the_same_data_directory_is_refused_with_one_clear_line() {
    let scene = Scene::of(Plan::embedded());
    let live = scene.live_token();
    let mut environment = scene.deployment.environment().clone();
    environment.insert("SYMBOLON_LISTEN".to_owned(), ports::free_address().to_string());
    environment.insert("SYMBOLON_MANAGEMENT_LISTEN".to_owned(), ports::free_address().to_string());
    for command in ["serve", "quickstart"] {
        let refused = cli::cli(&environment, &[command]);
        assert!(matches!(refused.status, Some(1 | 2)), "{refused:?}");
        assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
        let data = scene.deployment.data_dir().display().to_string();
        assert!(
            refused.stderr.contains(&data) && refused.stderr.contains("SYMBOLON_DATA_DIR"),
            "{refused:?}"
        );
        assert!(refused.stdout.is_empty(), "{refused:?}");
    }
    assert_eq!(ask(&scene.api, scene.replica(0), &live), Said::Active);
    // The secrets of the first one are as they were.
    scene.live_token();
}

#[test]
fn a_token_key_is_made_once_and_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::of(Plan::embedded());
    let path = scene.deployment.data_dir().join("token.key");
    let key = fs::read(&path).expect("the key is there");
    let live = scene.live_token();
    scene.replica(0).kill();
    scene.replica(0).restart();
    assert_eq!(fs::read(&path).expect("the key is there"), key);
    assert_eq!(fs::metadata(&path).expect("the key is there").permissions().mode() & 0o777, 0o600);
    assert_eq!(ask(&scene.api, scene.replica(0), &live), Said::Active);
}

#[test]
fn restoring_only_the_database_of_the_two_embedded_files_is_noticed_and_answered_by_nobody() {
    let scene = Scene::of(Plan::embedded());
    let server = scene.replica(0);
    let directory = scene.deployment.data_dir();
    let database = |suffix: &str| directory.join(format!("symbolon.sqlite3{suffix}"));
    let token = scene.live_token();
    server.terminate();
    let before = fs::read(database("")).expect("the database can be read");
    server.restart();
    scene.deployment.cli(&["revoke", "--everything", "--yes"]).success();
    assert_eq!(ask(&scene.api, server, &token), Said::Inactive);
    // The grant store must have heard of it, as it does within a second.
    thread::sleep(Duration::from_millis(1500));
    server.terminate();
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(database(suffix)).ok();
    }
    fs::write(database(""), before).expect("the database can be restored");
    let restored = ServerConfig::serve().envs(scene.deployment.environment()).wait_for(WaitFor::Liveness);
    let server = &Server::start(&restored);
    wait::until_true("it says what happened", SOON, || {
        server.stderr().contains("has lost commits") && server.stderr().contains("symbolon recover")
    });
    for _ in 0..20 {
        assert_eq!(ask(&scene.api, server, &token), Said::Unavailable, "a dead token answers active");
    }
    scene.deployment.cli(&["recover", "--yes"]).success();
    server.wait_until_ready(true, SOON);
    assert_eq!(ask(&scene.api, server, &token), Said::Inactive);
    assert!(try_mint(&scene.app, server).is_some());
}
