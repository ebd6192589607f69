//! Who is let in, and what the others are told.

use http::Method;
use layer0_domain::model::digest::Digest;

use crate::client::Client;
use crate::common::{Doors, TestRegistry};

const GOOD: (&str, &str) = ("authorization", "Basic Y2k6Y29ycmVjdC1ob3JzZQ==");

/// Every route, with the scope that its challenge names.
fn routes() -> Vec<(Method, String, &'static str)> {
    let digest = Digest::sha256_of(b"x");
    let id = format!("{}-{}", "0".repeat(32), "0".repeat(16));
    let route = |method: Method, rest: String, actions: &'static str| (method, format!("/v2/team/app/{rest}"), actions);
    let mut all = vec![
        (Method::GET, "/v2/".to_owned(), ""),
        (Method::GET, "/v2/_catalog".to_owned(), ""),
        (Method::GET, "/v2/nothing".to_owned(), ""),
    ];
    for method in [Method::GET, Method::HEAD] {
        all.push(route(method.clone(), format!("blobs/{digest}"), "pull"));
        all.push(route(method.clone(), "manifests/1".to_owned(), "pull"));
        all.push(route(method.clone(), "tags/list".to_owned(), "pull"));
        all.push(route(method.clone(), format!("referrers/{digest}"), "pull"));
        all.push(route(method, format!("blobs/uploads/{id}"), "pull,push"));
    }
    all.push(route(Method::POST, "blobs/uploads/".to_owned(), "pull,push"));
    all.push(route(Method::PATCH, format!("blobs/uploads/{id}"), "pull,push"));
    all.push(route(Method::PUT, format!("blobs/uploads/{id}?digest={digest}"), "pull,push"));
    all.push(route(Method::DELETE, format!("blobs/uploads/{id}"), "pull,push"));
    all.push(route(Method::PUT, "manifests/1".to_owned(), "pull,push"));
    all.push(route(Method::DELETE, "manifests/1".to_owned(), "delete"));
    all.push(route(Method::DELETE, format!("blobs/{digest}"), "delete"));
    all
}

#[tokio::test]
async fn without_a_credential_every_route_says_how_to_get_one() {
    let registry = TestRegistry::with(Doors::Bearer, |_| {}).await;
    let client = Client::of(&registry);
    let host = registry.address;
    for (method, path, actions) in routes() {
        let got = client.ask(method.clone(), &path, &[], "").await;
        assert_eq!(got.status.as_u16(), 401, "{method} {path}");
        let mut want = format!("Bearer realm=\"http://{host}/auth/token\",service=\"{host}\"");
        if !actions.is_empty() {
            want.push_str(&format!(",scope=\"repository:team/app:{actions}\""));
        }
        assert_eq!(got.header("www-authenticate"), want, "{method} {path}");
        if method != Method::HEAD {
            assert_eq!(got.error().1, "UNAUTHORIZED");
        }
    }
    // A mount reads from a second repository.
    let got =
        client.post(&format!("/v2/team/app/blobs/uploads/?mount={}&from=team/other", Digest::sha256_of(b"x"))).await;
    assert!(
        got.header("www-authenticate").ends_with("scope=\"repository:team/app:pull,push repository:team/other:pull\"")
    );
}

/// A client whose token covers one repository is told to ask for both; one that can't say from where just uploads.
#[tokio::test]
async fn a_mount_asks_for_the_repository_that_it_reads_from() {
    let registry = TestRegistry::with(Doors::Bearer, |_| {}).await;
    let client = Client::of(&registry);
    let token = async |scopes: &[&str]| {
        let query: Vec<String> = scopes.iter().map(|scope| format!("scope=repository:{scope}")).collect();
        let got = client.ask(Method::GET, &format!("/auth/token?{}", query.join("&")), &[GOOD], "").await.expect(200);
        format!("Bearer {}", got.json()["token"].as_str().unwrap())
    };
    let (source, target) = ("team/other:pull,push", "team/app:pull,push");
    let digest = Digest::sha256_of(b"layer");
    let put = format!("/v2/team/other/blobs/uploads/?digest={digest}");
    client.ask(Method::POST, &put, &[("authorization", &token(&[source]).await)], "layer").await.expect(201);

    let one = token(&[target]).await;
    let mount = |from: &str| format!("/v2/team/app/blobs/uploads/?mount={digest}{from}");
    let got = client.ask(Method::POST, &mount("&from=team/other"), &[("authorization", &one)], "").await.expect(401);
    let scopes = "scope=\"repository:team/app:pull,push repository:team/other:pull\"";
    assert!(got.header("www-authenticate").ends_with(scopes), "{got:?}");
    client.ask(Method::POST, &mount(""), &[("authorization", &one)], "").await.expect(202);
    let both = token(&[target, "team/other:pull"]).await;
    client.ask(Method::POST, &mount("&from=team/other"), &[("authorization", &both)], "").await.expect(201);
}

