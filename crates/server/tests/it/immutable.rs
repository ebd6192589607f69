//! What immutable tags keep, from the front door.

use layer0_server::testing::TestApp;
use reqwest::Method;
use serde_json::json;

use crate::support::{MANIFEST, Raw, digest};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Pushes an index of one image under a tag; answers the image's digest.
async fn push_index(raw: &Raw, tag: &str, word: &str) -> String {
    let image = raw.push("team/app", "build", "amd64", word).await;
    let size = raw.get(&format!("/v2/team/app/manifests/{image}")).await.expect(200).body.len();
    let platform = json!({"architecture": "amd64", "os": "linux"});
    let part = json!({"mediaType": MANIFEST, "digest": image, "size": size, "platform": platform});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [part]}).to_string();
    let path = format!("/v2/team/app/manifests/{tag}");
    raw.send(Method::PUT, &path, &[("content-type", INDEX)], index).await.expect(201);
    image
}

#[tokio::test]
async fn an_immutable_image_of_many_platforms_can_not_be_emptied() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    raw.post("/owner/team/immutable", &json!({"tags": "v*"})).await.expect(201);
    let kept = push_index(&raw, "v1", "kept").await;
    let loose = push_index(&raw, "nightly", "loose").await;
    let layer = |word: &str| digest(format!("layer {word}").as_bytes());

    let again = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).to_string();
    let moved = raw.send(Method::PUT, "/v2/team/app/manifests/v1", &[("content-type", INDEX)], again).await.expect(403);
    assert!(moved.text().contains("by the rule team/*:v*: push under another tag"), "{}", moved.text());
    raw.delete("/v2/team/app/manifests/v1").await.expect(403);
    for path in [format!("manifests/{kept}"), format!("blobs/{}", layer("kept"))] {
        let refused = raw.delete(&format!("/v2/team/app/{path}")).await.expect(403);
        assert!(
            refused.text().contains("tag `v1` of team/app is immutable by the rule team/*:v*"),
            "{}",
            refused.text()
        );
        raw.get(&format!("/v2/team/app/{path}")).await.expect(200);
    }
    for path in [format!("manifests/{loose}"), format!("blobs/{}", layer("loose"))] {
        raw.delete(&format!("/v2/team/app/{path}")).await.expect(202);
    }
}
