//! Repositories, images, map rules, tokens.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, error};

fn repository() -> Value {
    json!({
        "owner": "team", "name": "app/web", "created_at": "2026-01-02T03:04:05Z", "uri": "registry.layer0.test/team/app/web",
        "backing_uri": "localhost:9090/team/app/web", "visibility": "private",
    })
}

#[test]
fn repositories() {
    let fake = Fake::start();
    fake.on("POST /repository/team", [Reply::Json(201, repository())])
        .json("GET /repository/team/app/web", repository())
        .json("GET /repository", json!({ "repositories": ["team/app/web", "team/b"] }))
        .json("GET /repository/team", json!({ "repositories": ["app/web", "b"] }))
        .json("DELETE /repository/team/app/web?force=true", repository())
        .on(
            "DELETE /repository/team/app/web?force=false",
            [error(409, "DependencyError", "repository `team/app/web` has 2 images")],
        );
    assert_snapshot!("repository_create", fake.run(&["repository", "create", "team/app/web"]).text());
    assert_eq!(fake.body("POST /repository/team"), json!({ "name": "app/web" }));
    assert_eq!(fake.run(&["repository", "get", "team/app/web", "-o=json"]).json(), json!([repository()]));
    assert_snapshot!("repository_list", fake.run(&["repository", "list"]).text());
    assert_eq!(fake.run(&["repository", "list", "team"]).stdout, fake.run(&["repository", "list"]).stdout);
    assert_eq!(fake.run(&["repository", "delete", "team/app/web"]).code, 4);
    assert_eq!(
        fake.run(&["repository", "delete", "--force", "team/app/web"]).text(),
        "exit code 0\n--- stdout\n--- stderr\n"
    );
    assert_snapshot!("repository_with_host", fake.run(&["repository", "delete", "other.example.com/team/app"]).text());
}

#[test]
fn images() {
    let fake = Fake::start();
    fake.json("GET /repository/team/app/image", json!({ "images": ["1", "latest"] }))
        .json(
            "GET /repository/team/app/image/1",
            json!({ "tag": "1", "digest": "sha256:ab", "size": "12MB", "pushed_at": "2026-01-02T03:04:05Z", "platforms": ["linux/amd64", "linux/arm64"] }),
        )
        .json("DELETE /repository/team/app/image/sha256%3Aab", json!("deleted"))
        .on("GET /repository/team/app/image/2", [error(404, "ImageDoesNotExist", "no image `team/app:2`")]);
    assert_snapshot!("image_list", fake.run(&["image", "list", "team/app"]).text());
    assert_eq!(fake.run(&["image", "list", "team/app", "-o", "json"]).json(), json!(["1", "latest"]));
    assert_snapshot!("image_get", fake.run(&["image", "get", "team/app:1"]).text());
    assert_eq!(fake.run(&["image", "get", "team/app:2"]).code, 3);
    assert_eq!(fake.run(&["image", "delete", "team/app@sha256:ab"]).code, 0);
}

#[test]
fn resolution_prints_its_steps() {
    let fake = Fake::start();
    let good = json!({
        "image": "registry.layer0.test/team/app:1", "rule": "registry.layer0.test|localhost:9090", "backing": "localhost:9090/team/app:1",
        "digest": "sha256:ab", "pinned": "localhost:9090/team/app@sha256:ab", "platforms": ["linux/amd64"], "engine_platform": "linux/amd64",
        "size_bytes": 12_345_678,
    });
    fake.json("GET /image/resolve?image=registry.layer0.test%2Fteam%2Fapp%3A1", good);
    assert_snapshot!("resolve", fake.run(&["image", "resolve", "registry.layer0.test/team/app:1"]).text());
    let bad = json!({
        "image": "nginx", "backing": "nginx", "engine_platform": "linux/amd64", "warnings": ["is looked for on Docker Hub"],
        "problem": { "class": "image_not_found", "message": "no such image", "hint": "push it first" },
    });
    fake.json("GET /image/resolve?image=nginx", bad);
    assert_snapshot!("resolve_missing", fake.run(&["image", "resolve", "nginx"]).text());
}

#[test]
fn map_rules() {
    let fake = Fake::start();
    let rule = json!({ "prefix": "hub.test/team", "target": "reg.test/team", "source": "user" });
    fake.json(
        "GET /map",
        json!([{ "prefix": "registry.layer0.test", "target": "localhost:9090", "source": "instance" }, rule]),
    )
    .on("POST /map", [Reply::Json(201, rule.clone())])
    .json("DELETE /map?prefix=hub.test%2Fteam", rule);
    assert_snapshot!("map_list", fake.run(&["map", "list"]).text());
    assert_eq!(fake.run(&["map", "add", "hub.test/team|reg.test/team"]).code, 0);
    assert_eq!(fake.body("POST /map"), json!({ "rule": "hub.test/team|reg.test/team" }));
    assert_eq!(fake.run(&["map", "remove", "hub.test/team"]).text(), "exit code 0\n--- stdout\n--- stderr\n");
}

#[test]
fn tokens() {
    let fake = Fake::start();
    let made = json!({ "token": "YTpi", "token_id": "t1", "user": "admin", "secret": "b", "name": "laptop", "expires": "2026-04-02T03:04:05Z" });
    fake.on("POST /token", [Reply::Json(201, made)])
        .json(
            "GET /token",
            json!([{ "token_id": "t1", "name": "laptop", "user": "admin", "created": "2026-01-02T03:04:05Z", "expires": "", "last_used": "" }]),
        )
        .json("DELETE /token/t1", json!({ "token_id": "t1", "name": "laptop", "user": "admin", "created": "", "expires": "", "last_used": "" }));
    assert_snapshot!("token_create", fake.run(&["token", "create", "laptop"]).text());
    assert_eq!(fake.body("POST /token"), json!({ "name": "laptop" }));
    assert_snapshot!("token_list", fake.run(&["token", "list"]).text());
    assert_eq!(fake.run(&["token", "revoke", "t1"]).code, 0);
    assert_eq!(fake.run(&["token", "create", "--expires-days", "0"]).code, 2);
    assert_eq!(fake.run(&["token", "create", "--never"]).code, 0);
    assert_eq!(
        fake.requests().iter().filter(|r| r.line == "POST /token").map(|r| r.body.clone()).next_back(),
        Some(json!({ "expires_days": 0 }))
    );
}
