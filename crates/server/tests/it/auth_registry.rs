//! Who may do what in the registry: every route, with every kind of caller.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, basic};
use crate::teams::{CALLERS, Teams};

const NONE: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// A route of the registry, and what the callers may in `team/app`: those of the owner, another owner's maintainer and an
/// admin (2: let in, 3: 403). Nobody else gets further than 401.
const ROUTES: &[(&str, &str, &str)] = &[
    ("GET", "/v2/", "22222"),
    ("HEAD", "/v2/", "22222"),
    ("GET", "/v2/_catalog", "22222"),
    ("HEAD", "/v2/_catalog", "22222"),
    ("GET", "/v2/<name>/tags/list", "22232"),
    ("HEAD", "/v2/<name>/tags/list", "22232"),
    ("GET", "/v2/<name>/manifests/<reference>", "22232"),
    ("HEAD", "/v2/<name>/manifests/<reference>", "22232"),
    ("PUT", "/v2/<name>/manifests/<reference>", "32232"),
    ("DELETE", "/v2/<name>/manifests/<reference>", "33232"),
    ("GET", "/v2/<name>/blobs/<digest>", "22232"),
    ("HEAD", "/v2/<name>/blobs/<digest>", "22232"),
    ("DELETE", "/v2/<name>/blobs/<digest>", "33232"),
    ("GET", "/v2/<name>/referrers/<digest>", "22232"),
    ("HEAD", "/v2/<name>/referrers/<digest>", "22232"),
    ("POST", "/v2/<name>/blobs/uploads/", "32232"),
    ("GET", "/v2/<name>/blobs/uploads/<id>", "32232"),
    ("HEAD", "/v2/<name>/blobs/uploads/<id>", "32232"),
    ("PATCH", "/v2/<name>/blobs/uploads/<id>", "32232"),
    ("PUT", "/v2/<name>/blobs/uploads/<id>", "32232"),
    ("DELETE", "/v2/<name>/blobs/uploads/<id>", "32232"),
];

/// Every route that the registry serves has a row, and no row is left over. What a row says holds wherever the repository
/// lies: the registry's own tests show that both backings ask the same of a caller.
#[test]
fn every_route_of_the_registry_has_a_row() {
    let rows: BTreeSet<_> = ROUTES.iter().map(|(method, form, _)| (*form, *method)).collect();
    let served = layer0_registry::ROUTES.iter();
    let served: BTreeSet<_> =
        served.flat_map(|(form, methods)| methods.split(", ").map(move |it| (*form, it))).collect();
    assert_eq!(rows, served);
    assert_eq!(rows.len(), ROUTES.len(), "no row is there twice");
}

/// A path of this form in `team/app`. What is pushed and what is deleted is not what is read.
fn filled(method: &Method, form: &str) -> String {
    let reference = match *method {
        Method::PUT => "2",
        Method::DELETE => "3",
        _ => "1",
    };
    let form = form.replace("<name>", "team/app").replace("<digest>", NONE);
    form.replace("<reference>", reference).replace("<id>", "something")
}

