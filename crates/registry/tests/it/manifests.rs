//! Manifests: what is taken, what is refused, and how they come back.

use http::Method;
use layer0_domain::model::digest::{Algorithm, Digest};
use serde_json::{Value, json};

use crate::client::{CONFIG, Client, LAYER, OCI_INDEX, OCI_MANIFEST, descriptor, digest_by, image, index};
use crate::common::TestRegistry;

fn of(manifest: &Value, media_type: &str) -> Value {
    descriptor(media_type, &manifest.to_string())
}

#[tokio::test]
async fn an_image_by_tag_and_by_digest() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let (manifest, digest) = client.push_image("team/app", "1.0", "layer").await;
    assert_eq!(digest, Digest::sha256_of(manifest.to_string().as_bytes()));
    for reference in ["1.0", &digest.to_string()] {
        let path = format!("/v2/team/app/manifests/{reference}");
        let got = client.get(&path).await.expect(200);
        assert_eq!(got.body, manifest.to_string());
        assert_eq!(got.header("content-type"), OCI_MANIFEST);
        assert_eq!(got.header("docker-content-digest"), digest.to_string());
        let head = client.head(&path).await.expect(200);
        assert_eq!(head.header("content-length"), manifest.to_string().len().to_string());
        client.ask(Method::GET, &path, &[("if-none-match", got.header("etag"))], "").await.expect(304);
        // A client that accepts nothing of the kind gets it all the same.
        client.ask(Method::GET, &path, &[("accept", "text/html")], "").await.expect(200);
    }
    for (path, code) in
        [("/v2/team/app/manifests/2.0", "MANIFEST_UNKNOWN"), ("/v2/team/none/manifests/1.0", "NAME_UNKNOWN")]
    {
        assert_eq!(client.get(path).await.error(), (404, code.to_owned()));
        client.head(path).await.expect(404);
    }
    let absent = Digest::sha256_of(b"absent");
    assert_eq!(
        client.get(&format!("/v2/team/app/manifests/{absent}")).await.error(),
        (404, "MANIFEST_UNKNOWN".to_owned())
    );
}

#[tokio::test]
async fn a_tag_moves_and_the_old_manifest_stays() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let (_, one) = client.push_image("team/app", "latest", "one").await;
    let (_, two) = client.push_image("team/app", "latest", "two").await;
    assert_eq!(client.head("/v2/team/app/manifests/latest").await.header("docker-content-digest"), two.to_string());
    client.get(&format!("/v2/team/app/manifests/{one}")).await.expect(200);
}

#[tokio::test]
async fn references_that_are_none() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let manifest = image("{}", &[]);
    client.push("team/app", "{}").await;
    for (reference, code) in [
        ("sha256:abc", "DIGEST_INVALID"),
        ("md5:00", "DIGEST_INVALID"),
        (".dot", "MANIFEST_INVALID"),
        (&"x".repeat(129), "MANIFEST_INVALID"),
        ("a%20b", "MANIFEST_INVALID"),
    ] {
        assert_eq!(
            client.put_manifest("team/app", reference, &manifest).await.error(),
            (400, code.to_owned()),
            "{reference}"
        );
        assert_eq!(
            client.get(&format!("/v2/team/app/manifests/{reference}")).await.error(),
            (400, code.to_owned()),
            "{reference}"
        );
    }
    let wrong = Digest::sha256_of(b"something else");
    assert_eq!(
        client.put_manifest("team/app", &wrong.to_string(), &manifest).await.error(),
        (400, "DIGEST_INVALID".to_owned())
    );
}

#[tokio::test]
async fn what_the_manifest_names_must_be_there() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    client.push("team/app", "{}").await;
    let got = client.put_manifest("team/app", "1", &image("{}", &["absent", "missing"])).await;
    assert_eq!(got.error(), (400, "MANIFEST_BLOB_UNKNOWN".to_owned()));
    let named: Vec<Value> =
        got.json()["errors"].as_array().unwrap().iter().map(|error| error["detail"]["digest"].clone()).collect();
    assert_eq!(
        named,
        [json!(Digest::sha256_of(b"absent").to_string()), json!(Digest::sha256_of(b"missing").to_string())]
    );
    // A blob of another repository does not count.
    client.push("team/other", "absent").await;
    assert_eq!(client.put_manifest("team/app", "1", &image("{}", &["absent"])).await.error().0, 400);
    // Nor does one of another length.
    client.push("team/app", "layer").await;
    let mut wrong = image("{}", &["layer"]);
    wrong["layers"][0]["size"] = json!(4);
    assert_eq!(client.put_manifest("team/app", "1", &wrong).await.error(), (400, "MANIFEST_INVALID".to_owned()));
    // An index's children too.
    let child = of(&image("{}", &["layer"]), OCI_MANIFEST);
    assert_eq!(
        client.put_manifest("team/app", "1", &index(vec![child])).await.error(),
        (400, "MANIFEST_BLOB_UNKNOWN".to_owned())
    );
    client.get("/v2/team/app/manifests/1").await.expect(404);
}

