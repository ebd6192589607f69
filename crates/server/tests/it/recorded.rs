//! Each push is in the audit log, once, whether its record is written along with it or after it.

use layer0_server::testing::{TestApp, TestOptions};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{MANIFEST, Raw, digest};

#[tokio::test]
async fn a_push_is_in_the_audit_log_once_and_a_refused_one_too() {
    pushed_and_read(TestOptions { create_on_push: true, ..Default::default() }).await;
}

/// As with the log in a table and images in the data directory: the record of a push goes where the log is read.
#[tokio::test]
async fn a_push_is_in_the_audit_log_too_when_images_are_remembered_elsewhere() {
    pushed_and_read(TestOptions { create_on_push: true, images_apart: true, ..Default::default() }).await;
}

async fn pushed_and_read(options: TestOptions) {
    let app = TestApp::with(options).await;
    let raw = Raw::of(&app);
    let put = async |path: String, kind: &str, body: String| {
        raw.send(Method::PUT, &path, &[("content-type", kind)], body).await
    };
    // In one request, in two, by a mount into a repository that is made with it, by tag, by digest.
    let (whole, _) = raw.push_blob("team/app", "whole".to_owned()).await;
    let begun = raw.send(Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await.expect(202);
    let wrong = raw.send(Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await.expect(202);
    let two = digest(b"two");
    let at = |begun: &str, digest: &str| format!("{begun}?digest={digest}");
    put(at(begun.header("location"), &two), "application/octet-stream", "two".to_owned()).await.expect(201);
    put(at(wrong.header("location"), &two), "application/octet-stream", "three".to_owned()).await.expect(400);
    let mount = format!("/v2/team/made/blobs/uploads/?mount={whole}&from=team/app");
    raw.send(Method::POST, &mount, &[], "").await.expect(201);
    let manifest = |layer: &str| {
        let blob = |digest: &str| format!(r#"{{"mediaType":"application/octet-stream","digest":"{digest}","size":5}}"#);
        let (config, layer) = (blob(&whole), blob(layer));
        format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config},"layers":[{layer}]}}"#)
    };
    let image = manifest(&whole);
    put("/v2/team/made/manifests/v1".to_owned(), MANIFEST, image.clone()).await.expect(201);
    put(format!("/v2/team/made/manifests/{}", digest(image.as_bytes())), MANIFEST, image.clone()).await.expect(201);
    put("/v2/team/made/manifests/v2".to_owned(), MANIFEST, manifest(&two)).await.expect(400);

    let entries = raw.get("/admin/audit?limit=100").await.expect(200).json();
    let line = |it: &Value| {
        let text = |key: &str| it[key].as_str().expect("text").to_owned();
        format!("{} {} {} {} {}", text("who"), text("from"), text("action"), text("target"), it["status"])
    };
    let lines: Vec<String> = entries.as_array().expect("a list").iter().map(line).collect();
    let image = digest(image.as_bytes());
    let expected = [
        format!("blob_push team/app@{whole} 201"),
        format!("blob_push team/app@{two} 201"),
        format!("blob_push team/app@{two} 400"),
        format!("blob_mount team/made@{whole} 201"),
        "manifest_push team/made:v1 201".to_owned(),
        format!("manifest_push team/made@{image} 201"),
        "manifest_push team/made:v2 400".to_owned(),
    ];
    assert_eq!(lines, expected.map(|line| format!("admin 127.0.0.1 {line}")));
}

/// A chunk is no record but where it is what the owner may not have.
#[tokio::test]
async fn what_a_quota_refuses_is_in_the_log() {
    let app = TestApp::with(TestOptions { create_on_push: true, ..Default::default() }).await;
    let raw = Raw::of(&app);
    raw.post("/owner", &json!({"owner_name": "team", "quota_bytes": 10})).await.expect(201);
    let begun = raw.send(Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await.expect(202);
    raw.send(Method::PATCH, begun.header("location"), &[], "few").await.expect(202);
    raw.send(Method::PATCH, begun.header("location"), &[], "far too many bytes").await.expect(403);
    raw.send(Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await.expect(202);
    let entries = raw.get("/admin/audit?limit=100").await.expect(200).json();
    // The first upload has made the repository, which stays whatever becomes of it.
    let made: Vec<&Value> =
        entries.as_array().expect("a list").iter().filter(|it| it["action"] == "repository_create").collect();
    assert_eq!(made.len(), 1, "{entries}");
    assert_eq!(
        (&made[0]["who"], &made[0]["target"], &made[0]["status"]),
        (&json!("admin"), &json!("team/app"), &json!(202))
    );
    let pushes: Vec<&Value> =
        entries.as_array().expect("a list").iter().filter(|it| it["action"] == "blob_push").collect();
    assert_eq!(pushes.len(), 1, "{entries}");
    assert_eq!((&pushes[0]["target"], &pushes[0]["status"]), (&json!("team/app"), &json!(403)));
}

#[tokio::test]
async fn what_became_of_people_and_what_they_may_is_in_the_log() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    raw.post("/user", &json!({"user_name": "alice", "password": "correct horse"})).await.expect(201);
    raw.patch("/user/alice", &json!({"admin": true})).await.expect(200);
    raw.patch("/user/alice", &json!({"admin": false, "password": "battery staple"})).await.expect(200);
    raw.post("/owner", &json!({"owner_name": "team", "quota_bytes": 1000})).await.expect(201);
    raw.patch("/owner/team", &json!({"remove_quota": true})).await.expect(200);
    raw.put("/owner/team/member/alice", &json!({"role": "writer", "tags": "dev-*"})).await.expect(200);
    raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    raw.patch("/repository/team/app", &json!({"visibility": "public"})).await.expect(200);
    let token = json!({"owner": "team", "name": "ci", "scopes": ["pull:team/app"]});
    let token = raw.post("/token", &token).await.expect(201).json();
    let entries = raw.get("/admin/audit?limit=100").await.expect(200).text();
    assert!(!entries.contains("horse") && !entries.contains("staple"), "{entries}");
    let entries: Vec<Value> = serde_json::from_str(&entries).expect("JSON");
    let line =
        |it: &Value| format!("{} {}", it["action"].as_str().expect("text"), it["target"].as_str().expect("text"));
    let lines: Vec<String> = entries.iter().map(line).collect();
    let expected = [
        "user_create alice: with a password".to_owned(),
        "user_update alice: an admin".to_owned(),
        "user_update alice: no admin, with a new password".to_owned(),
        "owner_create team: quota 1000 bytes".to_owned(),
        "owner_update team: no quota".to_owned(),
        "member_put alice in team: writer, tags dev-*".to_owned(),
        "repository_create team/app: private".to_owned(),
        "repository_update team/app: public".to_owned(),
        format!("token_create token {} of team+ci: pull:team/app", token["token_id"].as_str().expect("an id")),
    ];
    assert_eq!(lines, expected);
}
