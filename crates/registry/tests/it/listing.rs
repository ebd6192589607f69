//! Tags, referrers, catalogue.

use http::Method;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::Visibility;
use serde_json::{Value, json};

use crate::client::{Client, OCI_INDEX, OCI_MANIFEST, descriptor, image};
use crate::common::{Doors, TestRegistry};

/// Follows the links of a list to its end; answers the pages.
async fn walk(client: &Client, first: &str, field: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut path = first.to_owned();
    loop {
        let got = client.get(&path).await.expect(200);
        pages.push(got.json()[field].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect());
        let link = got.header("link");
        if link.is_empty() {
            return pages;
        }
        let (target, relation) = link.split_once(">; ").unwrap();
        assert_eq!(relation, "rel=\"next\"");
        path = target.trim_start_matches('<').to_owned();
    }
}

#[tokio::test]
async fn tags_in_order_and_in_pages() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    assert_eq!(
        client.get("/v2/team/app/tags/list").await.expect(200).json(),
        json!({ "name": "team/app", "tags": [] })
    );
    assert_eq!(client.get("/v2/team/none/tags/list").await.error(), (404, "NAME_UNKNOWN".to_owned()));
    client.push("team/app", "{}").await;
    for tag in ["b", "a", "C", "10", "9"] {
        client.put_manifest("team/app", tag, &image("{}", &[])).await.expect(201);
    }
    let sorted = ["10", "9", "C", "a", "b"];
    assert_eq!(client.get("/v2/team/app/tags/list").await.json()["tags"], json!(sorted));
    assert_eq!(walk(&client, "/v2/team/app/tags/list?n=2", "tags").await, [vec!["10", "9"], vec!["C", "a"], vec!["b"]]);
    assert_eq!(walk(&client, "/v2/team/app/tags/list?n=5", "tags").await, [sorted.to_vec()]);
    assert_eq!(walk(&client, "/v2/team/app/tags/list?n=0", "tags").await, [vec![""; 0]]);
    assert_eq!(walk(&client, "/v2/team/app/tags/list?last=9", "tags").await, [vec!["C", "a", "b"]]);
    assert_eq!(walk(&client, "/v2/team/app/tags/list?last=zzz", "tags").await, [vec![""; 0]]);
    assert_eq!(walk(&client, "/v2/team/app/tags/list?n=99999999999999", "tags").await, [sorted.to_vec()]);
    for n in ["x", "-1", "", "1.5"] {
        assert_eq!(client.get(&format!("/v2/team/app/tags/list?n={n}")).await.error().0, 400, "{n}");
    }
    assert_eq!(client.post("/v2/team/app/tags/list").await.error(), (405, "UNSUPPORTED".to_owned()));
}

