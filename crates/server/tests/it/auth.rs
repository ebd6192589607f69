//! Who may do what: every operation of the document, with every kind of caller. The registry's routes have a table of their
//! own beside this one.

use std::collections::BTreeSet;
use std::sync::Arc;

use layer0_server::testing::{TestApp, TestOptions};
use layer0_testkit::clock::FixedClock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Raw, basic};
use crate::teams::{CALLERS, Teams};

/// An operation; what a reader, a writer and a maintainer of the owner, the maintainer of another owner, and an admin get
/// (2: it is done, +: let in, and then refused for another reason, 3: 403, 4: 404, as if it were not there); its path behind the method, and its body.
///
/// Whoever has no credential, or one that has expired or was revoked, gets 401, but for what is open to everyone (`open`). What
/// looks at nothing but what is shown (`shown`) refuses everybody alike; what a provider decides (`provider`) is missing for everybody
/// alike where there is none, as here.
type Row = (&'static str, &'static str, &'static str, &'static str);

const DEPLOY: &str = r#"{"deploy_name": "web", "deploy_file": "eyJjb250YWluZXJEZWZpbml0aW9ucyI6W3sibmFtZSI6ImFwcCIsImltYWdlIjoieCIsIm1lbW9yeSI6NjR9XX0="}"#;
const LB: &str = r#"{"load_balancer_name": "lb2", "environment_id": "{environment}", "ports": [{"host_port": 8081, "container_port": 80, "protocol": "http"}]}"#;
const SERVICE: &str =
    r#"{"service_name": "web2", "environment_id": "{environment}", "deploy_id": "{deploy}", "scale": 1}"#;
const TASK: &str = r#"{"task_name": "job2", "environment_id": "{environment}", "deploy_id": "{deploy}"}"#;
const TAG: &str = r#"{"entity_id": "{environment}", "entity_type": "environment", "key": "k", "value": "v"}"#;
const ENVIRONMENT: &str = r#"{"environment_name": "new", "operating_system": "linux", "owner_name": "team"}"#;

const TRUST: &str = r#"{"trust_name": "new", "issuer": "https://gitlab.com", "claims": ["project_path=group/app"], "audience": "https://l0.example.com", "scopes": ["pull:team/*"]}"#;

