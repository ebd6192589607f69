//! Names, digests and upload names that try to be something else: another path, another repository, another file.

use http::Method;
use layer0_domain::model::digest::Digest;

use crate::client::{Client, OCI_MANIFEST, image};
use crate::common::{Doors, TestRegistry};

/// What stands where `owner/name` should, and the code that it is answered with.
fn names() -> Vec<(String, u16, &'static str)> {
    let invalid = |name: &str| (name.to_owned(), 400, "NAME_INVALID");
    let unknown = |name: &str| (name.to_owned(), 404, "NAME_UNKNOWN");
    vec![
        invalid("team/.."),
        invalid("../team/app"),
        invalid("team/../../etc/passwd"),
        invalid("team/%2e%2e/app"),
        invalid("%2e%2e/%2e%2e/etc"),
        invalid("team/."),
        invalid("team//app"),
        invalid("/team/app"),
        invalid("team/app%00"),
        invalid("team/%00/app"),
        invalid("team/a%0d%0ab"),
        // An encoded slash stays inside its segment: the name is read after its segments are joined, so it is the same
        // name as with a plain one where it is legal, and never a path.
        invalid("team/a%2F..%2Fb"),
        invalid("team/..%2f..%2fetc%2fpasswd"),
        invalid("team/%252e%252e"),
        invalid("team%5Capp/x"),
        invalid("Team/app"),
        invalid("team/APP"),
        invalid("team/%C3%A9"),
        invalid("%E6%95%B0/%E6%8D%AE"),
        // A Cyrillic letter that looks like one of ours, a zero-width space, a combining mark.
        invalid("te%D0%B0m/app"),
        invalid("team/app%E2%80%8B"),
        invalid("team/e%CC%81"),
        invalid("team/app:tag"),
        invalid("team/app@sha256"),
        invalid("team/-app"),
        invalid("team/app-"),
        invalid("team/a__b___c"),
        invalid("team/%20"),
        invalid("team/%2A"),
        invalid(&format!("team/{}", "a".repeat(251))),
        invalid(&format!("team/{}", "a".repeat(30_000))),
        invalid(&format!("team/{}", "a/".repeat(10_000))),
        unknown("app"),
        unknown("..%2e"),
        unknown(&"a".repeat(30_000)),
        unknown(&format!("team/{}", "a".repeat(250))),
        unknown("team/none"),
    ]
}

#[tokio::test]
async fn names_are_taken_by_their_grammar_only() {
    let registry = TestRegistry::with(Doors::Open, |_| {}).await;
    let client = Client::of(&registry);
    let digest = Digest::sha256_of(b"x");
    let manifest = image("{}", &[]).to_string();
    let id = format!("{}-{}", "0".repeat(32), "0".repeat(16));
    for (name, status, code) in names() {
        for (method, rest) in [
            (Method::GET, "tags/list".to_owned()),
            (Method::GET, "manifests/1".to_owned()),
            (Method::PUT, "manifests/1".to_owned()),
            (Method::DELETE, "manifests/1".to_owned()),
            (Method::GET, format!("blobs/{digest}")),
            (Method::DELETE, format!("blobs/{digest}")),
            (Method::POST, "blobs/uploads/".to_owned()),
            (Method::POST, format!("blobs/uploads/?digest={digest}")),
            (Method::POST, format!("blobs/uploads/?mount={digest}&from=team/app")),
        ] {
            let path = format!("/v2/{name}/{rest}");
            let got = client.ask(method.clone(), &path, &[("content-type", OCI_MANIFEST)], manifest.clone()).await;
            assert_eq!(got.error(), (status, code.to_owned()), "{method} {path:.200}");
            assert!(got.body.len() < 2_000, "{method} {path:.200}: {} bytes", got.body.len());
        }
        // A legal name without such an upload, or none at all.
        let got = client.ask(Method::PATCH, &format!("/v2/{name}/blobs/uploads/{id}"), &[], "x").await;
        let wanted = if code == "NAME_UNKNOWN" && name.contains('/') { "BLOB_UPLOAD_UNKNOWN" } else { code };
        assert_eq!(got.error(), (status, wanted.to_owned()), "{name:.200}");
        // A mount from there is an upload, as the specification wants it.
        let from = format!("/v2/team/app/blobs/uploads/?mount={digest}&from={name}");
        let upload = client.post(&from).await.expect(202).header("location").to_owned();
        client.delete(&upload).await.expect(204);
    }
    assert_eq!((registry.staged(), registry.blob_files()), (vec![], vec![]));
    let made = registry.registry.repository_list(None, Default::default()).await.unwrap();
    assert_eq!(made.len(), 2, "{made:?}");
}

#[tokio::test]
async fn a_name_with_an_encoded_slash_is_the_name_and_an_encoded_word_is_the_word() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let digest = client.push("team/app", "content").await;
    for path in [
        format!("/v2/team%2Fapp/blobs/{digest}"),
        format!("/v2/%74eam/app/blobs/{}", digest.to_string().replace(':', "%3A")),
        format!("/v2/team/app/%62lobs/{digest}"),
    ] {
        assert_eq!(client.get(&path).await.expect(200).body, "content", "{path}");
    }
}