fn let_in(answer: &Answer, what: &str) {
    assert!(![401, 403, 429, 500].contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
}

/// A `HEAD` has no body to look at.
fn denied(answer: &Answer, method: &Method, what: &str) {
    assert_eq!(answer.status, 403, "{what}: {}", answer.text());
    if method != Method::HEAD {
        assert_eq!(answer.json()["errors"][0]["code"], "DENIED", "{what}");
    }
}

#[tokio::test]
async fn every_route_of_the_registry_lets_in_whom_the_table_names() {
    let mut teams = Teams::full().await;
    teams.app.leftovers_allowed();
    let (user, password) = teams.app.pull_credential("team/app").await;
    let engine = teams.raw.as_(Some(&basic(&user, &password)));
    for (method, form, expected) in ROUTES {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let path = filled(&method, form);
        for caller in ["anonymous", "expired", "revoked"] {
            let answer = teams.as_(caller).send(method.clone(), &path, &[], "").await;
            assert_eq!(answer.status, 401, "{method} {path} as {caller}: {}", answer.text());
            let challenge = answer.header("www-authenticate");
            assert!(challenge.starts_with("Bearer realm=\"http://"), "{method} {path} as {caller}: {challenge}");
            assert!(challenge.contains("/auth/token\""), "{method} {path} as {caller}: {challenge}");
        }
        // With the secret itself, and in the Bearer flow, where a token for all three actions is asked for.
        for (caller, wanted) in CALLERS.iter().zip(expected.chars()) {
            let what = format!("{method} {path} as {caller}");
            let scope = "/auth/token?service=x&scope=repository:team/app:pull,push,delete";
            let signed = teams.as_(caller).get(scope).await.expect(200).json();
            let bearer = format!("Bearer {}", signed["token"].as_str().expect("a token"));
            for auth in [teams.auth(caller), &bearer] {
                let answer = teams.raw.as_(Some(auth)).send(method.clone(), &path, &[], "").await;
                match wanted {
                    '2' => let_in(&answer, &what),
                    _ => denied(&answer, &method, &what),
                }
            }
        }
        // The engine's credential: pull from its own repository, and nothing else.
        let own = engine.send(method.clone(), &path, &[], "").await;
        let elsewhere = engine.send(method.clone(), &path.replace("team/app", "team/empty"), &[], "").await;
        match expected.chars().next() {
            Some('2') => let_in(&own, "the engine"),
            _ => denied(&own, &method, "the engine"),
        }
        if path.contains("team/app") {
            denied(&elsewhere, &method, "the engine elsewhere");
        }
    }
    engine.get("/v2/team/app/manifests/1").await.expect(200);
    let seen = engine.get("/v2/_catalog").await.expect(200).json();
    assert_eq!(seen["repositories"], json!(["team/app"]), "it learns of no other repository");
    // Minutes later it opens nothing.
    teams.clock.advance_ms(16 * 60 * 1000);
    engine.get("/v2/team/app/manifests/1").await.expect(401);
}

#[tokio::test]
async fn the_catalogue_shows_what_the_caller_may_pull() {
    let teams = Teams::full().await;
    teams.raw.post("/repository/other", &json!({"name": "app"})).await.expect(201);
    for (caller, names) in [
        ("reader", json!(["team/app", "team/empty"])),
        ("stranger", json!(["other/app"])),
        ("admin", json!(["other/app", "team/app", "team/empty"])),
    ] {
        assert_eq!(teams.as_(caller).get("/v2/_catalog").await.expect(200).json()["repositories"], names, "{caller}");
        // In the Bearer flow the scope is the catalogue's, which names no repository.
        let path = "/auth/token?service=x&scope=registry:catalog:*";
        let signed = teams.as_(caller).get(path).await.expect(200).json();
        let bearer = teams.raw.as_(Some(&format!("Bearer {}", signed["token"].as_str().expect("a token"))));
        assert_eq!(bearer.get("/v2/_catalog").await.expect(200).json()["repositories"], names, "{caller} by Bearer");
        let page = teams.as_(caller).get("/v2/_catalog?n=1").await.expect(200);
        assert_eq!(page.json()["repositories"][0], names[0]);
    }
}

#[tokio::test]
async fn what_is_public_is_pulled_by_everybody_and_pushed_by_nobody_else() {
    let teams = Teams::full().await;
    let nobody = teams.as_("anonymous");
    let scope = "/auth/token?service=x&scope=repository:team/app:pull,push";
    nobody.get("/v2/team/app/manifests/1").await.expect(401);
    nobody.get(scope).await.expect(401);
    let opened = teams.as_("maintainer").patch("/repository/team/app", &json!({"visibility": "public"})).await;
    assert_eq!(opened.expect(200).json()["visibility"], "public");

    nobody.get("/v2/team/app/manifests/1").await.expect(200);
    nobody.get("/v2/team/app/tags/list").await.expect(200);
    nobody.get("/v2/team/empty/tags/list").await.expect(401);
    nobody.send(Method::PUT, "/v2/team/app/manifests/2", &[], "").await.expect(401);
    nobody.get("/v2/").await.expect(401);
    // The Bearer flow of a client that was never signed in.
    let signed = nobody.get(scope).await.expect(200).json();
    let bearer = teams.raw.as_(Some(&format!("Bearer {}", signed["token"].as_str().expect("a token"))));
    bearer.get("/v2/").await.expect(200);
    bearer.get("/v2/team/app/manifests/1").await.expect(200);
    let push = bearer.send(Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await.expect(401);
    assert!(push.header("www-authenticate").contains("scope=\"repository:team/app:pull,push\""), "signing in may help");
    assert_eq!(teams.as_("stranger").get("/v2/team/app/manifests/1").await.status, 200);
    let catalogue = bearer.get("/v2/_catalog").await.expect(200).json();
    assert_eq!(catalogue["repositories"], json!(["team/app"]));

    teams.raw.patch("/repository/team/app", &json!({"visibility": "private"})).await.expect(200);
    bearer.get("/v2/team/app/manifests/1").await.expect(401);
    nobody.get("/v2/team/app/manifests/1").await.expect(401);
}

/// A mount needs the right to pull where the blob is; else it is an upload like any other, and nothing is told.
#[tokio::test]
async fn a_mount_takes_nothing_that_the_caller_may_not_pull() {
    let teams = Teams::full().await;
    teams.raw.post("/repository/other", &json!({"name": "app"})).await.expect(201);
    let (blob, _) = teams.raw.push_blob("team/app", "a secret of the team".to_owned()).await;
    let stranger = teams.as_("stranger");
    for from in ["&from=team/app", ""] {
        let path = format!("/v2/other/app/blobs/uploads/?mount={blob}{from}");
        let answer = stranger.send(Method::POST, &path, &[], "").await.expect(202);
        assert!(answer.header("location").starts_with("/v2/other/app/blobs/uploads/"));
        stranger.get(&format!("/v2/other/app/blobs/{blob}")).await.expect(404);
    }
    teams.raw.put("/owner/team/member/stranger", &json!({"role": "reader"})).await.expect(200);
    let path = format!("/v2/other/app/blobs/uploads/?mount={blob}&from=team/app");
    stranger.send(Method::POST, &path, &[], "").await.expect(201);
    let got = stranger.get(&format!("/v2/other/app/blobs/{blob}")).await.expect(200);
    assert_eq!(got.text(), "a secret of the team");
}
