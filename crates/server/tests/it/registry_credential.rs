//! The credential for the registry that ends by itself (`GET /token/registry`): what credential helpers hand out.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Raw, basic};
use crate::teams::Teams;

const MINUTE_MS: i64 = 60 * 1000;

/// User name and secret of a credential that this caller makes.
async fn made(raw: &Raw, query: &str) -> (String, String) {
    let made = raw.get(&format!("/token/registry{query}")).await.expect(200);
    assert_eq!(made.header("cache-control"), "no-store");
    let text = |key: &str| made.json()[key].as_str().expect("text").to_owned();
    (text("user"), text("secret"))
}

async fn with_app() -> Teams {
    let teams = Teams::empty().await;
    teams.raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    teams.raw.push("team/app", "1", "amd64", "x").await;
    teams
}

async fn begun_push(raw: &Raw) -> u16 {
    raw.send(Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await.status
}

fn signed(answer: &Value, key: &str) -> String {
    answer[key].as_str().unwrap_or_else(|| panic!("no {key} in {answer}")).to_owned()
}

/// Asked with Basic and through the token endpoint, it opens what its caller may do in the registry, and no more.
#[tokio::test]
async fn it_opens_the_registry_as_far_as_its_caller_may_and_nothing_of_the_api() {
    let teams = with_app().await;
    for (caller, push) in [("reader", 403), ("writer", 202), ("admin", 202)] {
        let (user, secret) = made(&teams.as_(caller), "").await;
        assert_eq!(user, caller);
        let by = teams.raw.as_(Some(&basic(&user, &secret)));
        by.get("/v2/").await.expect(200);
        by.get("/v2/team/app/manifests/1").await.expect(200);
        assert_eq!(begun_push(&by).await, push, "{caller}");
        let scoped = by.get("/auth/token?scope=repository:team/app:pull,push").await.expect(200).json();
        assert!(scoped["refresh_token"].is_null());
        let scoped = teams.raw.as_(Some(&format!("Bearer {}", signed(&scoped, "token"))));
        scoped.get("/v2/team/app/manifests/1").await.expect(200);
        // A challenge for the scope that is missing, where the token endpoint has left it out.
        let refused = begun_push(&scoped).await;
        assert_eq!(refused == 202, push == 202, "{caller}: {refused}");
        for path in ["/whoami", "/token", "/token/registry", "/service"] {
            by.get(path).await.error(401);
        }
        by.post("/token", &json!({})).await.error(401);
    }
    let (user, secret) = made(&teams.as_("stranger"), "").await;
    teams.raw.as_(Some(&basic(&user, &secret))).get("/v2/team/app/manifests/1").await.expect(403);
}

/// A robot's opens its scopes; a person's token with scopes hands out no more than those.
#[tokio::test]
async fn the_scopes_of_the_token_bound_it() {
    let teams = with_app().await;
    let robot = json!({"name": "ci", "owner": "team", "scopes": ["pull:team/app"]});
    let robot = teams.raw.post("/token", &robot).await.expect(201).json();
    let narrow = teams.as_("writer").post("/token", &json!({"scopes": ["pull:team/*"]})).await.expect(201).json();
    for (token, user) in [(robot, "team+ci"), (narrow, "writer")] {
        let by = teams.raw.as_(Some(&format!("Basic {}", signed(&token, "token"))));
        let (name, secret) = made(&by, "").await;
        assert_eq!(name, user);
        let by = teams.raw.as_(Some(&basic(&name, &secret)));
        by.get("/v2/team/app/manifests/1").await.expect(200);
        assert_eq!(begun_push(&by).await, 403, "{user}");
    }
}

/// It ends by itself, with what it was made with, and under another name it opens nothing.
#[tokio::test]
async fn it_ends_by_itself_and_with_its_token_and_with_its_password() {
    let teams = with_app().await;
    let pull = |user: &str, secret: &str| teams.raw.as_(Some(&basic(user, secret)));
    let (user, secret) = made(&teams.as_("reader"), "?minutes=1").await;
    pull(&user, &secret).get("/v2/team/app/manifests/1").await.expect(200);
    pull("writer", &secret).get("/v2/team/app/manifests/1").await.expect(401);
    pull(&user, &format!("{secret}A")).get("/v2/team/app/manifests/1").await.expect(401);
    // As Bearer, and without its prefix, it is nothing.
    let bearer = teams.raw.as_(Some(&format!("Bearer {}", secret.trim_start_matches("l0r_"))));
    bearer.get("/v2/team/app/manifests/1").await.expect(401);
    teams.clock.advance_ms(MINUTE_MS - 1);
    pull(&user, &secret).get("/v2/team/app/manifests/1").await.expect(200);
    teams.clock.advance_ms(1);
    pull(&user, &secret).get("/v2/team/app/manifests/1").await.expect(401);

    let token = teams.as_("reader").post("/token", &json!({})).await.expect(201).json();
    let (user, secret) = made(&teams.raw.as_(Some(&format!("Basic {}", signed(&token, "token")))), "").await;
    pull(&user, &secret).get("/v2/team/app/manifests/1").await.expect(200);
    teams.raw.delete(&format!("/token/{}", signed(&token, "token_id"))).await.expect(200);
    pull(&user, &secret).get("/v2/team/app/manifests/1").await.expect(401);

    teams.raw.patch("/user/reader", &json!({"password": "correct horse"})).await.expect(200);
    let (user, secret) = made(&pull("reader", "correct horse"), "").await;
    pull(&user, &secret).get("/v2/team/app/manifests/1").await.expect(200);
    teams.raw.patch("/user/reader", &json!({"password": "another horse"})).await.expect(200);
    pull(&user, &secret).get("/v2/team/app/manifests/1").await.expect(401);

    for minutes in ["0", "-1", "721"] {
        teams.raw.get(&format!("/token/registry?minutes={minutes}")).await.error(422);
    }
    teams.raw.get("/token/registry?minutes=720").await.expect(200);
}

/// A refresh token that is made with it does not outlive it.
#[tokio::test]
async fn nothing_that_is_made_with_it_lives_longer() {
    let teams = with_app().await;
    let (user, secret) = made(&teams.as_("reader"), "?minutes=2").await;
    let nobody = teams.raw.as_(None);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let ask = |body: String| nobody.send(Method::POST, "/auth/token", &form, body);
    let scope = "scope=repository:team/app:pull";
    let first = format!("grant_type=password&username={user}&password={secret}&access_type=offline&{scope}");
    let first = ask(first).await.expect(200).json();
    assert_eq!(first["expires_in"], 120, "a registry token of five minutes is cut too");
    let again = |made: &Value| {
        let token = signed(made, "refresh_token");
        ask(format!("grant_type=refresh_token&refresh_token={token}&access_type=offline&{scope}"))
    };
    teams.clock.advance_ms(MINUTE_MS);
    let second = again(&first).await.expect(200).json();
    assert_eq!(second["expires_in"], 60, "what is made with the refresh token is cut as well");
    let third = again(&second).await.expect(200).json();
    teams.clock.advance_ms(MINUTE_MS);
    for made in [first, second, third] {
        again(&made).await.expect(401);
    }
}

/// The audit log says who pushed, and no record is written for a credential that changes nothing.
#[tokio::test]
async fn who_pushes_with_it_is_in_the_audit_log() {
    let teams = with_app().await;
    let (user, secret) = made(&teams.as_("writer"), "").await;
    teams.raw.as_(Some(&basic(&user, &secret))).push("team/app", "2", "amd64", "y").await;
    let log = teams.raw.get("/admin/audit").await.expect(200).json();
    let all = log.as_array().expect("a list");
    assert!(all.iter().any(|it| it["action"] == "manifest_push" && it["who"] == "writer"), "{log}");
    assert!(all.iter().all(|it| it["action"] != "token_registry"), "{log}");
}