/// Every operation. A new one has to be put here by whoever makes it.
const OPERATIONS: &[Row] = &[
    ("health", "open", "/health", ""),
    ("index", "22222", "/", ""),
    ("whoami", "22222", "/whoami", ""),
    ("admin_config", "22222", "/admin/config", ""),
    ("admin_logs", "33332", "/admin/logs", ""),
    ("admin_audit", "33332", "/admin/audit", ""),
    ("admin_verify", "33332", "/admin/verify", ""),
    ("admin_sweep_plan", "33332", "/admin/sweep", ""),
    ("admin_sweep", "33332", "/admin/sweep", ""),
    ("admin_gc_plan", "33332", "/admin/gc", ""),
    ("admin_gc", "33332", "/admin/gc", ""),
    ("admin_backup", "33332", "/admin/backup", ""),
    // Of one that does not go on, which is said to whoever may have it.
    ("admin_backup_state", "3333+", "/admin/backup/none/state", ""),
    ("admin_backup_blobs", "3333+", "/admin/backup/none/blobs", ""),
    ("admin_backup_blob", "3333+", "/admin/backup/none/blob/none", ""),
    ("admin_backup_end", "33332", "/admin/backup/none", ""),
    ("deploy_list", "22222", "/deploy", ""),
    ("deploy_create", "32232", "/deploy", DEPLOY),
    ("deploy_get", "22242", "/deploy/{deploy}", ""),
    ("deploy_delete", "33242", "/deploy/{deploy}", ""),
    ("environment_list", "22222", "/environment", ""),
    ("environment_create", "33232", "/environment", ENVIRONMENT),
    ("environment_get", "22242", "/environment/{environment}", ""),
    ("environment_update", "33242", "/environment/{environment}", r#"{"add_links": ["{unused}"]}"#),
    ("environment_delete", "33242", "/environment/{unused}", ""),
    ("environment_logs", "22242", "/environment/{environment}/logs", ""),
    ("load_balancer_list", "22222", "/loadbalancer", ""),
    ("load_balancer_create", "32242", "/loadbalancer", LB),
    ("load_balancer_get", "22242", "/loadbalancer/{lb}", ""),
    ("load_balancer_update", "32242", "/loadbalancer/{lb}", r#"{"idle_timeout": 30}"#),
    ("load_balancer_delete", "33242", "/loadbalancer/{lb}", ""),
    ("service_list", "22222", "/service", ""),
    ("service_create", "32242", "/service", SERVICE),
    ("service_get", "22242", "/service/{service}", ""),
    ("service_update", "32242", "/service/{service}", r#"{"scale": 2}"#),
    // It has none under way, or none before it, which is said to whoever may.
    ("service_abort", "3++4+", "/service/{service}/abort", ""),
    ("service_rollback", "3++4+", "/service/{service}/rollback", ""),
    ("service_delete", "33242", "/service/{service}", ""),
    ("service_logs", "22242", "/service/{service}/logs", ""),
    ("task_list", "22222", "/task", ""),
    ("task_create", "32242", "/task", TASK),
    ("task_get", "22242", "/task/{task}", ""),
    // It has ended by itself meanwhile, which is said to whoever may stop it.
    ("task_stop", "3++4+", "/task/{task}/stop", ""),
    ("task_delete", "33242", "/task/{task}", ""),
    ("task_logs", "22242", "/task/{task}/logs", ""),
    ("operation_list", "22222", "/operation", ""),
    ("operation_get", "22242", "/operation/{operation}", ""),
    ("operation_events", "22242", "/operation/{operation}/log", ""),
    ("operation_follow", "22242", "/operation/{operation}/events", ""),
    ("tag_list", "22222", "/tag", ""),
    ("tag_create", "32242", "/tag", TAG),
    ("tag_delete", "32242", "/tag", TAG),
    ("repository_list", "22222", "/repository", ""),
    ("repository_list_of", "22222", "/repository/team", ""),
    // A local instance has none to adopt, which is said to whoever might.
    ("repository_import", "33+3+", "/repository", r#"{"backing": "l0/team/app", "name": "team/app"}"#),
    ("repository_create", "33232", "/repository/team", r#"{"name": "new"}"#),
    ("repository_get", "22242", "/repository/team/app", ""),
    ("repository_update", "33242", "/repository/team/empty", r#"{"visibility": "private"}"#),
    ("repository_delete", "33242", "/repository/team/empty", ""),
    ("migration_list", "22222", "/migration", ""),
    // A local instance has no other registry, and nothing was ever moved, which is said to whoever may ask.
    ("migration_ask", "3333+", "/migration", r#"{"repository": "team/app", "to": "ecr"}"#),
    ("migration_get", "44444", "/migration/team/app", ""),
    ("migration_update", "33334", "/migration/team/app", r#"{"delete_source": true}"#),
    ("migration_cancel", "33334", "/migration/team/app", ""),
    ("migration_follow", "44444", "/migration/events?repository=team/app", ""),
    ("image_resolve", "22222", "/image/resolve?image=registry.layer0.test/team/app:1", ""),
    ("image_check", "22242", "/image/check?image=registry.layer0.test/team/app:1&environment_id={environment}", ""),
    ("map_list", "22222", "/map", ""),
    ("map_add", "33332", "/map", r#"{"rule": "quay.example.com|localhost:1"}"#),
    ("map_remove", "33332", "/map?prefix=docker.example.com", ""),
    ("account_list", "22222", "/account", ""),
    // A local instance refuses both to whoever may ask; see `account`.
    ("account_grant", "3333+", "/account", r#"{"account": "123456789012"}"#),
    ("account_revoke", "3333+", "/account/123456789012", ""),
    ("account_plan", "3333+", "/account/plan?account=123456789012", ""),
    // None is there to follow, which is said to everybody who may know of one.
    ("account_follow", "44444", "/account/events?account=123456789012", ""),
    ("token_list", "22222", "/token", ""),
    ("token_create", "33232", "/token", r#"{"owner": "team", "scopes": ["pull:team/*"]}"#),
    ("token_registry", "22222", "/token/registry", ""),
    ("token_rotate", "44242", "/token/{robot}/rotate", ""),
    ("token_revoke", "44242", "/token/{robot}", ""),
    ("user_list", "22222", "/user", ""),
    ("user_create", "33332", "/user", r#"{"user_name": "new"}"#),
    ("user_get", "44442", "/user/guest", ""),
    ("user_update", "44442", "/user/guest", r#"{"password": "correct horse"}"#),
    ("user_delete", "44442", "/user/guest", ""),
    ("owner_list", "22222", "/owner", ""),
    ("owner_create", "33332", "/owner", r#"{"owner_name": "new"}"#),
    ("owner_get", "22242", "/owner/team", ""),
    ("owner_update", "33342", "/owner/team", r#"{"quota_bytes": 1000000}"#),
    ("owner_delete", "44432", "/owner/other", ""),
    ("trust_list", "33242", "/owner/team/trust", ""),
    ("trust_create", "33242", "/owner/team/trust", TRUST),
    ("trust_delete", "33242", "/owner/team/trust/ci", ""),
    // What is shown decides, whoever signed in.
    ("token_exchange", "shown", "/token/exchange", r#"{"oidc_token": "a.b.c"}"#),
    ("device_begin", "provider", "/auth/device", "{}"),
    ("device_token", "provider", "/auth/device/token", r#"{"device_code": "x"}"#),
    ("tag_rule_add", "33242", "/owner/team/immutable", r#"{"tags": "v*"}"#),
    ("tag_rule_remove", "33242", "/owner/team/immutable?tags=fixed-*", ""),
    ("retention_rule_add", "33242", "/owner/team/retention", r#"{"tags": "dev-*", "keep_last": 3}"#),
    ("retention_rule_remove", "33242", "/owner/team/retention?tags=fixed-*", ""),
    ("member_list", "22242", "/owner/team/member", ""),
    ("member_put", "33242", "/owner/team/member/guest", r#"{"role": "writer"}"#),
    ("member_delete", "33242", "/owner/team/member/guest", ""),
];

/// Operation id, method, path, and the operation itself.
pub(crate) fn operations() -> Vec<(String, Method, String, Value)> {
    let document: Value = serde_json::from_str(&layer0_server::openapi_json()).expect("the document is JSON");
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("there are paths") {
        for (method, operation) in methods.as_object().expect("a path has methods") {
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no operationId"));
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            found.push((id.to_owned(), method, path.clone(), operation.clone()));
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
    let table: BTreeSet<String> = OPERATIONS.iter().map(|row| row.0.to_owned()).collect();
    assert_eq!(ids, table, "each operation has a row in the authorisation table, and no row is left over");
    assert_eq!(all.len(), OPERATIONS.len(), "no row is there twice");
}

/// Each operation on an instance of its own: first those who are refused, then those who are let in, the least first, so
/// that what the first of them does is really done.
async fn row_holds(row: &Row, method: &Method) {
    let (id, expected, path, body) = *row;
    let mut teams = Teams::full().await;
    // What the calls make is not looked at.
    teams.app.leftovers_allowed();
    let (path, body) = (teams.filled(path), teams.filled(body));
    let ask = async |caller: &str| teams.as_(caller).send(method.clone(), &path, &[], body.clone()).await;
    if expected == "open" {
        for caller in ["anonymous", "expired", "revoked", "reader", "admin"] {
            assert_eq!(ask(caller).await.status, 200, "{id} as {caller}");
        }
        return;
    }
    if expected == "provider" {
        for caller in ["anonymous", "expired", "revoked", "reader", "admin"] {
            assert_eq!(ask(caller).await.error(404).error_code, "RouteDoesNotExist", "{id} as {caller}");
        }
        return;
    }
    if expected == "shown" {
        for caller in ["anonymous", "expired", "reader", "admin"] {
            assert_eq!(ask(caller).await.error(401).error_code, "Unauthorized", "{id} as {caller}");
        }
        return;
    }
    for caller in ["anonymous", "expired", "revoked"] {
        let answer = ask(caller).await;
        assert_eq!(answer.error(401).error_code, "Unauthorized", "{id} as {caller}");
        // RFC 9110, section 15.5.2: a 401 names a way to sign in.
        assert_eq!(answer.header("www-authenticate"), "Basic realm=\"Layer0\"", "{id} as {caller}");
    }
    let all: Vec<(&str, char)> = CALLERS.iter().copied().zip(expected.chars()).collect();
    for (caller, wanted) in all.iter().filter(|(_, wanted)| "34".contains(*wanted)) {
        let answer = ask(caller).await;
        let status = if *wanted == '3' { 403 } else { 404 };
        let error = answer.error(status);
        assert!(*wanted != '3' || error.error_code == "Forbidden", "{id} as {caller}: {error:?}");
    }
    let allowed: Vec<(&str, char)> = all.into_iter().filter(|(_, wanted)| "2+".contains(*wanted)).collect();
    for (at, (caller, wanted)) in allowed.iter().enumerate() {
        let answer = ask(caller).await;
        if *wanted == '2' && (at == 0 || method.is_safe()) {
            assert!((200..300).contains(&answer.status), "{id} as {caller}: {} {}", answer.status, answer.text());
        } else {
            // It is done already, or done once more.
            assert!(![401, 403, 500].contains(&answer.status), "{id} as {caller}: {} {}", answer.status, answer.text());
        }
    }
}

#[tokio::test]
async fn every_operation_lets_in_whom_the_table_names() {
    let methods = operations();
    for row in OPERATIONS {
        let (_, method, ..) = methods.iter().find(|(id, ..)| id == row.0).expect("the tables agree, see above");
        row_holds(row, method).await;
    }
}

/// What a list shows is what the caller may see, and nothing of anybody else's.
#[tokio::test]
async fn lists_show_what_the_caller_may_see() {
    let teams = Teams::full().await;
    teams.raw.post("/repository/other", &json!({"name": "app"})).await.expect(201);
    let shown = async |caller: &str, path: &str| {
        let answer = teams.as_(caller).get(path).await.expect(200).json();
        let list = if path.starts_with("/repository") { answer["repositories"].clone() } else { answer };
        list.as_array().expect("a list").len()
    };
    for (path, reader, stranger, admin) in [
        ("/environment", 2, 0, 2),
        ("/service", 1, 0, 1),
        ("/task", 1, 0, 1),
        ("/loadbalancer", 1, 0, 1),
        ("/deploy", 1, 0, 1),
        ("/tag?type=service", 2, 0, 2),
        ("/repository", 2, 1, 3),
        ("/repository/team", 2, 0, 2),
        ("/owner", 1, 1, 2),
        ("/user", 1, 1, 6),
        // Each sees one's own token; the robot's is its maintainers' to see.
        ("/token", 1, 1, 7),
    ] {
        let found = (shown("reader", path).await, shown("stranger", path).await, shown("admin", path).await);
        assert_eq!(found, (reader, stranger, admin), "{path}");
    }
    assert_eq!(shown("maintainer", "/token").await, 2);
    assert!(shown("reader", "/operation").await >= 5);
    assert_eq!(shown("stranger", "/operation").await, 0);
}

/// A local instance has no account grants: whoever may ask for one is told so.
#[tokio::test]
async fn account() {
    let teams = Teams::empty().await;
    teams.raw.post("/account", &json!({"account": "123456789012"})).await.error(422);
    teams.raw.delete("/account/123456789012").await.error(422);
}

async fn app() -> (TestApp, Arc<FixedClock>) {
    let clock = Arc::new(FixedClock::default());
    let options = TestOptions { clock: clock.clone(), ..TestOptions::default() };
    (TestApp::with(options).await, clock)
}

/// What can't be read as a credential, or is none, opens nothing.
#[tokio::test]
async fn what_is_no_credential_opens_nothing() {
    let (app, _clock) = app().await;
    let raw = Raw::of(&app);
    let (good, secret) = app.token(30).await;
    let (user, password) = app.pull_credential("team/app").await;
    let scoped = raw.get("/auth/token?service=x&scope=repository:team/app:pull").await.expect(200).json();
    let scoped = scoped["token"].as_str().expect("a token").to_owned();
    for (what, auth) in [
        ("an unknown token", basic("admin", "l0_0000000000000000000000000000000000000000000000000000")),
        ("no secret", basic("admin", "")),
        ("another user's name", basic("somebody", &secret)),
        ("an unknown bearer", "Bearer garbage".to_owned()),
        ("no base64", "Basic ???".to_owned()),
        ("another scheme", format!("Digest {good}")),
        ("no scheme", good.clone()),
        ("a pull credential", basic(&user, &password)),
        ("a pull credential as bearer of another key", format!("Bearer {password}x")),
        ("a token for the registry", format!("Bearer {scoped}")),
    ] {
        let refused = raw.as_(Some(&auth)).get("/service").await.error(401);
        assert_eq!(refused.message, "the token is wrong, has expired or was revoked", "{what}");
        assert!(refused.hint.is_some_and(|hint| hint.contains("`l0 login URL`")), "{what}");
        if !what.starts_with("a pull credential") && !what.starts_with("a token for") {
            let answer = raw.as_(Some(&auth)).get("/auth/token?scope=repository:team/app:pull").await;
            assert_eq!(answer.status, 401, "{what}: {}", answer.text());
            assert!(answer.header("www-authenticate").starts_with("Basic "), "{what}");
        }
    }
    let nobody = Raw::with(&app, None).get("/service").await.error(401);
    assert_eq!(nobody.message, "no token was given");
    for auth in [format!("Basic {}", app.auth()), format!("Basic {good}"), format!("Bearer {secret}")] {
        raw.as_(Some(&auth)).get("/service").await.expect(200);
    }
    let document = Raw::with(&app, None).get("/openapi.json").await.expect(200);
    let wanted: Value = serde_json::from_str(&layer0_server::openapi_json()).expect("JSON");
    assert_eq!(document.json(), wanted, "it tells nobody anything that is not public");
}

/// Registry clients show the sentence only where they look for it.
#[tokio::test]
async fn the_token_endpoint_refuses_in_the_words_of_the_api_and_of_the_registry() {
    let app = TestApp::start().await;
    let refused = Raw::of(&app).as_(Some(&basic("admin", "wrong"))).get("/auth/token").await.expect(401);
    assert_eq!(refused.error(401).error_code, "Unauthorized");
    let words = refused.json()["errors"][0].clone();
    assert_eq!(words["code"], "UNAUTHORIZED");
    assert!(words["message"].as_str().expect("text").contains("`l0 token create` makes a token"), "{words}");
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