#[tokio::test]
async fn kinds_of_content() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    client.push("team/app", "{}").await;
    client.push("team/app", "layer").await;
    let absent = Digest::sha256_of(b"absent").to_string();
    let foreign = json!({ "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "digest": absent, "size": 9, "urls": ["https://example.com/x"] });
    let mut with_foreign = image("{}", &["layer"]);
    with_foreign["layers"].as_array_mut().unwrap().push(foreign);
    let mut custom = image("{}", &["layer"]);
    custom["org.example.field"] = json!({ "deep": [1, 2, 3] });
    custom["config"]["data"] = json!("e30=");
    let mut subject = image("{}", &[]);
    subject["subject"] = json!({ "mediaType": OCI_MANIFEST, "digest": absent, "size": 7 });
    let mut no_layers = image("{}", &[]);
    no_layers.as_object_mut().unwrap().remove("layers");
    let docker = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": descriptor("application/vnd.docker.container.image.v1+json", "{}"),
        "layers": [descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", "layer")],
    });
    let artifact = json!({ "mediaType": "application/vnd.oci.artifact.manifest.v1+json", "artifactType": "application/x.test", "blobs": [descriptor("text/plain", "layer")] });
    let plain = image("{}", &["layer"]);
    let inner = index(vec![of(&plain, OCI_MANIFEST)]);
    let outer = index(vec![of(&inner, OCI_INDEX), descriptor("text/plain", "layer")]);
    let kinds = [plain, with_foreign, custom, subject, no_layers, docker, artifact, index(vec![]), inner, outer];
    for (at, manifest) in kinds.iter().enumerate() {
        let tag = format!("kind-{at}");
        let got = client.put_manifest("team/app", &tag, manifest).await;
        assert_eq!(got.status.as_u16(), 201, "{manifest} {got:?}");
        let subject = manifest["subject"]["digest"].as_str().unwrap_or_default();
        assert_eq!(got.header("oci-subject"), subject);
        assert_eq!(client.get(got.header("location")).await.expect(200).body, manifest.to_string());
    }
}

#[tokio::test]
async fn sha512_manifests() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    client.push("team/app", "{}").await;
    let manifest = image("{}", &[]);
    let digest = digest_by(Algorithm::Sha512, manifest.to_string().as_bytes());
    let got = client.put_manifest("team/app", &digest.to_string(), &manifest).await.expect(201);
    assert_eq!(got.header("docker-content-digest"), digest.to_string());
    client.get(&format!("/v2/team/app/manifests/{digest}")).await.expect(200);
}

#[tokio::test]
async fn a_push_by_digest_can_name_tags() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    client.push("team/app", "{}").await;
    let manifest = image("{}", &[]);
    let digest = Digest::sha256_of(manifest.to_string().as_bytes());
    let got = client.put_manifest("team/app", &format!("{digest}?tag=a&tag=b"), &manifest).await.expect(201);
    let tags: Vec<&str> = got.headers.get_all("oci-tag").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(tags, ["a", "b"]);
    for tag in ["a", "b"] {
        assert_eq!(
            client.head(&format!("/v2/team/app/manifests/{tag}")).await.expect(200).header("docker-content-digest"),
            digest.to_string()
        );
    }
    assert_eq!(
        client.put_manifest("team/app", &format!("{digest}?tag=-no"), &manifest).await.error(),
        (400, "MANIFEST_INVALID".to_owned())
    );
}

