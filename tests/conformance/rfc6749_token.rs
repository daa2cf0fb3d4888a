//! `POST /token` (RFC 6749 §3.2, §4.4, §5): what is asked for, and what is given.

use std::collections::HashSet;
use std::thread;

use symbolon::domain::token::TokenKind;

use crate::expect::{json_200, refused};
use crate::forge;
use crate::support::encoding;
use crate::support::http::{Request, Response};
use crate::wire::{Wire, post};
use crate::world::{APP_SCOPE, MAIL, NOTES, World, embedded, scaled};

/// The answer to a form of the shared client.
#[track_caller]
fn ask(world: &World, form: &str) -> Response {
    let request = Request::post(world.server().url("/token")).basic(&world.app.id, &world.app.secret);
    request.header("content-type", "application/x-www-form-urlencoded").body(form).send()
}

#[test]
fn t1_the_answer_has_exactly_these_members_and_headers() {
    let world = embedded();
    let answer = json_200(world.app.token_request(world.server(), &[("scope", "notes:read")]).send());
    let members: Vec<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["access_token", "expires_in", "scope", "token_type"]);
    assert!(answer["token_type"].as_str().unwrap().eq_ignore_ascii_case("bearer"));
    assert_eq!(answer["expires_in"].as_u64(), Some(900), "a JSON number, the documented default");
    assert_eq!(answer["scope"], "notes:read");
    let token = answer["access_token"].as_str().unwrap();
    assert!(token.starts_with("sya_") && token.len() == 60, "{token}");
    assert!(token[4..].bytes().all(|byte| byte.is_ascii_alphanumeric()), "{token}");
}

#[test]
fn t1_expires_in_is_what_the_client_was_registered_with() {
    let world = embedded();
    let client = world.deployment.client_with("t1-hour", "notes:read", &["--access-token-ttl", "1h30m"]);
    let answer = json_200(client.token_request(world.server(), &[]).send());
    assert_eq!(answer["expires_in"].as_u64(), Some(5400));
}

#[test]
fn t3_grant_type_missing_or_empty() {
    let world = embedded();
    for form in ["", "scope=notes:read", "grant_type=", "grant_type", "grant_type=&scope=notes:read", "&&&"] {
        refused(&ask(world, form), 400, "invalid_request");
    }
    let no_body = Request::post(world.server().url("/token")).basic(&world.app.id, &world.app.secret);
    refused(
        &no_body.header("content-type", "application/x-www-form-urlencoded").send(),
        400,
        "invalid_request",
    );
}

#[test]
fn t3_an_empty_value_counts_as_omitted() {
    let world = embedded();
    let form = "grant_type=client_credentials&scope=&resource=&client_id=&client_secret=&code=";
    assert_eq!(json_200(ask(world, form))["scope"], APP_SCOPE);
}

#[test]
fn t4_an_unknown_grant_type() {
    let world = embedded();
    let client_credentials_otherwise = ["Client_Credentials", "client_credentials+", "client_credentials%0A"];
    let later = [
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
    ];
    for grant_type in client_credentials_otherwise.into_iter().chain(later).chain(["foo", "client"]) {
        refused(&ask(world, &format!("grant_type={grant_type}")), 400, "unsupported_grant_type");
    }
}