#[tokio::test]
async fn referrers_with_and_without_a_filter() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    client.push("team/app", "{}").await;
    let subject = Digest::sha256_of(b"a manifest that is not here");
    let mut pushed = Vec::new();
    for (kind, note) in
        [("application/x.signature", "one"), ("application/x.sbom", "two"), ("application/x.signature", "three")]
    {
        let mut manifest = image("{}", &[]);
        manifest["artifactType"] = kind.into();
        manifest["annotations"] = json!({ "note": note });
        manifest["subject"] = json!({ "mediaType": OCI_MANIFEST, "digest": subject.to_string(), "size": 5 });
        let digest = Digest::sha256_of(manifest.to_string().as_bytes());
        let got = client.put_manifest("team/app", &digest.to_string(), &manifest).await.expect(201);
        assert_eq!(got.header("oci-subject"), subject.to_string());
        let mut entry = descriptor(OCI_MANIFEST, &manifest.to_string());
        entry["artifactType"] = kind.into();
        entry["annotations"] = json!({ "note": note });
        pushed.push(entry);
    }
    let path = format!("/v2/team/app/referrers/{subject}");
    let got = client.get(&path).await.expect(200);
    assert_eq!((got.header("content-type"), got.header("oci-filters-applied")), (OCI_INDEX, ""));
    let body = got.json();
    assert_eq!((&body["schemaVersion"], &body["mediaType"]), (&json!(2), &json!(OCI_INDEX)));
    let mut found = body["manifests"].as_array().unwrap().clone();
    let order = |entry: &Value| entry["digest"].to_string();
    found.sort_by_key(order);
    pushed.sort_by_key(order);
    assert_eq!(found, pushed);

    let got = client.get(&format!("{path}?artifactType=application/x.sbom")).await.expect(200);
    assert_eq!(got.header("oci-filters-applied"), "artifactType");
    assert_eq!(got.json()["manifests"].as_array().unwrap().len(), 1);

    for path in [
        format!("/v2/team/app/referrers/{}", Digest::sha256_of(b"nobody's")),
        format!("/v2/team/none/referrers/{subject}"),
    ] {
        assert_eq!(client.get(&path).await.expect(200).json()["manifests"], json!([]));
    }
    assert_eq!(client.get("/v2/team/app/referrers/nonsense").await.error(), (400, "DIGEST_INVALID".to_owned()));

    // Gone with the manifest.
    let first = pushed[0]["digest"].as_str().unwrap();
    client.delete(&format!("/v2/team/app/manifests/{first}")).await.expect(202);
    assert_eq!(client.get(&path).await.json()["manifests"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_kind_of_an_image_is_its_configs() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    client.push("team/app", "{}").await;
    let subject = Digest::sha256_of(b"x");
    let mut manifest = image("{}", &[]);
    manifest["config"]["mediaType"] = "application/x.config".into();
    manifest["subject"] = json!({ "mediaType": OCI_MANIFEST, "digest": subject.to_string(), "size": 5 });
    client.put_manifest("team/app", "1", &manifest).await.expect(201);
    let got = client.get(&format!("/v2/team/app/referrers/{subject}?artifactType=application/x.config")).await;
    assert_eq!(got.json()["manifests"][0]["artifactType"], "application/x.config");
}

#[tokio::test]
async fn the_catalogue() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    for repository in ["a/b/c", "zed/x"] {
        registry.registry.repository_create(crate::common::name(repository), Visibility::Private).await.unwrap();
    }
    let all = ["a/b/c", "team/app", "team/other", "zed/x"];
    assert_eq!(client.get("/v2/_catalog").await.expect(200).json(), json!({ "repositories": all }));
    assert_eq!(walk(&client, "/v2/_catalog?n=3", "repositories").await, [all[..3].to_vec(), all[3..].to_vec()]);
    assert_eq!(walk(&client, "/v2/_catalog?last=team/app", "repositories").await, [all[2..].to_vec()]);
    assert_eq!(client.get("/v2/_catalog?n=x").await.error(), (400, "PAGINATION_NUMBER_INVALID".to_owned()));
}

#[tokio::test]
async fn paths_that_mean_nothing() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    for path in ["/v2/x", "/v2/team/app", "/v2/team/app/blobs", "/v2//", "/v2/team/app/tags"] {
        assert_eq!(client.get(path).await.error(), (404, "UNSUPPORTED".to_owned()), "{path}");
    }
    for path in ["/v2", "/v2/"] {
        let got = client.get(path).await.expect(200);
        assert_eq!((got.header("docker-distribution-api-version"), got.json()), ("registry/2.0", json!({})));
    }
    assert_eq!(client.ask(Method::PATCH, "/v2/", &[], "").await.error(), (405, "UNSUPPORTED".to_owned()));
    for name in
        ["Team/App", "team//app", "team/-app", "team/../app", "team/a%2Fb%00", &format!("t/{}", "a".repeat(300))]
    {
        assert_eq!(
            client.get(&format!("/v2/{name}/tags/list")).await.error(),
            (400, "NAME_INVALID".to_owned()),
            "{name}"
        );
    }
    let got = client.get("/v2/app/manifests/1").await;
    assert_eq!(got.error(), (404, "NAME_UNKNOWN".to_owned()));
    assert_eq!(got.message(), "repository \"app\" has no owner; write owner/name");
}

#[tokio::test]
async fn nobody_sees_the_catalogue_unasked() {
    let registry = TestRegistry::with(Doors::Basic, |_| {}).await;
    assert_eq!(Client::of(&registry).get("/v2/_catalog").await.error(), (401, "UNAUTHORIZED".to_owned()));
}