/// What stands where a digest should.
fn digests() -> Vec<String> {
    let hex = "a".repeat(64);
    vec![
        "sha256:../../x".replace('/', "%2F"),
        format!("sha256:{}", "../".repeat(22)[..64].replace('/', "%2F")),
        format!("sha256:{}", "%2e%2e%2f".repeat(8)),
        "sha256:".to_owned(),
        "sha256".to_owned() + ":" + &hex[..63],
        format!("sha256:{hex}a"),
        format!("sha512:{hex}"),
        format!("sha256:{}", hex.to_uppercase()),
        format!("SHA256:{hex}"),
        format!("sha256:{hex}%00"),
        format!("sha256:%00{}", &hex[1..]),
        format!("sha256::{hex}"),
        format!("sha256:{hex}:x"),
        format!("md5:{hex}"),
        format!("sha256:{}", "%C3%A9".repeat(32)),
        format!("sha256%253A{hex}:"),
        format!("sha256:{}", "a".repeat(30_000)),
        format!(":{hex}"),
        format!("%20sha256:{hex}"),
    ]
}

#[tokio::test]
async fn digests_are_taken_by_their_grammar_only() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let upload = client.begin("team/app").await;
    client.ask(Method::PATCH, &upload, &[], "content").await.expect(202);
    for digest in digests() {
        for (method, path) in [
            (Method::GET, format!("/v2/team/app/blobs/{digest}")),
            (Method::DELETE, format!("/v2/team/app/blobs/{digest}")),
            (Method::GET, format!("/v2/team/app/manifests/{digest}")),
            (Method::PUT, format!("/v2/team/app/manifests/{digest}")),
            (Method::DELETE, format!("/v2/team/app/manifests/{digest}")),
            (Method::PUT, format!("/v2/team/app/manifests/1?digest={digest}")),
            (Method::GET, format!("/v2/team/app/referrers/{digest}")),
            (Method::POST, format!("/v2/team/app/blobs/uploads/?digest={digest}")),
            (Method::PUT, format!("{upload}?digest={digest}")),
        ] {
            let got = client.ask(method.clone(), &path, &[("content-type", OCI_MANIFEST)], "{}").await;
            assert_eq!(got.error(), (400, "DIGEST_INVALID".to_owned()), "{method} {path:.200}");
            assert!(got.body.len() < 2_000, "{method} {path:.200}: {} bytes", got.body.len());
        }
        let mount = client.post(&format!("/v2/team/app/blobs/uploads/?mount={digest}&from=team/other")).await;
        client.delete(mount.expect(202).header("location")).await.expect(204);
    }
    // The upload took no harm of it.
    assert_eq!(client.get(&upload).await.expect(204).header("range"), "0-6");
    client.delete(&upload).await.expect(204);
    assert_eq!((registry.staged(), registry.blob_files()), (vec![], vec![]));
}

#[tokio::test]
async fn uploads_are_named_by_their_own_names_only() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let upload = client.begin("team/app").await;
    client.ask(Method::PATCH, &upload, &[], "x").await.expect(202);
    let id = upload.rsplit('/').next().unwrap();
    for name in [
        "..%2F..%2Flayer0.db".to_owned(),
        "..".to_owned(),
        "%2e%2e".to_owned(),
        "..%2Fblobs".to_owned(),
        "%00".to_owned(),
        format!("{id}%00"),
        format!("{id}%2F"),
        format!("..%2Fuploads%2F{id}"),
        id.to_uppercase(),
        format!("{}-{}", "%C3%A9".repeat(16), "0".repeat(16)),
        format!("{}x", &id[..id.len() - 1]),
        "0".repeat(30_000),
    ] {
        for method in [Method::GET, Method::PATCH, Method::PUT, Method::DELETE] {
            let path = format!("/v2/team/app/blobs/uploads/{name}?digest={}", Digest::sha256_of(b"x"));
            let got = client.ask(method.clone(), &path, &[], "x").await;
            assert_eq!(got.error(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()), "{method} {path:.200}");
        }
    }
    assert_eq!(registry.staged(), [id]);
}

#[tokio::test]
async fn paths_that_climb_mean_nothing() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    for path in [
        "/v2/../v2/team/app",
        "/v2/team/app/../../../etc/passwd",
        "/v2/%2e%2e/%2e%2e/etc/passwd",
        "/v2/team/app/blobs/%zz",
        "/v2/team/app/manifests/%",
        "/v2/team/app/manifests/%ff",
        "/v2/team/app/manifests/a/b",
        "/v2/team/app/tags/list/",
        "/v2/team/app/tags/LIST",
        "/v2/team/app/BLOBS/x",
        "/v2/team/app/blobs/uploads/a/b",
        "/v2/_catalog/",
    ] {
        let got = client.get(path).await;
        assert_eq!(got.error(), (404, "UNSUPPORTED".to_owned()), "{path}");
    }
}
