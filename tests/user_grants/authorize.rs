//! Authorization requests (RFC 6749 §4.1.1, RFC 7636 §4.3): which are shown, and where others are answered.

use std::time::Duration;

use symbolon::oauth::authorize::{AuthorizationError, AuthorizationParameters, Refusal};

use crate::run;
use crate::world::{
    App, CHALLENGE, ISSUER, Kind, NOTES, REDIRECT_URI, Registration, SCOPE, World, parameter, parameters,
};

async fn setting() -> (World, App) {
    let world = World::new(Kind::Sqlite).await;
    let app = world.usual_app().await;
    (world, app)
}

/// The error that the client is told, which comes with its state and the issuer.
#[track_caller]
fn redirected(world: &World, parameters: &AuthorizationParameters<'_>) -> String {
    match world.replicas[0].authorize(parameters) {
        Err(Refusal::Redirect(location)) => {
            assert!(location.starts_with(REDIRECT_URI), "{location}");
            assert_eq!(parameter(&location, "state").as_deref(), parameters.state);
            assert_eq!(parameter(&location, "iss").as_deref(), Some(ISSUER));
            assert_eq!(parameter(&location, "code"), None);
            parameter(&location, "error").unwrap()
        }
        other => panic!("not redirected: {other:?}"),
    }
}

#[test]
fn a_request_is_read() {
    run(async {
        let (world, app) = setting().await;
        let asked = AuthorizationParameters {
            scope: Some("notes:read mail:send"),
            resources: vec![NOTES],
            prompt: Some("login consent"),
            max_age: Some("300"),
            login_hint: Some("ada"),
            ..parameters(&app)
        };
        let request = world.replicas[0].authorize(&asked).unwrap();
        assert_eq!(request.client.id.as_str(), app.id);
        assert_eq!(request.redirect_uri.as_str(), REDIRECT_URI);
        assert_eq!(request.scope.as_str(), "notes:read");
        assert_eq!(request.audience.len(), 1);
        assert!(request.prompt.login && request.prompt.consent && !request.prompt.none);
        assert_eq!(request.max_age, Some(Duration::from_secs(300)));
        assert_eq!(request.login_hint.as_deref(), Some("ada"));
        let plain = world.replicas[0].authorize(&parameters(&app)).unwrap();
        assert_eq!(plain.scope.as_str(), SCOPE, "without a scope, all that the client is registered for");
        assert_eq!((plain.audience.len(), plain.max_age), (2, None));
    });
}

#[test]
fn a1_who_cannot_be_trusted_is_not_redirected() {
    run(async {
        let (world, app) = setting().await;
        world.app("disabled", Registration::default()).await;
        let (_, recorded) = world.admin.enable_client("disabled", false).await.unwrap();
        world.settle(recorded).await;
        let good = parameters(&app);
        for untrusted in [
            AuthorizationParameters { client_id: None, ..good.clone() },
            AuthorizationParameters { client_id: Some("unknown"), ..good.clone() },
            AuthorizationParameters { client_id: Some("disabled"), ..good.clone() },
            AuthorizationParameters { redirect_uri: None, ..good.clone() },
            AuthorizationParameters { redirect_uri: Some("https://app.example/callback/"), ..good.clone() },
            AuthorizationParameters { redirect_uri: Some("https://evil.example/"), ..good.clone() },
            AuthorizationParameters { redirect_uri: Some("javascript:alert(1)"), ..good.clone() },
            AuthorizationParameters {
                redirect_uri: Some("https://evil.example/"),
                prompt: Some("none"),
                ..good.clone()
            },
        ] {
            let refusal = world.replicas[0].authorize(&untrusted).unwrap_err();
            let Refusal::Page(words) = &refusal else { panic!("{refusal:?}") };
            assert!(!words.contains("evil") && !words.contains("unknown"), "nothing is reflected");
        }
    });
}

