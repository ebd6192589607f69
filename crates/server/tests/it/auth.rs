//! Who may do what: every operation of the document and every route of the registry, with every kind of credential.

use std::collections::BTreeSet;
use std::sync::Arc;

use layer0_server::testing::{TestApp, TestOptions};
use layer0_testkit::clock::FixedClock;
use reqwest::Method;
use serde_json::Value;

use crate::support::{Raw, basic};

/// Who is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Everyone,
    Users,
}

/// Every operation. A new one has to be put here by whoever makes it.
const OPERATIONS: &[(&str, To)] = &[
    ("health", To::Everyone),
    ("index", To::Users),
    ("admin_config", To::Users),
    ("admin_logs", To::Users),
    ("admin_verify", To::Users),
    ("deploy_list", To::Users),
    ("deploy_create", To::Users),
    ("deploy_get", To::Users),
    ("deploy_delete", To::Users),
    ("environment_list", To::Users),
    ("environment_create", To::Users),
    ("environment_get", To::Users),
    ("environment_update", To::Users),
    ("environment_delete", To::Users),
    ("environment_logs", To::Users),
    ("load_balancer_list", To::Users),
    ("load_balancer_create", To::Users),
    ("load_balancer_get", To::Users),
    ("load_balancer_update", To::Users),
    ("load_balancer_delete", To::Users),
    ("service_list", To::Users),
    ("service_create", To::Users),
    ("service_get", To::Users),
    ("service_update", To::Users),
    ("service_delete", To::Users),
    ("service_logs", To::Users),
    ("task_list", To::Users),
    ("task_create", To::Users),
    ("task_get", To::Users),
    ("task_stop", To::Users),
    ("task_delete", To::Users),
    ("task_logs", To::Users),
    ("operation_list", To::Users),
    ("operation_get", To::Users),
    ("operation_events", To::Users),
    ("operation_follow", To::Users),
    ("tag_list", To::Users),
    ("tag_create", To::Users),
    ("tag_delete", To::Users),
    ("repository_list", To::Users),
    ("repository_list_of", To::Users),
    ("repository_create", To::Users),
    ("repository_get", To::Users),
    ("repository_delete", To::Users),
    ("image_resolve", To::Users),
    ("map_list", To::Users),
    ("map_add", To::Users),
    ("map_remove", To::Users),
    ("account_list", To::Users),
    ("account_grant", To::Users),
    ("account_revoke", To::Users),
    ("token_list", To::Users),
    ("token_create", To::Users),
    ("token_revoke", To::Users),
];

/// Operation id, method, path with its parameters filled in, and the operation itself.
fn operations() -> Vec<(String, Method, String, Value)> {
    let document: Value = serde_json::from_str(&layer0_server::openapi_json()).expect("the document is JSON");
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("there are paths") {
        for (method, operation) in methods.as_object().expect("a path has methods") {
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no operationId"));
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let filled: Vec<&str> =
                path.split('/').map(|part| if part.starts_with('{') { "something" } else { part }).collect();
            found.push((id.to_owned(), method, filled.join("/"), operation.clone()));
        }
    }
    found
}

/// Each operation has a tag, an id of its own, and says which errors it answers; `health` has none.
#[test]
fn the_document_is_complete() {
    let all = operations();
    let mut ids = BTreeSet::new();
    for (id, method, path, operation) in &all {
        assert!(ids.insert(id.clone()), "{id} is there twice");
        assert!(operation["tags"].as_array().is_some_and(|tags| tags.len() == 1), "{method} {path} has no tag");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path} says nothing");
        let responses = operation["responses"].as_object().expect("there are responses");
        assert!(responses.keys().any(|status| status.starts_with('2')), "{method} {path} never succeeds");
        if id != "health" {
            assert!(responses.contains_key("4XX") && responses.contains_key("5XX"), "{method} {path} has no errors");
        }
    }
    let table: BTreeSet<String> = OPERATIONS.iter().map(|(id, _)| (*id).to_owned()).collect();
    assert_eq!(ids, table, "each operation has a row in the authorisation table, and no row is left over");
    assert_eq!(all.len(), OPERATIONS.len(), "no row is there twice");
}

