//! Very many of something: tags, layers, referrers. Answers stay bounded, whoever asks for how much.

use http::Method;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::{ChildManifest, Manifest, ManifestRef};
use layer0_domain::port::registry_store::{Along, RegistryStore};
use serde_json::{Value, json};

use crate::client::{Answer, Client, OCI_INDEX, OCI_MANIFEST, descriptor, image};
use crate::common::{TestRegistry, name};

/// The most entries in a page.
const PAGE_MAX: usize = 10_000;
/// The largest manifest, and so the largest answer that has the form of one.
const MANIFEST_MAX: usize = 4 << 20;

/// The path that an answer's link leads to.
fn next(answer: &Answer) -> Option<String> {
    let (path, relation) = answer.headers.get("link")?.to_str().unwrap().split_once(">; ").unwrap();
    assert_eq!(relation, "rel=\"next\"");
    Some(path.trim_start_matches('<').to_owned())
}

async fn tags_of(client: &Client, path: &str) -> (Vec<String>, Option<String>) {
    let answer = client.get(path).await.expect(200);
    let tags = answer.json()["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect();
    (tags, next(&answer))
}

/// That a page costs as much as it shows, in a small repository and in this one, is in the store's test of its plans.
#[tokio::test]
async fn a_hundred_thousand_tags() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let (_, digest) = client.push_image("team/app", "t000000", "layer").await;
    let store: &dyn RegistryStore = registry.store.as_ref();
    let manifest = store.manifest_get(&name("team/app"), &ManifestRef::Digest(digest)).await.unwrap().unwrap();
    let all: Vec<String> = (0..100_000).map(|number| format!("t{number:06}")).collect();
    store.manifest_put(&name("team/app"), &manifest, &all, &Along::NOTHING).await.unwrap();

    // Whoever names no number gets all.
    let (tags, link) = tags_of(&client, "/v2/team/app/tags/list").await;
    assert!(tags == all && link.is_none(), "{} tags, {link:?}", tags.len());
    // Whoever names one beyond all gets a page and the way to the next.
    for query in ["?n=100000", "?n=99999999999999999999"] {
        let (tags, link) = tags_of(&client, &format!("/v2/team/app/tags/list{query}")).await;
        assert!(tags == all[..PAGE_MAX], "{query}: {} tags", tags.len());
        assert_eq!(link.as_deref(), Some("/v2/team/app/tags/list?n=10000&last=t009999"), "{query}");
    }
    let (mut found, mut pages) = (Vec::new(), 0);
    let mut path = Some("/v2/team/app/tags/list?n=7000".to_owned());
    while let Some(from) = path {
        let (tags, link) = tags_of(&client, &from).await;
        assert!(tags.len() <= 7_000);
        found.extend(tags);
        pages += 1;
        path = link;
    }
    assert!(found == all, "every tag once, in order");
    assert_eq!(pages, 15);
    // From anywhere, also from a tag that is not there.
    let (tags, link) = tags_of(&client, "/v2/team/app/tags/list?n=2&last=t099997").await;
    assert_eq!((tags, link), (all[99_998..].to_vec(), None));
    let (tags, _) = tags_of(&client, "/v2/team/app/tags/list?n=1&last=t0500000").await;
    assert_eq!(tags, all[50_001..50_002]);

    // What else asks a repository for its tags.
    let listed = registry.registry.tag_list(&name("team/app"), Default::default()).await.unwrap().unwrap();
    assert!(listed == all);
    client.head("/v2/team/app/manifests/t099999").await.expect(200);
    assert_eq!(client.get("/v2/team/app/manifests/none").await.error(), (404, "MANIFEST_UNKNOWN".to_owned()));
    client.delete(&format!("/v2/team/app/manifests/{}", manifest.digest)).await.expect(202);
    assert_eq!(tags_of(&client, "/v2/team/app/tags/list").await, (vec![], None));
}

/// An image of 37,000 layers fits in a manifest, one of 40,000 does not. What is missing of it is said of the first hundred.
#[tokio::test]
async fn forty_thousand_layers() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    client.push("team/app", "{}").await;
    client.push("team/app", "layer").await;
    let list = |count: usize, each: &dyn Fn(usize) -> String| {
        let entries: Vec<String> = (0..count).map(each).collect();
        format!("[{}]", entries.join(","))
    };
    let entry = |digest: &str| format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":5}}"#);
    let absent = |number: usize| entry(&format!("sha256:{number:064x}"));
    let mut good = image("{}", &[]);
    good["layers"] = json!("LIST");
    let of = |list: &str| good.to_string().replace("\"LIST\"", list);
    let put = async |tag: &str, media_type: &str, body: String| {
        let path = format!("/v2/team/app/manifests/{tag}");
        client.ask(Method::PUT, &path, &[("content-type", media_type)], body).await
    };

    let got = put("absent", OCI_MANIFEST, of(&list(37_000, &absent))).await;
    assert_eq!(got.error(), (400, "MANIFEST_BLOB_UNKNOWN".to_owned()));
    assert_eq!(got.json()["errors"].as_array().unwrap().len(), 100);
    assert!(got.body.len() < 40_000, "{} bytes", got.body.len());
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": "LIST" }).to_string();
    let got = put("absent", OCI_INDEX, index.replace("\"LIST\"", &list(37_000, &absent))).await;
    assert_eq!(got.error(), (400, "MANIFEST_BLOB_UNKNOWN".to_owned()));
    let got = put("absent", OCI_MANIFEST, of(&list(40_000, &absent))).await;
    assert_eq!(got.error(), (413, "SIZE_INVALID".to_owned()));
    client.get("/v2/team/app/manifests/absent").await.expect(404);

    // One that is there, so many times: kept as it is, and looked for once.
    let there = entry(&Digest::sha256_of(b"layer").to_string());
    let body = of(&list(37_000, &|_| there.clone()));
    put("same", OCI_MANIFEST, body.clone()).await.expect(201);
    assert!(client.get("/v2/team/app/manifests/same").await.expect(200).body == body);
    let same = ManifestRef::Tag("same".to_owned());
    let image = registry.registry.image_get(&name("team/app"), &same).await.unwrap().unwrap();
    assert_eq!(image.size, body.len() as u64 + 2 + 5);
}