#[test]
fn a2_every_other_error_is_told_to_the_client() {
    run(async {
        let (world, app) = setting().await;
        let good = parameters(&app);
        for (parameters, error) in [
            (AuthorizationParameters { response_type: None, ..good.clone() }, "invalid_request"),
            (
                AuthorizationParameters { response_type: Some("token"), ..good.clone() },
                "unsupported_response_type",
            ),
            (
                AuthorizationParameters { response_type: Some("code token"), ..good.clone() },
                "unsupported_response_type",
            ),
            (AuthorizationParameters { scope: Some("admin"), ..good.clone() }, "invalid_scope"),
            (AuthorizationParameters { scope: Some("a  b"), ..good.clone() }, "invalid_scope"),
            (
                AuthorizationParameters { resources: vec!["https://unknown.example"], ..good.clone() },
                "invalid_target",
            ),
            (AuthorizationParameters { resources: vec!["x#y"], ..good.clone() }, "invalid_target"),
            (AuthorizationParameters { prompt: Some("none login"), ..good.clone() }, "invalid_request"),
            (AuthorizationParameters { prompt: Some("sing"), ..good.clone() }, "invalid_request"),
            (AuthorizationParameters { max_age: Some("-1"), ..good.clone() }, "invalid_request"),
            (AuthorizationParameters { max_age: Some("+1"), ..good.clone() }, "invalid_request"),
        ] {
            assert_eq!(redirected(&world, &parameters), error, "{parameters:?}");
        }
    });
}

#[test]
fn p1_p2_p3_p8_a_request_needs_a_sha_256_challenge() {
    run(async {
        let (world, app) = setting().await;
        let spa = world.app("spa", Registration { public: true, ..Registration::default() }).await;
        let long = CHALLENGE.repeat(3);
        for app in [&app, &spa] {
            for (challenge, method) in [
                (None, None),
                (None, Some("S256")),
                (Some(""), Some("S256")),
                (Some(CHALLENGE), None),
                (Some(CHALLENGE), Some("plain")),
                (Some(CHALLENGE), Some("s256")),
                (Some(CHALLENGE), Some("")),
                (Some(&CHALLENGE[1..]), Some("S256")),
                (Some(&long), Some("S256")),
                (Some("!!!!"), Some("S256")),
            ] {
                let parameters = AuthorizationParameters {
                    code_challenge: challenge,
                    code_challenge_method: method,
                    ..parameters(app)
                };
                assert_eq!(redirected(&world, &parameters), "invalid_request", "{challenge:?} {method:?}");
            }
        }
    });
}

#[test]
fn a_client_that_may_not_is_told_so() {
    run(async {
        let (world, app) = setting().await;
        let grant_types = [symbolon::directory::GrantType::RefreshToken].into();
        let update =
            symbolon::admin::clients::ClientUpdate { grant_types: Some(grant_types), ..Default::default() };
        let (_, recorded) = world.admin.update_client(&app.id, update).await.unwrap();
        world.settle(recorded).await;
        assert_eq!(redirected(&world, &parameters(&app)), "unauthorized_client");
    });
}

#[test]
fn a_refused_request_is_answered_where_it_came_from() {
    run(async {
        let (world, app) = setting().await;
        let local = "http://127.0.0.1:50123/callback";
        let asked = AuthorizationParameters { redirect_uri: Some(local), ..parameters(&app) };
        let request = world.replicas[0].authorize(&asked).unwrap();
        let location = world.replicas[0].refuse(&request, AuthorizationError::AccessDenied);
        assert!(location.starts_with(&format!("{local}?error=access_denied&")), "{location}");
        assert_eq!(parameter(&location, "state").as_deref(), asked.state);
    });
}

#[test]
fn a_client_that_changes_while_the_user_thinks_gets_no_code() {
    run(async {
        let (world, app) = setting().await;
        let request = world.request(&app);
        let update = symbolon::admin::clients::ClientUpdate {
            redirect_uris: Some(vec![
                symbolon::domain::redirect_uri::RedirectUri::parse("https://new.example/callback").unwrap(),
            ]),
            ..Default::default()
        };
        let (_, recorded) = world.admin.update_client(&app.id, update).await.unwrap();
        world.settle(recorded).await;
        let outcome = world.replicas[0].approve(&request, &world.approval()).await;
        assert_eq!(outcome.unwrap_err().code(), "temporarily_unavailable");
    });
}