/// A credential, and what it is.
struct Credentials {
    good: Vec<(&'static str, String)>,
    bad: Vec<(&'static str, Option<String>)>,
    pull: String,
}

async fn credentials(app: &TestApp, clock: &FixedClock) -> Credentials {
    let raw = Raw::of(app);
    let (expired, expired_secret) = app.token(1).await;
    clock.advance_ms(24 * 60 * 60 * 1000);
    let (user, password) = app.pull_credential("team/app").await;
    let (revoked, revoked_secret) = app.token(30).await;
    let gone = raw.delete(&format!("/token/{revoked}")).await.expect(200).json();
    assert_eq!(gone["user"], "admin");
    let (good, secret) = app.token(30).await;
    let scoped = raw.get("/auth/token?service=x&scope=repository:team/app:pull,push,delete").await.expect(200).json();
    let scoped = scoped["token"].as_str().expect("a token").to_owned();
    let bad = vec![
        ("nobody", None),
        ("an unknown token", Some(basic("admin", "l0_0000000000000000000000000000000000000000000000000000"))),
        ("no secret", Some(basic("admin", ""))),
        ("another user's name", Some(basic("somebody", &secret))),
        ("an unknown bearer", Some("Bearer garbage".to_owned())),
        ("no base64", Some("Basic ???".to_owned())),
        ("another scheme", Some(format!("Digest {good}"))),
        ("no scheme", Some(good.clone())),
        ("a revoked token", Some(format!("Basic {revoked}"))),
        ("a revoked bearer", Some(format!("Bearer {revoked_secret}"))),
        ("an expired token", Some(format!("Basic {expired}"))),
        ("an expired bearer", Some(format!("Bearer {expired_secret}"))),
        ("a pull credential as bearer of another key", Some(format!("Bearer {}x", password))),
    ];
    let good = vec![
        ("the first token", format!("Basic {}", app.auth())),
        ("a token", format!("Basic {good}")),
        ("its secret as bearer", format!("Bearer {secret}")),
        // Good in the registry only; see below.
        ("a token for the registry", format!("Bearer {scoped}")),
    ];
    Credentials { good, bad, pull: basic(&user, &password) }
}

async fn app() -> (TestApp, Arc<FixedClock>) {
    let clock = Arc::new(FixedClock::default());
    let options = TestOptions { clock: clock.clone(), ..TestOptions::default() };
    (TestApp::with(options).await, clock)
}

#[tokio::test]
async fn every_operation_lets_in_whom_the_table_names() {
    let (mut app, clock) = app().await;
    // What the calls with a good token make is not looked at.
    app.leftovers_allowed();
    let raw = Raw::of(&app);
    let mut all = credentials(&app, &clock).await;
    let scoped = all.good.pop().expect("the last one");
    all.bad.push(("a pull credential", Some(all.pull.clone())));
    all.bad.push((scoped.0, Some(scoped.1)));
    for (id, method, path, _) in operations() {
        let to = OPERATIONS.iter().find(|row| row.0 == id).unwrap_or_else(|| panic!("{id} has no row")).1;
        for (what, auth) in &all.bad {
            let answer = raw.as_(auth.as_deref()).send(method.clone(), &path, &[], "").await;
            match to {
                To::Everyone => assert_eq!(answer.status, 200, "{id} with {what}: {}", answer.text()),
                To::Users => {
                    assert_eq!(answer.status, 401, "{id} with {what}: {}", answer.text());
                    assert_eq!(answer.error(401).error_code, "Unauthorized", "{id} with {what}");
                    // RFC 9110, section 15.5.2: a 401 names a way to sign in.
                    assert_eq!(answer.header("www-authenticate"), "Basic realm=\"Layer0\"", "{id} with {what}");
                }
            }
        }
        // Those that end what the others need come last in no order of theirs: they name what isn't there.
        for (what, auth) in &all.good {
            let answer = raw.as_(Some(auth)).send(method.clone(), &path, &[], "").await;
            assert!(![401, 403, 500].contains(&answer.status), "{id} with {what}: {} {}", answer.status, answer.text());
        }
    }
}

/// What is not in the document: the document itself, and where the registry's tokens come from.
#[tokio::test]
async fn the_routes_beside_the_document_are_as_open_as_they_must_be() {
    let (app, clock) = app().await;
    let raw = Raw::with(&app, None);
    let all = credentials(&app, &clock).await;
    let document = raw.get("/openapi.json").await.expect(200);
    let wanted: Value = serde_json::from_str(&layer0_server::openapi_json()).expect("JSON");
    assert_eq!(document.json(), wanted, "it tells nobody anything that is not public");
    let path = "/auth/token?scope=repository:team/app:pull";
    for (what, auth) in &all.bad {
        let answer = raw.as_(auth.as_deref()).get(path).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        assert!(answer.header("www-authenticate").starts_with("Basic "), "{what}");
    }
    let answer = raw.as_(Some(&all.good[1].1)).get(path).await.expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.json()["token"], answer.json()["access_token"]);
    raw.as_(Some(&all.pull)).get(path).await.expect(200);
}

/// What a route of the registry does, or that it needs no more than to be somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Nothing,
    Pull,
    Change,
}