/// Annotations can fill a manifest, and all manifests that refer to one subject are shown in one list: it comes in pages that
/// clients can read, each with the filter of the first.
#[tokio::test]
async fn referrers_with_large_annotations() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    client.push("team/app", "{}").await;
    let subject = Digest::sha256_of(b"subject");
    let kind = "application/vnd.test+x;v=1&2";
    let mut pushed = Vec::new();
    for number in 0..9 {
        let mut manifest = image("{}", &[]);
        manifest["subject"] = json!({ "mediaType": OCI_MANIFEST, "digest": subject.to_string(), "size": 5 });
        manifest["artifactType"] = kind.into();
        manifest["annotations"] = json!({ "number": number, "text": "é".repeat(500_000) });
        manifest["annotations"]["number"] = number.to_string().into();
        let got = client.put_manifest("team/app", &format!("s{number}"), &manifest).await.expect(201);
        pushed.push(got.header("docker-content-digest").to_owned());
    }
    pushed.sort();
    let path = format!("/v2/team/app/referrers/{subject}");
    for query in ["", "?artifactType=application/vnd.test%2Bx%3Bv%3D1%262"] {
        let (mut found, mut pages) = (Vec::new(), 0);
        let mut path = Some(format!("{path}{query}"));
        while let Some(from) = path {
            let got = client.get(&from).await.expect(200);
            assert!(got.body.len() <= MANIFEST_MAX, "{} bytes", got.body.len());
            assert_eq!(got.header("oci-filters-applied"), if query.is_empty() { "" } else { "artifactType" }, "{from}");
            let entries = got.json()["manifests"].as_array().unwrap().clone();
            assert!(entries.iter().all(|entry| entry["annotations"]["text"].as_str().unwrap().len() == 1_000_000));
            found.extend(entries.iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()));
            pages += 1;
            path = next(&got);
        }
        assert_eq!((&found, pages), (&pushed, 3), "{query}");
    }
    let none = client.get(&format!("{path}?artifactType=application/none")).await.expect(200);
    assert_eq!((none.json()["manifests"].clone(), next(&none)), (json!([]), None));
    assert_eq!(client.get(&format!("{path}?last=nonsense")).await.error(), (400, "DIGEST_INVALID".to_owned()));
}

/// An index of many large manifests is walked one by one; nesting without an end is left where nobody goes on.
#[tokio::test]
async fn an_index_of_indexes_is_counted_once() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let (manifest, digest) = client.push_image("team/app", "leaf", "layer").await;
    let mut size = manifest.to_string().len() + manifest["config"]["size"].as_u64().unwrap() as usize + 5;
    let mut entry = descriptor(OCI_MANIFEST, &manifest.to_string());
    let mut child = ChildManifest { digest, platform: None };
    for depth in 0..20 {
        // Each names the one below twice.
        let list: Vec<Value> = vec![entry.clone(), entry.clone()];
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list }).to_string();
        let path = format!("/v2/team/app/manifests/depth{depth}");
        client.ask(Method::PUT, &path, &[("content-type", OCI_INDEX)], index.clone()).await.expect(201);
        size += index.len();
        entry = descriptor(OCI_INDEX, &index);
        let tag = ManifestRef::Tag(format!("depth{depth}"));
        let store: &dyn RegistryStore = registry.store.as_ref();
        let stored: Manifest = store.manifest_get(&name("team/app"), &tag).await.unwrap().unwrap();
        assert_eq!(stored.children, [child]);
        child = ChildManifest { digest: stored.digest, platform: None };
        let image = registry.registry.image_get(&name("team/app"), &tag).await.unwrap().unwrap();
        assert!(image.missing.is_empty());
        match depth {
            0..8 => assert_eq!((image.size as usize, image.platforms.len()), (size, 1), "depth {depth}"),
            _ => assert!((image.size as usize) < size && image.platforms.is_empty(), "depth {depth}"),
        }
    }
}