#[tokio::test]
async fn large_and_too_large() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    client.push("team/app", "{}").await;
    let mut manifest = image("{}", &[]);
    manifest["annotations"] = (0..390)
        .map(|at| (format!("a{at}"), Value::from("x".repeat(10 << 10))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    client.put_manifest("team/app", "large", &manifest).await.expect(201);
    assert_eq!(client.get("/v2/team/app/manifests/large").await.expect(200).body, manifest.to_string());
    // To the byte.
    let short = (4 << 20) - manifest.to_string().len() - r#","more":"""#.len();
    for (length, status) in [(short, 201), (short + 1, 413)] {
        manifest["annotations"]["more"] = "x".repeat(length).into();
        client.put_manifest("team/app", "large", &manifest).await.expect(status);
    }
    manifest["annotations"]["more"] = "x".repeat(1 << 20).into();
    assert_eq!(client.put_manifest("team/app", "large", &manifest).await.error(), (413, "SIZE_INVALID".to_owned()));
}

#[tokio::test]
async fn bad_manifests() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    client.push("team/app", "{}").await;
    let put = async |media_type: &str, body: String| {
        client.ask(Method::PUT, "/v2/team/app/manifests/1", &[("content-type", media_type)], body).await
    };
    let good = image("{}", &[]).to_string();
    for (media_type, body) in [
        (OCI_MANIFEST, String::new()),
        (OCI_MANIFEST, "{".to_owned()),
        (OCI_MANIFEST, "[]".to_owned()),
        (OCI_MANIFEST, "{}".to_owned()),
        (OCI_MANIFEST, "[".repeat(100_000)),
        (OCI_INDEX, good.clone()),
        ("application/json", good.clone()),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", good.clone()),
        (OCI_MANIFEST, good.replace("\"schemaVersion\":2", "\"schemaVersion\":1")),
        (OCI_MANIFEST, good.replace("\"size\":2", "\"size\":-2")),
        (OCI_MANIFEST, good.replace(CONFIG, "nonsense")),
    ] {
        assert_eq!(
            put(media_type, body.clone()).await.error(),
            (400, "MANIFEST_INVALID".to_owned()),
            "{media_type} {body:.80}"
        );
    }
    put("application/vnd.oci.image.manifest.v1+json; charset=utf-8", good).await.expect(201);
}

#[tokio::test]
async fn deletes_are_seen_at_once() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let (manifest, digest) = client.push_image("team/app", "one", "layer").await;
    client.put_manifest("team/app", "two", &manifest).await.expect(201);
    client.delete("/v2/team/app/manifests/one").await.expect(202);
    client.head("/v2/team/app/manifests/one").await.expect(404);
    client.head("/v2/team/app/manifests/two").await.expect(200);
    client.delete(&format!("/v2/team/app/manifests/{digest}")).await.expect(202);
    client.head("/v2/team/app/manifests/two").await.expect(404);
    for reference in ["one", &digest.to_string()] {
        assert_eq!(
            client.delete(&format!("/v2/team/app/manifests/{reference}")).await.error(),
            (404, "MANIFEST_UNKNOWN".to_owned())
        );
    }
    assert_eq!(client.delete("/v2/team/none/manifests/one").await.error(), (404, "NAME_UNKNOWN".to_owned()));
    let layer = &manifest["layers"][0]["digest"];
    client.delete(&format!("/v2/team/app/blobs/{}", layer.as_str().unwrap())).await.expect(202);
    assert_eq!(manifest["layers"][0]["mediaType"], LAYER);
}