/// Every route of the registry, `{}` for the repository.
const REGISTRY: &[(&str, &str, Does)] = &[
    ("GET", "/v2/", Does::Nothing),
    ("GET", "/v2/_catalog", Does::Nothing),
    ("GET", "/v2/{}/tags/list", Does::Pull),
    ("GET", "/v2/{}/manifests/1", Does::Pull),
    ("HEAD", "/v2/{}/manifests/1", Does::Pull),
    ("PUT", "/v2/{}/manifests/2", Does::Change),
    ("DELETE", "/v2/{}/manifests/3", Does::Change),
    ("GET", "/v2/{}/blobs/sha256:0000000000000000000000000000000000000000000000000000000000000000", Does::Pull),
    ("HEAD", "/v2/{}/blobs/sha256:0000000000000000000000000000000000000000000000000000000000000000", Does::Pull),
    ("DELETE", "/v2/{}/blobs/sha256:0000000000000000000000000000000000000000000000000000000000000000", Does::Change),
    ("GET", "/v2/{}/referrers/sha256:0000000000000000000000000000000000000000000000000000000000000000", Does::Pull),
    ("POST", "/v2/{}/blobs/uploads/", Does::Change),
    ("GET", "/v2/{}/blobs/uploads/something", Does::Change),
    ("PATCH", "/v2/{}/blobs/uploads/something", Does::Change),
    ("PUT", "/v2/{}/blobs/uploads/something", Does::Change),
    ("DELETE", "/v2/{}/blobs/uploads/something", Does::Change),
];

#[tokio::test]
async fn every_route_of_the_registry_lets_in_whom_it_should() {
    let (app, clock) = app().await;
    let raw = Raw::of(&app);
    for name in ["app", "other"] {
        raw.post("/repository/team", &serde_json::json!({"name": name})).await.expect(201);
        raw.push(&format!("team/{name}"), "1", "amd64", name).await;
    }
    let all = credentials(&app, &clock).await;
    for (method, path, does) in REGISTRY {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let at = |repository: &str| path.replace("{}", repository);
        for (what, auth) in &all.bad {
            let answer = raw.as_(auth.as_deref()).send(method.clone(), &at("team/app"), &[], "").await;
            assert_eq!(answer.status, 401, "{method} {path} with {what}: {}", answer.text());
            let challenge = answer.header("www-authenticate");
            assert!(challenge.starts_with("Bearer realm=\"http://"), "{method} {path} with {what}: {challenge}");
            assert!(challenge.contains("/auth/token\""), "{method} {path} with {what}: {challenge}");
        }
        for (what, auth) in &all.good {
            let answer = raw.as_(Some(auth)).send(method.clone(), &at("team/app"), &[], "").await;
            assert!(![401, 403, 500].contains(&answer.status), "{method} {path} with {what}: {}", answer.status);
        }
        // The engine's credential: pull from its own repository, and nothing else.
        let pull = raw.as_(Some(&all.pull));
        let own = pull.send(method.clone(), &at("team/app"), &[], "").await;
        let other = pull.send(method.clone(), &at("team/other"), &[], "").await;
        let refused = [401, 403];
        match does {
            Does::Nothing => assert_eq!(own.status, 200, "{method} {path}: {}", own.text()),
            Does::Pull => {
                assert!(!refused.contains(&own.status), "{method} {path}: {}", own.status);
                assert!(refused.contains(&other.status), "{method} {path} elsewhere: {}", other.status);
            }
            Does::Change => {
                assert!(refused.contains(&own.status), "{method} {path}: {}", own.status);
                assert!(refused.contains(&other.status), "{method} {path} elsewhere: {}", other.status);
            }
        }
    }
    let pull = raw.as_(Some(&all.pull));
    pull.get("/v2/team/app/manifests/1").await.expect(200);
    let seen = pull.get("/v2/_catalog").await.expect(200).json();
    assert_eq!(seen["repositories"], serde_json::json!(["team/app"]), "it learns of no other repository");
    // Minutes later it opens nothing.
    clock.advance_ms(16 * 60 * 1000);
    pull.get("/v2/team/app/manifests/1").await.expect(401);
}

