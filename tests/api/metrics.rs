//! `/metrics`, `/readyz?verbose` and `/livez`, as a scraper and an orchestrator see them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::support::deployment::{Deployment, Plan};
use super::support::http;
use super::support::symbolon::Server;
use super::support::wait;
use super::with_notes;

/// Every sample by its name and labels, as they are written.
fn scrape(server: &Server) -> BTreeMap<String, f64> {
    let text = http::get(&server.management_url("/metrics")).expect_status(200).text();
    let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

fn value(samples: &BTreeMap<String, f64>, name: &str) -> f64 {
    samples.get(name).copied().unwrap_or(0.0)
}

/// What `docs/OPERATIONS.md` names is there, and what is there it explains: which alert goes with it, and what to do.
#[test]
fn the_operators_page_names_every_metric_and_no_other() {
    let page = include_str!("../../docs/OPERATIONS.md");
    let words = page.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    // In rules, a histogram is asked for by its buckets.
    let named = words.map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned());
    let named: BTreeSet<String> = named.filter(|word| word.starts_with("symbolon_")).collect();
    let deployment = Deployment::scaled(1);
    let text = http::get(&deployment.replica(0).management_url("/metrics")).expect_status(200).text();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let served = types.map(|(name, _)| name.to_owned()).filter(|name| name.starts_with("symbolon_"));
    assert_eq!(named, served.collect::<BTreeSet<_>>());
}

#[test]
fn everything_that_happens_is_counted() {
    let deployment = Deployment::scaled(2);
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let before = scrape(server);
    let token = app.mint(server);
    assert!(api.introspect(server, &token).active());
    assert!(!api.introspect_str(server, "junk").json()["active"].as_bool().unwrap());
    app.revoke(server, &token);
    app.revoke_request(server, "junk").send().expect_status(200);
    app.token_request(server, &[("scope", "nobody:owns")]).send().expect_status(400);
    let after = scrape(server);
    for (name, by) in [
        ("symbolon_http_requests_total{endpoint=\"token\",status=\"200\"}", 1.0),
        ("symbolon_http_requests_total{endpoint=\"token\",status=\"400\"}", 1.0),
        ("symbolon_http_requests_total{endpoint=\"introspect\",status=\"200\"}", 2.0),
        ("symbolon_http_requests_total{endpoint=\"revoke\",status=\"200\"}", 2.0),
        ("symbolon_http_request_duration_seconds_count{endpoint=\"introspect\"}", 2.0),
        ("symbolon_tokens_issued_total{grant_type=\"client_credentials\"}", 1.0),
        ("symbolon_introspections_total{result=\"active\"}", 1.0),
        ("symbolon_introspections_total{result=\"inactive\"}", 1.0),
        ("symbolon_revocations_total{result=\"acknowledged\"}", 1.0),
        ("symbolon_revocations_total{result=\"nothing_to_revoke\"}", 1.0),
        ("symbolon_revocation_acknowledgement_seconds_count", 1.0),
        ("symbolon_store_duration_seconds_count{operation=\"insert\"}", 1.0),
    ] {
        let moved = value(&after, name) - value(&before, name);
        assert!((moved - by).abs() < 0.5, "{name} moved by {moved}, not by {by}");
    }
    for name in [
        "symbolon_http_request_duration_seconds_sum{endpoint=\"token\"}",
        "symbolon_revocation_acknowledgement_seconds_sum",
        "symbolon_store_duration_seconds_sum{operation=\"load\"}",
        "symbolon_feed_position",
        "symbolon_revoked_grants_in_memory",
    ] {
        assert!(value(&after, name) > value(&before, name), "{name} stands still");
    }
    let took = value(&after, "symbolon_revocation_acknowledgement_seconds_sum");
    assert!(took < 5.0, "an acknowledgement among the well took {took} s");
    wait::until_true("both replicas are seen", Duration::from_secs(10), || {
        (value(&scrape(server), "symbolon_replicas") - 2.0).abs() < 0.5
    });
    let lease = value(&after, "symbolon_lease_remaining_seconds");
    assert!(lease > 10.0 && lease <= 30.0, "{lease} s of 30 s");
    assert!(after.contains_key("symbolon_feed_lag_changes"));
}

#[test]
fn no_label_holds_what_a_caller_chose() {
    let deployment = Deployment::embedded();
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let token = app.mint(server);
    api.introspect(server, &token);
    app.revoke(server, &token);
    http::get(&server.url("/chosen-by-a-caller"));
    http::post_form(&server.url("/token"), &[("grant_type", "chosen-by-a-caller")], None);
    let text = http::get(&server.management_url("/metrics")).text();
    for chosen in [&app.id, &api.id, token.as_str(), token.grant_id(), "notes:read", "chosen-by-a-caller"] {
        assert!(!text.contains(chosen), "{chosen}");
    }
    for line in text.lines().filter(|line| line.starts_with("symbolon_")) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(text.contains(&format!("# HELP {family} ")), "{name} is not explained");
    }
}

#[test]
fn metrics_stay_on_the_management_listener() {
    let deployment = Deployment::embedded();
    let server = deployment.replica(0);
    let metrics = http::get(&server.management_url("/metrics")).expect_status(200);
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    http::get(&server.url("/metrics")).expect_status(404);
    for path in ["/token", "/introspect", "/revoke"] {
        http::post_form(&server.management_url(path), &[("token", "x")], None).expect_status(404);
    }
}

#[test]
fn health_is_told_on_both_listeners() {
    let deployment = Deployment::scaled(1);
    let server = deployment.replica(0);
    for url in [server.url("/livez"), server.management_url("/livez"), server.url("/readyz")] {
        assert_eq!(http::get(&url).expect_status(200).text(), "ok\n");
    }
    for url in [server.url("/readyz?verbose"), server.management_url("/readyz?verbose")] {
        let text = http::get(&url).expect_status(200).text();
        for check in ["redis", "sql", "lease", "witness", "running"] {
            assert!(text.contains(&format!("[+]{check} ok\n")), "{text}");
        }
        assert!(text.ends_with("ready\n"), "{text}");
    }
}

#[test]
fn a_store_that_is_gone_is_named_and_its_errors_are_counted() {
    let deployment = Plan::scaled(1).start();
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let token = app.mint(server);
    let before = scrape(server);
    deployment.redis().freeze();
    api.introspect_str(server, token.as_str()).expect_status(503);
    server.wait_until_ready(false, Duration::from_secs(5));
    let verbose = http::get(&server.management_url("/readyz?verbose")).expect_status(503).text();
    assert!(verbose.contains("[-]redis failed: ") && verbose.contains("[+]sql ok"), "{verbose}");
    assert!(verbose.ends_with("not ready\n"), "{verbose}");
    http::get(&server.url("/livez")).expect_status(200);
    let after = scrape(server);
    for name in [
        "symbolon_introspections_total{result=\"unavailable\"}",
        "symbolon_store_errors_total{operation=\"load\"}",
        "symbolon_http_requests_total{endpoint=\"introspect\",status=\"503\"}",
        "symbolon_check_failing{check=\"redis\"}",
    ] {
        assert!(value(&after, name) > value(&before, name), "{name} stands still");
    }
    deployment.redis().thaw();
    server.wait_until_ready(true, Duration::from_secs(10));
    wait::until_true("the gauge falls", Duration::from_secs(5), || {
        value(&scrape(server), "symbolon_check_failing{check=\"redis\"}") < 0.5
    });
}
