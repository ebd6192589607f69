//! Content of a repository that the caller may not see: it is not to be had by any way, and not to be told whether it is
//! there.

use http::Method;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::Visibility;
use layer0_domain::port::registry_store::{Along, BlobLink, RegistryStore};
use serde_json::{Value, json};

use crate::client::{Answer, CONFIG, Client, LAYER, OCI_MANIFEST, descriptor, image, index};
use crate::common::{Doors, TestRegistry, name};

const AUTH: (&str, &str) = ("authorization", "Basic Y2k6Y29ycmVjdC1ob3JzZQ==");

/// A registry in which `secret/app`, closed to the caller, holds the blob `hidden` and an image of it.
struct Hidden {
    registry: TestRegistry,
    client: Client,
    /// The manifest in `secret/app`.
    image: Value,
}

impl Hidden {
    async fn start() -> Self {
        let registry = TestRegistry::with(Doors::Basic, |_| {}).await;
        let client = Client::of(&registry);
        let this = Self { registry, client, image: image("{}", &["hidden"]) };
        this.registry.registry.repository_create(name("secret/app"), Visibility::Private).await.unwrap();
        // Put there by somebody who may: here through the other repository, from which it is then gone.
        for content in ["{}", "hidden"] {
            this.push("team/other", content).await;
        }
        let store: &dyn RegistryStore = this.registry.store.as_ref();
        let put = this.put("team/other", "1", &this.image).await.expect(201);
        let digest = Digest::parse(put.header("docker-content-digest")).unwrap();
        let by_tag = layer0_domain::model::registry::ManifestRef::Tag("1".to_owned());
        let manifest = store.manifest_get(&name("team/other"), &by_tag).await.unwrap().unwrap();
        for (blob, size) in &manifest.blobs {
            let link = BlobLink { digest: blob.clone(), size: *size, sums: None, place: None };
            store.blob_link(&name("secret/app"), &link, manifest.pushed, &Along::NOTHING).await.unwrap();
        }
        store.manifest_put(&name("secret/app"), &manifest, &["1".to_owned()], &Along::NOTHING).await.unwrap();
        this.ask(Method::DELETE, &format!("/v2/team/other/manifests/{digest}"), "").await.expect(202);
        for (blob, _) in &manifest.blobs {
            this.ask(Method::DELETE, &format!("/v2/team/other/blobs/{blob}"), "").await.expect(202);
        }
        this.push("team/app", "{}").await;
        let mut there = this.registry.blob_files();
        there.dedup();
        assert_eq!(there.len(), 2, "it is there");
        this
    }

    async fn ask(&self, method: Method, path: &str, body: impl Into<bytes::Bytes>) -> Answer {
        self.client.ask(method, path, &[AUTH], body).await
    }

    async fn push(&self, repository: &str, content: &'static str) {
        let digest = Digest::sha256_of(content.as_bytes());
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        self.ask(Method::POST, &path, content).await.expect(201);
    }

    async fn put(&self, repository: &str, reference: &str, manifest: &Value) -> Answer {
        let media_type = manifest["mediaType"].as_str().unwrap().to_owned();
        let path = format!("/v2/{repository}/manifests/{reference}");
        self.client.ask(Method::PUT, &path, &[AUTH, ("content-type", &media_type)], manifest.to_string()).await
    }
}

/// An answer without what differs by the digest asked for, and by the moment.
fn shape(answer: &Answer, digest: &Digest) -> (u16, Vec<(String, String)>, String) {
    let blank = |text: &str| text.replace(&digest.to_string(), "DIGEST");
    let headers =
        answer.headers.iter().filter(|(name, _)| !["date", "location", "docker-upload-uuid"].contains(&name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), blank(value.to_str().unwrap()))).collect();
    (answer.status.as_u16(), headers, blank(&String::from_utf8_lossy(&answer.body)))
}