/// A token for the registry carries what was asked for and no more, and ends with the token that it was made with.
#[tokio::test]
async fn a_registry_token_opens_its_scope_until_its_user_is_shut_out() {
    let (app, clock) = app().await;
    let raw = Raw::of(&app);
    raw.post("/repository/team", &serde_json::json!({"name": "app"})).await.expect(201);
    raw.push("team/app", "1", "amd64", "x").await;
    let (auth, _) = app.token(30).await;
    let user = raw.as_(Some(&format!("Basic {auth}")));
    let scoped = user.get("/auth/token?scope=repository:team/app:pull").await.expect(200).json();
    let scoped = raw.as_(Some(&format!("Bearer {}", scoped["token"].as_str().expect("a token"))));
    scoped.get("/v2/team/app/manifests/1").await.expect(200);
    let push = scoped.send(Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await.expect(401);
    assert!(push.header("www-authenticate").contains("scope=\"repository:team/app:"), "{:?}", push.headers);
    scoped.get("/v2/team/other/tags/list").await.expect(401);
    raw.delete(&format!("/token/{auth}")).await.expect(200);
    scoped.get("/v2/team/app/manifests/1").await.expect(401);
    user.get("/service").await.expect(401);

    let late = raw.get("/auth/token?scope=repository:team/app:pull").await.expect(200).json();
    assert_eq!(late["expires_in"], 300);
    let late = raw.as_(Some(&format!("Bearer {}", late["token"].as_str().expect("a token"))));
    clock.advance_ms(299_999);
    late.get("/v2/team/app/manifests/1").await.expect(200);
    clock.advance_ms(1);
    late.get("/v2/team/app/manifests/1").await.expect(401);
}

/// Tokens on the wire: the fields of `/token`, the secret shown once, the default and the bounds of a token's life.
#[tokio::test]
async fn tokens_are_made_listed_and_revoked() {
    let (app, _clock) = app().await;
    let raw = Raw::of(&app);
    // The predecessor's client sends no body and no content type.
    let made = raw.send(Method::POST, "/token", &[], "").await.expect(201).json();
    let fields: BTreeSet<&str> = made.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(fields, ["expires", "name", "secret", "token", "token_id", "user"].into());
    assert_eq!(made["expires"], "2024-03-31T00:00:00.000Z", "90 days from the clock's 2024-01-01");
    let never = raw.post("/token", &serde_json::json!({"name": "ci", "expires_days": 0})).await.expect(201).json();
    assert_eq!((never["expires"].as_str(), never["name"].as_str()), (Some(""), Some("ci")));
    for days in [-1, 3651] {
        raw.post("/token", &serde_json::json!({"expires_days": days})).await.error(422);
    }
    let listed = raw.get("/token").await.expect(200);
    for secret in [made["secret"].as_str(), never["secret"].as_str()].into_iter().flatten() {
        assert!(!listed.text().contains(secret) && secret.len() > 50);
    }
    assert_eq!(listed.json().as_array().map(Vec::len), Some(3));
    let ci = raw.as_(Some(&format!("Basic {}", never["token"].as_str().expect("a token"))));
    ci.get("/service").await.expect(200);
    let id = never["token_id"].as_str().expect("an id");
    raw.delete(&format!("/token/{id}")).await.expect(200);
    ci.get("/service").await.expect(401);
    assert_eq!(raw.delete(&format!("/token/{id}")).await.error(404).error_code, "TokenDoesNotExist");
}
