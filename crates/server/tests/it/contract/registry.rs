//! Repositories and images, as the older registry front had them.

use layer0_server::testing::TestApp;
use reqwest::Method;
use serde_json::{Value, json};

use super::Is::Text;
use super::has;
use crate::support::Raw;

/// The routes and fields of d.ims.io.
#[tokio::test]
async fn repositories_and_images_as_the_older_registry_front_had_them() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    let create = async |body: Value| raw.post("/repository/team", &body).await;
    assert_eq!(raw.get("/repository").await.expect(200).json(), json!({"repositories": []}));
    let made = create(json!({"name": "app"})).await.expect(201).json();
    has(
        "Repository",
        &made,
        &[("owner", Text), ("name", Text), ("created_at", Text), ("uri", Text), ("backing_uri", Text)],
    );
    assert_eq!(made["backing_uri"], format!("{}/team/app", app.registry_address()));
    assert_eq!(made["uri"], "registry.layer0.test/team/app");
    create(json!({"name": "deep/er"})).await.expect(201);
    raw.post("/repository/other", &json!({"name": "app"})).await.expect(201);
    assert_eq!(create(json!({"name": "app"})).await.error(409).error_code, "NameTaken");
    assert_eq!(create(json!({})).await.error(422).message, "Field 'name' is required");
    for bad in ["App", "a b", "a//b", "..", "-a", "ü"] {
        create(json!({"name": bad})).await.error(422);
    }
    let all = json!({"repositories": ["other/app", "team/app", "team/deep/er"]});
    assert_eq!(raw.get("/repository").await.expect(200).json(), all);
    assert_eq!(raw.get("/repository/team").await.expect(200).json(), json!({"repositories": ["app", "deep/er"]}));
    assert_eq!(raw.get("/repository/nobody").await.expect(200).json(), json!({"repositories": []}));
    let got = raw.get("/repository/team/deep/er").await.expect(200).json();
    assert_eq!((got["owner"].as_str(), got["name"].as_str()), (Some("team"), Some("deep/er")));

    let digest = raw.push("team/app", "v1", "amd64", "one").await;
    raw.push("team/app", "v2", "amd64", "two").await;
    assert_eq!(raw.get("/repository/team/app/image").await.expect(200).json(), json!({"images": ["v1", "v2"]}));
    for reference in ["v1", digest.as_str()] {
        let image = raw.get(&format!("/repository/team/app/image/{reference}")).await.expect(200).json();
        has("Image", &image, &[("digest", Text), ("size", Text), ("pushed_at", Text)]);
        assert_eq!((image["digest"].as_str(), image["size"].as_str()), (Some(digest.as_str()), Some("1MB")));
        assert_eq!(image["platforms"], json!(["linux/amd64"]));
    }
    let missing = raw.get("/repository/team/app/image/v3").await.error(404);
    assert_eq!(missing.error_code, "ImageDoesNotExist");
    assert_eq!(raw.get("/repository/team/none/image/v3").await.error(404).error_code, "RepositoryDoesNotExist");
    let gone = raw.delete("/repository/team/app/image/v2").await.expect(200).json();
    assert_eq!(gone, "Image 'team/app:v2' successfully deleted.");
    raw.delete("/repository/team/app/image/v2").await.error(404);
    let held = raw.delete("/repository/team/app").await.error(409);
    assert_eq!(held.error_code, "DependencyError");
    assert!(held.hint.is_some_and(|hint| hint.contains("--force")));
    raw.delete("/repository/team/app?force=true").await.expect(200);
    assert_eq!(raw.get("/repository/team/app").await.error(404).error_code, "RepositoryDoesNotExist");
    raw.delete("/repository/team/deep/er").await.expect(200);
}

/// A push to a repository that is not there is refused with the command that makes it.
#[tokio::test]
async fn a_push_names_the_command_that_makes_its_repository() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    let answer = raw.send(Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await;
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert_eq!(answer.json()["errors"][0]["code"], "NAME_UNKNOWN");
    assert!(answer.text().contains("l0 repository create team/app"), "{}", answer.text());
    let options = layer0_server::testing::TestOptions { create_on_push: true, ..Default::default() };
    let app = TestApp::with(options).await;
    let raw = Raw::of(&app);
    raw.push("team/app", "1", "amd64", "x").await;
    assert_eq!(raw.get("/repository").await.expect(200).json(), json!({"repositories": ["team/app"]}));
}