#[tokio::test]
async fn with_basic_every_route_asks_for_a_password() {
    let registry = TestRegistry::with(Doors::Basic, |_| {}).await;
    let client = Client::of(&registry);
    for (method, path, _) in routes() {
        for wrong in [&[][..], &[("authorization", "Basic bm86bm8=")], &[("authorization", "nonsense")]] {
            let got = client.ask(method.clone(), &path, wrong, "").await;
            assert_eq!(got.status.as_u16(), 401, "{method} {path}");
            assert_eq!(got.header("www-authenticate"), format!("Basic realm=\"{}\"", registry.address));
            // Who has tried is not told to try.
            assert!(method == Method::HEAD || got.message().contains("sign in first") == wrong.is_empty(), "{got:?}");
        }
    }
    client.ask(Method::GET, "/v2/", &[GOOD], "").await.expect(200);
}

#[tokio::test]
async fn what_is_forbidden_is_denied() {
    let registry = TestRegistry::with(Doors::Basic, |_| {}).await;
    let client = Client::of(&registry);
    for (method, path, actions) in routes() {
        if actions.is_empty() || method == Method::HEAD {
            continue;
        }
        let got = client.ask(method, &path.replace("team/app", "secret/app"), &[GOOD], "").await;
        assert_eq!(got.error(), (403, "DENIED".to_owned()));
        assert!(got.message().contains("secret/app"));
    }
}

#[tokio::test]
async fn a_gate_that_cant_look_anybody_up_is_no_refusal() {
    let registry = TestRegistry::with(Doors::Away, |_| {}).await;
    let client = Client::of(&registry);
    for (method, path, _) in routes() {
        let got = client.ask(method.clone(), &path, &[GOOD], "").await;
        assert_eq!(got.status.as_u16(), 503, "{method} {path}");
        assert_eq!(got.header("www-authenticate"), "", "{method} {path}");
        if method != Method::HEAD {
            assert_eq!(got.error().1, "UNAVAILABLE");
        }
    }
}

#[tokio::test]
async fn the_challenge_names_the_scheme_that_a_trusted_proxy_tells() {
    let untrusted = TestRegistry::with(Doors::Bearer, |_| {}).await;
    let trusted = TestRegistry::with(Doors::Bearer, |config| config.trusted_proxy = true).await;
    let headers = [("x-forwarded-proto", "https"), ("host", "registry.example.com")];
    for (registry, scheme) in [(&untrusted, "http"), (&trusted, "https")] {
        let got = Client::of(registry).ask(Method::GET, "/v2/", &headers, "").await.expect(401);
        assert_eq!(
            got.header("www-authenticate"),
            format!("Bearer realm=\"{scheme}://registry.example.com/auth/token\",service=\"registry.example.com\"")
        );
    }
}

#[tokio::test]
async fn a_host_that_is_none_is_not_repeated() {
    let registry = TestRegistry::with(Doors::Bearer, |_| {}).await;
    let got = Client::of(&registry).ask(Method::GET, "/v2/", &[("host", "x\",scope=\"repository:a/b:pull")], "").await;
    assert_eq!(got.error(), (400, "UNSUPPORTED".to_owned()));
    assert_eq!(got.header("www-authenticate"), "");
}

#[tokio::test]
async fn a_push_to_a_missing_repository() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let got = client.post("/v2/team/new/blobs/uploads/").await;
    assert_eq!(got.error(), (404, "NAME_UNKNOWN".to_owned()));
    assert_eq!(got.message(), "repository team/new does not exist; create it: l0 repository create team/new");
    let manifest = crate::client::image("{}", &[]);
    assert_eq!(client.put_manifest("team/new", "1", &manifest).await.error(), (404, "NAME_UNKNOWN".to_owned()));
    assert!(registry.registry.repository_get(&crate::common::name("team/new")).await.unwrap().is_none());

    let registry = TestRegistry::with(Doors::Open, |config| config.create_on_push = true).await;
    let client = Client::of(&registry);
    client.push_image("team/new/deep", "1", "layer").await;
    // Reading makes nothing.
    client.get("/v2/team/newer/tags/list").await.expect(404);
    assert!(registry.registry.repository_get(&crate::common::name("team/newer")).await.unwrap().is_none());
}