/// Whatever is asked about content that only the hidden repository has is answered as if nobody had it.
#[tokio::test]
async fn hidden_content_is_answered_like_absent_content() {
    let hidden = Hidden::start().await;
    let blob = Digest::sha256_of(b"hidden");
    let child = Digest::sha256_of(hidden.image.to_string().as_bytes());
    // As long as what is hidden, and nowhere.
    let (no_blob, no_child) = (Digest::sha256_of(b"absent"), Digest::sha256_of(b"an absent manifest"));
    let with_layer = |digest: &Digest| {
        let mut manifest = image("{}", &[]);
        manifest["layers"] = json!([{ "mediaType": LAYER, "digest": digest.to_string(), "size": 6 }]);
        manifest
    };
    let with_config = |digest: &Digest| {
        let mut manifest = image("{}", &[]);
        manifest["config"] = json!({ "mediaType": CONFIG, "digest": digest.to_string(), "size": 6 });
        manifest
    };
    let with_child = |digest: &Digest, media_type: &str| {
        index(vec![json!({ "mediaType": media_type, "digest": digest.to_string(), "size": 6 })])
    };
    for make in [&with_layer as &dyn Fn(&Digest) -> Value, &with_config, &|digest| with_child(digest, "text/plain")] {
        let there = hidden.put("team/app", "x", &make(&blob)).await;
        let absent = hidden.put("team/app", "x", &make(&no_blob)).await;
        assert_eq!(there.error(), (400, "MANIFEST_BLOB_UNKNOWN".to_owned()));
        assert_eq!(shape(&there, &blob), shape(&absent, &no_blob));
    }
    let there = hidden.put("team/app", "x", &with_child(&child, OCI_MANIFEST)).await;
    let absent = hidden.put("team/app", "x", &with_child(&no_child, OCI_MANIFEST)).await;
    assert_eq!(there.error(), (400, "MANIFEST_BLOB_UNKNOWN".to_owned()));
    assert_eq!(shape(&there, &child), shape(&absent, &no_child));

    for (method, path) in [
        (Method::GET, "/v2/team/app/blobs/DIGEST"),
        (Method::HEAD, "/v2/team/app/blobs/DIGEST"),
        (Method::DELETE, "/v2/team/app/blobs/DIGEST"),
        (Method::GET, "/v2/team/app/manifests/DIGEST"),
        (Method::GET, "/v2/team/app/referrers/DIGEST"),
        (Method::POST, "/v2/team/app/blobs/uploads/?mount=DIGEST"),
        (Method::POST, "/v2/team/app/blobs/uploads/?mount=DIGEST&from=secret/app"),
        (Method::POST, "/v2/team/app/blobs/uploads/?mount=DIGEST&from=secret/none"),
        (Method::POST, "/v2/team/app/blobs/uploads/?digest=DIGEST"),
        (Method::GET, "/v2/secret/app/blobs/DIGEST"),
        (Method::GET, "/v2/secret/app/manifests/DIGEST"),
        (Method::GET, "/v2/secret/app/manifests/1"),
    ] {
        for (there, absent) in [(&blob, &no_blob), (&child, &no_child)] {
            let path_of = |digest: &Digest| path.replace("DIGEST", &digest.to_string());
            let first = hidden.ask(method.clone(), &path_of(there), "not the content").await;
            let second = hidden.ask(method.clone(), &path_of(absent), "not the content").await;
            assert!(!matches!(first.status.as_u16(), 201 | 206), "{method} {path}: {first:?}");
            // The content that was sent has one digest: what it is not differs by the digest asked for alone.
            assert_eq!(shape(&first, there), shape(&second, absent), "{method} {path}");
        }
    }
    // A repository that is closed and one that is not there are the same to who may see neither.
    let closed = hidden.ask(Method::GET, "/v2/secret/app/tags/list", "").await;
    let nowhere = hidden.ask(Method::GET, "/v2/secret/none/tags/list", "").await;
    assert_eq!(closed.error(), (403, "DENIED".to_owned()));
    let body = |answer: &Answer| String::from_utf8_lossy(&answer.body).replace("secret/none", "secret/app");
    assert_eq!((closed.status, body(&closed)), (nowhere.status, body(&nowhere)));
}

/// Layers that need not be pushed are taken without being looked for elsewhere: the image of them serves nobody's bytes.
#[tokio::test]
async fn a_foreign_layer_brings_no_hidden_bytes() {
    let hidden = Hidden::start().await;
    let blob = Digest::sha256_of(b"hidden");
    let mut manifest = image("{}", &[]);
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    manifest["layers"] = json!([{ "mediaType": foreign, "digest": blob.to_string(), "size": 6 }]);
    hidden.put("team/app", "x", &manifest).await.expect(201);
    let got = hidden.ask(Method::GET, &format!("/v2/team/app/blobs/{blob}"), "").await;
    assert_eq!(got.error(), (404, "BLOB_UNKNOWN".to_owned()));
}

/// Who has the content can push it; the other repository's copy is not touched by that, nor by its deletion.
#[tokio::test]
async fn the_same_content_in_two_repositories_is_two_things() {
    let hidden = Hidden::start().await;
    let blob = Digest::sha256_of(b"hidden");
    hidden.push("team/app", "hidden").await;
    hidden.ask(Method::DELETE, &format!("/v2/team/app/blobs/{blob}"), "").await.expect(202);
    let store: &dyn RegistryStore = hidden.registry.store.as_ref();
    let holders = store.blob_holders(&blob).await.unwrap();
    assert_eq!(holders, [(name("secret/app"), 6)]);
    assert!(hidden.registry.blob_files().contains(&blob.hex().to_owned()));
    assert_eq!(descriptor(LAYER, "hidden")["digest"], blob.to_string());
}