/// Every row of a code or refresh token that is genuine is in `tests/user_grants`.
#[test]
fn t6_codes_and_refresh_tokens_are_for_clients_that_are_registered_for_them() {
    let world = scaled();
    let create = ["client", "create", "spa", "--client-id", "spa", "--public", "--scope", "notes:read"];
    let grants = ["--grant", "authorization_code", "--grant", "refresh_token"];
    let redirect_uri = ["--redirect-uri", "https://spa.example/callback", "--if-not-exists"];
    world.deployment.cli(&[&create[..], &grants, &redirect_uri].concat()).success();
    let ask_as_spa = |form: &str| {
        let request = Request::post(world.server().url("/token"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(format!("{form}&client_id=spa")).send()
    };
    for (grant_type, parameter) in [("authorization_code", "code"), ("refresh_token", "refresh_token")] {
        let form = format!("grant_type={grant_type}");
        refused(&ask(world, &format!("{form}&{parameter}=x")), 400, "unauthorized_client");
        refused(&ask_as_spa(&form), 400, "invalid_request");
        refused(&ask_as_spa(&format!("{form}&{parameter}=")), 400, "invalid_request");
        let unknown = TokenKind::ALL.map(|kind| forge::unknown(&world.deployment, kind));
        for token in unknown.iter().map(String::as_str).chain(["x"]) {
            refused(&ask_as_spa(&format!("{form}&{parameter}={token}")), 400, "invalid_grant");
        }
    }
}

#[test]
fn t5_password_and_implicit_do_not_exist() {
    let world = embedded();
    for form in [
        "grant_type=password&username=u&password=p",
        "grant_type=implicit",
        "grant_type=token&response_type=token",
    ] {
        refused(&ask(world, form), 400, "unsupported_grant_type");
    }
    let metadata = Request::get(world.server().url("/.well-known/oauth-authorization-server")).send().json();
    let grants = ["authorization_code", "client_credentials", "refresh_token"];
    assert_eq!(metadata["grant_types_supported"], serde_json::json!(grants));
    assert_eq!(metadata["response_types_supported"], serde_json::json!(["code"]));
    assert_eq!(metadata["response_modes_supported"], serde_json::json!(["query"]));
}

#[test]
fn t10_a_known_parameter_twice_is_refused_even_when_both_are_the_same() {
    let world = embedded();
    let once = "grant_type=client_credentials&scope=notes:read";
    assert_eq!(ask(world, once).status, 200);
    for twice in [
        "grant_type=client_credentials",
        "grant_type=",
        "grant_typ%65=client_credentials",
        "scope=notes:read",
        "scope=mail:send",
        "code=1&code=1",
        "client_id=a&client_id=a",
        "client_secret=a&client_secret=a",
        "refresh_token=a&refresh_token=b",
        "redirect_uri=a&redirect_uri=a",
        "code_verifier=a&code_verifier=a",
        "username=a&username=a",
        "password=a&password=a",
    ] {
        refused(&ask(world, &format!("{once}&{twice}")), 400, "invalid_request");
    }
}

#[test]
fn t11_unknown_parameters_are_ignored_also_twice() {
    let world = embedded();
    let form = "foo=1&foo=2&grant_type=client_credentials&=x&a[b]=c&a[b]=d&%zz=%zz&%ff=1&callback=f";
    assert_eq!(json_200(ask(world, form))["scope"], APP_SCOPE);
}

#[test]
fn t12_nothing_that_was_sent_comes_back() {
    let world = embedded();
    let marker = "zqXjWk'<script>\"\\";
    let encoded = encoding::form_component(marker);
    let forms = [
        format!("grant_type={encoded}"),
        format!("grant_type=client_credentials&scope={encoded}"),
        format!("grant_type=client_credentials&resource={encoded}"),
        format!("grant_type=client_credentials&resource=https://{encoded}.example"),
        format!("grant_type=client_credentials&client_id={encoded}"),
        format!("grant_type=client_credentials&client_secret={encoded}"),
        format!("grant_type=client_credentials&scope={encoded}&scope={encoded}"),
    ];
    let answers = forms.iter().map(|form| ask(world, form));
    let url = world.server().url("/token");
    let others = [
        Request::post(&url).basic(marker, marker).form(&[("grant_type", "client_credentials")]).send(),
        Request::post(format!("{url}?scope={encoded}")).form(&[("grant_type", "client_credentials")]).send(),
        Request::post(&url).header("content-type", "zqXjWk/zqXjWk").body("x").send(),
        Request::get(world.server().url("/zqXjWk")).send(),
        Request::new("ZQXJWK", &url).send(),
        Request::get(&url).header("authorization", "zqXjWk zqXjWk").send(),
    ];
    for answer in answers.chain(others) {
        assert!((400..500).contains(&answer.status), "{} {}", answer.status, answer.text());
        assert!(!answer.text().to_lowercase().contains("zqxjwk"), "{}", answer.text());
        assert!(!format!("{:?}", answer.headers).to_lowercase().contains("zqxjwk"), "{:?}", answer.headers);
    }
}

#[test]
fn t14_a_scope_beyond_the_registration_is_refused_never_trimmed() {
    let world = embedded();
    for scope in [
        "notes:delete",
        "notes:read+notes:delete",
        "NOTES:READ",
        "notes:read%2Bnotes:write",
        "notes:read,notes:write",
        "+notes:read",
        "notes:read+",
        "notes:read++notes:write",
        "notes:read%09",
        "notes:read%0A",
        "%22notes:read%22",
        "notes:read%5C",
        "n%C3%B6tes",
        "*",
        "+",
    ] {
        refused(&ask(world, &format!("grant_type=client_credentials&scope={scope}")), 400, "invalid_scope");
    }
    let many: Vec<String> = (0..500).map(|n| format!("s{n}")).collect();
    let many = format!("grant_type=client_credentials&scope={}", many.join("+"));
    refused(&ask(world, &many), 400, "invalid_scope");
    let long = format!("grant_type=client_credentials&scope={}", "x".repeat(15_000));
    refused(&ask(world, &long), 400, "invalid_scope");
}

#[test]
fn t14_what_is_granted_is_what_was_asked_for() {
    let world = embedded();
    for (asked, granted) in [
        ("notes:write+notes:read", "notes:read notes:write"),
        ("notes:read+notes:read", "notes:read"),
        ("mail:send%20notes:read", "mail:send notes:read"),
    ] {
        let answer = json_200(ask(world, &format!("grant_type=client_credentials&scope={asked}")));
        assert_eq!(answer["scope"], granted);
    }
    assert_eq!(json_200(ask(world, "grant_type=client_credentials"))["scope"], APP_SCOPE);
    // X19: `scope[]` is another parameter, and no way to ask for more.
    let answer = json_200(ask(world, "grant_type=client_credentials&scope=notes:read&scope[]=mail:send"));
    assert_eq!(answer["scope"], "notes:read");
}

#[test]
fn t14_a_client_without_scope_gets_nothing() {
    let world = embedded();
    let client = world.deployment.client("t14-none", "");
    refused(&client.token_request(world.server(), &[]).send(), 400, "invalid_scope");
}

/// Duende ATM CVE-2025-26620: who asks at the same time must not get what somebody else asked for.
#[test]
fn t1_parallel_requests_each_get_their_own_scope_and_resource() {
    let world = scaled();
    let wanted = [
        ("scope=notes:read", "notes:read", NOTES, "notes:read"),
        ("scope=notes:write", "notes:write", NOTES, "notes:write"),
        ("scope=mail:send", "mail:send", MAIL, "mail:send"),
        (
            "resource=https%3A%2F%2Fnotes.example",
            "notes:read notes:write shared",
            NOTES,
            "notes:read notes:write shared",
        ),
        ("resource=https%3A%2F%2Fmail.example%2Fv1", "mail:send shared", MAIL, "mail:send shared"),
    ];
    thread::scope(|threads| {
        for (form, granted, audience, seen) in wanted {
            threads.spawn(move || {
                for replica in world.deployment.replicas() {
                    let mut wire = Wire::to(replica.address());
                    let form = format!("grant_type=client_credentials&{form}");
                    let (app, server) =
                        (&world.app, if audience == NOTES { &world.notes } else { &world.mail });
                    for _ in 0..20 {
                        let answer = json_200(wire.exchange(post("/token", &app.id, &app.secret, &form)));
                        assert_eq!(answer["scope"], granted, "{form}");
                        let token = format!("token={}", answer["access_token"].as_str().unwrap());
                        let answer =
                            json_200(wire.exchange(post("/introspect", &server.id, &server.secret, &token)));
                        assert_eq!(answer["scope"], seen, "{form}");
                        if form.contains("resource") || !granted.contains("read") {
                            assert_eq!(answer["aud"], audience, "{form}");
                        }
                    }
                }
            });
        }
    });
}

#[test]
fn x1_twenty_thousand_tokens_are_all_different_and_show_no_order() {
    const EACH: usize = 5_000;
    const BATCH: usize = 10;
    let world = scaled();
    let request = post("/token", &world.app.id, &world.app.secret, "grant_type=client_credentials");
    let mint = |replica: usize| {
        let mut wire = Wire::to(world.deployment.replica(replica).address());
        let mut tokens = Vec::with_capacity(EACH);
        for _ in 0..EACH / BATCH {
            wire.write(request.repeat(BATCH));
            for _ in 0..BATCH {
                let answer = wire.read().expect_status(200).json();
                tokens.push(answer["access_token"].as_str().unwrap().to_owned());
            }
        }
        tokens
    };
    let tokens: Vec<String> = thread::scope(|threads| {
        let minters: Vec<_> = [0, 1, 0, 1].map(|replica| threads.spawn(move || mint(replica))).into();
        minters.into_iter().flat_map(|minter| minter.join().unwrap()).collect()
    });
    let whole: HashSet<&str> = tokens.iter().map(String::as_str).collect();
    assert_eq!((tokens.len(), whole.len()), (4 * EACH, 4 * EACH));
    let grants: HashSet<&str> = tokens.iter().map(|token| &token[4..21]).collect();
    let secrets: HashSet<&str> = tokens.iter().map(|token| &token[21..43]).collect();
    assert_eq!((grants.len(), secrets.len()), (4 * EACH, 4 * EACH));
    // A counter or a time stamp shows as digits that hardly change, or that only ever grow.
    // The first digits of both numbers are never the largest, since neither fills its digits.
    for place in (6..21).chain(23..54) {
        let digits: HashSet<u8> = tokens.iter().map(|token| token.as_bytes()[place]).collect();
        assert_eq!(digits.len(), 62, "place {place}");
        let mut counts = [0u32; 256];
        for token in &tokens {
            counts[usize::from(token.as_bytes()[place])] += 1;
        }
        let total = f64::from(u32::try_from(tokens.len()).unwrap());
        let bits: f64 = counts
            .iter()
            .filter(|count| **count > 0)
            .map(|count| f64::from(*count) / total)
            .map(|share| -share * share.log2())
            .sum();
        assert!(bits > 5.9, "place {place} holds {bits} bits of at most 5.95");
    }
    let growing = tokens.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert!((9_000..11_000).contains(&growing), "{growing} of 20000 tokens sort after the one before");
}

/// As the OpenID Foundation's suite measures it: the entropy of a text's own characters, times its length.
#[test]
fn x1_every_secret_looks_like_96_bits_and_more() {
    let world = embedded();
    let bits = |text: &str| {
        let length = f64::from(u32::try_from(text.len()).unwrap());
        let characters: HashSet<char> = text.chars().collect();
        let shares =
            characters.iter().map(|c| f64::from(u32::try_from(text.matches(*c).count()).unwrap()) / length);
        length * shares.map(|share| -share * share.log2()).sum::<f64>()
    };
    for _ in 0..100 {
        let token = world.app.mint(world.server());
        // Not counting what begins all of them, what names the grant, and the checksum.
        let random = bits(&token.0[21..54]);
        assert!(random >= 96.0, "{random}: {}", token.0);
    }
    for secret in [&world.app.secret, &world.other.secret, &world.notes.secret, &world.mail.secret] {
        assert!(bits(&secret[4..47]) >= 96.0, "{secret}");
    }
}

/// 16 random bytes and a tag of 8 in 33 digits: 128 bits that nobody can guess (RFC 6749 §10.10).
#[test]
fn g1_tokens_of_one_moment_share_nothing() {
    let world = embedded();
    let tokens: Vec<_> = (0..50).map(|_| world.app.mint(world.server())).collect();
    for (index, token) in tokens.iter().enumerate() {
        for other in &tokens[..index] {
            let same = token.0.bytes().zip(other.0.bytes()).skip(4).take_while(|(a, b)| a == b).count();
            assert!(same < 6, "{} {}", token.0, other.0);
        }
    }
}