/// What JSON allows and no manifest needs. What two readers could read in two ways is refused.
#[tokio::test]
async fn odd_json() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    client.push("team/app", "{}").await;
    client.push("team/app", "layer").await;
    let put = async |body: String| {
        client.ask(Method::PUT, "/v2/team/app/manifests/1", &[("content-type", OCI_MANIFEST)], body).await
    };
    let good = image("{}", &["layer"]).to_string();
    let with = |more: &str| format!("{},{more}}}", &good[..good.len() - 1]);
    let config = image("{}", &[])["config"].to_string();
    for (what, body) in [
        ("a key twice", with(&format!("\"config\":{config}"))),
        ("a key twice, the first of them null", good.replacen('{', "{\"layers\":null,", 1)),
        ("a key twice inside", good.replacen("\"size\":2", "\"size\":2,\"size\":2", 1)),
        ("the type twice, once escaped", with(&format!("\"media\\u0054ype\":\"{OCI_INDEX}\""))),
        ("an index inside", with("\"manifests\":[]")),
        ("a size beyond all numbers", good.replace("\"size\":2", "\"size\":1e999")),
        ("a size beyond 64 bits", good.replace("\"size\":2", "\"size\":99999999999999999999999999")),
        ("a size beyond what Go holds", good.replace("\"size\":2", "\"size\":9223372036854775808")),
        ("a size in a fraction", good.replace("\"size\":2", "\"size\":2.0")),
        ("a size in quotes", good.replace("\"size\":2", "\"size\":\"2\"")),
        ("a size of a megabyte", good.replace("\"size\":2", &format!("\"size\":\"{}\"", "2".repeat(1 << 20)))),
        ("a number of a megabyte", good.replace("\"size\":2", &format!("\"size\":{}", "2".repeat(1 << 20)))),
        ("a type of a megabyte", good.replace(OCI_MANIFEST, &"x".repeat(1 << 20))),
        ("a digest of a megabyte", good.replacen("sha256:", &"x".repeat(1 << 20), 1)),
        ("lists without end", "[".repeat(1 << 20)),
        ("objects without end", "{\"a\":".repeat(1 << 18)),
        ("lists without end inside", with(&format!("\"x\":{}{}", "[".repeat(100_000), "]".repeat(100_000)))),
        ("more after the end", format!("{good}{good}")),
        ("a NUL after the end", format!("{good}\0")),
        ("half a surrogate", with("\"artifactType\":\"\\ud800\"")),
        ("a list as annotations", with("\"annotations\":[]")),
        ("a number as an annotation", with("\"annotations\":{\"a\":1}")),
        ("a text as the subject", with("\"subject\":\"sha256:00\"")),
    ] {
        let got = put(body).await;
        assert_eq!(got.status.as_u16(), 400, "{what}");
        assert_eq!(got.error(), (400, "MANIFEST_INVALID".to_owned()), "{what}");
        assert!(got.body.len() < 3_000, "{what}: an answer of {} bytes", got.body.len());
    }
    client.get("/v2/team/app/manifests/1").await.expect(404);
    // What is not ours is kept as it is.
    for body in [with("\"x\":1,\"x\":2"), with("\"x\":1e999"), with("\"\\u0000\":null")] {
        put(body.clone()).await.expect(201);
        assert_eq!(client.get("/v2/team/app/manifests/1").await.expect(200).body, body);
    }
}

/// What a manifest is comes from its `Content-Type` and its `mediaType`, which must be one, and one of ours.
#[tokio::test]
async fn media_types() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    client.push("team/app", "{}").await;
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let put = async |content_type: Option<&str>, media_type: Option<&str>| {
        let mut manifest = image("{}", &[]);
        match media_type {
            Some(media_type) => manifest["mediaType"] = media_type.into(),
            None => drop(manifest.as_object_mut().unwrap().remove("mediaType")),
        }
        let headers: Vec<(&str, &str)> =
            content_type.map(|content_type| ("content-type", content_type)).into_iter().collect();
        client.ask(Method::PUT, "/v2/team/app/manifests/1", &headers, manifest.to_string()).await
    };
    let longest = format!("application/{}", "x".repeat(20_000));
    for (content_type, media_type) in [
        (Some(docker), Some(OCI_MANIFEST)),
        (Some(OCI_MANIFEST), Some(docker)),
        (Some(OCI_INDEX), Some(OCI_INDEX)),
        (Some("text/plain"), None),
        (Some("text/plain"), Some("text/plain")),
        (Some("application/json"), Some(OCI_MANIFEST)),
        (Some("application/octet-stream"), None),
        (Some(""), Some(OCI_MANIFEST)),
        (Some("*/*"), None),
        (Some("nonsense"), None),
        (Some(&longest), None),
        (None, Some("text/plain")),
        (None, Some("")),
        (None, Some("Application/vnd.oci.image.manifest.v1+json")),
        (Some(OCI_MANIFEST), Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8")),
    ] {
        let got = put(content_type, media_type).await;
        assert_eq!(got.error(), (400, "MANIFEST_INVALID".to_owned()), "{content_type:.80?} {media_type:?}");
        assert!(got.body.len() < 3_000, "an answer of {} bytes", got.body.len());
    }
    client.get("/v2/team/app/manifests/1").await.expect(404);
    for (content_type, media_type) in [
        (None, None),
        (None, Some(OCI_MANIFEST)),
        (Some(OCI_MANIFEST), None),
        (Some(docker), Some(docker)),
        (Some("Application/Vnd.OCI.Image.Manifest.v1+JSON"), Some(OCI_MANIFEST)),
    ] {
        put(content_type, media_type).await.expect(201);
        let got = client.get("/v2/team/app/manifests/1").await.expect(200);
        assert_eq!(got.header("content-type"), media_type.unwrap_or(OCI_MANIFEST), "{content_type:?} {media_type:?}");
    }
}
